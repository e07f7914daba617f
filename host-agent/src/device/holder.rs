//! Whom a device was made ready for, as the disk has it, and the device's own say in who was let in.
//!
//! ```text
//!   reached ── its witness knows of somebody else ──► the fence rises: nobody's, to be wiped
//!   comes, goes, is filmed ──► custody/holder.rs ──► effects
//! ```
//!
//! What was given to whom, and under which boot, is in `holder.json` before the fence says that it was: an agent that is
//! started again, with its device or before it, knows it. It decides nothing: `custody/holder.rs` does.

use std::io;
use std::path::{Path, PathBuf};

use protocol::Epoch;
use protocol::agent::DeviceHealth;
use tokio::time::Instant;

use crate::custody::{Boot, Effect, Holder, Work};
use crate::disk;
use crate::fence::Mark;
use crate::job::Ended;
use crate::lifecycle::Happening;

use super::Device;

const FILE: &str = "holder.json";

/// What is known of a device's holder, as the disk has it.
#[derive(Debug)]
pub(crate) struct HolderFile {
    folder: PathBuf,
    /// None before the device was made ready for anybody.
    holder: Option<Holder>,
}

impl HolderFile {
    /// The holder kept in `folder`, if the fence still says that the device is prepared for him.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn open(folder: &Path, mark: Mark) -> io::Result<Self> {
        let holder: Option<Holder> = match disk::read(folder, FILE)? {
            Some(bytes) => Some(serde_json::from_slice(&bytes)?),
            None => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            holder: holder.filter(|holder| holder.is_behind(mark)),
        })
    }

    /// The boot that the device was prepared under for this epoch, if that is known.
    pub(super) fn boot_under(&self, epoch: Epoch) -> Option<Boot> {
        self.holder.as_ref()?.boot_under(epoch).cloned()
    }

    /// Notes it, on a thread that may wait for the disk.
    async fn note(&mut self, holder: Holder) -> io::Result<()> {
        if self.holder.as_ref() == Some(&holder) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&holder)?;
        self.holder = Some(holder);
        let folder = self.folder.clone();
        let kept = tokio::task::spawn_blocking(move || disk::replace(&folder, FILE, &bytes));
        kept.await.map_err(io::Error::other)?
    }
}

impl Device {
    /// What happened to the device. One that has just been reached says who was let in last, before anything else is done
    /// on it.
    pub(super) async fn turn(&mut self, happening: Happening) {
        let is_reached = matches!(happening, Happening::Arrived(Ok(_)));
        self.life.turn(happening, Instant::now());
        if is_reached {
            let witness = self.life.facts().witness;
            let effects = self.custody.witnessed(witness);
            if !effects.is_empty() {
                let fence = self.custody.mark().epoch;
                tracing::error!(device.id = %self.id, ?witness, %fence, "the agent's files are older than what was done on the device: it is wiped before anybody is let in");
            }
            self.carry_out(effects).await;
        }
    }

    /// Follows the device's comings and goings while somebody holds it.
    pub(super) async fn attend_holder(&mut self) {
        let here = &self.life.facts().boot;
        let holder = self.holder.holder.as_ref();
        let effects = self.custody.attend(holder, self.life.presence(), here);
        if let Some(Effect::StartAlone(_)) = effects.last() {
            tracing::info!(device.id = %self.id, "the device has booted in a session: its app is launched again");
        }
        self.carry_out(effects).await;
    }

    /// A job has ended under which the device was, or should have been, made ready for somebody.
    pub(super) async fn note_holder(&mut self, work: &Work, ended: &Ended) {
        let here = &self.life.facts().boot;
        let Some(holder) = Holder::after(work, ended.boot.as_ref(), &ended.outcome.reply, here) else {
            return;
        };
        if let Err(error) = self.holder.note(holder).await {
            // The fence, which is kept next and lies beside it, decides whether anything can go on.
            tracing::error!(device.id = %self.id, %error, "the device's holder cannot be noted");
        }
    }

    /// What control hears of the device's health.
    pub(super) fn health(&self) -> DeviceHealth {
        self.custody.health(self.life.health())
    }
}
