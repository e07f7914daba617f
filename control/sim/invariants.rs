//! The invariants, looked at after every event: what control's rows say against what the world knows.
//!
//! | | holds | looked at by |
//! |---|---|---|
//! | I1 | one live lease per device | `one_lease_per_device` |
//! | I2 | epochs rise, none comes twice, not after a restore either | `epochs_rise`, `Ledger` |
//! | I3 | effects are of the fence's epoch, and the fence is never lower after a crash | agent_side.rs `acts`, `agent_starts` |
//! | I4 | free is wiped for its epoch; nobody reads what another left | `free_is_clean`, people.rs `touches`, presence.rs |
//! | I5 | deadlines are measured by clocks that never jump, and none is of who is there | work.rs `is_late`, stays.rs, connections.rs |
//! | I6 | a late wipe touches nobody of a higher epoch | work.rs `step` |
//! | I7 | a holder's retry is its own lease | people.rs `refusal_is_right` |
//! | I8 | nobody holds through a link that was cut off, or comes in through one that is closed | `links_are_good`, operators.rs; links whose time is over: stays.rs |
//! | I9 | nothing runs out before agents may be back | `nothing_ran_out` |
//! | I10 | one audit row for each change; owners only | `all_is_audited`, people.rs `claims`, `ends` |
//! | I11 | at rest everything is free, held or quarantined | `nothing_hangs` |
//! | I12 | a connection has one lease and epoch, and agents have those of control | people.rs `touches`, connections.rs |
//! | I13 | no channel outlives its epoch behind the fence; who only watches does not act | agent_side.rs `no_channel_outlives_the_fence`, people.rs `touches` |
//!
//! I1, I4 and I8 are held against rows and fences after every event; I2, I5, I9 and I10 after every one that may have
//! changed rows; I3, I6, I7, I12 and I13 wherever the thing that they speak of is done; I11 once the world has come to
//! rest. I2 knows one excuse: a clock that is behind when a database is put back. I10 counts rows about leases; links,
//! devices and tokens are walked route by route in routes/router_tests.rs.
//!
//! Not here: how long a revocation takes (I8, I13: `farglass bench revoke`), DTLS fingerprints and SDP (I12: the
//! gateway's tests), and roles of data channels (I13: the gateway's tests).

use std::collections::HashMap;

use host_agent::fence::Stage;
use protocol::{DeviceId, Epoch, LeaseId};

use super::agent_side::Viewer;
use super::mutants::Mutant;
use super::violation::Invariant::{I1, I2, I4, I8, I9, I10, I11};
use super::violation::{Checked, Eyes, Violation};
use super::world::World;
use crate::domain::deadlines::RECONNECT_WINDOW;

/// The rows that matter, as they are after an event.
#[derive(Debug, Default, Clone)]
pub(super) struct Rows {
    devices: Vec<DeviceRow>,
    leases: Vec<LeaseRow>,
    /// Audit rows about leases.
    audited: i64,
}

#[derive(Debug, Clone)]
struct DeviceRow {
    id: DeviceId,
    occupancy: String,
    health: String,
    epoch: Epoch,
}

#[derive(Debug, Clone)]
pub(super) struct LeaseRow {
    pub(super) id: LeaseId,
    device: DeviceId,
    pub(super) epoch: Epoch,
    release_epoch: Option<Epoch>,
    pub(super) state: String,
    pub(super) until: Option<i64>,
    pub(super) reason: Option<String>,
    link_state: String,
    pub(super) idle_s: u64,
    pub(super) max_s: Option<u64>,
    pub(super) cut: bool,
}

/// Every epoch that was ever given out, also those that a restored database forgot.
#[derive(Default)]
pub(super) struct Ledger {
    newest: HashMap<DeviceId, Epoch>,
    of: HashMap<LeaseId, Epoch>,
}

impl Ledger {
    /// The database has forgotten what was given out, and no clock tells.
    pub(super) fn back_to(&mut self, rows: &Rows) {
        for device in &rows.devices {
            self.newest.insert(device.id, device.epoch);
        }
    }

    pub(super) fn epoch_of(&self, lease: LeaseId) -> Option<Epoch> {
        self.of.get(&lease).copied()
    }

    /// I2: a new epoch is above all that were.
    fn give(&mut self, device: DeviceId, epoch: Epoch, what: &str, eyes: Eyes) -> Checked {
        let newest = self.newest.entry(device).or_default();
        let known = std::mem::replace(newest, epoch.max(*newest));
        if epoch > known {
            return Ok(());
        }
        eyes.broken(I2, || {
            format!("{what} at {epoch}, but {known} was given out before")
        })
    }
}

impl LeaseRow {
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state.as_str(), "preparing" | "active" | "grace")
    }

    fn is_same_state(&self, other: &Self) -> bool {
        self.state == other.state && self.until == other.until
    }
}

impl Rows {
    pub(super) fn is_held(&self, lease: LeaseId) -> bool {
        self.lease(lease).is_some_and(LeaseRow::is_held)
    }

