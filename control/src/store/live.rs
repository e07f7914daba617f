//! Live leases, all of them: what the sweep looks through twice a second.
//!
//! ```text
//!   live leases by device ─► a page ─► rest ─► a page ─► rest ─► … ─► all
//! ```
//!
//! With thousands of leases that is the greatest work that control has, and whoever opens a link meanwhile would wait
//! for a core. So it is read page after page, and between two of them nothing is done for longer than the page took. A
//! page begins after the last device of the one before: a device has one live lease, by constraint. What is read did not
//! all stand so at one moment, as each row did; a lease that stood all the while is in it once. It does not know what is
//! done about them.

use std::time::{Duration, Instant};

use protocol::{HostId, LeaseId};

use super::leases::{legible, session_where};
use super::row::Row;
use super::statement::{Statement, args, statements};
use super::{Store, StoreError};
use crate::domain::session::Session;

/// Leases in a page: a millisecond or two.
const PAGE: u32 = 100;
/// How many times as long as a page took nothing is read after it: two thirds of a core are for others.
const RESTS: u32 = 2;
/// All rests of one reading together; what is left is read without. Looks are half a second apart, and an end within a
/// second is promised for all leases together.
const RESTED_MAX: Duration = Duration::from_millis(200);

statements! {
    HELD(Text, Number)
        session_where!("l.state <> 'released' AND l.state <> 'releasing' AND l.device_id > $1
                        ORDER BY l.device_id LIMIT $2");
    /// Preparing or releasing, said by what it is not: PostgreSQL would take an index by state for each page, read all that
    /// are owed, and sort them.
    OWING(Text, Number)
        "SELECT l.id, l.state, l.device_id AS leased_device, d.host_id FROM leases l JOIN devices d ON d.id = l.device_id
         WHERE l.state <> 'released' AND l.state <> 'active' AND l.state <> 'grace' AND l.device_id > $1
         ORDER BY l.device_id LIMIT $2";
    OWED(Text) session_where!("l.id = $1");
}

/// A lease that asks for something to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owing {
    /// Which.
    pub lease: LeaseId,
    /// Whose agent is to do it.
    pub host: HostId,
    /// Whether the device is to be taken back; otherwise it is to be made ready.
    pub is_releasing: bool,
}

impl Store {
    /// Sessions whose holder still has the device.
    pub(crate) async fn held(&self) -> Result<Vec<Session>, StoreError> {
        let mut held = Vec::new();
        self.leaf(&HELD, |rows| held.extend(legible(rows))).await?;
        held.sort_unstable_by_key(|session| session.lease);
        Ok(held)
    }

    /// Sessions whose device has still to be made ready, or to be cleaned; those that are wanted. What is being done
    /// stands so for seconds: few are, and only those are read as a whole.
    pub(crate) async fn owed(&self, wanted: impl Fn(&Owing) -> bool) -> Result<Vec<Session>, StoreError> {
        let mut owing = Vec::new();
        self.leaf(&OWING, |rows| owing.extend(rows.iter().filter_map(owes)))
            .await?;
        owing.sort_unstable_by_key(|owing| owing.lease);
        let mut owed = Vec::new();
        for owing in owing.iter().filter(|owing| wanted(owing)) {
            let row = self.read.maybe(&OWED, args![owing.lease]).await?;
            owed.extend(legible(row.as_slice()));
        }
        Ok(owed)
    }

    /// Reads all that a statement finds, page after page.
    async fn leaf(
        &self,
        statement: &'static Statement<2>,
        mut page: impl FnMut(&[Row]),
    ) -> Result<(), StoreError> {
        // Before every id.
        let mut after = String::new();
        let mut rested = Duration::ZERO;
        loop {
            let start = Instant::now();
            let rows = self.read.all(statement, args![&after, PAGE]).await?;
            page(&rows);
            match rows.last() {
                Some(last) if rows.len() == PAGE as usize => after = last.text("leased_device")?,
                _ => return Ok(()),
            }
            drop(rows);
            let rest = (start.elapsed() * RESTS).min(RESTED_MAX - rested);
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
                rested += rest;
            }
        }
    }
}

