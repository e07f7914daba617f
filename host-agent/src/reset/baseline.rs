//! How a device was when it was first seen: the survey that every later one is compared with, on the agent's disk.
//!
//! ```text
//!   reached, the fence says clean, no file yet ──► survey ──► DATA/devices/NAME/baseline.json
//!   reached, no file, somebody was there already ──► none: a full wipe refuses and says why
//!                     by the fence, or by the witness on the device (witness.rs)
//! ```
//!
//! What an operator has put on a device before its agent saw it belongs to it: files, settings, accounts. It is taken
//! before the device is offered to anybody, and never again: a person could have left something in a later one. To
//! take another, an operator cleans the device, stops the agent and removes the device's folder. That is due after every
//! app that he installs or updates himself: nobody can tell his APK from a stranger's under the same name. A device that
//! he cleaned by hand still bears the witness of use, which a wipe or a factory reset takes away; he removes that too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adb::Host;

use crate::disk;
use crate::effects::EffectError;
use crate::reset::survey::{Survey, survey};
use crate::reset::witness;

const FILE: &str = "baseline.json";

/// A device's baseline. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    folder: PathBuf,
    /// Whether the device may still be as its operator made it.
    untouched: bool,
    survey: Arc<Mutex<Option<Arc<Survey>>>>,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BaselineError {
    #[error("the device did not let itself be surveyed: {0}")]
    Device(#[from] EffectError),
    #[error("the baseline in {} cannot be kept: {source}", folder.display())]
    Disk { folder: PathBuf, source: io::Error },
}

impl Baseline {
    /// The baseline in `folder`, if there is one. `untouched` says whether one may be taken otherwise.
    ///
    /// # Errors
    /// The file cannot be read; then the device's state cannot be vouched for.
    pub(crate) fn open(folder: &Path, untouched: bool) -> io::Result<Self> {
        let survey = match disk::read(folder, FILE)? {
            Some(bytes) => Some(Arc::new(serde_json::from_slice(&bytes)?)),
            None => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            untouched,
            survey: Arc::new(Mutex::new(survey)),
        })
    }

    /// How the device was, if that is known.
    pub(crate) fn survey(&self) -> Option<Arc<Survey>> {
        self.lock().clone()
    }

    /// Takes the baseline of a device that has just been reached, unless there is one or it is too late.
    pub(crate) async fn take(&self, host: &Host) -> Result<(), BaselineError> {
        if !self.untouched || self.lock().is_some() {
            return Ok(());
        }
        if witness::stands(host).await? {
            tracing::error!(
                folder = %self.folder.display(),
                "the device was used before this folder was made: no baseline is taken of it"
            );
            return Ok(());
        }
        let survey = Arc::new(survey(host, None).await?);
        let (folder, written) = (self.folder.clone(), Arc::clone(&survey));
        let written = tokio::task::spawn_blocking(move || {
            let bytes = serde_json::to_vec(&*written)?;
            disk::replace(&folder, FILE, &bytes)
        });
        let disk = |source| BaselineError::Disk {
            folder: self.folder.clone(),
            source,
        };
        written
            .await
            .map_err(|lost| disk(io::Error::other(lost)))?
            .map_err(disk)?;
        *self.lock() = Some(survey);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Survey>>> {
        self.survey.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
