//! Controls that share this database: who is there, who has which host's link, and what they ask of one another.
//!
//! ```text
//!   replicas    a row for each, written every few seconds; one that is gone is forgotten, and its links with it
//!   host_links  the one replica whose link to a host stands
//!   calls       a question to an agent, from the replica where it came up to the one with the link, and the reply
//! ```
//!
//! On SQLite there is one, and its row only carries its links. Who is gone is `others`; `seen_at` is compared with a
//! clock only at a start, and what that takes away wrongly is put back within seconds (`presence`). What is told at once
//! is in `feed`; what follows from it is not known here.

use std::collections::HashSet;
use std::time::Duration;

use protocol::agent::{Reply, Request};
use protocol::{HostId, LeaseId};
use signaling::link::token::Fingerprint;
use uuid::Uuid;

use super::connections::unheard;
use super::leases::{session, session_where};
use super::statement::{args, statements};
use super::{Store, StoreError};
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::line::Look;
use crate::others::GONE_AFTER;

/// A call that nobody took away is forgotten after this; the longest deadline is half of it.
const CALL_KEPT: Duration = Duration::from_secs(60);

statements! {
    SEEN(Text, Bytes, Number)
        "INSERT INTO replicas (id, authority, seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";
    LOOKED(Text, Bytes, Number, Number)
        "INSERT INTO replicas (id, authority, looks, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET looks = excluded.looks, seen_at = excluded.seen_at";
    LOOKS(Text) "SELECT looks FROM replicas WHERE id = $1";
    OTHER_AUTHORITY(Bytes) "SELECT id FROM replicas WHERE authority <> $1 LIMIT 1";
    OTHERS(Text) "SELECT id, seen_at FROM replicas WHERE id <> $1";
    FORGET_OLD(Text, Number) "DELETE FROM replicas WHERE id <> $1 AND seen_at < $2";
    FORGET_SILENT(Text, Number) "DELETE FROM replicas WHERE id = $1 AND seen_at = $2";
    FORGET_REPLICA(Text) "DELETE FROM replicas WHERE id = $1";
    LINK_HOST(Text, Text)
        "INSERT INTO host_links (host_id, replica_id) VALUES ($1, $2)
         ON CONFLICT (host_id) DO UPDATE SET replica_id = excluded.replica_id";
    KEEP_LINK(Text, Text)
        "INSERT INTO host_links (host_id, replica_id) VALUES ($1, $2) ON CONFLICT (host_id) DO NOTHING";
    UNLINK_HOST(Text, Text) "DELETE FROM host_links WHERE host_id = $1 AND replica_id = $2";
    LINKS_OF(Text) "SELECT host_id FROM host_links WHERE replica_id = $1";
    UNLINKED()
        "SELECT id FROM devices WHERE health <> 'offline'
         AND NOT EXISTS (SELECT 1 FROM host_links h WHERE h.host_id = devices.host_id) LIMIT 1";
    UNLINKED_ARE_OFFLINE()
        "UPDATE devices SET health = 'offline' WHERE health <> 'offline'
         AND NOT EXISTS (SELECT 1 FROM host_links h WHERE h.host_id = devices.host_id)";
    LINKED_ELSEWHERE(Text) "SELECT host_id FROM host_links WHERE replica_id <> $1";
    LINKED_TO(Text, Text) "SELECT replica_id FROM host_links WHERE host_id = $1 AND replica_id <> $2";
    ADD_CALL(Text, Text, Text, Number, Number)
        "INSERT INTO calls (id, host_id, request, deadline_ms, asked_at) VALUES ($1, $2, $3, $4, $5)";
    CALL(Text) "SELECT request, deadline_ms FROM calls WHERE id = $1 AND reply IS NULL";
    OPEN_CALLS(Text)
        "SELECT calls.id, calls.host_id FROM calls JOIN host_links h ON h.host_id = calls.host_id
         WHERE h.replica_id = $1 AND calls.reply IS NULL";
    ANSWER_CALL(Text, Text) "UPDATE calls SET reply = $1 WHERE id = $2 AND reply IS NULL";
    TAKE_CALL(Text) "DELETE FROM calls WHERE id = $1 RETURNING reply";
    FORGET_CALLS(Number) "DELETE FROM calls WHERE asked_at < $1";
    OF_LEASE(Text) session_where!("l.id = $1");
    LIVE() session_where!("l.state <> 'released'");
}

impl Store {
    /// Notes that this replica starts. Those that by its clock were silent for long are forgotten; on SQLite all,
    /// since nobody else has the file.
    pub(crate) async fn replica_starts(
        &self,
        replica: Uuid,
        authority: Fingerprint,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let silent = GONE_AFTER.as_millis() as i64;
        let oldest = if self.is_shared() {
            now.0 - silent
        } else {
            i64::MAX
        };
        let mut tx = self.begin().await?;
        tx.run(&SEEN, args![replica, authority, now]).await?;
        tx.run(&FORGET_OLD, args![replica, oldest]).await?;
        tx.commit().await
    }

