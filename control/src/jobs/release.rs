//! Has a device cut off from its last holder and cleaned.
//!
//! One job per lease at a time. What a job leaves undone (the link broke, the database failed) the
//! sweep starts again as long as the host is there, and the host's next Hello otherwise.

use protocol::CloseReason;
use protocol::agent::{Release, Reset};
use signaling::link::call::CallError;

use crate::app::{App, Shared};
use crate::domain::device::Soiled;
use crate::domain::lease::Event;
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::jobs::cleaning;
use crate::jobs::duty::Duty;
use crate::store::audit::Actor;
use crate::store::{Store, StoreError};

/// Starts the job, unless it runs. The request leaves at once: it is what cuts media and input.
pub(crate) fn spawn(app: &Shared, session: Session) {
    super::spawn(app, Duty::Release(session.lease), |app| async move {
        if let Err(error) = run(&app, &session).await {
            tracing::error!(lease.id = %session.lease, %error, "a released lease could not be noted");
        }
    });
}

async fn run(app: &Shared, session: &Session) -> Result<(), StoreError> {
    let (Some(release), Some(host)) = (request(session), app.hosts.get(session.host)) else {
        return Ok(());
    };
    let epoch = release.epoch;
    let answered = cleaning::ask(&host, release).await;
    app.hosts.answered(session.host, session.device, epoch, &answered);
    if let Some(changed) = conclude(&app.store, session, answered, host.is_up(), UnixMs::now()).await? {
        App::changed(app, changed);
    }
    Ok(())
}

/// What the agent is asked for; none while the lease is held.
pub(crate) fn request(session: &Session) -> Option<Release> {
    Some(Release {
        lease: Some(session.lease),
        device: session.device,
        epoch: session.release_epoch?,
        app: session.app().cloned(),
        reset: Reset::Full,
        reason: session.state.reason().unwrap_or(CloseReason::LeaseEnded),
    })
}

/// What follows from the answer; `up`: whether the link over which it was asked for still stands.
pub(crate) async fn conclude(
    store: &Store,
    session: &Session,
    answered: Result<(), CallError>,
    up: bool,
    now: UnixMs,
) -> Result<Option<Session>, StoreError> {
    let (lease, asked) = (session.lease, session.release_epoch);
    let (event, error) = match answered {
        Ok(()) => (Event::Cleaned, None),
        Err(CallError::Lost(why)) if !up => {
            tracing::info!(lease.id = %lease, %why, "the link broke while a device was released");
            return Ok(None);
        }
        Err(error @ CallError::Refused(_)) => (Event::CleanFailed(Soiled::NotCleaned), Some(error)),
        Err(error) => (Event::CleanFailed(Soiled::NoAnswer), Some(error)),
    };
    let changed = store
        .release_answered(lease, asked, event, &Actor::SYSTEM, now)
        .await?;
    if let (Some(error), Some(_)) = (error, &changed) {
        tracing::error!(lease.id = %lease, device.id = %session.device, %error, "a device was not cleaned and is quarantined");
    }
    Ok(changed)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
