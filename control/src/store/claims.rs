//! Claims: somebody opens a link, and gets the device or is told why not.
//!
//! One transaction. Its conditional UPDATEs and the unique indexes on `leases` hold even where a rule
//! above them is wrong: no reading and then writing decides who gets a device.

use protocol::{DeviceId, Epoch, LeaseId, LinkId, SessionId};
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::column::Columns as _;
use super::leases::{by_lease, session, session_where, step_in};
use super::links::link;
use super::{Store, StoreError, Write};
use crate::domain::device::{Health, Lifecycle, Occupancy};
use crate::domain::lease::{Event, State};
use crate::domain::link::Standing;
use crate::domain::session::{Session, session_state};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Somebody opens a link.
pub(crate) struct Claim<'a> {
    /// Hash of the link's token.
    pub token: Hash,
    /// Hash of the cookie that the browser already has for this link.
    pub presented: Option<Hash>,
    /// Hash of the cookie that it gets if it is granted a new lease.
    pub fresh: Hash,
    /// Who.
    pub actor: &'a Actor,
}

/// What a claim came to.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// A new lease.
    Granted(Session),
    /// The browser's own lease.
    Resumed(Session),
    /// No lease.
    Refused(Refused),
}

/// Why a claim is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No link has this token.
    Unknown,
    /// The link may not be claimed any more.
    Over(Standing),
    /// Another browser has the link open.
    BoundElsewhere,
    /// The device is held through another link, or is being cleaned.
    DeviceInUse,
    /// The device cannot be reached.
    DeviceOffline,
}

impl Store {
    /// Grants a lease, or finds the browser's own again.
    pub(crate) async fn claim(&self, claim: Claim<'_>, now: UnixMs) -> Result<Claimed, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query("SELECT * FROM links WHERE token_hash = ? AND state <> 'deleted'")
            .bind(&claim.token.0[..])
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else {
            return Ok(Claimed::Refused(Refused::Unknown));
        };
        let link = link(&row)?;
        let holding = sqlx::query(session_where!(
            "k.id = ? AND l.state IN ('preparing', 'active', 'grace')"
        ))
        .bind(link.id.to_string())
        .fetch_optional(&mut *tx)
        .await?;
        let holding = holding.as_ref().map(session).transpose()?;
        let standing = link.standing(now, holding.is_some());
        if standing != Standing::Active {
            return Ok(Claimed::Refused(Refused::Over(standing)));
        }
        if let Some(own) = holding {
            if !claim.presented.is_some_and(|cookie| own.is_bound_to(cookie.0)) {
                return Ok(Claimed::Refused(Refused::BoundElsewhere));
            }
            let stepped = step_in(&mut tx, own.lease, Event::Returned, claim.actor, now).await?;
            tx.commit().await?;
            return Ok(Claimed::Resumed(stepped.unwrap_or(own)));
        }
        let Some(epoch) = reserve(&mut tx, link.id, link.device, now).await? else {
            return Ok(Claimed::Refused(why_not_reserved(&mut tx, link.device).await?));
        };
        let lease = grant(&mut tx, link.id, link.device, epoch, claim.fresh, now).await?;
        let deed = Deed {
            action: "lease.grant",
            resource: "lease",
            id: &lease.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, claim.actor, deed, now).await?;
        let granted = by_lease(&mut tx, lease)
            .await?
            .ok_or(StoreError::Damaged("sessions.lease_id"))?;
        tx.commit().await?;
        Ok(Claimed::Granted(granted))
    }
}

/// Takes one use of the link and the device, or neither. Each UPDATE carries its own conditions.
async fn reserve(
    tx: &mut Write,
    link: LinkId,
    device: DeviceId,
    now: UnixMs,
) -> Result<Option<Epoch>, StoreError> {
    let used = sqlx::query(
        "UPDATE links SET uses = uses + 1 WHERE id = ?1 AND state = 'active'
         AND (expires_at IS NULL OR expires_at > ?2) AND (max_uses IS NULL OR uses < max_uses)",
    )
    .bind(link.to_string())
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    if used.rows_affected() != 1 {
        return Ok(None);
    }
    let reserved = sqlx::query(
        "UPDATE devices SET occupancy = 'reserved', epoch = max(epoch + 1, (SELECT since FROM generation))
         WHERE id = ? AND occupancy = 'free' AND health <> 'offline' AND lifecycle = 'ready' RETURNING epoch",
    )
    .bind(device.to_string())
    .fetch_optional(&mut **tx)
    .await?;
    reserved.map(|row| row.number("epoch").map(Epoch)).transpose()
}

async fn why_not_reserved(tx: &mut Write, device: DeviceId) -> Result<Refused, StoreError> {
    let row = sqlx::query("SELECT occupancy, health, lifecycle FROM devices WHERE id = ?")
        .bind(device.to_string())
        .fetch_one(&mut **tx)
        .await?;
    let reachable = row.text("health")? != Health::Offline.as_str()
        && row.text("lifecycle")? == Lifecycle::Ready.as_str();
    let free = row.text("occupancy")? == Occupancy::Free.as_str();
    Ok(match (reachable, free) {
        (false, _) => Refused::DeviceOffline,
        (true, false) => Refused::DeviceInUse,
        (true, true) => Refused::Over(Standing::Exhausted),
    })
}

async fn grant(
    tx: &mut Write,
    link: LinkId,
    device: DeviceId,
    epoch: Epoch,
    binding: Hash,
    now: UnixMs,
) -> Result<LeaseId, StoreError> {
    let lease = LeaseId::from_uuid(Uuid::now_v7());
    let state = State::granted(now);
    sqlx::query(
        "INSERT INTO leases (id, device_id, link_id, epoch, state, until_at, binding_hash, acquired_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(lease.to_string())
    .bind(device.to_string())
    .bind(link.to_string())
    .bind(epoch.0 as i64)
    .bind(state.as_str())
    .bind(state.until().map(|until| until.0))
    .bind(&binding.0[..])
    .bind(now.0)
    .execute(&mut **tx)
    .await?;
    sqlx::query("INSERT INTO sessions (id, lease_id, state, created_at) VALUES (?, ?, ?, ?)")
        .bind(SessionId::from_uuid(Uuid::now_v7()).to_string())
        .bind(lease.to_string())
        .bind(session_state(state))
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(lease)
}
