//! The clock's part: leases whose time is over, and memory that may go.
//!
//! A control that has just started knows nothing about viewers until the agents are back, so for one
//! reconnect window it lets no lease run out. Links expire on time regardless: that needs no agent.

use std::time::{Duration, Instant};

use crate::app::{App, Shared};
use crate::domain::lease::Event;
use crate::domain::time::UnixMs;
use crate::jobs::release;
use crate::store::StoreError;
use crate::store::audit::Actor;

/// How often leases are looked at: the promise is an end within a second.
const LEASES_EVERY: Duration = Duration::from_millis(500);
/// How often memory and old sessions are looked at.
const MEMORY_EVERY: Duration = Duration::from_secs(30);
/// After a start no lease runs out for this long: an agent's longest wait between two dials is 36 s.
pub(crate) const RECONNECT_WINDOW: Duration = Duration::from_secs(60);

/// Runs until control stops.
pub(crate) async fn run(app: Shared) {
    let mut leases = tokio::time::interval(LEASES_EVERY);
    let mut memory = tokio::time::interval(MEMORY_EVERY);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = leases.tick() => {
                if let Err(error) = end_leases(&app, UnixMs::now()).await {
                    tracing::error!(%error, "leases could not be looked through");
                }
            }
            _ = memory.tick() => {
                app.limits.prune(Instant::now());
                app.watches.prune();
                if let Err(error) = app.store.forget_old_sessions(UnixMs::now()).await {
                    tracing::error!(%error, "old sessions could not be forgotten");
                }
            }
        }
    }
}

/// Ends every lease whose time is over at `now`, and asks again for releases that are owed.
pub(crate) async fn end_leases(app: &Shared, now: UnixMs) -> Result<(), StoreError> {
    let settling = now < app.started.plus(RECONNECT_WINDOW);
    for (lease, event) in app.store.due(now).await? {
        if settling && event == Event::Deadline {
            continue;
        }
        if let Some(changed) = app.store.step(lease, event, &Actor::SYSTEM, now).await? {
            App::changed(app, changed);
        }
    }
    for session in app.store.releasing().await? {
        release::spawn(app, session);
    }
    Ok(())
}
