//! A holder whose device goes away in the middle of a session: the device comes back to the same holder.
//!
//! ```text
//!   open ── connection lost ──► shut ── filmed again, same boot ────────────────────────► open
//!     └──── filmed, another boot ──► shut ─► app launched again ────────────────────────► open
//!   reached ── its witness knows of somebody else ──► the fence rises: nobody's, to be wiped
//! ```
//!
//! A device that has booted anew shows its launcher, or worse a screen of its vendor: nobody's touch belongs
//! there, so people are let in again only when the app of their link is at the front. The fence does not move:
//! it is the same lease, and nothing is cleaned under its holder. An app that cannot be launched again is no
//! reason to keep the holder out: what the device shows then is the truth.
//!
//! What was given to whom, and under which boot, is in `holder.json` before the fence says that it was: an agent that is
//! started again, with its device or before it, knows it. It does not know why a device went away.

use std::io;
use std::path::{Path, PathBuf};

use protocol::Epoch;
use protocol::agent::{DeviceHealth, Prepare, RefusalCode, Reply};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::custody::{Effect, Work};
use crate::disk;
use crate::fence::{Mark, Stage};
use crate::job::Ended;
use crate::lifecycle::{Happening, Presence};
use crate::probe::Boot;

use super::Device;

const FILE: &str = "holder.json";

/// Who the device was prepared for, and under which of its boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    request: Prepare,
    boot: Boot,
}

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
        let has_it = |holder: &Holder| mark.stage == Stage::Prepared && mark.epoch == holder.request.epoch;
        Ok(Self {
            folder: folder.to_owned(),
            holder: holder.filter(has_it),
        })
    }

    /// The boot that the device was prepared under for this epoch, if that is known.
    pub(super) fn boot_under(&self, epoch: Epoch) -> Option<Boot> {
        let holder = self.holder.as_ref()?;
        (holder.request.epoch == epoch).then(|| holder.boot.clone())
    }

    /// What the holder of this epoch was given, if the device has booted since.
    fn lost(&self, epoch: Epoch, boot: &Boot) -> Option<&Prepare> {
        let holder = self.holder.as_ref()?;
        (holder.request.epoch == epoch && holder.boot != *boot).then_some(&holder.request)
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
        let effects: Vec<_> = match self.life.presence() {
            Presence::Away => self.custody.went_away().into_iter().collect(),
            Presence::Between => Vec::new(),
            Presence::Filmed => {
                let epoch = self.custody.mark().epoch;
                let lost = self.holder.lost(epoch, &self.life.facts().boot);
                // It may have booted so quickly, or before this agent started, that nobody saw it away.
                let away = lost.and_then(|_| self.custody.went_away());
                let back = self.custody.came_back(lost);
                away.into_iter().chain(back).collect()
            }
        };
        if let Some(Effect::StartAlone(_)) = effects.last() {
            tracing::info!(device.id = %self.id, "the device has booted in a session: its app is launched again");
        }
        self.carry_out(effects).await;
    }

    /// A job has ended under which the device was, or should have been, made ready for somebody.
    pub(super) async fn note_holder(&mut self, work: &Work, ended: &Ended) {
        let (Work::Prepare(request) | Work::Fresh(request) | Work::Resume(request) | Work::Return(request)) =
            work
        else {
            return;
        };
        let boot = match (&ended.boot, work, &ended.outcome.reply) {
            (Some(boot), ..) => boot.clone(),
            // Cut off before it was launched: that is to be done again.
            (None, Work::Return(_), Reply::Refused(why)) if why.code == RefusalCode::DeviceOffline => return,
            (None, Work::Return(_), _) => self.life.facts().boot.clone(),
            (None, ..) => return,
        };
        let request = request.clone();
        if let Err(error) = self.holder.note(Holder { request, boot }).await {
            // The fence, which is kept next and lies beside it, decides whether anything can go on.
            tracing::error!(device.id = %self.id, %error, "the device's holder cannot be noted");
        }
    }

    /// What control hears of the device's health: one that is filmed but not yet what its holder had is not
    /// there yet.
    pub(super) fn health(&self) -> DeviceHealth {
        let held = self.custody.mark().stage == Stage::Prepared;
        match self.life.health() {
            DeviceHealth::Healthy if held && !self.custody.is_open() => DeviceHealth::Degraded,
            health => health,
        }
    }
}
