//! A holder whose device goes away in the middle of a session: the device comes back to the same holder.
//!
//! ```text
//!   open ── connection lost ──► shut ── filmed again, same boot ────────────────────────► open
//!                                 └─── filmed again, another boot ─► app launched again ─► open
//! ```
//!
//! A device that has booted anew shows its launcher, or worse a screen of its vendor: nobody's touch belongs
//! there, so people are let in again only when the app of their link is at the front. The fence does not move:
//! it is the same lease, and nothing is cleaned under its holder. An app that cannot be launched again is no
//! reason to keep the holder out: what the device shows then is the truth.
//!
//! An agent that was restarted in between does not know which boot it prepared, and takes the one it finds. It
//! does not know why a device went away.

use protocol::agent::{DeviceHealth, Prepare};

use crate::custody::{Effect, Work};
use crate::fence::Stage;
use crate::lifecycle::Presence;
use crate::probe::Boot;

use super::Device;

/// Who the device was prepared for, and under which of its boots.
#[derive(Debug)]
pub(super) struct Holder {
    request: Prepare,
    boot: Boot,
}

impl Device {
    /// Follows the device's comings and goings while somebody holds it.
    pub(super) async fn attend_holder(&mut self) {
        let effect = match self.life.presence() {
            Presence::Away => self.custody.went_away(),
            Presence::Filmed => {
                let booted = self
                    .holder
                    .as_ref()
                    .filter(|holder| holder.boot != self.life.facts().boot);
                self.custody.came_back(booted.map(|holder| &holder.request))
            }
            Presence::Between => None,
        };
        if let Some(Effect::StartAlone(_)) = effect {
            tracing::info!(device.id = %self.id, "the device has booted in a session: its app is launched again");
        }
        self.carry_out(effect.into_iter().collect()).await;
    }

    /// A job has ended under which the device was, or should have been, made ready for somebody.
    pub(super) fn note_holder(&mut self, work: &Work) {
        if let Work::Prepare(request) | Work::Resume(request) | Work::Return(request) = work {
            self.holder = Some(Holder {
                request: request.clone(),
                boot: self.life.facts().boot.clone(),
            });
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
