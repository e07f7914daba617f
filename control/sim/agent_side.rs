//! The agent's side of a world: the agent's own decisions and its own fence, with a world in the place of sockets.
//!
//! ```text
//!   inbox ─► custody (host_agent) ─► effects, carried out here:  Keep ─► fence (its own, a file)
//!                     ▲ ended                                     │ dies here, and here
//!                     └──────────── work.rs ◄── Start ────────────┘
//! ```
//!
//! What the agent decides (`host_agent::custody`), what it keeps (`host_agent::fence`) and what it wipes
//! (`host_agent::reset`, in work.rs) is what is shipped. This file does what its device.rs does with sockets: it
//! carries effects out, in their order. The device itself is `phone.rs`; it survives every crash.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use host_agent::custody::{Asked, Custody, Effect, Holder, Work, overtaken, told};
use host_agent::fence::{Fence, Mark, Stage};
use host_agent::fingers::PictureSize;
use host_agent::reset::survey::Survey;
use protocol::agent::{
    ConnectionEvent, ConnectionState, DeviceFact, LiveConnection, Reply, Report, Request, Role, Touched,
    WhepOffer,
};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, LeaseId};

use super::mutants::Mutant;
use super::network::{CallId, Message};
use super::phone::Phone;
use super::presence::Disk;
use super::violation::Checked;
use super::violation::Invariant::{I3, I13};
use super::work::Job;
use super::world::World;

/// Every device is filmed at this size.
pub(super) const PICTURE: PictureSize = PictureSize {
    width: 720,
    height: 1280,
};

/// A device with the part of the agent that cares for it.
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) folder: PathBuf,
    /// `None` while the agent is dead.
    pub(super) fence: Option<Fence>,
    /// What a living agent decides by.
    pub(super) custody: Custody<CallId>,
    pub(super) running: Option<Job>,
    /// Who waits for the work that comes next.
    waiting: Vec<CallId>,
    /// The epoch that control gave each request that this agent has seen.
    meant: BTreeMap<CallId, Epoch>,
    pub(super) inbox: VecDeque<(CallId, Request)>,
    pub(super) viewers: Vec<Viewer>,
    /// What is really on it.
    pub(super) phone: Phone,
    /// Whether it is plugged in, and whether the agent has reached it and films it.
    pub(super) there: bool,
    pub(super) reached: bool,
    /// Whom it was prepared for, beside the fence on the agent's disk.
    pub(super) holder: Option<Holder>,
    /// How it was before anybody used it, on the agent's disk.
    pub(super) baseline: Option<Arc<Survey>>,
    /// When a viewer last acted, monotonic, and under which epoch: what a living agent remembers.
    pub(super) touched: Option<(Epoch, u64)>,
    /// Which lease acted first under each epoch, since nothing of anybody was on it.
    pub(super) acting: BTreeMap<Epoch, LeaseId>,
    /// The highest epoch that the agent ever acted for.
    pub(super) acted: Epoch,
    /// What the disk holds if the fence was not persisted.
    unsynced: Option<Vec<u8>>,
    /// What the agent's disk held when the last backup was made.
    pub(super) kept: Disk,
    /// Whether the agent's files were ever older than what was done on the device.
    pub(super) set_back: bool,
}

/// A viewer's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer {
    pub(super) connection: ConnectionId,
    pub(super) epoch: Epoch,
    pub(super) up: bool,
    pub(super) role: Role,
}

impl Viewer {
    /// Whether it is there and holds the lease.
    pub(super) fn attends(&self) -> bool {
        self.up && self.role == Role::Controller
    }
}

impl Device {
    pub(super) fn new(id: DeviceId, folder: PathBuf) -> Self {
        let kept = Disk::NEW;
        let mut device = Self {
            id,
            folder,
            fence: None,
            custody: Custody::new(Mark::NEW),
            running: None,
            waiting: Vec::new(),
            meant: BTreeMap::new(),
            inbox: VecDeque::new(),
            viewers: Vec::new(),
            phone: Phone::new(),
            there: true,
            reached: false,
            holder: None,
            baseline: None,
            touched: None,
            acting: BTreeMap::new(),
            acted: Epoch(0),
            unsynced: None,
            kept: kept.clone(),
            set_back: false,
        };
        device.put(kept);
        device
    }

    /// The fence as the disk has it, dead or alive.
    pub(super) fn mark(&self) -> Mark {
        match &self.fence {
            Some(fence) => fence.mark(),
            None => Fence::open(&self.folder).expect("the folder is there").mark(),
        }
    }