    pub(super) fn is_quarantined(&self, id: DeviceId) -> bool {
        let found = self.devices.iter().find(|device| device.id == id);
        found.is_some_and(|device| device.occupancy == "quarantined")
    }

    /// The leases that are otherwise than they were, or are new, or are over.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<LeaseId> {
        let is_same = |lease: &&LeaseRow| {
            let was = before.lease(lease.id);
            was.is_some_and(|was| was.is_same_state(lease))
        };
        let came = self.leases.iter().filter(|lease| !is_same(lease));
        let went = before
            .leases
            .iter()
            .filter(|lease| self.lease(lease.id).is_none());
        came.chain(went).map(|lease| lease.id).collect()
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &LeaseRow> {
        self.leases.iter().filter(|lease| lease.is_held())
    }

    pub(super) fn lease(&self, id: LeaseId) -> Option<&LeaseRow> {
        self.leases.iter().find(|lease| lease.id == id)
    }
}

/// What a control would leave behind that ends leases without a new epoch, on a database that lets epochs fall.
const EPOCHS_NOT_RAISED: &str = "DROP TRIGGER IF EXISTS devices_epoch_rises;
     UPDATE leases SET release_epoch = epoch WHERE state = 'releasing';
     UPDATE devices SET epoch = (SELECT l.epoch FROM leases l WHERE l.device_id = devices.id AND l.state = 'releasing')
     WHERE EXISTS (SELECT 1 FROM leases l WHERE l.device_id = devices.id AND l.state = 'releasing')";
const LOOK: &str =
    "SELECT d.id AS device, d.occupancy, d.health, d.epoch, l.id AS lease, l.epoch AS lease_epoch,
     l.release_epoch, l.state, l.until_at, l.reason, k.state AS link_state, k.idle_timeout_s, k.max_duration_s, k.on_expiry,
     (SELECT count(*) FROM audit_log WHERE resource_type = 'lease') AS audited
     FROM devices d LEFT JOIN leases l ON l.device_id = d.id AND l.state <> 'released'
     LEFT JOIN links k ON k.id = l.link_id";