/// What a lease asks for; none for one that is damaged.
fn owes(row: &Row) -> Option<Owing> {
    let read = || {
        Ok::<_, StoreError>(Owing {
            lease: row.parsed("id")?,
            host: row.parsed("host_id")?,
            is_releasing: row.text("state")? == "releasing",
        })
    };
    let damaged =
        |error: &StoreError| tracing::error!(%error, "a lease cannot be read; nobody does what it asks for");
    read().inspect_err(damaged).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use uuid::Uuid;

    use super::*;
    use crate::rig::{Rig, after, on_both};

    on_both![
        every_live_lease_is_read_once_however_many_pages_there_are,
        a_page_is_read_in_the_order_of_the_index_and_nothing_is_sorted,
        of_what_is_owed_only_what_is_wanted_is_read,
    ];

    /// Copies the one lease to new devices, in the state that each is to have.
    async fn copied(rig: &Rig, states: &[&str]) -> Vec<LeaseId> {
        let mut sql = String::new();
        let mut leases = Vec::new();
        for state in states {
            let (device, lease, session) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
            write!(
                sql,
                "INSERT INTO devices (id, host_id, name, serial, model, width, height, lifecycle, health, occupancy, epoch,
                     seen_at)
                 SELECT '{device}', host_id, name, serial, model, width, height, lifecycle, health, occupancy, epoch, seen_at
                 FROM devices WHERE id = '{own}';
                 INSERT INTO leases (id, device_id, link_id, epoch, state, until_at, reason, binding_hash, acquired_at)
                 SELECT '{lease}', '{device}', link_id, epoch, '{state}', until_at, 'link_revoked', binding_hash, acquired_at
                 FROM leases WHERE device_id = '{own}';
                 INSERT INTO sessions (id, lease_id, state, created_at) VALUES ('{session}', '{lease}', 'preparing', 1);",
                own = rig.device,
            )
            .unwrap();
            leases.push(LeaseId::from_uuid(lease));
        }
        rig.app.store.run(sql).await.unwrap();
        leases
    }

    async fn every_live_lease_is_read_once_however_many_pages_there_are(rig: Rig) {
        rig.link("t", None, None).await;
        let first = rig.granted("t", "a", after(1)).await;
        // With the first one exactly two pages, of which the last is full, and then one more.
        for more in [2 * PAGE as usize - 1, 1] {
            copied(&rig, &vec!["preparing"; more]).await;
            let rows = rig.app.store.rows("SELECT id FROM leases").await.unwrap();
            let all: BTreeSet<LeaseId> = rows.iter().map(|row| row.parsed("id").unwrap()).collect();
            assert!(all.contains(&first.lease) && all.len() >= 2 * PAGE as usize);
            let held = rig.app.store.held().await.unwrap();
            let owed = rig.app.store.owed(|_| true).await.unwrap();
            for read in [held, owed] {
                assert_eq!(read.len(), all.len(), "each once");
                assert_eq!(
                    read.iter().map(|session| session.lease).collect::<BTreeSet<_>>(),
                    all
                );
            }
        }
    }

    async fn a_page_is_read_in_the_order_of_the_index_and_nothing_is_sorted(rig: Rig) {
        for (page, explain, sorts) in [
            (HELD.sql, "EXPLAIN QUERY PLAN", "TEMP B-TREE"),
            (OWING.sql, "EXPLAIN QUERY PLAN", "TEMP B-TREE"),
            (HELD.postgres, "EXPLAIN", "Sort"),
            (OWING.postgres, "EXPLAIN", "Sort"),
        ] {
            if (explain == "EXPLAIN") != rig.app.store.is_shared() {
                continue;
            }
            let page = page.replace("$1", "''").replace("$2", "100");
            let plan = rig
                .app
                .store
                .rows(format!("{explain} {page}").leak())
                .await
                .unwrap();
            let lines: Vec<String> = plan.iter().map(told).collect();
            assert!(
                lines
                    .iter()
                    .any(|line| line.contains("leases_one_live_per_device")),
                "{lines:#?}"
            );
            assert!(!lines.iter().any(|line| line.contains(sorts)), "{lines:#?}");
        }
    }

    /// A line of what either database tells of its plan.
    fn told(row: &Row) -> String {
        match row {
            Row::Sqlite(_) => row.text("detail").unwrap(),
            Row::Postgres(_) => row.text("QUERY PLAN").unwrap(),
        }
    }

    async fn of_what_is_owed_only_what_is_wanted_is_read(rig: Rig) {
        rig.link("t", None, None).await;
        let preparing = rig.granted("t", "a", after(1)).await.lease;
        let copies = copied(&rig, &["active", "releasing", "released"]).await;
        let store = &rig.app.store;
        let owed = |sessions: Vec<Session>| sessions.iter().map(|session| session.lease).collect::<Vec<_>>();
        assert_eq!(owed(store.owed(|_| true).await.unwrap()), [preparing, copies[1]]);
        assert_eq!(
            owed(store.owed(|owing| owing.is_releasing).await.unwrap()),
            [copies[1]]
        );
        assert_eq!(
            owed(store.owed(|owing| owing.lease == preparing).await.unwrap()),
            [preparing]
        );
        assert_eq!(
            owed(store.owed(|owing| owing.host != rig.host).await.unwrap()),
            []
        );
        assert_eq!(owed(store.held().await.unwrap()), [preparing, copies[0]]);
    }
}
