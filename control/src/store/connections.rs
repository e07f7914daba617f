//! Viewer connections and viewer tokens, and what an agent's word about them means for a lease.

use std::collections::HashMap;
use std::time::Duration;

use protocol::agent::{ConnectionEvent, ConnectionState, Hello, Role};
use protocol::{CloseReason, ConnectionId, Epoch, HostId, LeaseId};
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::batch::Verdict;
use super::devices::note_facts;
use super::leases::{by_lease, live_of_host, step_in};
use super::statement::{args, statements};
use super::{Store, StoreError, Write};
use crate::domain::lease::{Event, State};
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Viewer tokens of one lease, its holder's and its operators' together; one more is refused.
const VIEWER_TOKENS_MAX: i64 = 64;
/// How long the tokens of a released lease are kept: whoever tidies up after himself late is still known by his.
const VIEWER_TOKENS_KEPT: Duration = Duration::from_secs(3600);

statements! {
    LIVE_CONNECTIONS(Text)
        "SELECT c.id, c.owner_hash, c.role, CAST(CASE WHEN t.user_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS by_operator
         FROM connections c LEFT JOIN viewer_tokens t ON t.token_hash = c.owner_hash
         WHERE c.lease_id = $1 AND c.state <> 'closed' ORDER BY c.id";
    OPEN(Text, Text, Bytes, Text, Number)
        "INSERT INTO connections (id, lease_id, owner_hash, role, state, opened_at) VALUES ($1, $2, $3, $4, 'new', $5)";
    SET_ETAG(Text, Text) "UPDATE connections SET etag = $1 WHERE id = $2";
    ETAG(Text, Text, Bytes)
        "SELECT etag FROM connections WHERE id = $1 AND lease_id = $2 AND owner_hash = $3 AND state <> 'closed'";
    IS_LIVE(Text, Text, Bytes)
        "SELECT CAST(CASE WHEN state = 'closed' THEN 0 ELSE 1 END AS BIGINT) AS live
         FROM connections WHERE id = $1 AND lease_id = $2 AND owner_hash = $3";
    LEASE_OF(Text, Number, Text, Text)
        "SELECT c.lease_id FROM connections c JOIN leases l ON l.id = c.lease_id JOIN devices d ON d.id = l.device_id
         WHERE c.id = $1 AND c.state <> 'closed' AND l.epoch = $2 AND d.id = $3 AND d.host_id = $4";
    OF_HOST(Text)
        "SELECT c.id FROM connections c JOIN leases l ON l.id = c.lease_id JOIN devices d ON d.id = l.device_id
         WHERE d.host_id = $1 AND c.state <> 'closed'";
    ADD_VIEWER_TOKEN(Bytes, Text, Text, Text, Number)
        "INSERT INTO viewer_tokens (token_hash, lease_id, role, user_id, created_at) VALUES ($1, $2, $3, $4, $5)";
    VIEWER_TOKENS(Text) "SELECT COUNT(*) AS many FROM viewer_tokens WHERE lease_id = $1";
    FORGET_VIEWER_TOKENS(Number)
        "DELETE FROM viewer_tokens WHERE lease_id IN
         (SELECT id FROM leases WHERE state = 'released' AND released_at < $1)";
    VIEWER_TOKEN(Bytes, Text) "SELECT role, user_id FROM viewer_tokens WHERE token_hash = $1 AND lease_id = $2";
    CONTROLLER(Text)
        "SELECT id FROM connections
         WHERE lease_id = $1 AND state <> 'closed' AND state = 'connected' AND role = 'controller' LIMIT 1";
    CONNECT(Number, Text)
        "UPDATE connections SET state = 'connected', connected_at = $1 WHERE id = $2 AND state = 'new'";
    CLOSE(Number, Text, Text)
        "UPDATE connections SET state = 'closed', closed_at = $1, close_reason = $2 WHERE id = $3 AND state <> 'closed'";
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

/// A viewer token to be kept.
pub(crate) struct NewViewerToken {
    /// Its hash.
    pub token: Hash,
    /// The lease that it belongs to.
    pub lease: LeaseId,
    /// What it allows.
    pub role: Role,
    /// The operator who made it for himself.
    pub operator: Option<Uuid>,
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
        for id in &replaced {
            close(&mut tx, *id, CloseReason::Replaced, now).await?;
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

    /// Notes the ICE session of a connection.
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
        close(&mut tx, id, CloseReason::Error, now).await?;
        let stepped = attend(&mut tx, lease, now).await?;
        tx.commit().await?;
        Ok(stepped)
    }

    /// Notes what an agent says about a connection. Returns the session if its lease changed.
    pub(crate) async fn connection_changed(
        &self,
        host: HostId,
        event: &ConnectionEvent,
        now: UnixMs,
    ) -> Result<Option<Session>, StoreError> {
        let mut tx = self.begin().await?;
        let values = args![event.connection, event.epoch, event.device, host];
        let row = tx.maybe(&LEASE_OF, values).await?;
        let Some(row) = row else { return Ok(None) };
        let lease = row.parsed("lease_id")?;
        match event.state {
            ConnectionState::Connected => connect(&mut tx, event.connection, now).await?,
            ConnectionState::Closed { reason } => close(&mut tx, event.connection, reason, now).await?,
        }
        let stepped = attend(&mut tx, lease, now).await?;
        tx.commit().await?;
        Ok(stepped)
    }

    /// Takes over what a host says when its link comes up: facts, fences, connections. Returns every
    /// session whose lease is not released, after what followed from it.
    pub(crate) async fn adopt(
        &self,
        host: HostId,
        hello: &Hello,
        now: UnixMs,
    ) -> Result<Vec<Session>, StoreError> {
        let mut tx = self.begin().await?;
        note_facts(&mut tx, host, &hello.devices, now).await?;
        let rows = tx.all(&OF_HOST, args![host]).await?;
        for row in &rows {
            let id = row.parsed("id")?;
            if hello.connections.iter().any(|live| live.connection == id) {
                connect(&mut tx, id, now).await?;
            } else {
                close(&mut tx, id, CloseReason::HostLost, now).await?;
            }
        }
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
        Ok(live)
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

    /// Keeps a viewer token for a lease. One that is kept already stays as it is. False when the lease has too many.
    pub(crate) async fn add_viewer_token(
        &self,
        new: NewViewerToken,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let NewViewerToken {
            token,
            lease,
            role,
            operator,
        } = new;
        if tx.maybe(&VIEWER_TOKEN, args![token, lease]).await?.is_some() {
            return Ok(true);
        }
        let many = tx
            .one(&VIEWER_TOKENS, args![lease])
            .await?
            .number::<i64>("many")?;
        if many >= VIEWER_TOKENS_MAX {
            return Ok(false);
        }
        let values = args![token, lease, role_name(role), operator, now];
        tx.run(&ADD_VIEWER_TOKEN, values).await?;
        // Not `lease`: the lease itself does not change.
        let deed = Deed {
            action: "viewer_token.create",
            resource: "viewer_token",
            id: &lease.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets viewer tokens of leases that have been over for a while.
    pub(crate) async fn forget_viewer_tokens(&self, now: UnixMs) -> Result<(), StoreError> {
        let before = UnixMs(now.0.saturating_sub(VIEWER_TOKENS_KEPT.as_millis() as i64));
        self.write.run(&FORGET_VIEWER_TOKENS, args![before]).await?;
        Ok(())
    }

    /// Who a viewer token stands for on a lease.
    pub(crate) async fn viewer(&self, hash: Hash, lease: LeaseId) -> Result<Option<Owner>, StoreError> {
        let row = self.read.maybe(&VIEWER_TOKEN, args![hash, lease]).await?;
        row.map(|row| {
            let role = match row.text("role")?.as_str() {
                "controller" => Role::Controller,
                "observer" => Role::Observer,
                _ => return Err(StoreError::Damaged("viewer_tokens.role")),
            };
            Ok(Owner {
                lease,
                hash,
                role,
                operator: row.maybe_parsed("user_id")?,
            })
        })
        .transpose()
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
    Ok(tx.maybe(&CONTROLLER, args![lease]).await?.is_some())
}

async fn connect(tx: &mut Write, id: ConnectionId, now: UnixMs) -> Result<(), StoreError> {
    tx.run(&CONNECT, args![now, id]).await?;
    Ok(())
}

async fn close(tx: &mut Write, id: ConnectionId, reason: CloseReason, now: UnixMs) -> Result<(), StoreError> {
    tx.run(&CLOSE, args![now, reason.as_str(), id]).await?;
    Ok(())
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Controller => "controller",
        Role::Observer => "observer",
    }
}
