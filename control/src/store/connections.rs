//! Viewer connections, and what an agent's word about them means for a lease.
//!
//! ```text
//!   an agent's word, an offer's end ──► row ──► domain::connection ──► row ──► is a controller there? ──► the lease
//!                                        └─ none that lives: a stray, which its agent is told to close
//! ```

use std::collections::HashMap;

use protocol::agent::{CloseConnection, ConnectionEvent, ConnectionState, Hello, LiveConnection, Role};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, HostId, LeaseId};
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::batch::Verdict;
use super::devices::note_facts;
use super::leases::{by_lease, live_of_host, step_in};
use super::row::Row;
use super::statement::{args, statements};
use super::{Store, StoreError, Write};
use crate::domain::connection;
use crate::domain::lease::{Event, State};
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::secret::Hash;

statements! {
    LIVE_CONNECTIONS(Text)
        "SELECT c.id, c.state, c.close_reason, c.owner_hash, c.role, CAST(CASE WHEN t.user_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS by_operator
         FROM connections c LEFT JOIN viewer_tokens t ON t.token_hash = c.owner_hash
         WHERE c.lease_id = $1 AND c.state <> 'closed' ORDER BY c.id";
    OPEN(Text, Text, Bytes, Text, Number)
        "INSERT INTO connections (id, lease_id, owner_hash, role, state, opened_at) VALUES ($1, $2, $3, $4, 'new', $5)";
    SET_ETAG(Text, Text) "UPDATE connections SET etag = $1 WHERE id = $2";
    CONNECTION(Text) "SELECT id, state, close_reason FROM connections WHERE id = $1";
    ETAG(Text, Text, Bytes)
        "SELECT etag FROM connections WHERE id = $1 AND lease_id = $2 AND owner_hash = $3 AND state <> 'closed'";
    IS_LIVE(Text, Text, Bytes)
        "SELECT CAST(CASE WHEN state = 'closed' THEN 0 ELSE 1 END AS BIGINT) AS live
         FROM connections WHERE id = $1 AND lease_id = $2 AND owner_hash = $3";
    LEASE_OF(Text, Number, Text, Text)
        "SELECT c.id, c.state, c.close_reason, c.lease_id
         FROM connections c JOIN leases l ON l.id = c.lease_id JOIN devices d ON d.id = l.device_id
         WHERE c.id = $1 AND c.state <> 'closed' AND l.epoch = $2 AND d.id = $3 AND d.host_id = $4";
    OF_HOST(Text)
        "SELECT c.id, c.state, c.close_reason, l.epoch, l.device_id
         FROM connections c JOIN leases l ON l.id = c.lease_id JOIN devices d ON d.id = l.device_id
         WHERE d.host_id = $1 AND c.state <> 'closed'";
    /// Of hosts that nobody is linked to.
    UNHEARD()
        "SELECT c.id, c.state, c.close_reason
         FROM connections c JOIN leases l ON l.id = c.lease_id JOIN devices d ON d.id = l.device_id
         WHERE c.state <> 'closed' AND c.state = 'connected' AND l.state <> 'released'
         AND NOT EXISTS (SELECT 1 FROM host_links h WHERE h.host_id = d.host_id)";
    CONTROLLERS(Text)
        "SELECT id, state, close_reason FROM connections
         WHERE lease_id = $1 AND state <> 'closed' AND role = 'controller'";
    SET_STATE(Text, Number, Number, Text, Text)
        "UPDATE connections SET state = $1, connected_at = COALESCE(connected_at, $2), closed_at = $3, close_reason = $4
         WHERE id = $5";
}

/// A viewer who was let in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    /// The lease that it may attach to.
    pub lease: LeaseId,
    /// Hash of its cookie or token.
    pub hash: Hash,
    /// What it may do.
    pub role: Role,
    /// The operator who looks in; none for the holder and whomever the holder lets watch.
    pub operator: Option<Uuid>,
}

