//! What the agent itself does to a device under an epoch: shell commands, key presses, a fresh picture. Every
//! one of them is checked against the fence right before it is sent. A shell command is waited for even when its
//! epoch is over, so that it does not hit whoever comes next, but no longer than [`SHELL_TIMEOUT`] and the job's
//! deadline: a device that hangs until then, and comes to itself later, may still carry it out.
//!
//! ```text
//!   job ── Effects { epoch } ──┬── shell("…")  ──► adb shell
//!                              ├── press, clear  ─► the hand (Order::Effect)
//!                              └── fresh_picture ─► RESET_VIDEO, or a new capture before 3.0
//! ```
//!
//! A device that is away is waited for, for a while: its connection or its capture may be coming back. It does
//! not know what the effects are good for (reset.rs, tenancy.rs).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use adb::Host;
use adb::host::ShellEvent;
use protocol::Epoch;
use scrcpy::control::KeyAction;
use scrcpy::keys::{KeyCode, MetaState};
use scrcpy::{ControlMsg, ServerVersion};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::custody::{Boot, Pass};
use crate::film::Seen;
use crate::fingers::PictureSize;
use crate::hand::Order;
use crate::keyframes::STALL;
use crate::reset::baseline::Baseline;
use crate::reset::names::{Listed, Names, Room};
use crate::reset::survey::Survey;
use crate::reset::witness::WITNESS;

/// How long a device that is away is waited for: a lost connection is tried again at least twice within it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one shell command may take: `pm clear` of a large app on a slow device is 3 s. At the limit it is
/// hung up on and the job fails.
const SHELL_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest that a device at work says nothing: it is away, comes back, and takes its time for a command.
pub(crate) const STEP_MAX: Duration = PATIENCE.saturating_add(SHELL_TIMEOUT);
/// How long the device may take for one order of the hand.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);
/// What is told of a failing command's output, characters.
const SAID_MAX: usize = 200;

/// A device that is reached.
#[derive(Clone)]
pub(crate) struct Reached {
    pub(crate) host: Host,
    /// Under which of its boots.
    pub(crate) boot: Boot,
}

/// Where the parts of a device are, as they come and go.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) host: watch::Receiver<Option<Reached>>,
    pub(crate) orders: watch::Receiver<Option<mpsc::Sender<Order>>>,
    pub(crate) pass: watch::Receiver<Pass>,
    pub(crate) seen: Arc<Seen>,
    /// Asks for a new capture.
    pub(crate) restart: Arc<Notify>,
    pub(crate) version: ServerVersion,
    /// How the device was before anybody used it.
    pub(crate) baseline: Baseline,
    #[cfg(test)]
    pub(crate) fuse: Arc<crate::rig::Fuse>,
}

/// The agent's effects under one epoch.
pub(crate) struct Effects {
    reach: Reach,
    epoch: Epoch,
    /// Told whenever the device has answered something.
    life: Notify,
}

/// Why an effect did not happen, or is not known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EffectError {
    /// The fence has moved on.
    #[error("epoch {0} is over")]
    Over(Epoch),
    /// The device is away.
    #[error("the device does not answer")]
    Away,
    /// The device is there and gives no picture, for a reason that it told.
    #[error("the device gives no picture: {0}")]
    NotFilmed(String),
    /// The device said no.
    #[error("{what}: {why}")]
    Failed { what: String, why: String },
    /// It was cleaned, and a scan found what should not be there.
    #[error("the device is not clean: {0}")]
    Left(String),
    /// Nobody can say how the device was before it was used.
    #[error(
        "no baseline was taken before the device was used; clean it, remove {WITNESS} from it, and its folder from the agent's data"
    )]
    NoBaseline,
    /// The device did not say anything in time.
    #[error("{0} took too long")]
    Late(String),
}

impl EffectError {
    /// The same, told by what was being done: a command's own words may hold what a person wrote.
    pub(crate) fn of(self, what: &str) -> Self {
        match self {
            Self::Failed { why, .. } => Self::Failed {
                what: what.to_owned(),
                why,
            },
            Self::Late(_) => Self::Late(what.to_owned()),
            other => other,
        }
    }
}

