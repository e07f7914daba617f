//! The witness: a file on the device itself that says that somebody was let in since its last full wipe.
//!
//! ```text
//!   somebody is let in: put there before his gate opens ─► stays over reboots ─► taken away as the last act of a wipe
//!                                                             │
//!   found where the agent's own files say that nobody was ◄───┘   wiped before the next one; never a baseline
//! ```
//!
//! The agent's folder may be lost, or put back from a backup together with control's database: then both agree that a
//! device is clean which somebody has used since. What lies on the device is neither lost nor put back with them, and
//! whoever erases it with the rest of the device has cleaned it. The shell's own folder is written by nobody else; a
//! person who gets at it after all can only have more wiped.
//!
//! It does not know who was let in.

use crate::effects::EffectError;
use crate::reset::plan::Action;
use crate::reset::survey::Shell;

/// Where it lies. A survey sees it, and it is neither a stranger's file nor the operator's.
pub const WITNESS: &str = "/data/local/tmp/farglass-used";

const WHAT: &str = "the witness of use";

/// Whether it is there. That nobody can tell is an error.
pub(crate) async fn stands(shell: &impl Shell) -> Result<bool, EffectError> {
    let said = shell.shell(&format!("ls -d {WITNESS} 2>&1 || true")).await;
    let said = said.map_err(|error| error.of(WHAT))?;
    match said.trim() {
        WITNESS => Ok(true),
        absent if absent.contains("No such file or directory") => Ok(false),
        said => Err(failed(said)),
    }
}

/// Puts it there, for good: before anybody's first touch is on the device's disk, this is.
pub(crate) async fn put(shell: &impl Shell) -> Result<(), EffectError> {
    // Toybox has no fsync before Android 10.
    let command = format!("echo used > {WITNESS} && fsync {WITNESS} 2>/dev/null || sync; ls -d {WITNESS}");
    let said = shell.shell(&command).await.map_err(|error| error.of(WHAT))?;
    if said.trim() == WITNESS {
        return Ok(());
    }
    Err(failed(said.trim()))
}

/// The last act of a wipe.
pub(crate) fn take_away() -> Action {
    Action {
        what: WHAT.to_owned(),
        command: format!("rm -rf {WITNESS}"),
        says: None,
        until: None,
    }
}

fn failed(said: &str) -> EffectError {
    EffectError::Failed {
        what: WHAT.to_owned(),
        why: said.chars().take(200).collect(),
    }
}
