//! Retention: rows of what is long over and nobody asks for any more are deleted, a few at a time.
//!
//! ```text
//!   connection   closed    ── KEPT ──► deleted          unless its link lives
//!   lease        released  ── KEPT ──► deleted          unless its link lives, it is the newest of its device,
//!                                                       or something still stands under it; its session goes with it
//!   sign-in      refused   ── KEPT ──► deleted          others stay in the audit log
//! ```
//!
//! A lease is what tells a repeated request that it was granted already, as long as somebody has the link. The newest one
//! of a device says under which epoch it was held last and how it was left: an agent that comes back with its fence is
//! compared with that. A link lives that is neither revoked nor deleted, nor expired for as long as rows are kept: it may
//! be extended.
//!
//! A batch looks at a bounded piece of what is old, in the order of time, so that old rows which stay are passed over
//! once in a pass and not with every batch. It does not know when a pass begins (`jobs/sweep.rs`).

use std::time::Duration;

use super::statement::{args, statements};
use super::{Store, StoreError};
use crate::domain::time::UnixMs;

/// How long rows are kept after what they tell of is over. Whoever has to answer for a day in the past month finds it.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
const _: () = assert!(
    KEPT.as_secs() >= 24 * 3600,
    "what happened today is never deleted"
);
/// Rows in a batch, each kind: some milliseconds in which nobody else writes.
const BATCH: u32 = 100;

/// Whether a link is over for good.
macro_rules! dead_link {
    () => {
        "EXISTS (SELECT 1 FROM links k WHERE k.id = l.link_id
             AND (k.state = 'revoked' OR k.state = 'deleted' OR k.expires_at < $3))"
    };
}

/// Leases released after `$1` until `$2` that may go; `$3` is how far back everything is kept.
macro_rules! old_leases {
    () => {
        concat!(
            "SELECT l.id FROM leases l
             WHERE l.state = 'released' AND l.released_at > $1 AND l.released_at <= $2 AND l.released_at < $3
             AND EXISTS (SELECT 1 FROM leases n WHERE n.device_id = l.device_id AND n.epoch > l.epoch)
             AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.lease_id = l.id)
             AND NOT EXISTS (SELECT 1 FROM viewer_tokens t WHERE t.lease_id = l.id) AND ",
            dead_link!()
        )
    };
}

statements! {
    CLOSED_PAGE(Number, Number, Number)
        "SELECT MAX(p.closed_at) AS last FROM (SELECT closed_at FROM connections
         WHERE state = 'closed' AND closed_at > $1 AND closed_at < $2 ORDER BY closed_at LIMIT $3) p";
    DROP_CONNECTIONS(Number, Number, Number)
        concat!(
            "DELETE FROM connections WHERE id IN (SELECT c.id FROM connections c JOIN leases l ON l.id = c.lease_id
             WHERE c.state = 'closed' AND c.closed_at > $1 AND c.closed_at <= $2 AND l.state = 'released' AND ",
            dead_link!(), ")");
    RELEASED_PAGE(Number, Number, Number)
        "SELECT MAX(p.released_at) AS last FROM (SELECT released_at FROM leases
         WHERE state = 'released' AND released_at > $1 AND released_at < $2 ORDER BY released_at LIMIT $3) p";
    DROP_SESSIONS(Number, Number, Number)
        concat!("DELETE FROM sessions WHERE lease_id IN (", old_leases!(), ")");
    DROP_LEASES(Number, Number, Number)
        concat!("DELETE FROM leases WHERE id IN (", old_leases!(), ")");
    DROP_REFUSED(Number, Number)
        "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log
         WHERE action = 'auth.login' AND result = 'refused' AND at < $1 ORDER BY at LIMIT $2)";
}

/// A pass over everything that is old: how far it has come. A new one begins at the beginning of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Connections that were closed after this are next.
    Connections(UnixMs),
    /// Leases that were released after this are next.
    Leases(UnixMs),
    /// Refused sign-ins are next.
    Refused,
    /// It is through.
    Over,
}

