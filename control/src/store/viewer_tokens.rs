//! Viewer tokens: what lets a plain player, or an operator, watch a lease without its cookie.
//!
//! ```text
//!   the holder's     good as long as the lease, or until he takes it back
//!   an operator's    good as long as the lease, and as the sign-in that it was made under
//!                    └─ what goes before its lease takes its connections along
//! ```
//!
//! Only hashes are kept. What a connection is allowed is not known here.

use std::time::Duration;

use protocol::agent::{CloseConnection, Role};
use protocol::{CloseReason, Epoch, HostId, LeaseId};
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::connections::{Owner, role_name, step};
use super::row::Row;
use super::statement::{args, statements};
use super::users::IDLE;
use super::{Store, StoreError, Write};
use crate::domain::connection::Event;
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Viewer tokens of one lease, its holder's and its operators' together; one more is refused.
const VIEWER_TOKENS_MAX: i64 = 64;
/// How long the tokens of a released lease are kept: whoever tidies up after himself late is still known by his.
const VIEWER_TOKENS_KEPT: Duration = Duration::from_secs(3600);

/// The connections of certain tokens that live; append conditions.
macro_rules! watching {
    ($tail:literal) => {
        concat!(
            "SELECT c.id, c.state, c.close_reason, l.epoch, l.device_id, d.host_id
             FROM viewer_tokens t JOIN connections c ON c.lease_id = t.lease_id AND c.state <> 'closed'
             JOIN leases l ON l.id = c.lease_id JOIN devices d ON d.id = l.device_id
             WHERE c.owner_hash = t.token_hash AND ",
            $tail
        )
    };
}

/// An operator's token whose sign-in is over.
macro_rules! unsigned {
    () => {
        "user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM auth_sessions a
         WHERE a.token_hash = auth_hash AND a.expires_at > $1 AND a.last_used_at > $2)"
    };
}

statements! {
    ADD(Bytes, Text, Text, Text, Bytes, Number)
        "INSERT INTO viewer_tokens (token_hash, lease_id, role, user_id, auth_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)";
    COUNT(Text) "SELECT COUNT(*) AS many FROM viewer_tokens WHERE lease_id = $1";
    FORGET_VIEWER_TOKENS(Number)
        "DELETE FROM viewer_tokens WHERE lease_id IN
         (SELECT id FROM leases WHERE state = 'released' AND released_at < $1)";
    VIEWER_TOKEN(Bytes, Text) "SELECT token_hash FROM viewer_tokens WHERE token_hash = $1 AND lease_id = $2";
    VIEWER(Bytes, Text, Number, Number)
        "SELECT t.role, t.user_id FROM viewer_tokens t WHERE t.token_hash = $1 AND t.lease_id = $2
         AND (t.user_id IS NULL OR EXISTS (SELECT 1 FROM auth_sessions a
             WHERE a.token_hash = t.auth_hash AND a.expires_at > $3 AND a.last_used_at > $4))";
    GIVEN_AWAY(Text) watching!("t.lease_id = $1 AND t.user_id IS NULL");
    TAKE_BACK(Text) "DELETE FROM viewer_tokens WHERE lease_id = $1 AND user_id IS NULL";
    UNSIGNED_LOOKS(Number, Number) concat!(watching!(""), unsigned!());
    DROP_UNSIGNED(Number, Number) concat!("DELETE FROM viewer_tokens WHERE ", unsigned!());
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
    pub operator: Option<Operator>,
}

/// An operator who is signed in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    /// Who.
    pub user: Uuid,
    /// Hash of the session token that he is signed in with.
    pub signed_in: Hash,
}

/// A connection that is over, and whose agent has still to be told.
#[derive(Debug)]
pub(crate) struct HangUp {
    /// Whose agent.
    pub host: HostId,
    /// What it is asked for.
    pub close: CloseConnection,
}

impl Store {
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
        let many = tx.one(&COUNT, args![lease]).await?.number::<i64>("many")?;
        if many >= VIEWER_TOKENS_MAX {
            return Ok(false);
        }
        let (user, signed_in) = operator.map(|of| (of.user, of.signed_in)).unzip();
        let values = args![token, lease, role_name(role), user, signed_in, now];
        tx.run(&ADD, values).await?;
        note(&mut tx, "viewer_token.create", lease, actor, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets viewer tokens of leases that have been over for a while.
    pub(crate) async fn forget_viewer_tokens(&self, now: UnixMs) -> Result<(), StoreError> {
        let before = UnixMs(now.0.saturating_sub(VIEWER_TOKENS_KEPT.as_millis() as i64));
        self.write.run(&FORGET_VIEWER_TOKENS, args![before]).await?;
        Ok(())
    }

    /// Who a viewer token stands for on a lease; nobody once an operator's sign-in is over.
    pub(crate) async fn viewer(
        &self,
        hash: Hash,
        lease: LeaseId,
        now: UnixMs,
    ) -> Result<Option<Owner>, StoreError> {
        let values = args![hash, lease, now, idle_since(now)];
        let row = self.read.maybe(&VIEWER, values).await?;
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

    /// The holder takes back every token that he gave away, and what was opened with them.
    pub(crate) async fn take_viewer_tokens_back(
        &self,
        lease: LeaseId,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Vec<HangUp>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = tx.all(&GIVEN_AWAY, args![lease]).await?;
        let ended = kick(&mut tx, &rows, now).await?;
        tx.run(&TAKE_BACK, args![lease]).await?;
        note(&mut tx, "viewer_token.delete", lease, actor, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Ends every look of an operator whose sign-in is over.
    pub(crate) async fn end_unsigned_looks(&self, now: UnixMs) -> Result<Vec<HangUp>, StoreError> {
        let mut tx = self.begin().await?;
        let values = || args![now, idle_since(now)];
        let rows = tx.all(&UNSIGNED_LOOKS, values()).await?;
        let ended = kick(&mut tx, &rows, now).await?;
        tx.run(&DROP_UNSIGNED, values()).await?;
        tx.commit().await?;
        Ok(ended)
    }
}

const fn idle_since(now: UnixMs) -> UnixMs {
    UnixMs(now.0 - IDLE.as_millis() as i64)
}

async fn kick(tx: &mut Write, rows: &[Row], now: UnixMs) -> Result<Vec<HangUp>, StoreError> {
    let reason = CloseReason::Kicked;
    let mut ended = Vec::with_capacity(rows.len());
    for row in rows {
        step(tx, row, Event::Over(reason), now).await?;
        let close = CloseConnection {
            connection: row.parsed("id")?,
            device: row.parsed("device_id")?,
            epoch: Epoch(row.number("epoch")?),
            reason,
        };
        let host = row.parsed("host_id")?;
        ended.push(HangUp { host, close });
    }
    Ok(ended)
}

/// Not about `lease`: the lease itself does not change.
async fn note(
    tx: &mut Write,
    action: &'static str,
    lease: LeaseId,
    actor: &Actor,
    now: UnixMs,
) -> Result<(), StoreError> {
    let deed = Deed {
        action,
        resource: "viewer_token",
        id: &lease.to_string(),
        result: "ok",
    };
    audit::record(tx, actor, deed, now).await
}
