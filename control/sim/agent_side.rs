//! The agent's side of a world: one device's fence, its jobs, its viewers, and what is really on the device.
//!
//! ```text
//!   inbox ─► fence (its own, a file) ─► pass ─► job, one step after the other ─► fence ─► answer
//!                     ▲ dies here                              ▲ here                        ▲ and here
//! ```
//!
//! The fence is the agent's own code, with its file. The order of the steps around it is written after the
//! agent's device.rs, which is bound to sockets and processes that a world does not have: that part is a model.
//! What is on the device is kept as the set of leases whose holders touched it since it was wiped; that survives
//! every crash.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::PathBuf;

use host_agent::fence::{Fence, Mark, Raise, Stage};
use protocol::agent::{
    ConnectionEvent, ConnectionState, DeviceFact, DeviceHealth, LiveConnection, Prepare, RELEASE_DEADLINE_MS,
    Refusal, RefusalCode, Release, Reply, Report, Request, Touched,
};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, LeaseId};

use super::mutants::Mutant;
use super::network::{CallId, Message};
use super::world::{Checked, World, broken};

/// Steps of a job. The wipe is done at the last but one.
const STEPS: u8 = 3;

/// A device with the part of the agent that cares for it.
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) folder: PathBuf,
    /// `None` while the agent is dead.
    pub(super) fence: Option<Fence>,
    /// Whether people of the fence's epoch may act.
    pub(super) open: bool,
    pub(super) running: Option<Job>,
    pub(super) queued: Option<Job>,
    pub(super) inbox: VecDeque<(CallId, Request)>,
    pub(super) viewers: Vec<Viewer>,
    /// Whose traces are on it.
    pub(super) traces: BTreeSet<LeaseId>,
    /// When a viewer last acted, monotonic, and under which epoch: what a living agent remembers.
    pub(super) touched: Option<(Epoch, u64)>,
    /// The highest epoch that the agent ever acted for.
    pub(super) acted: Epoch,
    /// What the disk holds if the fence was not persisted.
    unsynced: Option<Vec<u8>>,
}

/// A viewer's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewer {
    pub(super) connection: ConnectionId,
    pub(super) epoch: Epoch,
    pub(super) up: bool,
}

/// A job.
pub(super) struct Job {
    request: Request,
    /// The epoch that control gave it.
    meant: Epoch,
    epoch: Epoch,
    askers: Vec<CallId>,
    step: u8,
    began: u64,
    began_wall: i64,
}

impl Device {
    pub(super) fn new(id: DeviceId, folder: PathBuf) -> Self {
        Self {
            id,
            folder,
            fence: None,
            open: false,
            running: None,
            queued: None,
            inbox: VecDeque::new(),
            viewers: Vec::new(),
            traces: BTreeSet::new(),
            touched: None,
            acted: Epoch(0),
            unsynced: None,
        }
    }

    /// The fence as the disk has it, dead or alive.
    pub(super) fn mark(&self) -> Mark {
        match &self.fence {
            Some(fence) => fence.mark(),
            None => Fence::open(&self.folder).expect("the folder is there").mark(),
        }
    }
}