impl Default for Pass {
    fn default() -> Self {
        Self::Connections(UnixMs(i64::MIN))
    }
}

impl Store {
    /// Deletes what may go of the next few old rows, and gives how far the pass has come then.
    pub(crate) async fn forget_a_batch(&self, pass: Pass, now: UnixMs) -> Result<Pass, StoreError> {
        let oldest = UnixMs(now.0.saturating_sub(KEPT.as_millis() as i64));
        Ok(match pass {
            Pass::Connections(after) => {
                let page = args![after, oldest, BATCH];
                let page = self.read.one(&CLOSED_PAGE, page).await?;
                match page.maybe_time("last")? {
                    Some(last) => {
                        let batch = args![after, last, oldest];
                        self.write.run(&DROP_CONNECTIONS, batch).await?;
                        Pass::Connections(last)
                    }
                    None => Pass::Leases(UnixMs(i64::MIN)),
                }
            }
            Pass::Leases(after) => {
                let page = args![after, oldest, BATCH];
                let page = self.read.one(&RELEASED_PAGE, page).await?;
                match page.maybe_time("last")? {
                    Some(last) => {
                        self.forget_leases(after, last, oldest).await?;
                        Pass::Leases(last)
                    }
                    None => Pass::Refused,
                }
            }
            Pass::Refused => {
                let dropped = self.write.run(&DROP_REFUSED, args![oldest, BATCH]).await?;
                if dropped < u64::from(BATCH) {
                    Pass::Over
                } else {
                    Pass::Refused
                }
            }
            Pass::Over => Pass::Over,
        })
    }

    /// No lease without its session in between.
    async fn forget_leases(&self, after: UnixMs, last: UnixMs, oldest: UnixMs) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.run(&DROP_SESSIONS, args![after, last, oldest]).await?;
        tx.run(&DROP_LEASES, args![after, last, oldest]).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;
    use crate::domain::lease::Event;
    use crate::rig::{Rig, START, after, on_both};
    use crate::store::audit::Actor;
    use protocol::CloseReason;

    on_both![
        only_what_is_long_over_is_deleted,
        however_much_is_old_a_batch_is_small_and_all_of_it_goes,
    ];

    /// When everything here is looked at, and something that is just old enough, or is not.
    const OLD: UnixMs = UnixMs(START.0 + 10_000);
    const YOUNG: UnixMs = UnixMs(START.0 + 20_000);

    fn now() -> UnixMs {
        UnixMs(START.0 + 15_000).plus(KEPT)
    }

    /// A lease that is over, whose link is over as well; every other row is a copy of it.
    async fn over(rig: &Rig) -> String {
        let link = rig.link("t", None, None).await;
        let lease = rig.granted("t", "a", after(1)).await.lease;
        for event in [Event::End(CloseReason::LinkRevoked), Event::Cleaned] {
            let stepped = rig.app.store.step(lease, event, &Actor::SYSTEM, after(2)).await;
            assert!(stepped.unwrap().is_some());
        }
        let revoked = format!("UPDATE links SET state = 'revoked' WHERE id = '{}'", link.id);
        rig.app.store.run(revoked).await.unwrap();
        lease.to_string()
    }

    /// A lease of another epoch, of this link or the first one's.
    fn lease(sql: &mut String, name: &str, epoch: i64, link: Option<&str>, released: UnixMs) {
        let link = link.map_or("link_id".to_owned(), |link| format!("'{link}'"));
        write!(
            sql,
            "INSERT INTO leases (id, device_id, link_id, epoch, state, reason, binding_hash, acquired_at, released_at)
             SELECT '{name}', device_id, {link}, {epoch}, 'released', reason, binding_hash, acquired_at, {released}
             FROM leases WHERE epoch = 1;
             INSERT INTO sessions (id, lease_id, state, created_at) VALUES ('of {name}', '{name}', 'terminated', 1);",
            released = released.0,
        )
        .unwrap();
    }

