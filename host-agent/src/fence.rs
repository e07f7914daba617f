//! The fence of one device: the highest epoch that this host has acted for, and how far that epoch came.
//! On disk before anything is done under it.
//!
//! ```text
//!   Clean ──raise──► Fresh ◄─raise──┐                          below the fence: refused
//!     ▲                │ ───────────┘                          at the fence:    nothing to do
//!     │ cleaned        ▼ prepared                              above it:        written, then true
//!   Raised ◄─raise── Prepared
//!     │ ▲               ▲
//!     └─┘ raise         │
//!     └────prepared─────┘  after a full wipe only (custody.rs)
//! ```
//!
//! A crash at any point leaves either the old fence or the new one, whole (`signaling::disk`). A fence that cannot be
//! read, or that is gone, is an error and never "epoch 0": starting over would accept the commands of a lease that
//! ended. The wall clock has no part in it. It does not know devices, leases or the gateway; the stage is kept so that a
//! restarted agent can answer a repeated request and let a holder go on, and the lease so that nobody else is taken for
//! him when control gives his epoch out once more.

use std::io;
use std::path::{Path, PathBuf};

use protocol::{Epoch, LeaseId};
use serde::{Deserialize, Serialize};

use crate::disk;

const FILE: &str = "fence.json";

/// How far the device came under the current epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The fence was raised; what is on the device is not vouched for.
    Raised,
    /// The fence was raised on a clean device, and nobody was let in since.
    Fresh,
    /// Prepared for the holder of this epoch.
    Prepared,
    /// Cut off and cleaned.
    Clean,
}

/// What the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Nothing below it is carried out.
    pub epoch: Epoch,
    /// How far this epoch came.
    pub stage: Stage,
    /// Whom the device is prepared for; none in any other stage, and in what an agent wrote that did not keep it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
}

impl Mark {
    /// That of a device which nobody has used.
    pub const NEW: Self = Self {
        epoch: Epoch(0),
        stage: Stage::Clean,
        lease: None,
    };

    /// The mark of a fence that rises to `epoch`, with the stage [`Stage::Fresh`] if the device was clean and
    /// [`Stage::Raised`] if anybody may have left something; none where it stands there already.
    ///
    /// # Errors
    /// [`FenceError::Stale`] below the fence.
    pub fn raised(self, epoch: Epoch) -> Result<Option<Self>, FenceError> {
        self.refuse_below(epoch)?;
        let stage = match self.stage {
            Stage::Clean | Stage::Fresh => Stage::Fresh,
            Stage::Raised | Stage::Prepared => Stage::Raised,
        };
        let lease = None;
        Ok((epoch > self.epoch).then_some(Self { epoch, stage, lease }))
    }

    /// The mark of a fence whose epoch came as far as `mark` says; none where that is what it says already.
    ///
    /// # Errors
    /// [`FenceError::Stale`] if the fence has left that epoch behind.
    pub fn reached(self, mark: Self) -> Result<Option<Self>, FenceError> {
        self.refuse_below(mark.epoch)?;
        Ok((mark != self).then_some(mark))
    }

    /// Whether nobody can have left anything: only then may what is on the device be taken for its baseline.
    #[must_use]
    pub fn may_be_surveyed(self) -> bool {
        self.stage == Stage::Clean
    }

