//! The witness: a file on the device itself that says under which epoch somebody was let in last, since its last full
//! wipe.
//!
//! ```text
//!   somebody is let in: put there before his gate opens ─► stays over reboots ─► taken away as the last act of a wipe
//!                              "EPOCH"                        │
//!   found where the agent's own files say that nobody was ◄───┤   wiped before the next one; never a baseline
//!   found with another epoch than the fence's own holder ◄────┘   the fence rises above both: nobody's, to be wiped
//! ```
//!
//! The agent's folder may be lost, or put back from a backup together with control's database: then both agree that a
//! device is clean which somebody has used since. What lies on the device is neither lost nor put back with them, and
//! whoever erases it with the rest of the device has cleaned it. The shell's own folder is written by nobody else; a
//! person who gets at it after all can only have more wiped.
//!
//! It does not know who was let in.

use protocol::Epoch;

use crate::effects::EffectError;
use crate::fence::{Mark, Stage};
use crate::reset::names::Room;
use crate::reset::plan::Action;
use crate::reset::survey::Shell;

/// Where it lies. A survey sees it, and it is neither a stranger's file nor the operator's.
pub const WITNESS: &str = "/data/local/tmp/farglass-used";

const WHAT: &str = "the witness of use";
/// What is read of it: an epoch has 20 digits at most. More is nothing that an agent wrote.
const TEXT: Room = Room { names: 1, bytes: 32 };
/// Epochs end far below it: they are the milliseconds since 1970, and one more for each change of a lease. What is above
/// it a person wrote, and no database could count on from there.
const EPOCH_MAX: u64 = 1 << 53;

/// What a device says of whoever was let in last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// He was, under this epoch.
    Of(Epoch),
    /// Somebody was; an agent wrote it that did not say under which epoch yet, or it is damaged.
    Unnamed,
}

impl Witness {
    /// What somebody wrote down.
    fn parse(text: &str) -> Self {
        let epoch = text.trim().parse().ok().filter(|epoch| *epoch <= EPOCH_MAX);
        epoch.map_or(Self::Unnamed, |epoch| Self::Of(Epoch(epoch)))
    }

    /// For fuzzing: whatever a device says of who was let in last.
    pub(super) fn fuzz(text: &str) {
        let _ = Self::parse(text);
    }

    /// The mark of a fence that does not know of whoever was let in: its file is older than what was done on the device,
    /// or the device is. None where fence and device say the same. A holder whom either of them names is none any more
    /// then: nobody can tell what was prepared for him, and control hears of it by an epoch above his.
    #[must_use]
    pub fn against(self, fence: Mark) -> Option<Mark> {
        let epoch = match (fence.stage, self) {
            (_, Self::Of(epoch)) if epoch > fence.epoch => above(epoch),
            (Stage::Prepared, Self::Of(epoch)) if epoch == fence.epoch => return None,
            (Stage::Prepared, _) => above(fence.epoch),
            (Stage::Clean | Stage::Fresh, _) => fence.epoch,
            (Stage::Raised, _) => return None,
        };
        let (stage, lease) = (Stage::Raised, None);
        Some(Mark { epoch, stage, lease })
    }
}

const fn above(epoch: Epoch) -> Epoch {
    Epoch(epoch.0.saturating_add(1))
}

/// What a device says that has just been reached.
pub(crate) async fn read(shell: &impl Shell) -> Result<Option<Witness>, EffectError> {
    if !stands(shell).await? {
        return Ok(None);
    }
    // It may be anything that a person put in its place: a folder, a film, a pipe that never ends.
    let (command, mut text) = (format!("echo -n /; cat {WITNESS} 2>/dev/null"), TEXT);
    match shell.list(&command, &mut text).await {
        Ok(listed) => {
            let text = listed.names.first().and_then(|name| name.strip_prefix('/'));
            Ok(Some(text.map_or(Witness::Unnamed, Witness::parse)))
        }
        Err(away @ EffectError::Away) => Err(away),
        Err(_) => Ok(Some(Witness::Unnamed)),
    }
}

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
pub(crate) async fn put(shell: &impl Shell, epoch: Epoch) -> Result<(), EffectError> {
    // Toybox has no fsync before Android 10.
    let command = format!("echo {epoch} > {WITNESS} && fsync {WITNESS} 2>/dev/null || sync; ls -d {WITNESS}");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, stage: Stage) -> Mark {
        let (epoch, lease) = (Epoch(epoch), None);
        Mark { epoch, stage, lease }
    }

    #[test]
    fn a_device_that_knows_of_a_later_holder_than_its_fence_is_nobodys() {
        for stage in [Stage::Clean, Stage::Fresh, Stage::Raised, Stage::Prepared] {
            let told = Witness::Of(Epoch(9)).against(at(7, stage));
            assert_eq!(told, Some(at(10, Stage::Raised)), "{stage:?}");
        }
    }

    #[test]
    fn a_holder_goes_on_only_where_the_device_names_him() {
        assert_eq!(Witness::Of(Epoch(7)).against(at(7, Stage::Prepared)), None);
        for other in [Witness::Of(Epoch(6)), Witness::Unnamed] {
            let told = other.against(at(7, Stage::Prepared));
            assert_eq!(told, Some(at(8, Stage::Raised)), "{other:?}");
        }
    }

    #[test]
    fn a_device_that_somebody_was_let_in_on_is_not_clean_whatever_its_fence_says() {
        for witness in [Witness::Of(Epoch(6)), Witness::Of(Epoch(7)), Witness::Unnamed] {
            for stage in [Stage::Clean, Stage::Fresh] {
                assert_eq!(witness.against(at(7, stage)), Some(at(7, Stage::Raised)));
            }
            assert_eq!(
                witness.against(at(7, Stage::Raised)),
                None,
                "it is to be wiped anyway"
            );
        }
    }

    #[test]
    fn what_no_agent_wrote_names_nobody() {
        assert_eq!(Witness::parse("12\n"), Witness::Of(Epoch(12)));
        for text in [
            "",
            "used\n",
            "-1",
            "12 13",
            "18446744073709551615",
            "9007199254740993",
        ] {
            assert_eq!(Witness::parse(text), Witness::Unnamed, "{text:?}");
        }
    }
}
