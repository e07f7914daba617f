//! Devices that go away and come back, and what their agent has on its disk of whoever held them.
//!
//! ```text
//!   plugged in ── reached: its witness is heard ── filmed ──► came_back: open, or the app is launched again
//!       ▲  └── unplugged ──► went_away: shut                        (as device.rs and device/holder.rs do it)
//!       └───── plugged in again, the same boot or another
//! ```
//!
//! What follows from it is `host_agent::custody`; what the witness says, `host_agent::reset::witness`.

use std::fs;

use host_agent::custody::Work;
use host_agent::fence::{Mark, Stage};
use host_agent::fingers::PictureSize;
use host_agent::reset::witness::Witness;
use protocol::Epoch;
use protocol::agent::{DeviceHealth, Prepare, RefusalCode, Reply};

use super::agent_side::{Device, PICTURE};
use super::mutants::Mutant;
use super::violation::Checked;
use super::violation::Invariant::I4;
use super::world::World;

/// Times of a hundred that a device which comes back has started anew.
const BOOTS: u64 = 40;

/// Whom a device was prepared for, and under which of its boots.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    request: Prepare,
    boot: u32,
}

impl Holder {
    /// As `HolderFile::open` reads it.
    pub(super) fn is_of(&self, mark: Mark) -> bool {
        mark.stage == Stage::Prepared && mark.epoch == self.request.epoch
    }
}

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

    /// As device/holder.rs tells it.
    pub(super) fn health(&self) -> DeviceHealth {
        let held = self.mark().stage == Stage::Prepared;
        match (self.there, self.reached) {
            (false, _) => DeviceHealth::Offline,
            (true, false) => DeviceHealth::Booting,
            (true, true) if held && !self.is_open() => DeviceHealth::Degraded,
            (true, true) => DeviceHealth::Healthy,
        }
    }

    /// A job has shown the device to somebody, or could not launch his app again.
    pub(super) fn note_holder(&mut self, work: &Work, reply: &Reply) {
        match reply {
            Reply::Prepared { .. } => {}
            Reply::Refused(why)
                if matches!(work, Work::Return(_)) && why.code != RefusalCode::DeviceOffline =>
            {
                if let Some(holder) = &mut self.holder {
                    holder.boot = self.phone.boot;
                }
                return;
            }
            _ => return,
        }
        let (Work::Prepare(request) | Work::Fresh(request) | Work::Resume(request) | Work::Return(request)) =
            work
        else {
            return;
        };
        let same = self
            .holder
            .as_ref()
            .filter(|holder| holder.request.epoch == request.epoch);
        let resumed =
            matches!(work, Work::Resume(_)) && same.is_some_and(|holder| holder.boot == self.phone.boot);
        if !resumed {
            self.phone.is_let_in(request.epoch);
        }
        self.holder = Some(Holder {
            request: request.clone(),
            boot: self.phone.boot,
        });
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
        let shut = device.custody.went_away();
        self.carry_out(at, shut.into_iter().collect())?;
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
        let (mark, here) = (device.mark(), device.phone.boot);
        let lost = device
            .holder
            .as_ref()
            .filter(|holder| holder.is_of(mark) && holder.boot != here);
        let lost = lost.map(|holder| holder.request.clone());
        let away = lost.as_ref().and_then(|_| device.custody.went_away());
        let back = device.custody.came_back(lost.as_ref());
        self.carry_out(at, away.into_iter().chain(back).collect())
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