    fn refuse_below(self, asked: Epoch) -> Result<(), FenceError> {
        if asked < self.epoch {
            let fence = self.epoch;
            return Err(FenceError::Stale { asked, fence });
        }
        Ok(())
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// The epoch is over. Tell whoever asked.
    #[error("epoch {asked} is below the fence at {fence}")]
    Stale {
        /// What was asked for.
        asked: Epoch,
        /// Where the fence stands.
        fence: Epoch,
    },
    /// The epoch is another lease's: control was set back and gives it out once more.
    #[error("epoch {0} is another lease's")]
    Taken(Epoch),
    /// The file cannot be read as a fence. A person has to look.
    #[error("the fence in {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The thread that wrote the fence was lost; where it stands is not known until the agent starts again.
    #[error("the fence was lost while it was written")]
    Lost,
    /// The disk did not take it; the fence stands where it stood.
    #[error("the fence in {} cannot be written: {source}", path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A device's fence. Every method that changes it returns only once the disk has it.
#[derive(Debug)]
pub struct Fence {
    folder: PathBuf,
    mark: Mark,
}

impl Fence {
    /// The fence kept in `folder`, which has had one.
    ///
    /// # Errors
    /// [`FenceError::Unreadable`], also when it is gone.
    pub fn open(folder: &Path) -> Result<Self, FenceError> {
        let fence = Self::find(folder)?;
        fence.ok_or_else(|| FenceError::Unreadable {
            path: folder.join(FILE),
            reason: "it is gone".to_owned(),
        })
    }

    /// The fence kept in `folder`; that of a new device, written, where there has never been one.
    ///
    /// # Errors
    /// [`FenceError::Unreadable`]; [`FenceError::Disk`].
    pub fn first(folder: &Path) -> Result<Self, FenceError> {
        if let Some(fence) = Self::find(folder)? {
            return Ok(fence);
        }
        let mut fence = Self {
            folder: folder.to_owned(),
            mark: Mark::NEW,
        };
        fence.write(Mark::NEW)?;
        Ok(fence)
    }

    fn find(folder: &Path) -> Result<Option<Self>, FenceError> {
        let path = folder.join(FILE);
        let unreadable = |reason: String| FenceError::Unreadable {
            path: path.clone(),
            reason,
        };
        let Some(bytes) = disk::read(folder, FILE).map_err(|error| unreadable(error.to_string()))? else {
            return Ok(None);
        };
        let mark = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        Ok(Some(Self {
            folder: folder.to_owned(),
            mark,
        }))
    }

    /// Where the fence stands.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Keeps a mark that was worked out from the present one ([`Mark::raised`], [`Mark::reached`]).
    ///
    /// # Errors
    /// [`FenceError::Stale`] if the fence has left that epoch behind; [`FenceError::Disk`].
    pub fn keep(&mut self, mark: Mark) -> Result<(), FenceError> {
        match self.mark.reached(mark)? {
            Some(mark) => self.write(mark),
            None => Ok(()),
        }
    }

    fn write(&mut self, mark: Mark) -> Result<(), FenceError> {
        let bytes = serde_json::to_vec(&mark).expect("plain fields are JSON");
        disk::replace(&self.folder, FILE, &bytes).map_err(|source| FenceError::Disk {
            path: self.folder.clone(),
            source,
        })?;
        self.mark = mark;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE_NEW: &str = "fence.json.new";

    fn open(folder: &tempfile::TempDir) -> Fence {
        Fence::first(folder.path()).unwrap()
    }

    /// As custody does it: the mark is worked out, then kept.
    fn raise(fence: &mut Fence, epoch: u64) -> Result<(), FenceError> {
        match fence.mark().raised(Epoch(epoch))? {
            Some(mark) => fence.keep(mark),
            None => Ok(()),
        }
    }

    fn reach(fence: &mut Fence, epoch: u64, stage: Stage) -> Result<(), FenceError> {
        let epoch = Epoch(epoch);
        let lease = None;
        fence.keep(Mark { epoch, stage, lease })
    }

    #[test]
    fn a_new_device_stands_at_zero_and_a_raised_fence_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut fence = open(&folder);
        assert_eq!(fence.mark().epoch, Epoch(0));
        raise(&mut fence, 7).unwrap();
        reach(&mut fence, 7, Stage::Prepared).unwrap();
        let mark = open(&folder).mark();
        assert_eq!((mark.epoch, mark.stage), (Epoch(7), Stage::Prepared));
    }

    #[test]
    fn a_fence_that_is_gone_is_never_taken_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder));
        assert_eq!(Fence::open(folder.path()).unwrap().mark(), Mark::NEW);
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert!(matches!(
            Fence::open(folder.path()),
            Err(FenceError::Unreadable { .. })
        ));
    }

    #[test]
    fn it_is_kept_who_a_device_is_prepared_for_and_older_files_do_not_say_it() {
        let folder = tempfile::tempdir().unwrap();
        let lease = Some(LeaseId::from_uuid(uuid::Uuid::from_u128(1)));
        let (epoch, stage) = (Epoch(7), Stage::Prepared);
        open(&folder).keep(Mark { epoch, stage, lease }).unwrap();
        assert_eq!(open(&folder).mark().lease, lease);
        raise(&mut open(&folder), 8).unwrap();
        assert_eq!(open(&folder).mark().lease, None);
        fs::write(folder.path().join(FILE), r#"{"epoch":9,"stage":"prepared"}"#).unwrap();
        assert_eq!(
            (open(&folder).mark().epoch, open(&folder).mark().lease),
            (Epoch(9), None)
        );
    }

    #[test]
    fn a_lower_epoch_is_refused_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut fence = open(&folder);
        raise(&mut fence, 7).unwrap();
        assert!(matches!(
            raise(&mut fence, 6),
            Err(FenceError::Stale {
                asked: Epoch(6),
                fence: Epoch(7)
            })
        ));
        assert!(matches!(
            reach(&mut fence, 6, Stage::Clean),
            Err(FenceError::Stale { .. })
        ));
        assert_eq!(open(&folder).mark(), fence.mark());
    }

    #[test]
    fn the_same_epoch_stands_and_keeps_its_stage() {
        let folder = tempfile::tempdir().unwrap();
        let mut fence = open(&folder);
        raise(&mut fence, 3).unwrap();
        reach(&mut fence, 3, Stage::Prepared).unwrap();
        raise(&mut fence, 3).unwrap();
        assert_eq!(fence.mark().stage, Stage::Prepared);
    }

    #[test]
    fn only_a_device_that_was_cleaned_is_fresh_under_the_next_epochs() {
        let folder = tempfile::tempdir().unwrap();
        let stage_at = |epoch| {
            let mut fence = open(&folder);
            raise(&mut fence, epoch).unwrap();
            open(&folder).mark().stage
        };
        assert_eq!((stage_at(1), stage_at(2)), (Stage::Fresh, Stage::Fresh));
        reach(&mut open(&folder), 2, Stage::Prepared).unwrap();
        assert_eq!((stage_at(3), stage_at(4)), (Stage::Raised, Stage::Raised));
        reach(&mut open(&folder), 4, Stage::Clean).unwrap();
        assert_eq!(stage_at(5), Stage::Fresh);
    }

    #[test]
    fn raising_makes_what_was_prepared_unprepared() {
        let folder = tempfile::tempdir().unwrap();
        let mut fence = open(&folder);
        raise(&mut fence, 3).unwrap();
        reach(&mut fence, 3, Stage::Prepared).unwrap();
        raise(&mut fence, 4).unwrap();
        assert_eq!(open(&folder).mark().stage, Stage::Raised);
    }

    /// Every point at which a crash can interrupt the writing: after n bytes of the new file, and after all of
    /// them but before the rename.
    #[test]
    fn a_crash_while_writing_leaves_the_old_fence() {
        let folder = tempfile::tempdir().unwrap();
        raise(&mut open(&folder), 41).unwrap();
        let bytes = br#"{"epoch":42,"stage":"raised"}"#;
        for written in 0..=bytes.len() {
            fs::write(folder.path().join(FILE_NEW), &bytes[..written]).unwrap();
            assert_eq!(open(&folder).mark().epoch, Epoch(41), "{written} bytes");
        }
        let mut fence = open(&folder);
        raise(&mut fence, 43).unwrap();
        assert!(!folder.path().join(FILE_NEW).exists());
        assert_eq!(open(&folder).mark().epoch, Epoch(43));
    }

    #[test]
    fn a_fence_that_cannot_be_read_is_never_taken_for_zero() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "{",
            r#"{"epoch":4}"#,
            r#"{"epoch":-1,"stage":"raised"}"#,
            "\0\0\0\0",
        ] {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert!(
                matches!(Fence::open(folder.path()), Err(FenceError::Unreadable { .. })),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_fence_that_the_disk_refuses_does_not_move() {
        let folder = tempfile::tempdir().unwrap();
        let mut fence = open(&folder);
        raise(&mut fence, 1).unwrap();
        // A folder in the place of the new file: no user, not even root, can write it.
        fs::create_dir(folder.path().join(FILE_NEW)).unwrap();
        assert!(matches!(raise(&mut fence, 2), Err(FenceError::Disk { .. })));
        assert_eq!(fence.mark().epoch, Epoch(1));
        assert_eq!(open(&folder).mark().epoch, Epoch(1));
    }
}