impl World<'_> {
    /// The agent starts: what the disk holds is what it knows.
    pub(super) fn agent_starts(&mut self) -> Checked {
        for device in &mut self.devices {
            device.unsynced = fs::read(device.folder.join("fence.json")).ok();
            let fence = Fence::open(&device.folder).expect("the folder is there");
            let mark = fence.mark();
            if mark.epoch < device.acted {
                return broken(format!(
                    "I3: the agent acted for {} and is back at {}",
                    device.acted, mark.epoch
                ));
            }
            device.open = mark.stage == Stage::Prepared;
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
            device.running = None;
            device.queued = None;
            device.inbox.clear();
            device.viewers.clear();
            device.touched = None;
            device.open = false;
        }
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
            health: DeviceHealth::Healthy,
            fence: device.mark().epoch,
            labels: std::collections::BTreeMap::new(),
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
            let live = |viewer: &Viewer| LiveConnection {
                connection: viewer.connection,
                device: id,
                epoch: viewer.epoch,
            };
            device
                .viewers
                .iter()
                .filter(|viewer| viewer.up)
                .map(live)
                .collect::<Vec<_>>()
        };
        self.devices.iter().flat_map(of).collect()
    }

    /// The agent takes one request out of a device's inbox.
    pub(super) fn agent_obeys(&mut self, at: usize) -> Checked {
        let Some((call, request)) = self.devices[at].inbox.pop_front() else {
            return Ok(());
        };
        self.note(|| format!("device {at} obeys call {call}: {request:?}"));
        let meant = epoch_of(&request);
        let request = match self.mutant {
            Some(Mutant::EpochIgnored) => at_least(request, self.devices[at].mark().epoch),
            _ => request,
        };
        match request {
            Request::Prepare(prepare) => self.prepare(at, call, prepare, meant),
            Request::Release(release) => self.release(at, call, release, meant),
            Request::WhepOffer(offer) => {
                if let Some(raised) = self.raise(at, call, offer.epoch) {
                    self.acts(at, meant)?;
                    if raised == Raise::Raised {
                        self.shut(at);
                    }
                    let (connection, epoch) = (offer.connection, offer.epoch);
                    let (sdp, etag) = (String::new(), String::new());
                    self.devices[at].viewers.push(Viewer {
                        connection,
                        epoch,
                        up: false,
                    });
                    self.answer(call, Reply::Answer { sdp, etag });
                }
                Ok(())
            }
            Request::CloseConnection(close) => {
                self.close_viewer(at, close.connection, close.reason);
                self.answer(call, Reply::Closed);
                Ok(())
            }
            Request::WhepPatch(_) => Ok(()),
        }
    }

    fn prepare(&mut self, at: usize, call: CallId, request: Prepare, meant: Epoch) -> Checked {
        let Some(raised) = self.raise(at, call, request.epoch) else {
            return Ok(());
        };
        self.acts(at, meant)?;
        if raised == Raise::Raised {
            self.shut(at);
        }
        if self.devices[at].mark().stage == Stage::Prepared {
            self.answer(
                call,
                Reply::Prepared {
                    width: 720,
                    height: 1280,
                },
            );
        } else {
            self.enqueue(at, call, Request::Prepare(request), meant);
        }
        Ok(())
    }

    fn release(&mut self, at: usize, call: CallId, request: Release, meant: Epoch) -> Checked {
        let Some(raised) = self.raise(at, call, request.epoch) else {
            return Ok(());
        };
        self.acts(at, meant)?;
        if raised == Raise::Standing {
            if self.devices[at].mark().stage == Stage::Clean {
                self.answer(call, Reply::Released);
                return Ok(());
            }
            if !self.reach(at, request.epoch, Stage::Raised) {
                return Ok(());
            }
        }
        self.shut(at);
        self.enqueue(at, call, Request::Release(request), meant);
        Ok(())
    }

    /// Raises the fence. `None` when the request is over, or the agent died right before or after the disk had it.
    fn raise(&mut self, at: usize, call: CallId, epoch: Epoch) -> Option<Raise> {
        if self.dies_here() {
            self.agent_dies();
            return None;
        }
        let raised = self.devices[at].fence.as_mut()?.raise(epoch);
        if self.dies_here() {
            self.agent_dies();
            return None;
        }
        match raised {
            Ok(raised) => Some(raised),
            Err(error) => {
                self.refuse(call, RefusalCode::StaleEpoch, error.to_string());
                None
            }
        }
    }

    /// Notes a stage. False when it was over, or the agent died right before or after the disk had it.
    fn reach(&mut self, at: usize, epoch: Epoch, stage: Stage) -> bool {
        if self.dies_here() {
            self.agent_dies();
            return false;
        }
        let Some(fence) = self.devices[at].fence.as_mut() else {
            return false;
        };
        let reached = fence.reach(epoch, stage).is_ok();
        if self.dies_here() {
            self.agent_dies();
            return false;
        }
        reached
    }

    /// I3: what is done is done for the fence's epoch.
    fn acts(&mut self, at: usize, meant: Epoch) -> Checked {
        let device = &mut self.devices[at];
        let fence = device.mark().epoch;
        device.acted = device.acted.max(fence);
        if meant == fence {
            return Ok(());
        }
        broken(format!(
            "I3: device {at} acts for {meant} behind the fence at {fence}"
        ))
    }

    /// The fence rose: nothing of an older epoch gets through.
    fn shut(&mut self, at: usize) {
        self.devices[at].open = false;
        let fence = self.devices[at].mark().epoch;
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
    pub(super) fn viewer_arrives(&mut self, at: usize, which: usize) {
        let Some(viewer) = self.devices[at].viewers.get_mut(which) else {
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

    fn enqueue(&mut self, at: usize, call: CallId, request: Request, meant: Epoch) {
        let (epoch, now, wall) = (epoch_of(&request), self.monotonic, self.wall);
        let device = &mut self.devices[at];
        let same = |job: &&mut Job| {
            job.epoch == epoch && std::mem::discriminant(&job.request) == std::mem::discriminant(&request)
        };
        if let Some(job) = device.running.iter_mut().chain(&mut device.queued).find(same) {
            return job.askers.push(call);
        }
        let job = Job {
            request,
            meant,
            epoch,
            askers: vec![call],
            step: 0,
            began: now,
            began_wall: wall,
        };
        if device.running.is_none() {
            device.running = Some(job);
        } else if let Some(older) = device.queued.replace(job) {
            for call in older.askers {
                self.refuse(
                    call,
                    RefusalCode::StaleEpoch,
                    "a newer request took its place".to_owned(),
                );
            }
        }
    }

    /// The running job goes one step further.
    pub(super) fn agent_works(&mut self, at: usize) -> Checked {
        let Some(mut job) = self.devices[at].running.take() else {
            return Ok(());
        };
        let fence = self.devices[at].mark().epoch;
        if job.epoch != fence {
            self.finish(at, job, Err((RefusalCode::StaleEpoch, "the epoch is over")));
            return Ok(());
        }
        if self.is_late(&job)? {
            self.finish(at, job, Err((RefusalCode::SetupFailed, "it took too long")));
            return Ok(());
        }
        self.acts(at, job.meant)?;
        job.step += 1;
        self.note(|| format!("device {at} works: step {} of {:?}", job.step, job.request));
        if job.step + 1 == STEPS && self.mutant != Some(Mutant::SkipWipe) {
            self.devices[at].traces.clear();
        }
        if job.step < STEPS {
            self.devices[at].running = Some(job);
            return Ok(());
        }
        let stage = match &job.request {
            Request::Release(_) => Stage::Clean,
            _ => Stage::Prepared,
        };
        if self.reach(at, job.epoch, stage) {
            self.finish(at, job, Ok(()));
        }
        Ok(())
    }

    /// I5: a job is given up after its time by the clock that never jumps, and no earlier.
    fn is_late(&self, job: &Job) -> Result<bool, super::world::Violation> {
        let deadline = match &job.request {
            Request::Prepare(prepare) => prepare.deadline_ms,
            _ => RELEASE_DEADLINE_MS,
        };
        let passed = self.monotonic - job.began;
        let late = match self.mutant {
            Some(Mutant::WallClockAtAgent) => self.wall - job.began_wall >= deadline as i64,
            _ => passed >= deadline,
        };
        if late == (passed >= deadline) {
            return Ok(late);
        }
        broken(format!(
            "I5: a job with {deadline} ms is late after {passed} ms: {late}"
        ))
    }

    fn finish(&mut self, at: usize, job: Job, outcome: Result<(), (RefusalCode, &str)>) {
        for call in job.askers {
            match (&outcome, &job.request) {
                (Err((code, why)), _) => self.refuse(call, *code, (*why).to_owned()),
                (Ok(()), Request::Release(_)) => self.answer(call, Reply::Released),
                (Ok(()), _) => self.answer(
                    call,
                    Reply::Prepared {
                        width: 720,
                        height: 1280,
                    },
                ),
            }
        }
        let device = &mut self.devices[at];
        if outcome.is_ok() && matches!(job.request, Request::Prepare(_)) {
            device.open = true;
        }
        device.running = device.queued.take();
    }

    fn answer(&mut self, call: CallId, reply: Reply) {
        self.network.send(Message::Answer(call, reply));
    }

    fn refuse(&mut self, call: CallId, code: RefusalCode, detail: String) {
        self.answer(call, Reply::Refused(Refusal { code, detail }));
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
