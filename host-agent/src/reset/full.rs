//! The strategy that leaves nothing behind, for a device that is reached by adb alone.
//!
//! ```text
//!   survey ─► plan ─► each action ─► clipboard, log, HOME ─► scan: survey again ─┬─ nothing found ─► clean
//!     ▲                                                                          │
//!     └────────────────────────────── once more ─────────────────────────────────┴─ left ─► error that says what
//! ```
//!
//! Every command goes through [`Effects`], which checks the epoch. Nothing is remembered in between: after a crash at
//! any point the survey finds what is left to do. An action that fails does not keep the others from being
//! done, but the device is not clean then, whatever the scan says.
//!
//! What adb does not show stays unseen: keys in secure hardware (`pm clear` drops them with their app), Wi-Fi
//! networks, the system's own histories. Who needs those gone recreates the device.

use tokio::time::Instant;

use crate::effects::{EffectError, Effects};
use crate::reset::Step;
use crate::reset::findings::findings;
use crate::reset::plan::{Action, Spare, plan};
use crate::reset::survey::survey;

/// Passes at most: an app that was still writing while it was stopped is caught by the second. What is left then
/// will be left by the third as well.
const PASSES: [Spare; 2] = [Spare::Servers, Spare::Nothing];

/// Wipes the device and scans it; `progress` is told percentages. Gives what was done.
pub(crate) async fn wipe(effects: &Effects, mut progress: impl FnMut(u8)) -> Result<Vec<Step>, EffectError> {
    let baseline = effects.baseline().ok_or(EffectError::NoBaseline)?;
    let mut steps = Steps::new();
    let mut now = survey(effects, Some(&baseline)).await?;
    steps.done("survey");
    let mut left = Vec::new();
    for spare in PASSES {
        let failure = pass(effects, &plan(&baseline, &now, spare), &mut steps, &mut progress).await?;
        now = survey(effects, Some(&baseline)).await?;
        steps.done("scan");
        left = findings(&baseline, &now);
        left.extend(failure);
        if left.is_empty() {
            effects.pause().await;
            progress(100);
            return Ok(steps.done);
        }
    }
    Err(EffectError::Left(left.join(", ")))
}

/// One pass; gives the first action that failed.
async fn pass(
    effects: &Effects,
    plan: &[Action],
    steps: &mut Steps,
    progress: &mut impl FnMut(u8),
) -> Result<Option<String>, EffectError> {
    let mut failure = None;
    for (n, action) in plan.iter().enumerate() {
        progress(u8::try_from(n * 90 / plan.len()).unwrap_or(90));
        match run(effects, action).await {
            Ok(()) => {}
            // The command may hold what a person wrote; what it was for does not.
            Err(EffectError::Failed { .. }) => failure = failure.or(Some(format!("{} failed", action.what))),
            Err(EffectError::Late(_)) => return Err(EffectError::Late(action.what.clone())),
            Err(error) => return Err(error),
        }
        steps.done(&action.what);
    }
    effects.clear_clipboard().await?;
    steps.done("clipboard");
    // Apps log what people do. A device without this buffer says so, and has nothing to clear.
    effects.shell("logcat -b all -c 2>/dev/null || true").await?;
    effects.shell("input keyevent KEYCODE_HOME").await?;
    steps.done("log and home");
    Ok(failure)
}

async fn run(effects: &Effects, action: &Action) -> Result<(), EffectError> {
    let said = effects.shell(&action.command).await?;
    match action.says {
        Some(word) if !said.contains(word) => Err(EffectError::Failed {
            what: action.what.clone(),
            why: said.trim().to_owned(),
        }),
        _ => Ok(()),
    }
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
