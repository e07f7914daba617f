//! What is done to a device when its holder changes, step by step: prepare for one, clean up after one.
//!
//! ```text
//!   prepare   wake ─► reset (unless kept) ─► launch ─► a picture taken after the launch
//!   return    wake ─► launch ─► a picture taken after it    the device has booted under its holder
//!   release   reset (unless kept)                             stages and percent go to control
//! ```
//!
//! When this runs the fence stands at the epoch already and the gate is closed. It does not know the fence,
//! the gateway or control: it works through [`Effects`], and whoever started it acts on the outcome.

use protocol::agent::{App, Prepare, Progress, Release, Reset, Stage};
use scrcpy::keys::KeyCode;

use crate::effects::{EffectError, Effects};
use crate::fingers::PictureSize;
use crate::reset;
use crate::shell_words::quote;

/// Makes the device ready; gives the size of the first picture of the launched app.
pub(crate) async fn prepare(
    effects: &Effects,
    request: &Prepare,
    progress: impl Fn(Progress),
) -> Result<PictureSize, EffectError> {
    let tell = |stage, percent| progress(Progress { stage, percent });
    tell(Stage::Reset, 0);
    effects.press(KeyCode::WAKEUP).await?;
    clean(effects, request.reset, |percent| tell(Stage::Reset, percent)).await?;
    tell(Stage::Launch, 0);
    launch(effects, request.app.as_ref()).await?;
    tell(Stage::FirstFrame, 0);
    let size = effects.fresh_picture().await?;
    tell(Stage::FirstFrame, 100);
    Ok(size)
}

/// Makes a device that has booted since ready for the same holder again.
pub(crate) async fn return_to(effects: &Effects, request: &Prepare) -> Result<PictureSize, EffectError> {
    effects.press(KeyCode::WAKEUP).await?;
    launch(effects, request.app.as_ref()).await?;
    effects.fresh_picture().await
}

/// Cleans up after a holder.
pub(crate) async fn release(
    effects: &Effects,
    request: &Release,
    progress: impl Fn(Progress),
) -> Result<(), EffectError> {
    clean(effects, request.reset, |percent| {
        progress(Progress {
            stage: Stage::Reset,
            percent,
        });
    })
    .await
}

async fn clean(effects: &Effects, reset: Reset, progress: impl Fn(u8)) -> Result<(), EffectError> {
    for step in reset::clean(effects, reset, progress).await? {
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
