//! Leases: granted, moved from state to state, and read with the session, link and device around them.
//!
//! Every change of a lease goes through [`Store::step`] or a transaction that calls [`step_in`]: read
//! the row, ask `domain::lease`, write what follows (the device's occupancy and epoch, the session, a
//! refunded use, closed connections, an audit row). Granting, the other way in, is in `claims`.

use std::time::Duration;

use protocol::{CloseReason, Epoch, HostId, LeaseId, LinkId, SessionId};

use super::audit::{self, Actor, Deed};
use super::batch::Verdict;
use super::devices::{name_quarantine, next_epoch};
use super::links::{link, link_where};
use super::row::Row;
use super::statement::{args, statements};
use super::{Store, StoreError, Write};
use crate::domain::device::{Health, Soiled, occupancy};
use crate::domain::lease::{self, Event, Left, State};
use crate::domain::link as link_rules;
use crate::domain::session::{self, Session};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Everything about a session; append a WHERE. Aliases keep the columns of `links` apart.
macro_rules! session_where {
    ($tail:literal) => {
        concat!(
            "SELECT s.id AS session_id, s.state AS session_state, l.id AS lease_id, l.state AS lease_state, l.until_at, l.reason, l.left_as,
                 l.epoch AS lease_epoch, l.release_epoch, l.binding_hash, l.spent_ms, d.id AS leased_device, d.host_id,
                 d.health, d.name AS device_name, d.width, d.height,
                 (SELECT COUNT(*) FROM connections c
                  WHERE c.lease_id = l.id AND c.state <> 'closed' AND c.role = 'observer') AS observers, ",
            $crate::store::links::link_columns!(),
            "
             FROM sessions s JOIN leases l ON l.id = s.lease_id JOIN devices d ON d.id = l.device_id
             JOIN links k ON k.id = l.link_id WHERE ",
            $tail
        )
    };
}
pub(super) use session_where;

statements! {
    SESSION(Text) session_where!("s.id = $1");
    BY_LEASE(Text) session_where!("l.id = $1");
    LIVE_OF_HOST(Text) session_where!("d.host_id = $1 AND l.state <> 'released'");
    UNDELETED_LINK(Text) link_where!("k.id = $1 AND k.state <> 'deleted'");
    SET_LINK_STATE(Text, Text) "UPDATE links SET state = $1 WHERE id = $2";
    HELD_LEASE(Text)
        "SELECT id FROM leases WHERE link_id = $1 AND state <> 'released' AND state <> 'releasing'";
    NOTE_SPENT(Number, Text) "UPDATE leases SET spent_ms = $1 WHERE id = $2 AND spent_ms < $1";
    /// A device is free only if it was cleaned for its newest epoch.
    SET_OCCUPANCY(Text, Number, Text)
        "UPDATE devices SET occupancy = CASE WHEN $1 <> 'free' OR epoch = $2 THEN $1 ELSE 'quarantined' END,
             epoch = CASE WHEN epoch > $2 THEN epoch + 1 ELSE epoch END
         WHERE id = $3";
    REFUND(Text) "UPDATE links SET uses = uses - 1 WHERE id = $1 AND uses > 0";
    SET_LEASE(Text, Number, Text, Text, Number, Text)
        "UPDATE leases SET state = $1, until_at = $2, reason = $3, left_as = $4, released_at = $5 WHERE id = $6";
    SET_SESSION(Text, Number, Text) "UPDATE sessions SET state = $1, ended_at = $2 WHERE lease_id = $3";
    RAISE_EPOCH(Text, Text)
        concat!("UPDATE devices SET occupancy = $1, epoch = ", next_epoch!(), " WHERE id = $2 RETURNING epoch");
    SET_RELEASE_EPOCH(Number, Text) "UPDATE leases SET release_epoch = $1 WHERE id = $2";
    /// What lives may be closed whatever its state (`domain::connection`).
    CLOSE_ALL(Number, Text, Text)
        "UPDATE connections SET state = 'closed', closed_at = $1, close_reason = $2
         WHERE lease_id = $3 AND state <> 'closed'";
}

impl Store {
    /// Finds a session again for the browser that holds it; none for anybody else or when it is over.
    pub(crate) async fn resume(
        &self,
        id: SessionId,
        binding: Hash,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Option<Session>, StoreError> {
        let mut tx = self.begin().await?;
        let row = tx.maybe(&SESSION, args![id]).await?;
        let found = row.as_ref().map(session).transpose()?;
        let Some(own) = found.filter(|found| found.is_bound_to(binding.0) && found.state.is_held()) else {
            return Ok(None);
        };
        let stepped = step_in(&mut tx, own.lease, Event::Returned, actor, now).await?;
        tx.commit().await?;
        Ok(Some(stepped.unwrap_or(own)))
    }

    /// One session, also when it is over.
    pub(crate) async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let row = self.read.maybe(&SESSION, args![id]).await?;
        row.as_ref().map(session).transpose()
    }

