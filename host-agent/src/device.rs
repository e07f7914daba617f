//! One device: a task that owns its fence and its life, and does what control asks, one job at a time.
//!
//! ```text
//!   Command, outcome of a job ──► custody.rs decides ──► duties.rs: fence (fsync), pass (hand), gateway, job, reply
//!   Happening ─► lifecycle.rs          a newer epoch: the running job ends at its next effect, then the next starts
//!   wishes for key frames ─► RESET_VIDEO through the hand
//! ```
//!
//! After a restart a device that was prepared is still prepared: its gate opens again once it is filmed, under the boot
//! that its holder had, if the device does not know of another holder since.
//!
//! It decides nothing about epochs, jobs and holders, and does not know the link to control, nor other devices.

use std::sync::Arc;

use gateway::{Gate, Gateway};
use protocol::agent::{CloseConnection, DeviceFact, Prepare, Release, Reply, WhepOffer, WhepPatch};
use protocol::{ConnectionId, DeviceId};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::asker::{Asker, Askers};
use crate::capture::Recipe;
use crate::config::DeviceConfig;
use crate::custody::{Asked, Custody, Pass};
use crate::effects::{Reach, Reached};
use crate::fence::Fence;
use crate::film::Seen;
use crate::hand::Order;
use crate::job::{Ended, Running};
use crate::keyframes::{KeyFrames, Remedy};
use crate::lifecycle::{Happening, Life, Surroundings};
use crate::recorder::Recorder;
use crate::register::Entry;

mod duties;
mod holder;
mod negotiation;

pub(crate) use holder::HolderFile;

/// Requests that wait for one device: control has a handful at work. One more is told `Busy`.
pub(crate) const COMMANDS_MAX: usize = 64;

/// What control wants of a device.
#[derive(Debug)]
pub(crate) enum Command {
    Prepare(Prepare, Asker),
    /// With the connections that are to be told why.
    Release(Release, Vec<ConnectionId>, Asker),
    Offer(WhepOffer, Asker),
    Patch(WhepPatch, Asker),
    Close(CloseConnection, Asker),
}

/// What a device tells the agent.
#[derive(Debug)]
pub(crate) enum DeviceEvent {
    /// A fact changed.
    Fact(DeviceFact),
    /// An offer came to nothing: there will be no connection.
    NotConnected(ConnectionId),
}

/// The agent's end of a device.
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) orders: watch::Receiver<Option<mpsc::Sender<Order>>>,
    pub(crate) key_frame_wanted: Arc<Notify>,
    /// Asks for a new capture.
    pub(crate) restart: Arc<Notify>,
}

/// What all devices of an agent share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) recipe: Recipe,
    pub(crate) gateway: Gateway,
    pub(crate) events: mpsc::Sender<DeviceEvent>,
    /// Writes down what passes between here and the devices.
    pub(crate) recorder: Option<Recorder>,
}

/// One device.
pub(crate) struct Device {
    id: DeviceId,
    config: DeviceConfig,
    common: Common,
    /// `None` after a thread that wrote it was lost: then nothing is done any more.
    fence: Option<Fence>,
    pass: watch::Sender<Pass>,
    reach: Reach,
    life: Life,
    commands: mpsc::Receiver<Command>,
    key_frame_wanted: Arc<Notify>,
    key_frames: KeyFrames,
    /// What is decided about it.
    custody: Custody<Asker>,
    running: Option<Running>,
    /// Those who wait for the work that comes next.
    waiting: Askers,
    /// Who has it, beside the fence.
    holder: HolderFile,
    negotiations: JoinSet<()>,
    told: Option<DeviceFact>,
}

impl Device {
    /// Puts a device together; nothing happens before [`Self::run`].
    pub(crate) fn new(config: DeviceConfig, entry: Entry, common: Common) -> (Self, Handle) {
        let mark = entry.fence.mark();
        let custody = Custody::new(mark);
        let open = custody.is_open();
        let (pass, passes) = watch::channel(Pass {
            epoch: mark.epoch,
            open,
        });
        let (host, hosts) = watch::channel(None::<Reached>);
        let (orders, hands) = watch::channel(None);
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (seen, restart) = (Arc::new(Seen::new()), Arc::new(Notify::new()));
        let key_frame_wanted = Arc::new(Notify::new());
        common.gateway.set_fence(entry.id, mark.epoch, gate(open));
        let life = Life::new(Surroundings {
            device: entry.id,
            way: config.way.clone(),
            recording: common
                .recorder
                .as_ref()
                .map(|recorder| recorder.of(&config.name, common.recipe.version)),
            recipe: common.recipe.clone(),
            gateway: common.gateway.clone(),
            seen: Arc::clone(&seen),
            pass: passes.clone(),
            host,
            orders,
            restart: Arc::clone(&restart),
            baseline: entry.baseline.clone(),
        });
        let handle = Handle {
            commands: sender,
            orders: hands.clone(),
            key_frame_wanted: Arc::clone(&key_frame_wanted),
            restart: Arc::clone(&restart),
        };
        let version = common.recipe.version;
        let reach = Reach {
            host: hosts,
            orders: hands,
            pass: passes,
            seen,
            restart,
            version,
            baseline: entry.baseline,
            #[cfg(test)]
            fuse: Arc::default(),
        };
        let device = Self {
            id: entry.id,
            config,
            common,
            fence: Some(entry.fence),
            pass,
            reach,
            life,
            commands,
            key_frame_wanted,
            key_frames: KeyFrames::default(),
            running: None,
            waiting: Askers::default(),
            custody,
            holder: entry.holder,
            negotiations: JoinSet::new(),
            told: None,
        };
        (device, handle)
    }

