//! Claims: somebody opens a link, and gets the device or is told why not.
//!
//! One transaction. Its conditional UPDATEs and the unique indexes on `leases` hold even where a rule
//! above them is wrong: no reading and then writing decides who gets a device.

use std::time::Duration;

use protocol::{Epoch, LeaseId, SessionId};
use signaling::error::current_id;
use uuid::Uuid;

use super::audit::Actor;
use super::batch::Verdict;
use super::devices::{device, device_where, next_epoch};
use super::leases::{session, session_where, step_in};
use super::links::{held, held_where, link, link_columns};
use super::row::Row;
use super::statement::{args, statements};
use super::{Store, StoreError, Write};
use crate::domain::device::{Device, Health, Status};
use crate::domain::lease::{Event, State};
use crate::domain::link::{Link, Standing, Target};
use crate::domain::session::{self, Session};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

macro_rules! add_lease {
    () => {
        "INSERT INTO leases (id, device_id, link_id, epoch, state, until_at, binding_hash, acquired_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    };
}
macro_rules! add_session {
    () => {
        "INSERT INTO sessions (id, lease_id, state, created_at) VALUES ($9, $1, $10, $8)"
    };
}
macro_rules! add_grant {
    () => {
        "INSERT INTO audit_log (at, actor_kind, actor_id, action, resource_type, resource_id, result, request_id, ip)
         VALUES ($8, $11, $12, 'lease.grant', 'lease', $1, 'ok', $13, $14)"
    };
}

statements! {
    OPENED_LINK(Bytes) held_where!("k.token_hash = $1 AND k.state <> 'deleted'");
    HELD_THROUGH(Text) session_where!("k.id = $1 AND l.state <> 'released' AND l.state <> 'releasing'");
    /// Nothing if anything at all speaks against it: somebody holds the link, or it was granted for this cookie, if one is given, before.
    TAKE_USE(Bytes, Number, Bytes)
        concat!("UPDATE links SET uses = uses + 1 WHERE token_hash = $1 AND state = 'active'
             AND (not_before IS NULL OR not_before <= $2) AND (expires_at IS NULL OR expires_at > $2)
             AND (max_uses IS NULL OR uses < max_uses)
             AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.link_id = links.id AND l.state IN ('preparing', 'active', 'grace'))
             AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.link_id = links.id AND l.binding_hash = $3)
             RETURNING ", link_columns!("links."));
    /// What was granted for a cookie, also when it is over.
    GRANTED_FOR(Text, Bytes) session_where!("k.id = $1 AND l.binding_hash = $2 LIMIT 1");
    /// What any link may take. The least used first, so that all are used alike.
    CANDIDATES() device_where!("d.lifecycle <> 'gone' ORDER BY d.epoch, d.id");
    TAKE_DEVICE(Text)
        concat!("UPDATE devices SET occupancy = 'reserved', epoch = ", next_epoch!(),
            " WHERE id = $1 AND occupancy = 'free' AND health <> 'offline' AND lifecycle = 'ready'
              RETURNING id, epoch, host_id, health, name, width, height");
    TARGET(Text) device_where!("d.id = $1");
    /// A lease, its session and its audit row: a claim is waited for, and this is one question instead of three.
    GRANT(Text, Text, Text, Number, Text, Number, Bytes, Number, Text, Text, Text, Text, Text, Text)
        concat!(add_lease!(), ";", add_session!(), ";", add_grant!()),
        postgres concat!("WITH lease AS (", add_lease!(), "), session AS (", add_session!(), ") ", add_grant!());
}

/// Somebody opens a link.
pub(crate) struct Claim<'a> {
    /// Hash of the link's token.
    pub token: Hash,
    /// Hash of the cookie that the browser already has for this link.
    pub presented: Option<Hash>,
    /// Hash of the cookie that it gets if it is granted a new lease.
    pub fresh: Hash,
    /// Whether this may be the repetition of a request whose answer was lost: it would have had the same fresh
    /// cookie, which is then its proof.
    pub repeatable: bool,
    /// Who.
    pub actor: &'a Actor,
}

