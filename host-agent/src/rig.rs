//! A device on trial: the simulated device behind a wire that can be cut, a real gateway, and one
//! [`Device`](crate::device::Device) task between them. Only for tests.
//!
//! ```text
//!   test ── commands, orders ──► Device ══ adb ══ wire ══ simulated device
//!     ▲                             └─► gateway                 │
//!     └──────────────── dumpsys simulated (own connection) ─────┘
//! ```
//!
//! Tests wait for facts with one generous deadline, [`PATIENCE`], and never for time.

mod phone;

use std::sync::Arc;
use std::time::Duration;

use adb::Host;
use bytes::Bytes;
use gateway::{Gateway, GatewayConfig};
use protocol::agent::{App, DeviceFact, DeviceHealth, Prepare, Release, Reply, Reset};
use protocol::input::InputOp;
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, Fraction, Generation, LeaseId};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::asker::{Answers, Asker};
use crate::capture::{Pulse, Recipe};
use crate::config::DeviceConfig;
use crate::device::{Command, Common, Device, DeviceEvent, Handle};
use crate::film::Seen;
use crate::hand::Order;
use crate::recorder::Recorder;
use crate::register;
use crate::way::Way;

pub(crate) use phone::Phone;

/// The longest that any fact may take to become true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Takes no busy machine for a dead device, and finds a dead one within [`PATIENCE`].
const PULSE: Pulse = Pulse {
    every: Duration::from_millis(200),
    timeout: Duration::from_secs(30),
};
/// For who waits until a device that keeps silent is given up.
const QUICK_PULSE: Pulse = Pulse {
    timeout: Duration::from_secs(5),
    ..PULSE
};
const LOOK_AGAIN: Duration = Duration::from_millis(10);
pub(crate) const NEWEST: &str = "4.1";

/// Stops an agent before one of its effects, as if it were killed there: nothing of it happens any more.
#[derive(Debug)]
pub(crate) struct Fuse {
    /// Effects until it stops, and effects so far.
    effects: std::sync::Mutex<(usize, usize)>,
    burnt: watch::Sender<bool>,
}

impl Default for Fuse {
    fn default() -> Self {
        Self {
            effects: std::sync::Mutex::new((usize::MAX, 0)),
            burnt: watch::Sender::new(false),
        }
    }
}

impl Fuse {
    /// Lets `effects` more happen.
    pub(crate) fn set(&self, effects: usize) {
        self.effects.lock().unwrap().0 = effects;
    }

    /// Effects so far.
    pub(crate) fn count(&self) -> usize {
        self.effects.lock().unwrap().1
    }

    /// Waits until the agent stands still.
    pub(crate) async fn burnt(&self) {
        let mut burnt = self.burnt.subscribe();
        let burnt = tokio::time::timeout(PATIENCE, burnt.wait_for(|burnt| *burnt)).await;
        burnt.expect("the agent went past the end").unwrap();
    }

    pub(crate) async fn burn(&self) {
        let goes_on = {
            let mut effects = self.effects.lock().unwrap();
            let goes_on = effects.0 > 0;
            if goes_on {
                effects.0 -= 1;
                effects.1 += 1;
            }
            goes_on
        };
        if !goes_on {
            self.burnt.send_replace(true);
            std::future::pending::<()>().await;
        }
    }
}

/// What is not as usual.
#[derive(Default)]
struct Extras {
    way: Option<Way>,
    recorder: Option<Recorder>,
    /// `None` = one of its own.
    gateway: Option<Gateway>,
    /// `None` = [`PULSE`].
    pulse: Option<Pulse>,
}

