//! Has a device made ready for a fresh lease.
//!
//! One job per lease at a time. It looks at the row first: whoever starts it may have read it before another job was
//! done. What it leaves undone (the link broke, the database failed) the sweep starts again, until the lease's time to
//! start is over.

use std::time::Duration;

use protocol::agent::{ANSWER_MARGIN_MS, Prepare, Reset};
use signaling::link::call::CallError;

use crate::app::{App, Owed, Shared};
use crate::domain::lease::{Event, STARTUP_TIMEOUT};
use crate::domain::session::{Advance, Session};
use crate::domain::time::UnixMs;
use crate::jobs::duty::Duty;
use crate::store::audit::Actor;
use crate::store::feed::Word;
use crate::store::{Store, StoreError};

/// How much longer than the agent control waits, so that the agent's own reason arrives.
const MARGIN: Duration = Duration::from_millis(ANSWER_MARGIN_MS);

/// Starts the job, unless it runs.
pub(crate) fn spawn(app: &Shared, session: Session) {
    super::spawn(app, Duty::Prepare(session.lease), |app| async move {
        if let Err(error) = run(&app, &session).await {
            tracing::error!(lease.id = %session.lease, %error, "a preparation could not be looked up or noted");
        }
    });
}

async fn run(app: &Shared, asked: &Session) -> Result<(), StoreError> {
    // Without a link the host's next Hello starts this job again, or the deadline ends the lease.
    let Some(host) = app.hosts.get(asked.host) else {
        return Ok(());
    };
    let Some(session) = still_asked(&app.store, asked).await? else {
        return Ok(());
    };
    let progress = |step| {
        app.watches.progress(session.id, Advance::of(step));
        app.replica.tell(Word::Progress(session.id, step));
    };
    let answered = host
        .call(request(&session), STARTUP_TIMEOUT + MARGIN, progress)
        .await;
    // None: the lease ended meanwhile, and its release is on the way.
    if let Some(changed) = conclude(&app.store, &session, answered, host.is_up(), UnixMs::now()).await? {
        App::changed(app, changed);
    }
    Ok(())
}

/// The session as it is now, if its lease still asks for it.
pub(crate) async fn still_asked(store: &Store, asked: &Session) -> Result<Option<Session>, StoreError> {
    let now = store.session(asked.id).await?;
    Ok(now.filter(|session| Owed::by(session.state) == Owed::Prepare))
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
