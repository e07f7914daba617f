//! Has a device made ready for a fresh lease.

use std::time::Duration;

use protocol::agent::{ANSWER_MARGIN_MS, Prepare, Reset};
use signaling::link::call::CallError;

use crate::app::{App, Shared};
use crate::domain::lease::{Event, STARTUP_TIMEOUT};
use crate::domain::session::{Advance, Session};
use crate::domain::time::UnixMs;
use crate::store::audit::Actor;
use crate::store::{Store, StoreError};

/// How much longer than the agent control waits, so that the agent's own reason arrives.
const MARGIN: Duration = Duration::from_millis(ANSWER_MARGIN_MS);

/// Starts the job.
pub(crate) fn spawn(app: &Shared, session: Session) {
    let shared = app.clone();
    app.jobs.spawn(async move { run(shared, session).await });
}

async fn run(app: Shared, session: Session) {
    // Without a link the host's next Hello starts this job again, or the deadline ends the lease.
    let Some(host) = app.hosts.get(session.host) else {
        return;
    };
    let progress = |step| {
        app.watches.progress(session.id, Advance::of(step));
        app.replica.tell(session.id, step);
    };
    let answered = host
        .call(request(&session), STARTUP_TIMEOUT + MARGIN, progress)
        .await;
    match conclude(&app.store, &session, answered, host.is_up(), UnixMs::now()).await {
        Ok(Some(changed)) => App::changed(&app, changed),
        // The lease ended meanwhile: its release is on the way.
        Ok(None) => {}
        Err(error) => {
            tracing::error!(lease.id = %session.lease, %error, "a prepared lease could not be noted");
        }
    }
}

/// What the agent is asked for.
pub(crate) fn request(session: &Session) -> Prepare {
    Prepare {
        lease: session.lease,
        device: session.device,
        epoch: session.epoch,
        app: session.app().cloned(),
        reset: Reset::WipeApp,
        deadline_ms: STARTUP_TIMEOUT.as_millis() as u64,
    }
}

/// What follows from the answer; `up`: whether the link over which it was asked for still stands.
pub(crate) async fn conclude<T>(
    store: &Store,
    session: &Session,
    answered: Result<T, CallError>,
    up: bool,
    now: UnixMs,
) -> Result<Option<Session>, StoreError> {
    match answered {
        Ok(_) => store.prepared(session.lease, now).await,
        Err(CallError::Lost(why)) if !up => {
            tracing::info!(lease.id = %session.lease, %why, "the link broke while a device was prepared");
            Ok(None)
        }
        Err(error) => {
            tracing::warn!(lease.id = %session.lease, device.id = %session.device, %error, "a device could not be prepared");
            store
                .step(session.lease, Event::Failed, &Actor::SYSTEM, now)
                .await
        }
    }
}