    /// Applies one event to a lease. None when it changed nothing.
    pub(crate) async fn step(
        &self,
        lease: LeaseId,
        event: Event,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Option<Session>, StoreError> {
        let actor = actor.clone();
        self.together(move |tx| {
            Box::pin(async move { Ok(Verdict::Keep(step_in(tx, lease, event, &actor, now).await?)) })
        })
        .await
    }

    /// Applies what an agent's answer to a release comes to, if the lease still asks for the release of that epoch: a
    /// database that was put back meanwhile may have it held again, or released under another one. None when nothing
    /// changed.
    pub(crate) async fn release_answered(
        &self,
        lease: LeaseId,
        asked: Option<Epoch>,
        event: Event,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Option<Session>, StoreError> {
        let actor = actor.clone();
        self.together(move |tx| {
            Box::pin(async move {
                let stands = by_lease(tx, lease).await?;
                if stands.is_none_or(|stands| stands.release_epoch != asked) {
                    return Ok(Verdict::Keep(None));
                }
                Ok(Verdict::Keep(step_in(tx, lease, event, &actor, now).await?))
            })
        })
        .await
    }

    /// Does something to a link, and cuts its live lease in the same transaction if the event does. None when
    /// there is no such link; otherwise the lease that was cut, if there was one.
    pub(crate) async fn change_link(
        &self,
        id: LinkId,
        event: link_rules::Event,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Option<Option<Session>>, StoreError> {
        let mut tx = self.begin().await?;
        let row = tx.maybe(&UNDELETED_LINK, args![id]).await?;
        let Some(row) = row else { return Ok(None) };
        if let Some(state) = link(&row)?.state.after(event) {
            tx.run(&SET_LINK_STATE, args![state.as_str(), id]).await?;
        }
        let action = match event {
            link_rules::Event::Pause => "link.pause",
            link_rules::Event::Resume => "link.resume",
            link_rules::Event::Revoke => "link.revoke",
            link_rules::Event::Delete => "link.delete",
        };
        audit::record(
            &mut tx,
            actor,
            Deed {
                action,
                resource: "link",
                id: &id.to_string(),
                result: "ok",
            },
            now,
        )
        .await?;
        let live = if event.cuts() {
            tx.maybe(&HELD_LEASE, args![id]).await?
        } else {
            None
        };
        let cut = match live {
            Some(row) => {
                let end = Event::End(CloseReason::LinkRevoked);
                step_in(&mut tx, row.parsed("id")?, end, actor, now).await?
            }
            None => None,
        };
        tx.commit().await?;
        Ok(Some(cut))
    }

    /// Notes how long leases were held, for a process that comes after this one. It only ever rises.
    pub(crate) async fn note_spent(&self, spent: &[(LeaseId, Duration)]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for (lease, spent) in spent {
            let ms = i64::try_from(spent.as_millis()).unwrap_or(i64::MAX);
            tx.run(&NOTE_SPENT, args![ms, *lease]).await?;
        }
        tx.commit().await
    }
}

/// Applies one event to a lease inside a transaction. None when it changed nothing.
pub(super) async fn step_in(
    tx: &mut Write,
    lease: LeaseId,
    event: Event,
    actor: &Actor,
    now: UnixMs,
) -> Result<Option<Session>, StoreError> {
    let Some(before) = by_lease(tx, lease).await? else {
        return Ok(None);
    };
    let Some(after) = before.state.after(event, now) else {
        return Ok(None);
    };
    if before.state.is_held() && !after.is_held() {
        cut(tx, &before, after, now).await?;
    } else {
        let values = args![occupancy(after).as_str(), before.release_epoch, before.device];
        tx.run(&SET_OCCUPANCY, values).await?;
        // No other step begins a quarantine.
        if matches!(after, State::Released { .. }) {
            let why = match event {
                Event::CleanFailed(why) => why,
                _ => Soiled::Overtaken,
            };
            name_quarantine(tx, why, actor, now).await?;
        }
    }
    if lease::refunds(before.state, after) {
        tx.run(&REFUND, args![before.link.id]).await?;
    }
    let released = matches!(after, State::Released { .. }).then_some(now);
    let values = args![
        after.as_str(),
        after.until(),
        after.reason().map(CloseReason::as_str),
        left_name(after),
        released,
        lease,
    ];
    tx.run(&SET_LEASE, values).await?;
    // What is over stays as it is.
    let own = before.own_state.after(after).unwrap_or(before.own_state);
    tx.run(&SET_SESSION, args![own.as_str(), released, lease]).await?;
    let result = after.reason().map_or("ok", CloseReason::as_str);
    let deed = Deed {
        action: action(after),
        resource: "lease",
        id: &lease.to_string(),
        result,
    };
    audit::record(tx, actor, deed, now).await?;
    by_lease(tx, lease).await
}

/// The moment in which a holder loses the device: its epoch rises, its connections are over.
async fn cut(tx: &mut Write, before: &Session, after: State, now: UnixMs) -> Result<(), StoreError> {
    let values = args![occupancy(after).as_str(), before.device];
    let epoch = tx.one(&RAISE_EPOCH, values).await?.number::<i64>("epoch")?;
    tx.run(&SET_RELEASE_EPOCH, args![epoch, before.lease]).await?;
    let reason = after.reason().map(CloseReason::as_str);
    tx.run(&CLOSE_ALL, args![now, reason, before.lease]).await?;
    Ok(())
}

const fn left_name(state: State) -> Option<&'static str> {
    match state {
        State::Released {
            left: Left::Clean, ..
        } => Some("clean"),
        State::Released {
            left: Left::Quarantined,
            ..
        } => Some("quarantined"),
        State::Preparing { .. } | State::Active | State::Grace { .. } | State::Releasing { .. } => None,
    }
}

const fn action(state: State) -> &'static str {
    match state {
        State::Preparing { .. } => "lease.prepare",
        State::Active => "lease.activate",
        State::Grace { .. } => "lease.grace",
        State::Releasing { .. } => "lease.end",
        State::Released { .. } => "lease.release",
    }
}

pub(super) async fn by_lease(tx: &mut Write, lease: LeaseId) -> Result<Option<Session>, StoreError> {
    let row = tx.maybe(&BY_LEASE, args![lease]).await?;
    row.as_ref().map(session).transpose()
}

/// Sessions whose lease is not released, on the devices of a host.
pub(super) async fn live_of_host(tx: &mut Write, host: HostId) -> Result<Vec<Session>, StoreError> {
    let rows = tx.all(&LIVE_OF_HOST, args![host]).await?;
    rows.iter().map(session).collect()
}

/// The sessions of rows that can be read: one that is damaged must not keep the others from their end.
pub(super) fn legible(rows: &[Row]) -> Vec<Session> {
    let read = rows.iter().filter_map(|row| {
        let damaged = |error: &StoreError| {
            let lease = row.text("lease_id").unwrap_or_default();
            tracing::error!(lease.id = %lease, %error, "a lease cannot be read; nothing ends it");
        };
        session(row).inspect_err(damaged).ok()
    });
    read.collect()
}

pub(super) fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.parsed("session_id")?,
        lease: row.parsed("lease_id")?,
        state: state(row)?,
        own_state: session::State::parse(&row.text("session_state")?)
            .ok_or(StoreError::Damaged("sessions.state"))?,
        epoch: Epoch(row.number("lease_epoch")?),
        release_epoch: row.maybe_number("release_epoch")?.map(Epoch),
        binding: row.hash("binding_hash")?.0,
        link: link(row)?,
        spent: Duration::from_millis(row.number("spent_ms")?),
        observers: row.number("observers")?,
        device: row.parsed("leased_device")?,
        host: row.parsed("host_id")?,
        health: Health::parse(&row.text("health")?).ok_or(StoreError::Damaged("devices.health"))?,
        device_name: row.text("device_name")?,
        width: row.number("width")?,
        height: row.number("height")?,
    })
}

fn state(row: &Row) -> Result<State, StoreError> {
    let until = || {
        row.maybe_time("until_at")?
            .ok_or(StoreError::Damaged("leases.until_at"))
    };
    let reason = || {
        let text = row
            .maybe_text("reason")?
            .ok_or(StoreError::Damaged("leases.reason"))?;
        let known = CloseReason::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == text);
        known.ok_or(StoreError::Damaged("leases.reason"))
    };
    Ok(match row.text("lease_state")?.as_str() {
        "preparing" => State::Preparing { until: until()? },
        "active" => State::Active,
        "grace" => State::Grace { until: until()? },
        "releasing" => State::Releasing { reason: reason()? },
        "released" => {
            let clean = row.maybe_text("left_as")?.as_deref() == Some("clean");
            let left = if clean { Left::Clean } else { Left::Quarantined };
            State::Released {
                reason: reason()?,
                left,
            }
        }
        _ => return Err(StoreError::Damaged("leases.state")),
    })
}