/// What an agent's word about a connection came to.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is moved once and kept nowhere")]
pub(crate) enum Noted {
    /// It is noted, or was no news. The session, if its lease changed.
    Known(Option<Session>),
    /// No such connection lives; it is to be closed for this reason.
    Stray(CloseReason),
}

/// What a host's Hello came to.
#[derive(Debug)]
pub(crate) struct Adopted {
    /// Every session whose lease is not released, after what followed from the Hello.
    pub live: Vec<Session>,
    /// Connections that the host has and that do not live here.
    pub strays: Vec<CloseConnection>,
}

/// A connection that may be negotiated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// Its id.
    pub id: ConnectionId,
    /// Older connections of the same viewer, which it replaces.
    pub replaced: Vec<ConnectionId>,
}

impl Store {
    /// Makes a connection for an offer. None when the lease is over or has too many viewers of this kind: the holder,
    /// those whom he lets watch, and operators who look in are counted apart, so that none takes another one's place.
    /// Whoever only watches is written down.
    pub(crate) async fn open_connection(
        &self,
        owner: Owner,
        connections_max: u32,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Option<Opened>, StoreError> {
        let mut tx = self.begin().await?;
        let held = by_lease(&mut tx, owner.lease)
            .await?
            .is_some_and(|session| session.state.is_held());
        let rows = tx.all(&LIVE_CONNECTIONS, args![owner.lease]).await?;
        let (mut replaced, mut others) = (Vec::new(), 0);
        for row in &rows {
            if row.hash("owner_hash")? == owner.hash {
                step(&mut tx, row, connection::Event::Over(CloseReason::Replaced), now).await?;
                replaced.push(row.parsed("id")?);
            } else if row.truth("by_operator")? == owner.operator.is_some()
                && row.text("role")? == role_name(owner.role)
            {
                others += 1;
            }
        }
        if !held || others >= connections_max {
            return Ok(None);
        }
        let id = ConnectionId::from_uuid(Uuid::now_v7());
        let values = args![id, owner.lease, owner.hash, role_name(owner.role), now];
        tx.run(&OPEN, values).await?;
        if owner.role == Role::Observer {
            let deed = Deed {
                action: "connection.observe",
                resource: "connection",
                id: &id.to_string(),
                result: "ok",
            };
            audit::record(&mut tx, actor, deed, now).await?;
        }
        tx.commit().await?;
        Ok(Some(Opened { id, replaced }))
    }

    /// Notes that the agent answered an offer, with its ICE session. Why not, if the connection is over by now: it was
    /// replaced, its lease ended, or its host said Hello without it.
    pub(crate) async fn answered(
        &self,
        id: ConnectionId,
        etag: &str,
        now: UnixMs,
    ) -> Result<Result<(), CloseReason>, StoreError> {
        let mut tx = self.begin().await?;
        let row = tx.maybe(&CONNECTION, args![id]).await?;
        let Some(row) = row.filter(|row| state(row).is_ok_and(|state| state.reason().is_none())) else {
            return Ok(Err(over_for(&mut tx, id).await?));
        };
        step(&mut tx, &row, connection::Event::Answered, now).await?;
        tx.run(&SET_ETAG, args![etag, id]).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Notes the new ICE session of a connection.
    pub(crate) async fn set_etag(&self, id: ConnectionId, etag: &str) -> Result<(), StoreError> {
        self.write.run(&SET_ETAG, args![etag, id]).await?;
        Ok(())
    }

    /// The ICE session of a live connection of this owner.
    pub(crate) async fn etag(&self, id: ConnectionId, owner: Owner) -> Result<Option<String>, StoreError> {
        let values = args![id, owner.lease, owner.hash];
        let row = self.read.maybe(&ETAG, values).await?;
        row.map_or(Ok(None), |row| row.maybe_text("etag"))
    }

    /// Whether a connection of this owner is still there; none if he never had it.
    pub(crate) async fn is_live(&self, id: ConnectionId, owner: Owner) -> Result<Option<bool>, StoreError> {
        let row = self
            .read
            .maybe(&IS_LIVE, args![id, owner.lease, owner.hash])
            .await?;
        row.map(|row| row.truth("live")).transpose()
    }

    /// Notes that an offer came to nothing. Returns the session if its lease changed: the connection that
    /// the offer was to replace is closed, so its holder may be gone.
    pub(crate) async fn drop_connection(
        &self,
        id: ConnectionId,
        lease: LeaseId,
        now: UnixMs,
    ) -> Result<Option<Session>, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(row) = tx.maybe(&CONNECTION, args![id]).await? {
            step(&mut tx, &row, connection::Event::Over(CloseReason::Error), now).await?;
        }
        let stepped = attend(&mut tx, lease, now).await?;
        tx.commit().await?;
        Ok(stepped)
    }

    /// Notes what an agent says about a connection.
    pub(crate) async fn connection_changed(
        &self,
        host: HostId,
        event: &ConnectionEvent,
        now: UnixMs,
    ) -> Result<Noted, StoreError> {
        let mut tx = self.begin().await?;
        let values = args![event.connection, event.epoch, event.device, host];
        let Some(row) = tx.maybe(&LEASE_OF, values).await? else {
            return Ok(match event.state {
                ConnectionState::Connected => Noted::Stray(over_for(&mut tx, event.connection).await?),
                ConnectionState::Closed { .. } => Noted::Known(None),
            });
        };
        let event = match event.state {
            ConnectionState::Connected => connection::Event::Up,
            ConnectionState::Closed { reason } => connection::Event::Over(reason),
        };
        step(&mut tx, &row, event, now).await?;
        let stepped = attend(&mut tx, row.parsed("lease_id")?, now).await?;
        tx.commit().await?;
        Ok(Noted::Known(stepped))
    }

    /// Takes over what a host says when its link comes up: facts, fences, connections.
    pub(crate) async fn adopt(
        &self,
        host: HostId,
        hello: &Hello,
        now: UnixMs,
    ) -> Result<Adopted, StoreError> {
        let mut tx = self.begin().await?;
        note_facts(&mut tx, host, &hello.devices, now).await?;
        let strays = adopt_connections(&mut tx, host, &hello.connections, now).await?;
        let fences: HashMap<_, Epoch> = hello.devices.iter().map(|fact| (fact.id, fact.fence)).collect();
        for session in live_of_host(&mut tx, host).await? {
            let overtaken = fences
                .get(&session.device)
                .is_some_and(|fence| *fence > session.epoch);
            if overtaken && session.state.is_held() {
                let end = Event::End(CloseReason::HostLost);
                step_in(&mut tx, session.lease, end, &Actor::SYSTEM, now).await?;
            } else {
                attend(&mut tx, session.lease, now).await?;
            }
        }
        let live = live_of_host(&mut tx, host).await?;
        tx.commit().await?;
        Ok(Adopted { live, strays })
    }

    /// Notes that a device is ready. One transaction, so that a connection that comes up meanwhile is
    /// either seen here or sees the result.
    pub(crate) async fn prepared(&self, lease: LeaseId, now: UnixMs) -> Result<Option<Session>, StoreError> {
        self.together(move |tx| {
            Box::pin(async move {
                let attended = is_attended(tx, lease).await?;
                let event = Event::Prepared { attended };
                Ok(Verdict::Keep(
                    step_in(tx, lease, event, &Actor::SYSTEM, now).await?,
                ))
            })
        })
        .await
    }
}

/// Moves a lease between active and grace as its controllers come and go.
async fn attend(tx: &mut Write, lease: LeaseId, now: UnixMs) -> Result<Option<Session>, StoreError> {
    let state = by_lease(tx, lease).await?.map(|session| session.state);
    let event = match (state, is_attended(tx, lease).await?) {
        (Some(State::Grace { .. }), true) => Event::Attended,
        (Some(State::Active), false) => Event::Unattended,
        _ => return Ok(None),
    };
    step_in(tx, lease, event, &Actor::SYSTEM, now).await
}

async fn is_attended(tx: &mut Write, lease: LeaseId) -> Result<bool, StoreError> {
    for row in tx.all(&CONTROLLERS, args![lease]).await? {
        if state(&row)?.is_there() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A host says which connections it has. What it has and what does not live here is a stray.
async fn adopt_connections(
    tx: &mut Write,
    host: HostId,
    listed: &[LiveConnection],
    now: UnixMs,
) -> Result<Vec<CloseConnection>, StoreError> {
    let mut unknown: HashMap<_, _> = listed.iter().map(|live| (live.connection, live)).collect();
    for row in &tx.all(&OF_HOST, args![host]).await? {
        let id = row.parsed("id")?;
        let of = (row.parsed::<DeviceId>("device_id")?, Epoch(row.number("epoch")?));
        let event = match unknown.get(&id).filter(|live| (live.device, live.epoch) == of) {
            Some(live) => {
                let connected = live.connected;
                unknown.remove(&id);
                connected.then_some(connection::Event::Up)
            }
            None => Some(connection::Event::Over(CloseReason::HostLost)),
        };
        // What is still coming up is left alone.
        if let Some(event) = event {
            step(tx, row, event, now).await?;
        }
    }
    let mut strays = Vec::with_capacity(unknown.len());
    for live in listed
        .iter()
        .filter(|live| unknown.contains_key(&live.connection))
    {
        strays.push(CloseConnection {
            connection: live.connection,
            device: live.device,
            epoch: live.epoch,
            reason: over_for(tx, live.connection).await?,
        });
    }
    Ok(strays)
}

/// Nobody is linked to some hosts: whether their connections are still up is not known.
pub(super) async fn unheard(tx: &mut Write) -> Result<(), StoreError> {
    for row in &tx.all(&UNHEARD, []).await? {
        // It begins and ends nothing, so no time of it is noted.
        step(tx, row, connection::Event::Unheard, UnixMs(0)).await?;
    }
    Ok(())
}

/// Why a connection that does not live is over: as it is written, or its lease is not known here any more.
async fn over_for(tx: &mut Write, id: ConnectionId) -> Result<CloseReason, StoreError> {
    let row = tx.maybe(&CONNECTION, args![id]).await?;
    let state = row.as_ref().map(state).transpose()?;
    Ok(state
        .and_then(connection::State::reason)
        .unwrap_or(CloseReason::LeaseEnded))
}

/// Applies one event to a connection; `row` has its id, state and reason.
pub(super) async fn step(
    tx: &mut Write,
    row: &Row,
    event: connection::Event,
    now: UnixMs,
) -> Result<(), StoreError> {
    let Some(after) = state(row)?.after(event) else {
        return Ok(());
    };
    let connected = (after == connection::State::Connected).then_some(now);
    let reason = after.reason();
    let closed = reason.and(Some(now));
    let id: ConnectionId = row.parsed("id")?;
    let values = args![
        after.as_str(),
        connected,
        closed,
        reason.map(CloseReason::as_str),
        id
    ];
    tx.run(&SET_STATE, values).await?;
    Ok(())
}

fn state(row: &Row) -> Result<connection::State, StoreError> {
    Ok(match row.text("state")?.as_str() {
        "new" => connection::State::New,
        "negotiating" => connection::State::Negotiating,
        "connected" => connection::State::Connected,
        "reconnecting" => connection::State::Reconnecting,
        "closed" => {
            let text = row.maybe_text("close_reason")?;
            let mut known = CloseReason::ALL.iter().copied();
            let reason = known.find(|reason| text.as_deref() == Some(reason.as_str()));
            connection::State::Closed {
                reason: reason.ok_or(StoreError::Damaged("connections.close_reason"))?,
            }
        }
        _ => return Err(StoreError::Damaged("connections.state")),
    })
}

pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Controller => "controller",
        Role::Observer => "observer",
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