impl Effects {
    pub(crate) fn new(reach: Reach, epoch: Epoch) -> Self {
        let life = Notify::new();
        Self { reach, epoch, life }
    }

    /// Told whenever the device has answered something; [`STEP_MAX`] apart at most while it answers at all.
    pub(crate) fn life(&self) -> &Notify {
        &self.life
    }

    /// Runs a shell command to its end; gives its output. An exit code other than 0 is a failure.
    pub(crate) async fn shell(&self, command: &str) -> Result<String, EffectError> {
        self.pause().await;
        let reached = self.while_current(present(self.reach.host.clone())).await??;
        self.check()?;
        let said = run(&reached.host, command).await;
        self.life.notify_one();
        said
    }

    /// Runs a command that prints names; takes as many as there is room for, and hangs up then.
    pub(crate) async fn list(&self, command: &str, room: &mut Room) -> Result<Listed, EffectError> {
        self.pause().await;
        let reached = self.while_current(present(self.reach.host.clone())).await??;
        self.check()?;
        list(&reached.host, command, room, || self.life.notify_one()).await
    }

    /// Which boot of the device this is.
    pub(crate) async fn boot(&self) -> Result<Boot, EffectError> {
        let reached = self.while_current(present(self.reach.host.clone())).await??;
        Ok(reached.boot)
    }

    /// How the device was, if that is known.
    pub(crate) fn baseline(&self) -> Option<Arc<Survey>> {
        self.reach.baseline.survey()
    }

    /// Where a test may stop the agent; otherwise nothing.
    #[cfg_attr(not(test), expect(clippy::unused_async, reason = "only a test waits here"))]
    pub(crate) async fn pause(&self) {
        #[cfg(test)]
        self.reach.fuse.burn().await;
    }

    /// Presses and releases a key; returns once it is on its way to the device.
    pub(crate) async fn press(&self, keycode: KeyCode) -> Result<(), EffectError> {
        let messages = [KeyAction::DOWN, KeyAction::UP].map(|action| ControlMsg::Key {
            action,
            keycode,
            repeat: 0,
            metastate: MetaState::NONE,
        });
        self.send(messages.into()).await
    }

    /// Empties the clipboard; returns once the device said that it is empty.
    pub(crate) async fn clear_clipboard(&self) -> Result<(), EffectError> {
        self.pause().await;
        let epoch = self.epoch;
        self.order("clearing the clipboard", |done| Order::ClearClipboard {
            epoch,
            done,
        })
        .await
    }

    /// Makes the encoder start over and waits for its first key frame: a picture of now, and no viewer can be
    /// shown an older one. Gives the picture's size.
    pub(crate) async fn fresh_picture(&self) -> Result<PictureSize, EffectError> {
        let mut progress = self.reach.seen.progress.subscribe();
        let before = progress.borrow_and_update().starts;
        let mut can_reset = self.reach.version.at_least(3, 0, 0);
        loop {
            self.check()?;
            if can_reset {
                self.send(vec![ControlMsg::ResetVideo]).await?;
            } else {
                self.reach.restart.notify_one();
            }
            // An encoder that does not hear the first reset will not hear the second.
            can_reset = false;
            let fresh = progress.wait_for(|progress| progress.key_starts > before);
            let fresh = tokio::time::timeout(STALL, fresh);
            if self
                .while_current(async { fresh.await.is_ok_and(|seen| seen.is_ok()) })
                .await?
            {
                break;
            }
        }
        let frame = *self.reach.seen.frame.borrow();
        frame
            .size
            .ok_or_else(|| EffectError::Late("the picture's size".to_owned()))
    }

    async fn send(&self, messages: Vec<ControlMsg>) -> Result<(), EffectError> {
        let epoch = self.epoch;
        self.order("the control socket", |done| Order::Effect {
            epoch,
            messages,
            done,
        })
        .await
    }

