//! Devices that go away and come back, and what their agent has on its disk of whoever held them.
//!
//! ```text
//!   plugged in ── reached: its witness is heard ── filmed ──► came_back: open, or the app is launched again
//!       ▲  └── unplugged ──► went_away: shut                        (as device.rs and device/holder.rs do it)
//!       └───── plugged in again, the same boot or another
//! ```
//!
//! What follows from it, and what is noted of a holder, is `host_agent::custody`; what the witness says,
//! `host_agent::reset::witness`.

use std::fs;

use host_agent::custody::{Boot, Holder, Pass, Presence, Work};
use host_agent::fence::{Mark, Stage};
use host_agent::fingers::PictureSize;
use host_agent::reset::witness::Witness;
use protocol::Epoch;
use protocol::agent::{DeviceHealth, Reply};

use super::agent_side::{Device, PICTURE};
use super::mutants::Mutant;
use super::violation::Checked;
use super::violation::Invariant::I4;
use super::world::World;

/// Times of a hundred that a device which comes back has started anew.
const BOOTS: u64 = 40;

/// What an agent's disk holds of a device.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    mark: Mark,
    holder: Option<Holder>,
}

impl Disk {
    pub(super) const NEW: Self = Self {
        mark: Mark::NEW,
        holder: None,
    };

    /// The epoch of whoever held the device then.
    pub(super) fn held_at(&self) -> Option<Epoch> {
        (self.mark.stage == Stage::Prepared).then_some(self.mark.epoch)
    }
}

impl Device {
    /// The agent's folder is copied away.
    pub(super) fn back_up(&mut self) {
        self.kept = Disk {
            mark: self.mark(),
            holder: self.holder.clone(),
        };
    }

    /// The folder of a dead agent is as it was when it was copied away.
    pub(super) fn restore(&mut self) {
        self.put(self.kept.clone());
        self.acted = self.kept.mark.epoch;
        self.set_back = true;
    }

    /// As the agent keeps it, and without waiting for the disk.
    pub(super) fn put(&mut self, Disk { mark, holder }: Disk) {
        let bytes = serde_json::to_vec(&mark).expect("a mark is JSON");
        fs::write(self.folder.join("fence.json"), bytes).expect("the folder is there");
        self.holder = holder;
    }

    /// What is filmed now.
    pub(super) fn picture(&self) -> Option<PictureSize> {
        self.reached.then_some(PICTURE)
    }

    /// What the agent finds of it, as a host reports it.
    pub(super) fn health(&self) -> DeviceHealth {
        self.custody.health(match (self.there, self.reached) {
            (false, _) => DeviceHealth::Offline,
            (true, false) => DeviceHealth::Booting,
            (true, true) => DeviceHealth::Healthy,
        })
    }

    /// What the fence lets through.
    pub(super) fn pass(&self) -> Pass {
        let (epoch, open) = (self.mark().epoch, self.is_open());
        Pass { epoch, open }
    }

    /// Which of its boots this is.
    fn boot(&self) -> Boot {
        Boot::from(self.phone.boot.to_string())
    }

    /// A job has shown the device to somebody, or could not launch his app again.
    pub(super) fn note_holder(&mut self, work: &Work, reply: &Reply) {
        let here = self.boot();
        let shown = matches!(reply, Reply::Prepared { .. }).then_some(&here);
        let Some(holder) = Holder::after(work, shown, reply, &here) else {
            return;
        };
        let epoch = work.epoch();
        let prepared = self.holder.as_ref().and_then(|holder| holder.boot_under(epoch));
        // Only a picture was awaited: nothing was done that leaves a witness.
        let resumed = matches!(work, Work::Resume(_)) && here.is_still(prepared);
        if shown.is_some() && !resumed {
            self.phone.is_let_in(epoch);
        }
        self.holder = Some(holder);
    }
}

impl World<'_> {
    /// A device is unplugged.
    pub(super) fn device_goes(&mut self, at: usize) -> Checked {
        self.note(|| format!("device {at} goes away"));
        let device = &mut self.devices[at];
        device.there = false;
        if !std::mem::take(&mut device.reached) {
            return Ok(());
        }
        let here = device.boot();
        let shut = device
            .custody
            .attend(device.holder.as_ref(), Presence::Away, &here);
        self.carry_out(at, shut)?;
        self.tells();
        Ok(())
    }

    /// It is plugged in again.
    pub(super) fn device_comes(&mut self, at: usize) {
        let boots = self.faults && self.dice.percent(BOOTS);
        self.note(|| format!("device {at} is there again, booted: {boots}"));
        let device = &mut self.devices[at];
        device.there = true;
        if boots {
            device.phone.boots();
        }
    }

    /// The agent reaches a device, and films it.
    pub(super) fn device_is_reached(&mut self, at: usize) -> Checked {
        self.note(|| format!("device {at} is reached"));
        let unread = [Mutant::WitnessIgnored, Mutant::WitnessNamesNobody];
        let heeded = !self.mutant.is_some_and(|mutant| unread.contains(&mutant));
        let device = &mut self.devices[at];
        device.reached = true;
        let witness: Option<Witness> = device.phone.witness().filter(|_| heeded);
        let contradicted = device.custody.witnessed(witness);
        self.carry_out(at, contradicted)?;
        if !self.agent_is_up() {
            return Ok(());
        }
        self.attend_holder(at)?;
        self.tells();
        self.nobody_is_let_in_on_traces(at)
    }

    /// As device/holder.rs does after everything that happens.
    pub(super) fn attend_holder(&mut self, at: usize) -> Checked {
        let device = &mut self.devices[at];
        if !device.reached {
            return Ok(());
        }
        let here = device.boot();
        let effects = device
            .custody
            .attend(device.holder.as_ref(), Presence::Filmed, &here);
        self.carry_out(at, effects)
    }

    /// What changed is told at once.
    fn tells(&mut self) {
        if self.agent_is_up() && self.network.linked {
            self.agent_reports();
        }
    }

    /// I4: a device that opens for its holder has nothing on it that somebody else left.
    fn nobody_is_let_in_on_traces(&self, at: usize) -> Checked {
        let device = &self.devices[at];
        let fence = device.mark().epoch;
        let traces = device.phone.traces();
        match traces.iter().find(|other| **other != fence) {
            Some(other) if device.is_open() => self.eyes.broken(I4, || {
                format!("device {at} opens for its holder at {fence} with what the one at {other} left")
            }),
            _ => Ok(()),
        }
    }
}
