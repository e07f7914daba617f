//! Claims: somebody opens a link, and gets the device or is told why not.
//!
//! One transaction. Its conditional UPDATEs and the unique indexes on `leases` hold even where a rule
//! above them is wrong: no reading and then writing decides who gets a device.

use protocol::{DeviceId, Epoch, LeaseId, LinkId, SessionId};
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::batch::Verdict;
use super::devices::next_epoch;
use super::leases::{by_lease, session, session_where, step_in};
use super::links::{link, link_where};
use super::statement::{args, statements};
use super::{Store, StoreError, Write};
use crate::domain::device::{Health, Lifecycle, Occupancy};
use crate::domain::lease::{Event, State};
use crate::domain::link::Standing;
use crate::domain::session::{Session, session_state};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

statements! {
    OPENED_LINK(Bytes) link_where!("k.token_hash = $1 AND k.state <> 'deleted'");
    HELD_THROUGH(Text) session_where!("k.id = $1 AND l.state IN ('preparing', 'active', 'grace')");
    TAKE_USE(Text, Number)
        "UPDATE links SET uses = uses + 1 WHERE id = $1 AND state = 'active'
         AND (expires_at IS NULL OR expires_at > $2) AND (max_uses IS NULL OR uses < max_uses)";
    TAKE_DEVICE(Text)
        concat!("UPDATE devices SET occupancy = 'reserved', epoch = ", next_epoch!(),
            " WHERE id = $1 AND occupancy = 'free' AND health <> 'offline' AND lifecycle = 'ready' RETURNING epoch");
    AXES(Text) "SELECT occupancy, health, lifecycle FROM devices WHERE id = $1";
    ADD_LEASE(Text, Text, Text, Number, Text, Number, Bytes, Number)
        "INSERT INTO leases (id, device_id, link_id, epoch, state, until_at, binding_hash, acquired_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    ADD_SESSION(Text, Text, Text, Number)
        "INSERT INTO sessions (id, lease_id, state, created_at) VALUES ($1, $2, $3, $4)";
}

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
        let Claim {
            token,
            presented,
            fresh,
            ..
        } = claim;
        let actor = claim.actor.clone();
        self.together(move |tx| {
            Box::pin(async move {
                let claim = Claim {
                    token,
                    presented,
                    fresh,
                    actor: &actor,
                };
                Ok(match claim_in(tx, claim, now).await? {
                    refused @ Claimed::Refused(_) => Verdict::Undo(refused),
                    kept => Verdict::Keep(kept),
                })
            })
        })
        .await
    }
}

/// Grants a lease inside a transaction, or finds the browser's own again. What was refused is to be undone.
async fn claim_in(tx: &mut Write, claim: Claim<'_>, now: UnixMs) -> Result<Claimed, StoreError> {
    let Some(row) = tx.maybe(&OPENED_LINK, args![claim.token]).await? else {
        return Ok(Claimed::Refused(Refused::Unknown));
    };
    let link = link(&row)?;
    let holding = tx.maybe(&HELD_THROUGH, args![link.id]).await?;
    let holding = holding.as_ref().map(session).transpose()?;
    let standing = link.standing(now, holding.is_some());
    if standing != Standing::Active {
        return Ok(Claimed::Refused(Refused::Over(standing)));
    }
    if let Some(own) = holding {
        if !claim.presented.is_some_and(|cookie| own.is_bound_to(cookie.0)) {
            return Ok(Claimed::Refused(Refused::BoundElsewhere));
        }
        let stepped = step_in(tx, own.lease, Event::Returned, claim.actor, now).await?;
        return Ok(Claimed::Resumed(stepped.unwrap_or(own)));
    }
    let Some(epoch) = reserve(tx, link.id, link.device, now).await? else {
        return Ok(Claimed::Refused(why_not_reserved(tx, link.device).await?));
    };
    let lease = grant(tx, link.id, link.device, epoch, claim.fresh, now).await?;
    let deed = Deed {
        action: "lease.grant",
        resource: "lease",
        id: &lease.to_string(),
        result: "ok",
    };
    audit::record(tx, claim.actor, deed, now).await?;
    let granted = by_lease(tx, lease).await?;
    Ok(Claimed::Granted(
        granted.ok_or(StoreError::Damaged("sessions.lease_id"))?,
    ))
}

/// Takes one use of the link and the device, or neither. Each UPDATE carries its own conditions.
async fn reserve(
    tx: &mut Write,
    link: LinkId,
    device: DeviceId,
    now: UnixMs,
) -> Result<Option<Epoch>, StoreError> {
    if tx.run(&TAKE_USE, args![link, now]).await? != 1 {
        return Ok(None);
    }
    let reserved = tx.maybe(&TAKE_DEVICE, args![device]).await?;
    reserved.map(|row| row.number("epoch").map(Epoch)).transpose()
}

async fn why_not_reserved(tx: &mut Write, device: DeviceId) -> Result<Refused, StoreError> {
    let row = tx.one(&AXES, args![device]).await?;
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
    let binding = args![
        lease,
        device,
        link,
        epoch,
        state.as_str(),
        state.until(),
        binding,
        now,
    ];
    tx.run(&ADD_LEASE, binding).await?;
    let session = SessionId::from_uuid(Uuid::now_v7());
    tx.run(&ADD_SESSION, args![session, lease, session_state(state), now])
        .await?;
    Ok(lease)
}