    async fn order(
        &self,
        what: &str,
        order: impl FnOnce(oneshot::Sender<bool>) -> Order,
    ) -> Result<(), EffectError> {
        let orders = self.while_current(present(self.reach.orders.clone())).await?;
        let trouble = || self.reach.seen.trouble.borrow().clone();
        let orders = orders.map_err(|away| trouble().map_or(away, EffectError::NotFilmed))?;
        let (done, answer) = oneshot::channel();
        let obeyed = async {
            orders.send(order(done)).await.map_err(|_| EffectError::Away)?;
            answer.await.map_err(|_| EffectError::Away)
        };
        match tokio::time::timeout(ORDER_TIMEOUT, obeyed).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(EffectError::Over(self.epoch)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(EffectError::Late(what.to_owned())),
        }
    }

    fn check(&self) -> Result<(), EffectError> {
        if self.reach.pass.borrow().admits(self.epoch) {
            Ok(())
        } else {
            Err(EffectError::Over(self.epoch))
        }
    }

    /// Gives up `waiting`, which must be without effect, when the epoch is over.
    async fn while_current<T>(&self, waiting: impl Future<Output = T>) -> Result<T, EffectError> {
        let mut pass = self.reach.pass.clone();
        let epoch = self.epoch;
        tokio::select! {
            biased;
            _ = pass.wait_for(|pass| !pass.admits(epoch)) => Err(EffectError::Over(epoch)),
            done = waiting => Ok(done),
        }
    }
}

/// Runs a shell command to its end on a device; gives its output. An exit code other than 0 is a failure.
pub(crate) async fn run(host: &Host, command: &str) -> Result<String, EffectError> {
    let failed = |why: String| EffectError::Failed {
        what: command.to_owned(),
        why,
    };
    let output = tokio::time::timeout(SHELL_TIMEOUT, host.shell(command))
        .await
        .map_err(|_| EffectError::Late(command.to_owned()))?
        .map_err(|error| {
            if host.end().is_some() {
                EffectError::Away
            } else {
                failed(error.to_string())
            }
        })?;
    let said = text(output.stdout);
    match output.exit {
        Some(0) | None => Ok(said),
        Some(code) => {
            let words = text(output.stderr) + &said;
            let words: String = words.trim().chars().take(SAID_MAX).collect();
            Err(failed(format!("exit code {code}: {words}")))
        }
    }
}

/// What a device printed, without a second copy where it is what it should be.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Runs a command that prints names and changes nothing; takes as many as there is room for, and hangs up then. It may
/// take as long as it likes if it prints something every [`SHELL_TIMEOUT`].
pub(crate) async fn list(
    host: &Host,
    command: &str,
    room: &mut Room,
    life: impl Fn(),
) -> Result<Listed, EffectError> {
    let late = || EffectError::Late(command.to_owned());
    let failed = |why: String| match host.end() {
        Some(_) => EffectError::Away,
        None => EffectError::Failed {
            what: command.to_owned(),
            why,
        },
    };
    let started = tokio::time::timeout(SHELL_TIMEOUT, host.start_shell(command));
    let mut shell = started
        .await
        .map_err(|_| late())?
        .map_err(|error| failed(error.to_string()))?;
    let tells_its_end = host.banner().has("shell_v2");
    let mut names = Names::default();
    loop {
        let next = tokio::time::timeout(SHELL_TIMEOUT, shell.next());
        let next = next.await.map_err(|_| late())?;
        life();
        match next.map_err(|error| failed(error.to_string()))? {
            Some(ShellEvent::Stdout(more)) if names.push(&more, room) => {}
            Some(ShellEvent::Stdout(_)) => return Ok(names.cut()),
            Some(ShellEvent::Stderr(_)) => {}
            Some(ShellEvent::Exit(_)) => return Ok(names.end(room)),
            None if tells_its_end => return Err(failed("it was cut off".to_owned())),
            None => return Ok(names.end(room)),
        }
    }
}

/// The part once it is there.
async fn present<T: Clone>(mut part: watch::Receiver<Option<T>>) -> Result<T, EffectError> {
    let there = tokio::time::timeout(PATIENCE, part.wait_for(Option::is_some)).await;
    match there {
        Ok(Ok(part)) => part.clone().ok_or(EffectError::Away),
        Ok(Err(_)) | Err(_) => Err(EffectError::Away),
    }
}
