//! Whom a device was made ready for, and under which of its boots; and what follows when it goes away and comes back in
//! the middle of a session. Pure, like the rest of custody: the agent's device task keeps it on the disk, and the
//! simulation lives it.
//!
//! ```text
//!   open ── connection lost ──► shut ── filmed again, same boot ────────────────────────► open
//!     └──── filmed, another boot ──► shut ─► app launched again ────────────────────────► open
//! ```
//!
//! A device that has booted anew shows its launcher, or worse a screen of its vendor: nobody's touch belongs
//! there, so people are let in again only when the app of their link is at the front. The fence does not move:
//! it is the same lease, and nothing is cleaned under its holder. An app that cannot be launched again is no
//! reason to keep the holder out: what the device shows then is the truth.
//!
//! It does not know why a device went away, nor where this is kept.

use protocol::Epoch;
use protocol::agent::{DeviceHealth, Prepare, RefusalCode, Reply};
use serde::{Deserialize, Serialize};

use super::{Custody, Effect, Work};
use crate::fence::{Mark, Stage};

/// Which boot of the device this is: the same as long as it has not started anew. Two that do not say are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Boot(String);

impl From<String> for Boot {
    /// As the device itself names its boot.
    fn from(named: String) -> Self {
        Self(named)
    }
}

impl Boot {
    /// Whether the device still shows what it was prepared for under `prepared`, if that is known: then only a picture is
    /// awaited.
    #[must_use]
    pub fn is_still(&self, prepared: Option<&Self>) -> bool {
        prepared.is_none_or(|prepared| prepared == self)
    }
}

/// Whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Not reached.
    Away,
    /// Reached, and not filmed at this moment.
    Between,
    /// Filmed.
    Filmed,
}

/// Who the device was prepared for, and under which of its boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    request: Prepare,
    boot: Boot,
}

impl Holder {
    /// Whether the fence still says that the device is prepared for him: what the disk has beside an older fence counts
    /// for nobody.
    #[must_use]
    pub fn is_behind(&self, mark: Mark) -> bool {
        mark.stage == Stage::Prepared && mark.epoch == self.request.epoch
    }

    /// The boot that the device was prepared under for this epoch, if that is known.
    #[must_use]
    pub fn boot_under(&self, epoch: Epoch) -> Option<&Boot> {
        (self.request.epoch == epoch).then_some(&self.boot)
    }

    /// What the holder of this epoch was given, if the device has booted since.
    fn lost(&self, epoch: Epoch, here: &Boot) -> Option<&Prepare> {
        (self.request.epoch == epoch && self.boot != *here).then_some(&self.request)
    }

    /// Work has ended under which the device was, or should have been, made ready for somebody. `shown` is the boot that
    /// showed it to him, `here` the one that the device is under now. Gives whoever is to be noted.
    #[must_use]
    pub fn after(work: &Work, shown: Option<&Boot>, reply: &Reply, here: &Boot) -> Option<Self> {
        let (Work::Prepare(request) | Work::Fresh(request) | Work::Resume(request) | Work::Return(request)) =
            work
        else {
            return None;
        };
        let boot = match (shown, work, reply) {
            (Some(shown), ..) => shown,
            // Cut off before it was launched: that is to be done again.
            (None, Work::Return(_), Reply::Refused(why)) if why.code == RefusalCode::DeviceOffline => {
                return None;
            }
            (None, Work::Return(_), _) => here,
            (None, ..) => return None,
        };
        Some(Self {
            request: request.clone(),
            boot: boot.clone(),
        })
    }
}

impl<A> Custody<A> {
    /// Follows the comings and goings of a device. `holder` is whoever it was made ready for last, `here` its boot now.
    pub fn attend(&mut self, holder: Option<&Holder>, presence: Presence, here: &Boot) -> Vec<Effect<A>> {
        match presence {
            Presence::Away => self.went_away().into_iter().collect(),
            Presence::Between => Vec::new(),
            Presence::Filmed => {
                let epoch = self.mark().epoch;
                let lost = holder.and_then(|holder| holder.lost(epoch, here));
                // It may have booted so quickly, or before this agent started, that nobody saw it away.
                let away = lost.and_then(|_| self.went_away());
                let back = self.came_back(lost);
                away.into_iter().chain(back).collect()
            }
        }
    }

    /// What control hears of a device whose health is this: one that is filmed but not yet what its holder had is not
    /// there yet.
    #[must_use]
    pub fn health(&self, health: DeviceHealth) -> DeviceHealth {
        let held = self.mark().stage == Stage::Prepared;
        match health {
            DeviceHealth::Healthy if held && !self.is_open() => DeviceHealth::Degraded,
            health => health,
        }
    }
}
