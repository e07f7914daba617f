//! What the database and the agents' fences say when everything rests, and whether all of it can be true.
//!
//! ```text
//!   devices ─┬─ leases, by epoch:  [epoch … release] < [epoch … release] < …      never one inside another
//!            ├─ fence.json         ≤ the device's epoch; free ⇒ clean under this very epoch
//!            └─ audit log          one grant, one end, one release for each lease; a reason for each quarantine
//! ```
//!
//! Pure: rows in, sentences out. It does not know how rows are read (`database.rs`).

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DeviceRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) occupancy: String,
    pub(crate) epoch: u64,
    /// Why it is quarantined, if it is.
    pub(crate) why: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LeaseRow {
    pub(crate) id: String,
    pub(crate) device_id: String,
    pub(crate) link_id: String,
    pub(crate) session: Option<String>,
    pub(crate) epoch: u64,
    pub(crate) release_epoch: Option<u64>,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// How it left its device: `clean` or `quarantined`, once it is released.
    pub(crate) left_as: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LinkRow {
    pub(crate) id: String,
    pub(crate) max_uses: Option<u64>,
}

/// How often something was done to somebody.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AuditRow {
    pub(crate) action: String,
    pub(crate) resource_id: String,
    pub(crate) n: u64,
}

/// What an agent's fence file holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Fence {
    pub(crate) epoch: u64,
    pub(crate) stage: String,
}

/// Everything at one quiet moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) devices: Vec<DeviceRow>,
    pub(crate) leases: Vec<LeaseRow>,
    pub(crate) links: Vec<LinkRow>,
    pub(crate) audit: Vec<AuditRow>,
    /// By device id.
    pub(crate) fences: HashMap<String, Fence>,
}

impl LeaseRow {
    fn is_live(&self) -> bool {
        self.state != "released"
    }
}

impl Rows {
    /// What cannot be true, or must not be while everything rests.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        for device in &self.devices {
            let mut leases: Vec<&LeaseRow> = self
                .leases
                .iter()
                .filter(|lease| lease.device_id == device.id)
                .collect();
            leases.sort_by_key(|lease| lease.epoch);
            epochs(device, &leases, &mut found);
            self.rests(device, &leases, &mut found);
            self.fence(device, &mut found);
        }
        self.audited(&mut found);
        self.uses(&mut found);
        found
    }

    /// Sessions that somebody was told to hold and that the database does not know, or under another epoch.
    pub(crate) fn forgotten<'a>(&self, told: impl Iterator<Item = (&'a str, u64)>) -> Vec<String> {
        let sessions = self
            .leases
            .iter()
            .filter_map(|lease| Some((lease.session.as_deref()?, lease.epoch)));
        let known: HashMap<&str, u64> = sessions.collect();
        told.filter(|(session, epoch)| known.get(session) != Some(epoch))
            .map(|(session, epoch)| {
                format!("session {session} under epoch {epoch} was acknowledged and is not there")
            })
            .collect()
    }

    fn rests(&self, device: &DeviceRow, leases: &[&LeaseRow], found: &mut Vec<String>) {
        let name = &device.name;
        if let Some(lease) = leases.iter().find(|lease| lease.is_live()) {
            found.push(format!("at rest {name} still has a lease: {lease:?}"));
        }
        let written = self
            .audit
            .iter()
            .filter(|row| row.resource_id == device.id && row.action == "device.quarantine")
            .map(|row| row.n)
            .sum();
        let is_soiled = |lease: &&&LeaseRow| lease.left_as.as_deref() == Some("quarantined");
        let soiled = leases.iter().filter(is_soiled).count() as u64;
        if soiled > written {
            found.push(format!(
                "{soiled} leases left {name} quarantined, and {written} audit rows say why"
            ));
        }
        match device.occupancy.as_str() {
            "free" => {}
            "quarantined" if written > 0 && device.why.is_some() => {}
            "quarantined" => found.push(format!("{name} is quarantined and nothing says why")),
            other => found.push(format!("at rest {name} is {other}")),
        }
    }

    fn fence(&self, device: &DeviceRow, found: &mut Vec<String>) {
        let Some(fence) = self.fences.get(&device.id) else {
            if device.epoch > 0 {
                found.push(format!("{} has an epoch and its agent no fence", device.name));
            }
            return;
        };
        if fence.epoch > device.epoch {
            found.push(format!("a fence above the database: {fence:?}, {device:?}"));
        }
        if device.occupancy == "free" && (fence.epoch != device.epoch || fence.stage != "clean") {
            found.push(format!("free and not clean for its epoch: {fence:?}, {device:?}"));
        }
    }

    fn audited(&self, found: &mut Vec<String>) {
        let rows: HashMap<(&str, &str), u64> = self
            .audit
            .iter()
            .map(|row| ((row.action.as_str(), row.resource_id.as_str()), row.n))
            .collect();
        for lease in &self.leases {
            let ended = u64::from(lease.release_epoch.is_some());
            let released = u64::from(!lease.is_live());
            for (action, wanted) in [
                ("lease.grant", 1),
                ("lease.end", ended),
                ("lease.release", released),
            ] {
                let n = rows
                    .get(&(action, lease.id.as_str()))
                    .copied()
                    .unwrap_or_default();
                if n != wanted {
                    found.push(format!("{n} audit rows {action} instead of {wanted}: {lease:?}"));
                }
            }
        }
    }

    /// A use is given back when setting up failed; every other lease took one.
    fn uses(&self, found: &mut Vec<String>) {
        let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
        for lease in &self.leases {
            if lease.session.is_none() {
                found.push(format!("a lease without a session: {lease:?}"));
            }
            if lease.reason.as_deref() != Some("setup_failed") {
                *taken.entry(&lease.link_id).or_default() += 1;
            }
        }
        for link in &self.links {
            let taken = taken.get(link.id.as_str()).copied().unwrap_or_default();
            if link.max_uses.is_some_and(|max| taken > max) {
                found.push(format!(
                    "a link of {:?} uses gave {taken} leases: {}",
                    link.max_uses, link.id
                ));
            }
        }
    }
}