    /// Notes that this replica is there, and looks around. What the others wrote last.
    pub(crate) async fn replica_looked(
        &self,
        replica: Uuid,
        authority: Fingerprint,
        look: Look,
        now: UnixMs,
    ) -> Result<Vec<(Uuid, UnixMs)>, StoreError> {
        let line = args![replica, authority, look.0, now];
        self.write.run(&LOOKED, line).await?;
        let old = UnixMs(now.0 - CALL_KEPT.as_millis() as i64);
        self.write.run(&FORGET_CALLS, args![old]).await?;
        let rows = self.read.all(&OTHERS, args![replica]).await?;
        rows.iter()
            .map(|row| Ok((row.parsed("id")?, row.time("seen_at")?)))
            .collect()
    }

    /// The last look that a replica noted, as the database has it.
    pub(crate) async fn replica_looks(&self, replica: Uuid) -> Result<Option<Look>, StoreError> {
        let row = self.read.maybe(&LOOKS, args![replica]).await?;
        row.map(|row| row.number("looks").map(Look)).transpose()
    }

    /// Forgets a replica and its links, unless it wrote since. Whether it did.
    pub(crate) async fn forget_silent(&self, replica: Uuid, wrote: UnixMs) -> Result<bool, StoreError> {
        Ok(self.write.run(&FORGET_SILENT, args![replica, wrote]).await? == 1)
    }

    /// Whether a replica that is there has another certificate authority than this one.
    pub(crate) async fn has_other_authority(&self, authority: Fingerprint) -> Result<bool, StoreError> {
        Ok(self
            .read
            .maybe(&OTHER_AUTHORITY, args![authority])
            .await?
            .is_some())
    }

    /// A replica stops: its links are gone.
    pub(crate) async fn replica_leaves(&self, replica: Uuid) -> Result<(), StoreError> {
        self.write.run(&FORGET_REPLICA, args![replica]).await?;
        Ok(())
    }

    /// This replica has the host's link now, and is there: it may have been taken for gone.
    pub(crate) async fn link_host(
        &self,
        host: HostId,
        replica: Uuid,
        authority: Fingerprint,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.run(&SEEN, args![replica, authority, now]).await?;
        tx.run(&LINK_HOST, args![host, replica]).await?;
        tx.commit().await
    }

    /// This replica has the host's link, unless another one says so too, and is there. True when nobody said so.
    pub(crate) async fn keep_link(
        &self,
        host: HostId,
        replica: Uuid,
        authority: Fingerprint,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        tx.run(&SEEN, args![replica, authority, now]).await?;
        let kept = tx.run(&KEEP_LINK, args![host, replica]).await? == 1;
        tx.commit().await?;
        Ok(kept)
    }