    fn connection(sql: &mut String, name: &str, lease: &str, closed: UnixMs) {
        write!(
            sql,
            "INSERT INTO connections (id, lease_id, owner_hash, role, state, opened_at, closed_at)
             SELECT '{name}', id, binding_hash, 'controller', 'closed', 1, {} FROM leases WHERE id = '{lease}';",
            closed.0
        )
        .unwrap();
    }

    const LEASES: &str = "SELECT id FROM leases";
    const SESSIONS: &str = "SELECT id FROM sessions";
    const CONNECTIONS: &str = "SELECT id FROM connections";

    async fn ids(rig: &Rig, of: &'static str) -> BTreeSet<String> {
        let rows = rig.app.store.rows(of).await.unwrap();
        rows.iter().map(|row| row.text("id").unwrap()).collect()
    }

    async fn passes(rig: &Rig) {
        let mut pass = Pass::default();
        while pass != Pass::Over {
            pass = rig.app.store.forget_a_batch(pass, now()).await.unwrap();
        }
    }

    async fn only_what_is_long_over_is_deleted(rig: Rig) {
        let newest = over(&rig).await;
        let alive = rig.link("u", None, None).await.id.to_string();
        let expired = rig.link("v", Some(OLD), None).await.id.to_string();
        let mut sql = format!("UPDATE leases SET released_at = {};", OLD.0);
        lease(&mut sql, "old", -1, None, OLD);
        lease(&mut sql, "young", -2, None, YOUNG);
        lease(&mut sql, "of a link that lives", -3, Some(&alive), OLD);
        lease(&mut sql, "of a link that expired", -4, Some(&expired), OLD);
        lease(&mut sql, "with a young connection", -5, None, OLD);
        connection(&mut sql, "closed long ago", "old", OLD);
        connection(&mut sql, "of the living", "of a link that lives", OLD);
        connection(&mut sql, "just closed", "with a young connection", YOUNG);
        for (at, result) in [(OLD, "refused"), (YOUNG, "refused"), (OLD, "ok")] {
            write!(
                sql,
                "INSERT INTO audit_log (at, actor_kind, action, resource_type, resource_id, result, request_id)
                 VALUES ({}, 'user', 'auth.login', 'user', 'somebody', '{result}', 'r');",
                at.0
            )
            .unwrap();
        }
        rig.app.store.run(sql).await.unwrap();
        passes(&rig).await;

        let stay = [
            "of a link that lives",
            "with a young connection",
            "young",
            &newest,
        ];
        assert_eq!(ids(&rig, LEASES).await, stay.map(str::to_owned).into());
        assert_eq!(ids(&rig, SESSIONS).await.len(), stay.len());
        let stay = ["just closed", "of the living"].map(str::to_owned);
        assert_eq!(ids(&rig, CONNECTIONS).await, stay.into());
        let logins = "SELECT result FROM audit_log WHERE action = 'auth.login' ORDER BY at DESC, result";
        let logins = rig.app.store.rows(logins).await.unwrap();
        let logins: Vec<String> = logins.iter().map(|row| row.text("result").unwrap()).collect();
        assert_eq!(logins, ["refused", "ok"]);
    }

    async fn however_much_is_old_a_batch_is_small_and_all_of_it_goes(rig: Rig) {
        let newest = over(&rig).await;
        let many = i64::from(2 * BATCH + 1);
        let mut sql = String::new();
        for at in 1..=many {
            lease(
                &mut sql,
                &format!("lease {at}"),
                -at,
                None,
                UnixMs(OLD.0 - many + at),
            );
        }
        rig.app.store.run(sql).await.unwrap();
        let (mut pass, mut left) = (Pass::default(), ids(&rig, LEASES).await.len());
        while pass != Pass::Over {
            pass = rig.app.store.forget_a_batch(pass, now()).await.unwrap();
            let now = ids(&rig, LEASES).await.len();
            assert!(left - now <= BATCH as usize, "{} at once", left - now);
            left = now;
        }
        assert_eq!(ids(&rig, LEASES).await, BTreeSet::from([newest]));
    }
}