/// One live lease at most, and epochs that only rise.
fn epochs(device: &DeviceRow, leases: &[&LeaseRow], found: &mut Vec<String>) {
    let name = &device.name;
    let live = leases.iter().filter(|lease| lease.is_live()).count();
    if live > 1 {
        found.push(format!("{name} has {live} live leases"));
    }
    let (mut newest, mut seen) = (0, HashSet::new());
    for lease in leases {
        if lease.epoch <= newest || !seen.insert(lease.epoch) {
            found.push(format!(
                "an epoch of {name} inside or below an older lease's: {lease:?}"
            ));
        }
        if lease.is_live() && lease.epoch != leases.last().map_or(0, |last| last.epoch) {
            found.push(format!(
                "{name} was given on under a lease that is not over: {lease:?}"
            ));
        }
        newest = newest.max(lease.epoch);
        if let Some(release) = lease.release_epoch {
            if release <= lease.epoch {
                found.push(format!("an end that raised no epoch: {lease:?}"));
            }
            newest = newest.max(release);
        }
    }
    if device.epoch < newest {
        found.push(format!("the epoch of {name} is {} below {newest}", device.epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(id: &str, epoch: u64, release: Option<u64>) -> LeaseRow {
        LeaseRow {
            id: id.to_owned(),
            device_id: "d".to_owned(),
            link_id: "k".to_owned(),
            session: Some(format!("session {id}")),
            epoch,
            release_epoch: release,
            state: "released".to_owned(),
            reason: Some("lease_ended".to_owned()),
            left_as: Some("clean".to_owned()),
        }
    }

    fn audit(action: &str, id: &str) -> AuditRow {
        AuditRow {
            action: action.to_owned(),
            resource_id: id.to_owned(),
            n: 1,
        }
    }

    fn good() -> Rows {
        let device = DeviceRow {
            id: "d".to_owned(),
            name: "one".to_owned(),
            occupancy: "free".to_owned(),
            epoch: 9,
            why: None,
        };
        let fence = Fence {
            epoch: 9,
            stage: "clean".to_owned(),
        };
        let mut audited = Vec::new();
        for id in ["a", "b"] {
            audited.extend(["lease.grant", "lease.end", "lease.release"].map(|action| audit(action, id)));
        }
        Rows {
            devices: vec![device],
            leases: vec![lease("a", 3, Some(4)), lease("b", 8, Some(9))],
            links: vec![LinkRow {
                id: "k".to_owned(),
                max_uses: Some(2),
            }],
            audit: audited,
            fences: HashMap::from([("d".to_owned(), fence)]),
        }
    }

    /// What is found after one thing was broken.
    fn broken(break_it: impl FnOnce(&mut Rows)) -> String {
        let mut rows = good();
        break_it(&mut rows);
        rows.violations().join("; ")
    }

    #[test]
    fn rows_that_tell_one_story_are_left_alone() {
        assert_eq!(good().violations(), [""; 0]);
        assert_eq!(good().forgotten([("session a", 3)].into_iter()), [""; 0]);
    }

    #[test]
    fn leases_beside_or_inside_each_other_are_found() {
        assert!(broken(|rows| rows.leases[1].epoch = 4).contains("inside or below"));
        assert!(broken(|rows| rows.leases[0].release_epoch = Some(3)).contains("raised no epoch"));
        assert!(broken(|rows| rows.devices[0].epoch = 8).contains("is 8 below 9"));
        let two = broken(|rows| {
            for lease in &mut rows.leases {
                lease.state = "active".to_owned();
            }
        });
        assert!(two.contains("2 live leases") && two.contains("given on"), "{two}");
    }

    #[test]
    fn a_device_that_hangs_or_is_quarantined_without_a_reason_is_found() {
        assert!(
            broken(|rows| rows.devices[0].occupancy = "wiping".to_owned()).contains("at rest one is wiping")
        );
        let quarantined = |rows: &mut Rows| {
            rows.devices[0].occupancy = "quarantined".to_owned();
            rows.devices[0].why = Some("wipe_failed".to_owned());
            rows.leases[1].left_as = Some("quarantined".to_owned());
            rows.audit.push(audit("device.quarantine", "d"));
        };
        assert_eq!(broken(quarantined), "");
        let unwritten = broken(|rows| {
            quarantined(rows);
            rows.audit.pop();
        });
        assert!(unwritten.contains("0 audit rows say why"), "{unwritten}");
        let silent = broken(|rows| {
            quarantined(rows);
            rows.devices[0].why = None;
        });
        assert!(silent.contains("nothing says why"), "{silent}");
        let twice = broken(|rows| {
            quarantined(rows);
            rows.leases[0].left_as = Some("quarantined".to_owned());
        });
        assert!(twice.contains("2 leases left one quarantined, and 1"), "{twice}");
    }

    #[test]
    fn a_fence_that_knows_more_or_other_than_the_database_is_found() {
        let fence = |epoch, stage: &str| Fence {
            epoch,
            stage: stage.to_owned(),
        };
        let with = |other: Fence| broken(move |rows| drop(rows.fences.insert("d".to_owned(), other)));
        assert!(with(fence(10, "clean")).contains("above the database"));
        assert!(with(fence(8, "clean")).contains("not clean for its epoch"));
        assert!(with(fence(9, "raised")).contains("not clean for its epoch"));
        assert!(broken(|rows| rows.fences.clear()).contains("no fence"));
    }

    #[test]
    fn a_change_without_its_row_and_a_use_too_many_are_found() {
        assert!(broken(|rows| drop(rows.audit.remove(1))).contains("0 audit rows lease.end"));
        assert!(broken(|rows| rows.audit[0].n = 2).contains("2 audit rows lease.grant"));
        assert!(broken(|rows| rows.links[0].max_uses = Some(1)).contains("gave 2 leases"));
        let refunded = broken(|rows| {
            rows.links[0].max_uses = Some(1);
            rows.leases[0].reason = Some("setup_failed".to_owned());
        });
        assert_eq!(refunded, "");
        assert!(broken(|rows| rows.leases[0].session = None).contains("without a session"));
    }

    #[test]
    fn a_session_that_was_acknowledged_and_lost_is_found() {
        assert_eq!(
            good()
                .forgotten([("session a", 4), ("session c", 3)].into_iter())
                .len(),
            2
        );
    }
}