    /// This replica's link to the host is gone: its devices are out of reach, unless another one has it by now.
    pub(crate) async fn host_lost(&self, host: HostId, replica: Uuid) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.run(&UNLINK_HOST, args![host, replica]).await?;
        tx.run(&UNLINKED_ARE_OFFLINE, []).await?;
        unheard(&mut tx).await?;
        tx.commit().await
    }

    /// Devices of hosts that nobody is linked to are out of reach.
    pub(crate) async fn unlinked_are_offline(&self) -> Result<(), StoreError> {
        if self.read.maybe(&UNLINKED, []).await?.is_none() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        tx.run(&UNLINKED_ARE_OFFLINE, []).await?;
        unheard(&mut tx).await?;
        tx.commit().await
    }

    /// Hosts whose link this replica has, by its rows.
    pub(crate) async fn links_of(&self, replica: Uuid) -> Result<HashSet<HostId>, StoreError> {
        let rows = self.read.all(&LINKS_OF, args![replica]).await?;
        rows.iter().map(|row| row.parsed("host_id")).collect()
    }

    /// Hosts whose link another replica has.
    pub(crate) async fn linked_elsewhere(&self, replica: Uuid) -> Result<HashSet<HostId>, StoreError> {
        let rows = self.read.all(&LINKED_ELSEWHERE, args![replica]).await?;
        rows.iter().map(|row| row.parsed("host_id")).collect()
    }

    /// The other replica that has the host's link.
    pub(crate) async fn linked_to(&self, host: HostId, replica: Uuid) -> Result<Option<Uuid>, StoreError> {
        let row = self.read.maybe(&LINKED_TO, args![host, replica]).await?;
        row.map(|row| row.parsed("replica_id")).transpose()
    }

    /// Asks a host's agent through the replica that has its link. What it says comes as [`super::feed::News::Reply`].
    pub(crate) async fn add_call(
        &self,
        id: Uuid,
        host: HostId,
        request: &Request,
        deadline: Duration,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let request = serde_json::to_string(request).expect("what travels to agents is JSON");
        let deadline_ms = deadline.as_millis() as i64;
        // Not the writers' connections: nobody's turn is needed, and somebody waits for the answer.
        self.read
            .run(&ADD_CALL, args![id, host, request, deadline_ms, now])
            .await?;
        Ok(())
    }

    /// A call that waits for its reply, and how long it may take.
    pub(crate) async fn open_call(&self, id: Uuid) -> Result<Option<(Request, Duration)>, StoreError> {
        let Some(row) = self.read.maybe(&CALL, args![id]).await? else {
            return Ok(None);
        };
        let request =
            serde_json::from_str(&row.text("request")?).map_err(|_| StoreError::Damaged("request"))?;
        Ok(Some((request, Duration::from_millis(row.number("deadline_ms")?))))
    }

    /// Calls to the hosts of this replica that wait for their reply.
    pub(crate) async fn open_calls(&self, replica: Uuid) -> Result<Vec<(Uuid, HostId)>, StoreError> {
        let rows = self.read.all(&OPEN_CALLS, args![replica]).await?;
        rows.iter()
            .map(|row| Ok((row.parsed("id")?, row.parsed("host_id")?)))
            .collect()
    }

    /// Answers a call.
    pub(crate) async fn answer_call(&self, id: Uuid, reply: &Reply) -> Result<(), StoreError> {
        let reply = serde_json::to_string(reply).expect("what travels from agents is JSON");
        self.read.run(&ANSWER_CALL, args![reply, id]).await?;
        Ok(())
    }

    /// Takes a call away, with its reply if there is one.
    pub(crate) async fn take_call(&self, id: Uuid) -> Result<Option<Reply>, StoreError> {
        let Some(row) = self.read.maybe(&TAKE_CALL, args![id]).await? else {
            return Ok(None);
        };
        let reply = row.maybe_text("reply")?;
        reply
            .map(|reply| serde_json::from_str(&reply).map_err(|_| StoreError::Damaged("reply")))
            .transpose()
    }

    /// The session of a lease.
    pub(crate) async fn session_of(&self, lease: LeaseId) -> Result<Option<Session>, StoreError> {
        let row = self.read.maybe(&OF_LEASE, args![lease]).await?;
        row.as_ref().map(session).transpose()
    }

    /// Sessions whose lease is not released.
    pub(crate) async fn live(&self) -> Result<Vec<Session>, StoreError> {
        self.read.all(&LIVE, []).await?.iter().map(session).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::Health;
    use crate::rig::{Rig, START, after};
    use protocol::Epoch;

    #[tokio::test]
    async fn a_replica_that_is_silent_loses_its_hosts_and_nobody_else_does() {
        let rig = Rig::on_postgres().await;
        let (store, key) = (&rig.app.store, Fingerprint::of(b"key"));
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        let health = async || store.device(rig.device).await.unwrap().unwrap().health;
        assert_eq!(
            store.replica_looked(first, key, Look(1), START).await.unwrap(),
            []
        );
        let wrote = store.replica_looked(second, key, Look(1), START).await.unwrap();
        assert_eq!(wrote, [(first, START)]);
        assert!(!store.has_other_authority(key).await.unwrap());
        assert!(
            store
                .has_other_authority(Fingerprint::of(b"other"))
                .await
                .unwrap()
        );
        store.link_host(rig.host, first, key, after(1)).await.unwrap();
        rig.hello(Epoch(0), START).await;

        // Another control starts, or looks around: what is linked elsewhere is not its business.
        store.settle_devices(after(5)).await.unwrap();
        store.unlinked_are_offline().await.unwrap();
        store.host_lost(rig.host, second).await.unwrap();
        assert_eq!(health().await, Health::Healthy);
        assert_eq!(
            store.linked_elsewhere(second).await.unwrap(),
            HashSet::from([rig.host])
        );

        assert!(
            !store.forget_silent(first, START).await.unwrap(),
            "it wrote since"
        );
        assert!(store.forget_silent(first, after(1)).await.unwrap());
        store.unlinked_are_offline().await.unwrap();
        assert_eq!(health().await, Health::Offline);
        assert!(store.linked_elsewhere(second).await.unwrap().is_empty());
        // It was not gone, and a host dials it before it has noticed.
        store.link_host(rig.host, first, key, after(2)).await.unwrap();
        assert_eq!(store.links_of(first).await.unwrap(), HashSet::from([rig.host]));
    }
}