/// A device task with everything around it.
pub(crate) struct Rig {
    pub(crate) phone: Phone,
    pub(crate) id: DeviceId,
    pub(crate) handle: Handle,
    pub(crate) facts: watch::Receiver<Option<DeviceFact>>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) fuse: Arc<Fuse>,
    pub(crate) person: ConnectionId,
    data: tempfile::TempDir,
    version: &'static str,
    extras: Extras,
    eye: Host,
    gateway: Gateway,
    stop: DropGuard,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::of(NEWEST).await
    }

    /// With a server of this version.
    pub(crate) async fn of(version: &'static str) -> Self {
        Self::put_together(
            Phone::start().await,
            tempfile::tempdir().unwrap(),
            version,
            Extras::default(),
        )
        .await
    }

    /// With a device that is there already.
    pub(crate) async fn on(phone: Phone) -> Self {
        Self::of_on(NEWEST, phone).await
    }

    /// With a device that is there already, and a server of this version.
    pub(crate) async fn of_on(version: &'static str, phone: Phone) -> Self {
        Self::put_together(phone, tempfile::tempdir().unwrap(), version, Extras::default()).await
    }

    /// With a device that is reached in this way.
    pub(crate) async fn by(phone: Phone, way: &str) -> Self {
        let extras = Extras {
            way: Some(way.parse().unwrap()),
            ..Extras::default()
        };
        Self::put_together(phone, tempfile::tempdir().unwrap(), NEWEST, extras).await
    }

    /// That gives its device up after a few seconds of silence.
    pub(crate) async fn impatient() -> Self {
        let extras = Extras {
            pulse: Some(QUICK_PULSE),
            ..Extras::default()
        };
        Self::put_together(Phone::start().await, tempfile::tempdir().unwrap(), NEWEST, extras).await
    }

    /// With somebody who writes down what passes.
    pub(crate) async fn recorded(phone: Phone, recorder: Recorder) -> Self {
        let extras = Extras {
            recorder: Some(recorder),
            ..Extras::default()
        };
        Self::put_together(phone, tempfile::tempdir().unwrap(), NEWEST, extras).await
    }

    /// With another one's gateway.
    pub(crate) async fn beside(other: &Self, phone: Phone) -> Self {
        let extras = Extras {
            gateway: Some(other.gateway.clone()),
            ..Extras::default()
        };
        Self::put_together(phone, tempfile::tempdir().unwrap(), NEWEST, extras).await
    }

    /// Removes the baseline from the agent's folder.
    pub(crate) fn lose_baseline(&self) {
        std::fs::remove_file(self.data.path().join("devices/trial/baseline.json")).unwrap();
    }

    /// A copy of what the agent's folder holds of its device.
    pub(crate) fn folder_kept(&self) -> tempfile::TempDir {
        let kept = tempfile::tempdir().unwrap();
        let [from, to] = [&self.data, &kept].map(|data| data.path().join("devices/trial"));
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        kept
    }

    async fn put_together(
        phone: Phone,
        data: tempfile::TempDir,
        version: &'static str,
        extras: Extras,
    ) -> Self {
        let way = extras.way.clone();
        let config = DeviceConfig {
            name: "trial".parse().unwrap(),
            way: way.unwrap_or_else(|| phone.address.to_string().parse().unwrap()),
            labels: [("pool".to_owned(), "trial".to_owned())].into(),
        };
        let gateway = extras.gateway.clone().unwrap_or_else(|| {
            let config = GatewayConfig::new(([127, 0, 0, 1], 0).into());
            let (gateway, mut events) = gateway::start(&config).unwrap();
            tokio::spawn(async move { while events.recv().await.is_some() {} });
            gateway
        });
        let (events, mut heard) = mpsc::channel(16);
        let entry = register::open(data.path(), &config.name).unwrap();
        let id = entry.id;
        let common = Common {
            recipe: Recipe {
                pulse: extras.pulse.unwrap_or(PULSE),
                ..recipe(version)
            },
            gateway: gateway.clone(),
            events,
            recorder: extras.recorder.clone(),
        };
        let (device, handle) = Device::new(config, entry, common);
        let (seen, fuse) = (device.seen(), device.fuse());
        let (told, facts) = watch::channel(None);
        tokio::spawn(async move {
            while let Some(event) = heard.recv().await {
                if let DeviceEvent::Fact(fact) = event {
                    told.send_replace(Some(fact));
                }
            }
        });
        let cancel = CancellationToken::new();
        tokio::spawn(device.run(cancel.clone()));
        Self {
            eye: phone.host().await,
            phone,
            id,
            handle,
            facts,
            seen,
            fuse,
            person: ConnectionId::from_uuid(Uuid::from_u128(1)),
            data,
            version,
            extras,
            gateway,
            stop: cancel.drop_guard(),
        }
    }

    /// The device starts anew.
    pub(crate) async fn reboot(&mut self) {
        self.phone.reboot().await;
        self.eye = self.phone.host().await;
    }

    /// Ends the device's task and starts another on the same folder, as a restarted agent does.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            phone,
            data,
            version,
            extras,
            gateway,
            stop,
            ..
        } = self;
        drop((stop, gateway));
        Self::put_together(phone, data, version, extras).await
    }

    /// The same on another folder.
    pub(crate) async fn restart_on(mut self, folder: tempfile::TempDir) -> Self {
        let old = std::mem::replace(&mut self.data, folder);
        let rig = self.restart().await;
        drop(old);
        rig
    }

    /// The whole machine starts anew, the agent and its device.
    pub(crate) async fn restart_with_the_device(self) -> Self {
        let Self {
            mut phone,
            data,
            version,
            extras,
            gateway,
            stop,
            ..
        } = self;
        drop((stop, gateway));
        phone.reboot().await;
        Self::put_together(phone, data, version, extras).await
    }

    /// Waits until the device's facts are as wanted.
    pub(crate) async fn fact(&mut self, wanted: impl FnMut(&DeviceFact) -> bool) -> DeviceFact {
        let mut wanted = wanted;
        let is_there = self.facts.wait_for(|fact| fact.as_ref().is_some_and(&mut wanted));
        let fact = tokio::time::timeout(PATIENCE, is_there)
            .await
            .map(|fact| fact.unwrap().clone());
        fact.unwrap_or_else(|_| panic!("in vain; the facts are {:?}", self.facts.borrow()))
            .unwrap()
    }

    pub(crate) async fn healthy(&mut self) -> DeviceFact {
        self.fact(|fact| fact.health == DeviceHealth::Healthy).await
    }

    /// What the simulated device says about itself.
    pub(crate) async fn dump(&self) -> Value {
        let output = self.eye.shell("dumpsys simulated").await.unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until the simulated device is as wanted.
    pub(crate) async fn sees(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let dump = self.dump().await;
            if wanted(&dump) {
                return dump;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "in vain: {what}; the device says {dump}"
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(crate) fn shell(&self) -> &Host {
        &self.eye
    }

    pub(crate) fn prepare(&self, epoch: u64, package: &str) -> Answers {
        let request = Prepare {
            lease: LeaseId::from_uuid(Uuid::from_u128(epoch.into())),
            device: self.id,
            epoch: Epoch(epoch),
            app: Some(App {
                package: package.to_owned(),
                activity: None,
            }),
            reset: Reset::WipeApp,
            deadline_ms: 20_000,
        };
        self.ask(|asker| Command::Prepare(request, asker))
    }

    pub(crate) fn release(&self, epoch: u64) -> Answers {
        self.release_with(epoch, Reset::WipeApp)
    }

    pub(crate) fn release_with(&self, epoch: u64, reset: Reset) -> Answers {
        let request = Release {
            lease: None,
            device: self.id,
            epoch: Epoch(epoch),
            app: None,
            reset,
            reason: CloseReason::LinkRevoked,
        };
        self.ask(|asker| Command::Release(request, vec![self.person], asker))
    }

    pub(crate) fn ask(&self, command: impl FnOnce(Asker) -> Command) -> Answers {
        let (asker, answers) = Asker::new();
        self.handle.commands.try_send(command(asker)).unwrap();
        answers
    }

    /// A person's operation under an epoch, aimed at the picture of this moment, as the agent passes it on.
    pub(crate) fn act(&self, epoch: u64, op: InputOp) {
        let orders = self.handle.orders.borrow();
        let order = Order::Op {
            connection: self.person,
            epoch: Epoch(epoch),
            aimed_at: self.seen.frame.borrow().size,
            op,
        };
        orders.as_ref().expect("a capture runs").try_send(order).unwrap();
    }

    pub(crate) fn press(&self, epoch: u64, pointer: u8, (x, y): (u16, u16), generation: u16) {
        let (x, y, generation) = (Fraction(x), Fraction(y), Generation(generation));
        self.act(
            epoch,
            InputOp::Down {
                pointer,
                x,
                y,
                pressure: u16::MAX,
                generation,
            },
        );
    }
}

pub(crate) fn recipe(version: &str) -> Recipe {
    Recipe {
        server: Bytes::from(device::stand_in_server(version)),
        version: version.parse().unwrap(),
        fps_max: Some(30),
        bit_rate: 2_000_000,
        pulse: PULSE,
    }
}

/// The reply to a request.
pub(crate) async fn reply(answers: Answers) -> Reply {
    let reply = tokio::time::timeout(PATIENCE, answers.reply).await;
    reply
        .expect("no reply in time")
        .expect("it was dropped unanswered")
}