impl World<'_> {
    /// Reads the rows.
    pub(super) async fn look(&self) -> Result<Rows, Violation> {
        let read = self.ground.store.rows(LOOK).await?;
        let mut rows = Rows::default();
        for row in &read {
            let device: DeviceId = row.parsed("device")?;
            rows.audited = row.number("audited")?;
            if !rows.devices.iter().any(|known| known.id == device) {
                rows.devices.push(DeviceRow {
                    id: device,
                    occupancy: row.text("occupancy")?,
                    health: row.text("health")?,
                    epoch: Epoch(row.number("epoch")?),
                });
            }
            if let Some(lease) = row.maybe_parsed("lease")? {
                rows.leases.push(LeaseRow {
                    id: lease,
                    device,
                    epoch: Epoch(row.number("lease_epoch")?),
                    release_epoch: row.maybe_number("release_epoch")?.map(Epoch),
                    state: row.text("state")?,
                    until: row.maybe_number("until_at")?,
                    reason: row.maybe_text("reason")?,
                    link_state: row.text("link_state")?,
                    idle_s: row.number("idle_timeout_s")?,
                    max_s: row.maybe_number("max_duration_s")?,
                    cut: row.text("on_expiry")? == "cut",
                });
            }
        }
        rows.leases.sort_by_key(|lease| lease.epoch);
        Ok(rows)
    }

    /// Looks at everything after an event. `changed`: whether it may have changed control's rows.
    pub(super) async fn check(&mut self, changed: bool) -> Checked {
        if !changed {
            return self.holds(&self.before);
        }
        if self.mutant == Some(Mutant::RevokeWithoutEpoch) {
            self.sql(EPOCHS_NOT_RAISED).await;
        }
        let after = self.look().await?;
        let before = std::mem::take(&mut self.before);
        self.others_are_told(&before, &after);
        self.epochs_rise(&before, &after)?;
        self.holds(&after)?;
        self.nothing_ran_out(&before, &after)?;
        let up = self.monotonic - self.control.since;
        let settled = self.control.up && up >= RECONNECT_WINDOW.as_millis() as u64;
        let swept = self.sweeping.then_some(settled);
        self.stays
            .check(&before, &after, self.monotonic, swept, self.eyes)?;
        self.others_stays.note(&after, self.monotonic);
        self.nobody_there_was_put_out(&before, &after).await?;
        self.all_is_audited(&before, &after)?;
        self.before = after;
        Ok(())
    }

    /// What has to be true at every moment, whatever was before.
    fn holds(&self, now: &Rows) -> Checked {
        self.one_lease_per_device(now)?;
        self.free_is_clean(now)?;
        self.links_are_good(now)
    }

    fn one_lease_per_device(&self, after: &Rows) -> Checked {
        for device in &after.devices {
            let live = after
                .leases
                .iter()
                .filter(|lease| lease.device == device.id)
                .count();
            if live > 1 {
                let at = self.at(device.id);
                self.eyes
                    .broken(I1, || format!("device {at} has {live} live leases"))?;
            }
        }
        Ok(())
    }

    fn epochs_rise(&mut self, before: &Rows, after: &Rows) -> Checked {
        for lease in &after.leases {
            let known = before.lease(lease.id);
            if known.is_none() {
                self.ledger
                    .give(lease.device, lease.epoch, "a lease", self.eyes)?;
                self.ledger.of.insert(lease.id, lease.epoch);
            }
            if let Some(release) = lease.release_epoch
                && known.is_none_or(|known| known.release_epoch.is_none())
            {
                self.ledger.give(lease.device, release, "a release", self.eyes)?;
            }
        }
        for device in &after.devices {
            let was = before.devices.iter().find(|was| was.id == device.id);
            if let Some(was) = was
                && was.occupancy == "quarantined"
                && device.occupancy == "wiping"
            {
                self.ledger.give(device.id, device.epoch, "a reset", self.eyes)?;
            }
        }
        Ok(())
    }

    /// I4: a device that may be claimed was wiped for its epoch, and nobody's traces are on it. What control
    /// cannot know yet, because its agent is away or has not told of a higher fence, is left out.
    fn free_is_clean(&self, after: &Rows) -> Checked {
        for row in after
            .devices
            .iter()
            .filter(|row| row.occupancy == "free" && row.health != "offline")
        {
            let at = self.at(row.id);
            let mark = self.devices[at].mark();
            if mark.epoch > row.epoch {
                continue;
            }
            let phone = &self.devices[at].phone;
            let traces = !phone.traces().is_empty();
            // Where the agent's files went back nobody knows but the device itself, until it is asked.
            let broken = match self.devices[at].set_back {
                true => traces && !phone.is_used(),
                false => traces || mark.epoch < row.epoch || mark.stage != Stage::Clean,
            };
            if broken {
                let traces = self.devices[at].phone.traces().len();
                self.eyes.broken(I4, || {
                    format!("device {at} is free at {}: {mark:?}, {traces} traces", row.epoch)
                })?;
            }
        }
        Ok(())
    }

    /// I8: nobody holds a device through a link that was cut off. Those whose time is over: `stays`.
    fn links_are_good(&self, after: &Rows) -> Checked {
        for lease in after.held() {
            if !matches!(lease.link_state.as_str(), "active" | "paused") {
                self.eyes.broken(I8, || {
                    format!(
                        "the lease at {} is held through a {} link",
                        lease.epoch, lease.link_state
                    )
                })?;
            }
        }
        Ok(())
    }

    /// I9: a lease from before the start ends by the clock only once the agents had their time to come back.
    fn nothing_ran_out(&self, before: &Rows, after: &Rows) -> Checked {
        let up = self.monotonic - self.control.since;
        if !self.control.up || !self.sweeping || up >= RECONNECT_WINDOW.as_millis() as u64 {
            return Ok(());
        }
        for lease in before.held().filter(|lease| self.stays.is_inherited(lease.id)) {
            let now = after.lease(lease.id);
            let why = now.and_then(|now| now.reason.as_deref());
            if now.is_none_or(|now| !now.is_held()) && why != Some("link_expired") {
                self.eyes.broken(I9, || {
                    format!(
                        "the lease at {} ended {up} ms after the start: {why:?}",
                        lease.epoch
                    )
                })?;
            }
        }
        Ok(())
    }

    /// I10: every change of a lease has its row. One that renews a grace within a millisecond shows no change.
    fn all_is_audited(&self, before: &Rows, after: &Rows) -> Checked {
        let came = after
            .leases
            .iter()
            .filter(|lease| before.lease(lease.id).is_none_or(|was| !was.is_same_state(lease)));
        let went = before
            .leases
            .iter()
            .filter(|lease| after.lease(lease.id).is_none());
        let (changes, rows) = (came.count() + went.count(), after.audited - before.audited);
        if rows == changes as i64 || (changes == 0 && rows == 1) {
            return Ok(());
        }
        self.eyes
            .broken(I10, || format!("{changes} changes and {rows} audit rows"))
    }

    /// I11: with nothing going wrong any more, nothing hangs.
    pub(super) fn nothing_hangs(&self) -> Checked {
        match self.hangs() {
            Some(what) => self.eyes.broken(I11, || what),
            None => Ok(()),
        }
    }

    /// A device that is neither free, nor held by somebody who is there, nor given up.
    pub(super) fn hangs(&self) -> Option<String> {
        self.before.devices.iter().find_map(|row| {
            let at = self.at(row.id);
            let attended = self.devices[at].viewers.iter().any(Viewer::attends);
            match row.occupancy.as_str() {
                "free" | "quarantined" => None,
                "leased" if attended => None,
                other => Some(format!("device {at} is still {other}")),
            }
        })
    }
}