    /// What is true of the device now.
    pub(crate) fn fact(&self) -> DeviceFact {
        let facts = self.life.facts();
        let size = self.reach.seen.frame.borrow().size.or(facts.screen);
        DeviceFact {
            id: self.id,
            name: self.config.name.to_string(),
            serial: if facts.serial.is_empty() {
                self.config.way.to_string()
            } else {
                facts.serial.clone()
            },
            model: facts.model.clone(),
            width: size.map_or(0, |size| size.width),
            height: size.map_or(0, |size| size.height),
            health: self.health(),
            fence: self.pass.borrow().epoch,
            labels: self.config.labels.clone(),
        }
    }

    /// What has been seen of the device.
    #[cfg(test)]
    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.reach.seen)
    }

    /// Where a test stops it.
    #[cfg(test)]
    pub(crate) fn fuse(&self) -> Arc<crate::rig::Fuse> {
        Arc::clone(&self.reach.fuse)
    }

    /// Lives until cancelled or until the agent is gone.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut frames = self.reach.seen.frame.subscribe();
        let mut progress = self.reach.seen.progress.subscribe();
        loop {
            let key_frame_due = self.key_frames.due();
            tokio::select! {
                () = cancel.cancelled() => return,
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                happening = self.life.happens() => self.turn(happening).await,
                ended = finished(&mut self.running) => self.ended(ended).await,
                Some(_) = self.negotiations.join_next() => {}
                () = self.key_frame_wanted.notified() => self.key_frames.wanted(Instant::now()),
                () = sleep_until(key_frame_due) => self.remedy(),
                _ = frames.changed() => {}
                _ = progress.changed() => {}
            }
            let filmed = self.reach.orders.borrow().is_some();
            self.key_frames
                .arrived(filmed.then(|| progress.borrow().key_starts));
            self.attend_holder().await;
            self.tell_facts().await;
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Prepare(request, asker) => self.asked(Asked::Prepare(request), asker).await,
            Command::Release(request, connections, asker) => {
                self.asked(Asked::Release(request, connections), asker).await;
            }
            Command::Offer(offer, asker) => self.asked(Asked::Offer(offer), asker).await,
            Command::Patch(patch, asker) => self.patch(patch, asker),
            Command::Close(request, asker) => {
                self.common.gateway.close(request.connection, request.reason);
                asker.reply(Reply::Closed);
            }
        }
    }

    fn remedy(&mut self) {
        let starts = self.reach.seen.progress.borrow().starts;
        let remedy = self.key_frames.take(Instant::now(), starts);
        match remedy {
            None => {}
            Some(Remedy::Reset) if self.reach.version.at_least(3, 0, 0) => {
                let orders = self.reach.orders.borrow().clone();
                // Without a capture its next start brings a key frame; a full queue gets its wish in a second.
                if let Some(orders) = orders
                    && let Err(mpsc::error::TrySendError::Full(_)) = orders.try_send(Order::ResetVideo)
                {
                    self.key_frames.wanted(Instant::now());
                }
            }
            Some(Remedy::Reset | Remedy::Restart) => self.life.turn(Happening::Restart, Instant::now()),
        }
    }

    async fn tell_facts(&mut self) {
        let fact = self.fact();
        if self.told.as_ref() != Some(&fact) {
            self.told = Some(fact.clone());
            // The agent is gone when nobody takes it; then this ends too.
            let _ = self.common.events.send(DeviceEvent::Fact(fact)).await;
        }
    }
}

/// The end of the running job, if there is one. Safe to cancel.
async fn finished(running: &mut Option<Running>) -> Ended {
    match running {
        Some(running) => running.ended().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn gate(open: bool) -> Gate {
    if open { Gate::Open } else { Gate::Closed }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
