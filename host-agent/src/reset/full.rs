//! The strategy that leaves nothing behind, for a device that is reached by adb alone: [`Wipe`] says what comes next,
//! and here it is done.
//!
//! ```text
//!   Wipe ── Survey · Run(action) · Clear ──► adb shell, the hand ── what came of it ──► Wipe ──► clean, or what is left
//! ```
//!
//! Every command goes through [`Effects`], which checks the epoch. What adb does not show stays unseen: keys in secure
//! hardware (`pm clear` drops them with their app), Wi-Fi networks, the system's own histories; in users that the
//! operator made beside the first one, everything; and without root certificates that people trust, and the wallpaper.
//! Who needs those gone recreates the device.

use std::time::Duration;

use tokio::time::Instant;

use crate::effects::{EffectError, Effects};
use crate::reset::plan::Action;
use crate::reset::survey::survey;
use crate::reset::wipe::{Next, Wipe};
use crate::reset::{Cleaning, Step, Strategy};

/// How long the system may take for what it does behind a command, as removing a user: Android's own tests allow a
/// minute. Then it counts as failed.
const COMES_TRUE: Duration = Duration::from_secs(60);
/// How often it is asked.
const ASKED_AGAIN: Duration = Duration::from_millis(250);

/// The strategy that leaves nothing behind.
pub(super) struct Full;

impl Strategy for Full {
    fn clean<'a>(&'a self, effects: &'a Effects, progress: &'a mut (dyn FnMut(u8) + Send)) -> Cleaning<'a> {
        Box::pin(wipe(effects, progress))
    }
}

/// Wipes the device and scans it.
async fn wipe(effects: &Effects, progress: &mut (dyn FnMut(u8) + Send)) -> Result<Vec<Step>, EffectError> {
    let mut wipe = Wipe::new(effects.baseline().ok_or(EffectError::NoBaseline)?);
    let mut steps = Steps::new();
    loop {
        progress(wipe.percent());
        match wipe.due() {
            Next::Survey => {
                let now = survey(effects, Some(wipe.baseline())).await?;
                wipe.surveyed(&now);
                steps.done("survey");
            }
            Next::Run(action) => {
                match run(effects, &action).await {
                    Ok(()) => wipe.ran(true),
                    Err(EffectError::Failed { .. }) => wipe.ran(false),
                    // The command may hold what a person wrote; what it was for does not.
                    Err(EffectError::Late(_)) => return Err(EffectError::Late(action.what)),
                    Err(error) => return Err(error),
                }
                steps.done(&action.what);
            }
            Next::Clear => {
                clear(effects).await?;
                wipe.cleared();
                steps.done("clipboard, log and home");
            }
            Next::Over(left) if left.is_empty() => {
                effects.pause().await;
                return Ok(steps.done);
            }
            Next::Over(left) => return Err(EffectError::Left(left.join(", "))),
        }
    }
}

/// Empties what no survey shows.
async fn clear(effects: &Effects) -> Result<(), EffectError> {
    effects.clear_clipboard().await?;
    // Apps log what people do. A device without this buffer says so, and has nothing to clear.
    effects.shell("logcat -b all -c 2>/dev/null || true").await?;
    effects.shell("input keyevent KEYCODE_HOME").await.map(drop)
}

async fn run(effects: &Effects, action: &Action) -> Result<(), EffectError> {
    let said = effects.shell(&action.command).await?;
    let failed = |why: &str| EffectError::Failed {
        what: action.what.clone(),
        why: why.trim().to_owned(),
    };
    if action.says.is_some_and(|word| !said.contains(word)) {
        return Err(failed(&said));
    }
    let Some(until) = &action.until else {
        return Ok(());
    };
    let come = async {
        while !until.holds(&effects.shell(until.command).await?) {
            tokio::time::sleep(ASKED_AGAIN).await;
        }
        Ok(())
    };
    let come = tokio::time::timeout(COMES_TRUE, come).await;
    come.unwrap_or_else(|_| Err(failed("it did not come to its end")))
}

/// What was done, each with what it took.
struct Steps {
    since: Instant,
    done: Vec<Step>,
}

impl Steps {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            done: Vec::new(),
        }
    }

    fn done(&mut self, what: &str) {
        let now = Instant::now();
        self.done.push(Step {
            what: what.to_owned(),
            took: now - self.since,
        });
        self.since = now;
    }
}