    /// Whether people of the fence's epoch may act.
    pub(super) fn is_open(&self) -> bool {
        self.fence.is_some() && self.custody.is_open()
    }
}

impl World<'_> {
    /// The agent starts: what the disk holds is what it knows.
    pub(super) fn agent_starts(&mut self) -> Checked {
        let (eyes, mutant) = (self.eyes, self.mutant);
        self.stays.agent_starts(self.monotonic);
        self.others_stays.agent_starts(self.monotonic);
        for device in &mut self.devices {
            device.unsynced = fs::read(device.folder.join("fence.json")).ok();
            let fence = Fence::open(&device.folder).expect("the folder is there");
            let mark = fence.mark();
            if mark.epoch < device.acted {
                eyes.broken(I3, || {
                    format!(
                        "the agent acted for {} and is back at {}",
                        device.acted, mark.epoch
                    )
                })?;
            }
            device.holder = device.holder.take().filter(|holder| holder.is_behind(mark));
            let first = device.baseline.is_none() && mark.may_be_surveyed() && !device.phone.is_used();
            if first || mutant == Some(Mutant::BaselineOfADirtyDevice) {
                device.baseline = Some(Arc::new(device.phone.on.clone()));
            }
            device.custody = Custody::new(mark);
            device.fence = Some(fence);
        }
        Ok(())
    }

    /// The agent dies: only its disk and the devices are left.
    pub(super) fn agent_dies(&mut self) {
        self.note(|| "agent dies".to_owned());
        self.network.cut();
        for device in &mut self.devices {
            if self.mutant == Some(Mutant::FenceNotPersisted) && device.fence.is_some() {
                let file = device.folder.join("fence.json");
                match &device.unsynced {
                    Some(bytes) => fs::write(file, bytes).expect("the folder is there"),
                    None => drop(fs::remove_file(file)),
                }
            }
            device.fence = None;
            device.reached = false;
            device.custody = Custody::new(Mark::NEW);
            device.running = None;
            device.waiting.clear();
            device.meant.clear();
            device.inbox.clear();
            device.viewers.clear();
            device.touched = None;
        }
    }

    /// An agent is between two steps; whether it dies there.
    pub(super) fn agent_dies_here(&mut self) -> bool {
        let dies = self.dies_here();
        if dies {
            self.agent_dies();
        }
        dies
    }

    pub(super) fn agent_is_up(&self) -> bool {
        self.devices[0].fence.is_some()
    }

    /// What the agent says about its devices.
    pub(super) fn facts(&self) -> Vec<DeviceFact> {
        let fact = |(index, device): (usize, &Device)| DeviceFact {
            id: device.id,
            name: format!("device {index}"),
            serial: format!("serial {index}"),
            model: String::new(),
            width: 720,
            height: 1280,
            health: device.health(),
            fence: device.mark().epoch,
            labels: super::ground::labels_of(index),
        };
        self.devices.iter().enumerate().map(fact).collect()
    }

    /// The agent tells how its devices are, and when somebody last acted on them.
    pub(super) fn agent_reports(&mut self) {
        let now = self.monotonic;
        let touched = |device: &Device| {
            let (epoch, at) = device.touched?;
            Some(Touched {
                device: device.id,
                epoch,
                ago_ms: now - at,
            })
        };
        let report = Report {
            devices: self.facts(),
            touched: self.devices.iter().filter_map(touched).collect(),
        };
        self.network.send(Message::Report(report, now));
    }

    pub(super) fn live_connections(&self) -> Vec<LiveConnection> {
        let of = |device: &Device| {
            let id = device.id;
            let live = |(connection, epoch, connected)| LiveConnection {
                connection,
                device: id,
                epoch,
                connected,
            };
            // The agent has an offer in its table from when it takes it in.
            let offered = device.inbox.iter().filter_map(|(_, request)| match request {
                Request::WhepOffer(offer) => Some((offer.connection, offer.epoch, false)),
                _ => None,
            });
            let viewers = device.viewers.iter();
            let viewers = viewers.map(|viewer| (viewer.connection, viewer.epoch, viewer.up));
            let listed = viewers.chain(offered);
            let listed = listed.filter(|(_, _, up)| *up || self.mutant != Some(Mutant::HelloLeavesOut));
            listed.map(live).collect::<Vec<_>>()
        };
        self.devices.iter().flat_map(of).collect()
    }

    /// The agent takes one request out of a device's inbox.
    pub(super) fn agent_obeys(&mut self, at: usize) -> Checked {
        let Some((call, request)) = self.devices[at].inbox.pop_front() else {
            return Ok(());
        };
        self.note(|| format!("device {at} obeys call {call}: {request:?}"));
        self.devices[at].meant.insert(call, epoch_of(&request));
        let request = match self.mutant {
            Some(Mutant::EpochIgnored) => at_least(request, self.devices[at].mark().epoch),
            _ => request,
        };
        let asked = match request {
            Request::Prepare(prepare) => Asked::Prepare(prepare),
            Request::Release(release) => {
                let viewers = self.devices[at].viewers.iter();
                let told = told(&release, viewers.map(|viewer| (viewer.connection, viewer.epoch)));
                Asked::Release(release, told)
            }
            Request::WhepOffer(offer) => Asked::Offer(offer),
            Request::CloseConnection(close) => {
                self.close_viewer(at, close.connection, close.reason);
                self.answer(call, Reply::Closed);
                return Ok(());
            }
            Request::WhepPatch(_) => return Ok(()),
        };
        let picture = self.devices[at].picture();
        let effects = self.devices[at].custody.asked(asked, call, picture);
        self.carry_out(at, effects)
    }

    /// Does what custody decided, in its order. The agent may die around everything that the disk has to hold.
    pub(super) fn carry_out(&mut self, at: usize, effects: Vec<Effect<CallId>>) -> Checked {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            if self.agent_dies_here() {
                return Ok(());
            }
            match effect {
                Effect::Keep(mark) => {
                    let device = &mut self.devices[at];
                    let kept = device.fence.as_mut().expect("the agent lives").keep(mark);
                    if self.agent_dies_here() {
                        return Ok(());
                    }
                    let device = &mut self.devices[at];
                    // What is worked out anew is not older than the device any more.
                    device.set_back &= !matches!(mark.stage, Stage::Clean | Stage::Prepared);
                    effects.extend(device.custody.kept(kept, device.picture()));
                }
                Effect::Shut(_) => self.shut(at),
                Effect::Cut {
                    reason, connections, ..
                } => self.cut(at, connections, reason),
                Effect::Negotiate(offer, call) => self.negotiate(at, &offer, call)?,
                // Control hears of it by the refusal.
                Effect::Open(_) | Effect::NotConnected(_) => {}
                Effect::Reply(call, reply) => self.answer(call, reply),
                Effect::Start(work, call) => {
                    let meant = self.meant(at, call);
                    self.acts(at, meant)?;
                    self.start(at, work, vec![call], meant);
                }
                Effect::StartAlone(work) => {
                    let meant = work.epoch();
                    self.acts(at, meant)?;
                    self.start(at, work, Vec::new(), meant);
                }
                Effect::Join(call) => {
                    let running = self.devices[at].running.as_mut();
                    running.expect("there is something to join").askers.push(call);
                }
                Effect::Queue(call) => {
                    for overtook in std::mem::replace(&mut self.devices[at].waiting, vec![call]) {
                        self.answer(overtook, overtaken());
                    }
                }
                Effect::JoinNext(call) => self.devices[at].waiting.push(call),
                Effect::Finish(reply) => {
                    let ended = self.devices[at].running.take();
                    for call in ended.into_iter().flat_map(|job| job.askers) {
                        self.answer(call, reply.clone());
                    }
                }
                Effect::StartNext(work) => {
                    let askers = std::mem::take(&mut self.devices[at].waiting);
                    let meant = self.meant(at, askers[0]);
                    self.start(at, work, askers, meant);
                }
            }
        }
        self.no_channel_outlives_the_fence(at)
    }

    fn start(&mut self, at: usize, work: Work, askers: Vec<CallId>, meant: Epoch) {
        let used = self.devices[at].phone.is_used() && self.mutant != Some(Mutant::WitnessIgnored);
        let job = Job::new(work, used, askers, meant, (self.monotonic, self.agent_wall));
        self.devices[at].running = Some(job);
    }

    fn cut(&mut self, at: usize, connections: Vec<ConnectionId>, reason: CloseReason) {
        let outlive = [Mutant::ChannelsOutliveTheFence, Mutant::ChannelsCarriedOver];
        if !self.mutant.is_some_and(|mutant| outlive.contains(&mutant)) {
            for connection in connections {
                self.close_viewer(at, connection, reason);
            }
        }
        self.shut(at);
    }

    fn negotiate(&mut self, at: usize, offer: &WhepOffer, call: CallId) -> Checked {
        self.acts(at, self.meant(at, call))?;
        let mut viewers = self.devices[at].viewers.iter();
        if viewers.any(|viewer| viewer.connection == offer.connection) {
            // The agent takes in no connection twice.
            return Ok(());
        }
        self.devices[at].viewers.push(Viewer {
            connection: offer.connection,
            epoch: offer.epoch,
            up: false,
            role: offer.role,
        });
        let (sdp, etag) = (String::new(), String::new());
        self.answer(call, Reply::Answer { sdp, etag });
        Ok(())
    }

    /// The epoch that control gave a request.
    fn meant(&self, at: usize, call: CallId) -> Epoch {
        self.devices[at].meant[&call]
    }

    /// I13: what a connection may do ends with its epoch. As soon as the fence has risen, none of an older one is
    /// open; that this comes within a second is measured on real processes.
    fn no_channel_outlives_the_fence(&self, at: usize) -> Checked {
        let device = &self.devices[at];
        let fence = device.custody.mark().epoch;
        match device.viewers.iter().find(|viewer| viewer.epoch < fence) {
            Some(viewer) if device.fence.is_some() => self.eyes.broken(I13, || {
                format!(
                    "a channel of {} is open behind the fence at {fence}",
                    viewer.epoch
                )
            }),
            _ => Ok(()),
        }
    }

    /// I3: what is done is done for the fence's epoch.
    pub(super) fn acts(&mut self, at: usize, meant: Epoch) -> Checked {
        let device = &mut self.devices[at];
        let fence = device.mark().epoch;
        device.acted = device.acted.max(fence);
        if meant == fence {
            return Ok(());
        }
        self.eyes.broken(I3, || {
            format!("device {at} acts for {meant} behind the fence at {fence}")
        })
    }

    /// The fence rose: nothing of an older epoch gets through.
    fn shut(&mut self, at: usize) {
        let fence = self.devices[at].mark().epoch;
        match self.mutant {
            Some(Mutant::ChannelsOutliveTheFence) => return,
            Some(Mutant::ChannelsCarriedOver) => {
                let viewers = self.devices[at].viewers.iter_mut();
                viewers.for_each(|viewer| viewer.epoch = fence);
            }
            _ => {}
        }
        let older = self.devices[at]
            .viewers
            .iter()
            .filter(|viewer| viewer.epoch < fence);
        for connection in older.map(|viewer| viewer.connection).collect::<Vec<_>>() {
            self.close_viewer(at, connection, CloseReason::LeaseEnded);
        }
    }

    pub(super) fn close_viewer(&mut self, at: usize, connection: ConnectionId, reason: CloseReason) {
        let viewers = &mut self.devices[at].viewers;
        if let Some(found) = viewers.iter().position(|viewer| viewer.connection == connection) {
            let epoch = viewers.swap_remove(found).epoch;
            self.tell(at, connection, epoch, ConnectionState::Closed { reason });
        }
    }

    /// A viewer's connection comes up.
    pub(super) fn viewer_arrives(&mut self, at: usize) {
        let Some(viewer) = self.devices[at].viewers.iter_mut().find(|viewer| !viewer.up) else {
            return;
        };
        viewer.up = true;
        let Viewer {
            connection, epoch, ..
        } = *viewer;
        self.tell(at, connection, epoch, ConnectionState::Connected);
    }

    fn tell(&mut self, at: usize, connection: ConnectionId, epoch: Epoch, state: ConnectionState) {
        let device = self.devices[at].id;
        self.network.send(Message::Connection(ConnectionEvent {
            connection,
            device,
            epoch,
            state,
        }));
    }

    fn answer(&mut self, call: CallId, reply: Reply) {
        self.network.send(Message::Answer(call, reply));
    }
}

pub(super) fn epoch_of(request: &Request) -> Epoch {
    match request {
        Request::Prepare(request) => request.epoch,
        Request::Release(request) => request.epoch,
        Request::WhepOffer(request) => request.epoch,
        Request::WhepPatch(request) => request.epoch,
        Request::CloseConnection(request) => request.epoch,
    }
}

fn at_least(mut request: Request, fence: Epoch) -> Request {
    match &mut request {
        Request::Prepare(request) => request.epoch = request.epoch.max(fence),
        Request::Release(request) => request.epoch = request.epoch.max(fence),
        Request::WhepOffer(request) => request.epoch = request.epoch.max(fence),
        Request::WhepPatch(_) | Request::CloseConnection(_) => {}
    }
    request
}
