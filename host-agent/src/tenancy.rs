//! What is done to a device when its holder changes, step by step: prepare for one, clean up after one.
//!
//! ```text
//!   prepare   wake ─► reset (unless kept) ─► launch ─► the witness of use ─► a picture taken after the launch
//!   receive   prepare, after the device was asked for its witness: whether it was used
//!   resume    a picture, or return if the device has booted since it was prepared
//!   return    wake ─► launch ─► witness ─► a picture after it   the device has booted under its holder
//!   release   reset (unless kept)                             stages and percent go to control
//! ```
//!
//! A launch and its picture belong to one boot of the device: where another one comes in between, it is launched again.
//! When this runs the fence stands at the epoch already and the gate is closed. It does not know the fence,
//! the gateway or control: it works through [`Effects`], and whoever started it acts on the outcome.

use protocol::agent::{App, Prepare, Progress, Reset, Stage};
use scrcpy::keys::KeyCode;

use crate::custody::{Boot, Work};
use crate::effects::{EffectError, Effects};
use crate::fingers::PictureSize;
use crate::reset::{self, witness};
use crate::shell_words::quote;

/// What the holder is shown first.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The picture's size.
    pub(crate) size: PictureSize,
    /// The boot of the device that showed it, and that the app was launched under.
    pub(crate) boot: Boot,
}

/// Makes the device ready; gives the first picture of the launched app.
pub(crate) async fn prepare(
    effects: &Effects,
    request: &Prepare,
    reset: Reset,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Shown, EffectError> {
    let tell = |stage, percent| progress(Progress { stage, percent });
    tell(Stage::Reset, 0);
    effects.press(KeyCode::WAKEUP).await?;
    clean(effects, reset, |percent| tell(Stage::Reset, percent)).await?;
    let shown = show(effects, request, |stage| tell(stage, 0)).await?;
    tell(Stage::FirstFrame, 100);
    Ok(shown)
}

/// Makes a device ready that is clean as far as the fence knows. The device knows better: the agent's folder may have
/// been put back from a backup.
pub(crate) async fn receive(
    effects: &Effects,
    work: &Work,
    request: &Prepare,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<Shown, EffectError> {
    let used = witness::stands(effects).await?;
    if used {
        tracing::warn!("a device was used since the agent's files say that it is clean: it is wiped");
    }
    prepare(effects, request, work.reset(used), progress).await
}

/// Shows the holder a device again that was prepared for him under the boot `prepared`, if that is known.
pub(crate) async fn resume(
    effects: &Effects,
    request: &Prepare,
    prepared: Option<&Boot>,
) -> Result<Shown, EffectError> {
    let before = effects.boot().await?;
    if before.is_still(prepared) {
        let size = effects.fresh_picture().await?;
        let boot = effects.boot().await?;
        if boot == before {
            return Ok(Shown { size, boot });
        }
    }
    return_to(effects, request).await
}

/// Makes a device that has booted since ready for the same holder again.
pub(crate) async fn return_to(effects: &Effects, request: &Prepare) -> Result<Shown, EffectError> {
    effects.press(KeyCode::WAKEUP).await?;
    show(effects, request, drop).await
}

/// Launches the app and waits for a picture taken after that, in the same boot.
async fn show(effects: &Effects, request: &Prepare, reached: impl Fn(Stage)) -> Result<Shown, EffectError> {
    loop {
        let boot = effects.boot().await?;
        reached(Stage::Launch);
        launch(effects, request.app.as_ref()).await?;
        witness::put(effects, request.epoch).await?;
        reached(Stage::FirstFrame);
        let size = effects.fresh_picture().await?;
        if effects.boot().await? == boot {
            return Ok(Shown { size, boot });
        }
    }
}

/// Cleans up after a holder.
pub(crate) async fn release(
    effects: &Effects,
    reset: Reset,
    progress: impl Fn(Progress) + Send + Sync,
) -> Result<(), EffectError> {
    clean(effects, reset, |percent| {
        progress(Progress {
            stage: Stage::Reset,
            percent,
        });
    })
    .await
}

async fn clean(
    effects: &Effects,
    reset: Reset,
    mut progress: impl FnMut(u8) + Send,
) -> Result<(), EffectError> {
    for step in reset::strategy(reset).clean(effects, &mut progress).await? {
        tracing::debug!(step = %step.what, took_us = step.took.as_micros() as u64, "reset");
    }
    Ok(())
}

/// Brings the app to the front, or the launcher when there is none. `-W` waits until it has drawn.
async fn launch(effects: &Effects, app: Option<&App>) -> Result<(), EffectError> {
    let Some(app) = app else {
        return effects.press(KeyCode::HOME).await;
    };
    let command = launch_command(app);
    let said = effects.shell(&command).await?;
    // Older activity managers exit with 0 whatever happens.
    match said.lines().find(|line| line.trim_start().starts_with("Error")) {
        Some(error) => Err(EffectError::Failed {
            what: command,
            why: error.trim().to_owned(),
        }),
        None => Ok(()),
    }
}

fn launch_command(app: &App) -> String {
    match &app.activity {
        Some(activity) => format!("am start -W -n {}", quote(&format!("{}/{activity}", app.package))),
        None => format!(
            "am start -W -a android.intent.action.MAIN -c android.intent.category.LAUNCHER -p {}",
            quote(&app.package)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_launched_by_its_activity_or_as_the_launcher_would() {
        let app = |activity: Option<&str>| App {
            package: "org.example.app".to_owned(),
            activity: activity.map(str::to_owned),
        };
        assert_eq!(
            launch_command(&app(Some(".Main"))),
            "am start -W -n org.example.app/.Main"
        );
        assert_eq!(
            launch_command(&app(Some(".A$B; id"))),
            "am start -W -n 'org.example.app/.A$B; id'"
        );
        assert!(launch_command(&app(None)).ends_with(" -p org.example.app"));
    }
}