impl Claim<'_> {
    /// Whether it comes from whoever holds this session.
    fn is_of(&self, session: &Session) -> bool {
        let cookies = [self.presented, self.repeatable.then_some(self.fresh)];
        cookies
            .into_iter()
            .flatten()
            .any(|cookie| session.is_bound_to(cookie.0))
    }
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
            repeatable,
            ..
        } = claim;
        let actor = claim.actor.clone();
        self.together(move |tx| {
            Box::pin(async move {
                let claim = Claim {
                    token,
                    presented,
                    fresh,
                    repeatable,
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
    let repeated = claim.repeatable.then_some(claim.fresh);
    let Some(row) = tx.maybe(&TAKE_USE, args![claim.token, now, repeated]).await? else {
        return not_anew(tx, &claim, now).await;
    };
    let link = link(&row)?;
    let taken = match reserve(tx, &link).await? {
        Ok(taken) => taken,
        Err(refused) => return Ok(Claimed::Refused(refused)),
    };
    let granted = grant(tx, link, &taken, &claim, now).await?;
    Ok(Claimed::Granted(granted))
}

/// A claim of a link that is not to be had anew: it may be its holder's, or the repetition of one that was granted;
/// otherwise this is why it is refused.
async fn not_anew(tx: &mut Write, claim: &Claim<'_>, now: UnixMs) -> Result<Claimed, StoreError> {
    let Some(row) = tx.maybe(&OPENED_LINK, args![claim.token]).await? else {
        return Ok(Claimed::Refused(Refused::Unknown));
    };
    let (link, is_held) = held(&row)?;
    let holding = if is_held {
        tx.maybe(&HELD_THROUGH, args![link.id]).await?
    } else {
        None
    };
    let holding = holding.as_ref().map(session).transpose()?;
    // Whoever holds the device comes back to it; a standing is about who comes in.
    if let Some(own) = holding.as_ref().filter(|own| claim.is_of(own)) {
        let stepped = step_in(tx, own.lease, Event::Returned, claim.actor, now).await?;
        return Ok(Claimed::Resumed(stepped.unwrap_or_else(|| own.clone())));
    }
    let repeated = if claim.repeatable {
        tx.maybe(&GRANTED_FOR, args![link.id, claim.fresh]).await?
    } else {
        None
    };
    if let Some(row) = repeated {
        return Ok(Claimed::Resumed(session(&row)?));
    }
    Ok(Claimed::Refused(match link.standing(now, holding.is_some()) {
        Standing::Active if holding.is_some() => Refused::BoundElsewhere,
        // What the statement that takes a use asks for, and this rule does not.
        Standing::Active => Refused::Over(Standing::Exhausted),
        over => Refused::Over(over),
    }))
}

/// Takes a device for a link of which a use was taken, or says why there is none. The UPDATE carries its own conditions,
/// so the one device of a link is not looked at before it is tried.
async fn reserve(tx: &mut Write, link: &Link) -> Result<Result<Row, Refused>, StoreError> {
    if let Target::Device(id) = link.target
        && let Some(taken) = tx.maybe(&TAKE_DEVICE, args![id]).await?
    {
        return Ok(Ok(taken));
    }
    let candidates = candidates(tx, &link.target).await?;
    for device in candidates.iter().filter(|device| device.status() == Status::Idle) {
        if let Some(taken) = tx.maybe(&TAKE_DEVICE, args![device.id]).await? {
            return Ok(Ok(taken));
        }
    }
    let reachable = candidates.iter().any(|device| device.status() != Status::Offline);
    Ok(Err(if reachable {
        Refused::DeviceInUse
    } else {
        Refused::DeviceOffline
    }))
}

/// The devices that a link may take, to be tried in this order.
async fn candidates(tx: &mut Write, target: &Target) -> Result<Vec<Device>, StoreError> {
    let rows = match target {
        Target::Device(id) => tx.all(&TARGET, args![*id]).await?,
        Target::Any(_) => tx.all(&CANDIDATES, []).await?,
    };
    let devices: Vec<Device> = rows.iter().map(device).collect::<Result<_, _>>()?;
    Ok(match target {
        Target::Device(_) => devices,
        Target::Any(selector) => {
            let matching = devices
                .into_iter()
                .filter(|device| selector.matches(&device.labels()));
            matching.collect()
        }
    })
}

/// Writes the lease down. What it gives is what reading it again would: that is one more question less.
async fn grant(
    tx: &mut Write,
    link: Link,
    taken: &Row,
    claim: &Claim<'_>,
    now: UnixMs,
) -> Result<Session, StoreError> {
    let granted = Session {
        id: SessionId::from_uuid(Uuid::now_v7()),
        lease: LeaseId::from_uuid(Uuid::now_v7()),
        state: State::granted(now),
        own_state: session::State::GRANTED,
        epoch: Epoch(taken.number("epoch")?),
        release_epoch: None,
        binding: claim.fresh.0,
        link,
        spent: Duration::ZERO,
        observers: 0,
        device: taken.parsed("id")?,
        host: taken.parsed("host_id")?,
        health: Health::parse(&taken.text("health")?).ok_or(StoreError::Damaged("devices.health"))?,
        device_name: taken.text("name")?,
        width: taken.number("width")?,
        height: taken.number("height")?,
    };
    let values = args![
        granted.lease,
        granted.device,
        granted.link.id,
        granted.epoch,
        granted.state.as_str(),
        granted.state.until(),
        claim.fresh,
        now,
        granted.id,
        granted.own_state.as_str(),
        claim.actor.kind.as_str(),
        claim.actor.id.as_ref(),
        current_id().to_string(),
        claim.actor.ip.map(|ip| ip.to_string()),
    ];
    tx.run(&GRANT, values).await?;
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use protocol::{CloseReason, DeviceId};

    use super::*;
    use crate::domain::labels::Selector;
    use crate::rig::{Rig, START, after, on_both};

    on_both![
        what_a_claim_gives_is_what_was_written_down,
        the_statements_of_a_claim_hold_where_a_rule_above_them_is_wrong,
        a_use_is_taken_neither_of_a_link_that_is_held_nor_for_a_cookie_that_had_it,
        a_link_to_any_device_takes_a_free_one_and_of_these_the_least_used,
    ];

    async fn what_a_claim_gives_is_what_was_written_down(rig: Rig) {
        rig.link("t", None, Some(3)).await;
        let granted = rig.granted("t", "a", after(1)).await;
        assert_eq!(format!("{granted:?}"), format!("{:?}", rig.now(&granted).await));
    }

    /// Whether the statement that takes a use of this token's link takes one.
    async fn takes(tx: &mut Write, token: &str, at: UnixMs, repeated: Option<&str>) -> bool {
        let values = args![Hash::of(token), at, repeated.map(Hash::of)];
        tx.maybe(&TAKE_USE, values).await.unwrap().is_some()
    }

    async fn the_statements_of_a_claim_hold_where_a_rule_above_them_is_wrong(rig: Rig) {
        rig.link("t", Some(after(10)), Some(2)).await;
        let mut tx = rig.app.store.begin().await.unwrap();
        for (at, is_had) in [
            (after(1), true),
            (after(10), false),
            (after(9), true),
            (after(1), false),
        ] {
            assert_eq!(takes(&mut tx, "t", at, None).await, is_had, "{at:?}");
        }
        assert!(!takes(&mut tx, "of no link", after(1), None).await);
        for is_free in [true, false] {
            let taken = tx.maybe(&TAKE_DEVICE, args![rig.device]).await.unwrap();
            assert_eq!(taken.is_some(), is_free);
        }
        tx.commit().await.unwrap();

        let link = rig.link("u", None, None).await;
        for (change, is_had) in [
            ("state = 'paused'", false),
            ("state = 'revoked'", false),
            ("state = 'active', not_before = 1800000005000", false),
            ("not_before = 1800000000000", true),
        ] {
            let sql = format!("UPDATE links SET {change} WHERE id = '{}'", link.id);
            rig.app.store.run(sql).await.unwrap();
            let mut tx = rig.app.store.begin().await.unwrap();
            assert_eq!(takes(&mut tx, "u", START, None).await, is_had, "{change}");
        }
    }

    async fn a_use_is_taken_neither_of_a_link_that_is_held_nor_for_a_cookie_that_had_it(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", after(1)).await;
        let takes = async |repeated| {
            let mut tx = rig.app.store.begin().await.unwrap();
            takes(&mut tx, "t", after(6), repeated).await
        };
        assert!(!takes(None).await, "it is held");
        given_back(&rig, &session).await;
        assert!(!takes(Some("a")).await, "it was granted for this cookie");
        assert!(takes(Some("b")).await);
        assert!(takes(None).await);
    }

    /// A lease's device is given back clean.
    async fn given_back(rig: &Rig, session: &Session) {
        for event in [Event::End(CloseReason::LeaseEnded), Event::Cleaned] {
            let stepped = rig.app.store.step(session.lease, event, &Actor::SYSTEM, after(5));
            stepped.await.unwrap().unwrap();
        }
    }

    async fn a_link_to_any_device_takes_a_free_one_and_of_these_the_least_used(rig: Rig) {
        let mut fleet = rig.fleet(2, after(1)).await;
        fleet.sort_unstable();
        for token in ["a", "b", "c"] {
            rig.link_to(token, Target::Any(Selector::default())).await;
        }
        // Two at once.
        let (first, second) =
            futures_util::future::join(rig.granted("a", "a", after(2)), rig.granted("b", "b", after(2)))
                .await;
        let mut taken: Vec<DeviceId> = vec![first.device, second.device];
        taken.sort_unstable();
        assert_eq!(taken, fleet, "a device each");
        let third = rig.claim("c", "c", after(3)).await;
        assert!(
            matches!(third, Claimed::Refused(Refused::DeviceInUse)),
            "{third:?}"
        );
        given_back(&rig, &first).await;
        given_back(&rig, &second).await;

        // Each of them in turn is the one that was used more.
        for used in fleet {
            let token = used.to_string();
            rig.link_to(&token, Target::Device(used)).await;
            for _ in 0..2 {
                let session = rig.granted(&token, "d", after(6)).await;
                given_back(&rig, &session).await;
            }
            let session = rig.granted("c", "c", after(7)).await;
            assert_ne!(session.device, used, "the other one was used less");
            given_back(&rig, &session).await;
        }
    }
}
