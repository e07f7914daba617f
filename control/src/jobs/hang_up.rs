//! Has an agent close a connection that is over here.
//!
//! ```text
//!   replaced, or unknown here ──► CloseConnection ──► closed, or not there: done
//!                                       ▲  └─ no answer, too busy, lost ─┐
//!                                       └── while somebody has its link ─┘
//! ```
//!
//! The row is closed already, so nobody else would ask again. Without a link nobody has to: the host's next Hello lists
//! its connections, and what does not live here is closed then. It does not know why a connection is over.

use std::time::Duration;

use protocol::agent::{CloseConnection, ConnectionEvent, RefusalCode};
use protocol::{CloseReason, HostId};
use signaling::link::call::CallError;

use crate::app::Shared;
use crate::replica::Reach;
use crate::store::viewer_tokens::HangUp;

/// An agent answers within this; closing is a message to its gateway.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait before it is asked again: an agent that was busy has done a second's work, a link that broke is noted.
const RETRY: Duration = Duration::from_millis(500);

/// Starts asking.
pub(crate) fn spawn(app: &Shared, host: HostId, close: CloseConnection) {
    let own = app.clone();
    app.jobs.spawn(async move {
        let stop = own.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = run(&own, host, close) => {}
        }
    });
}

/// Starts asking for each.
pub(crate) fn all(app: &Shared, ended: Vec<HangUp>) {
    for HangUp { host, close } in ended {
        spawn(app, host, close);
    }
}

async fn run(app: &Shared, host: HostId, close: CloseConnection) {
    loop {
        let id = close.connection;
        match Reach::to(app, host).await {
            Ok(None) => return,
            Ok(Some(reach)) => match reach.call(close.clone(), ANSWER_TIMEOUT).await {
                Err(error) if may_stay(&error) => {
                    tracing::info!(connection.id = %id, %error, "a connection that is over is not closed yet");
                }
                _ => return,
            },
            Err(error) if error.is_away() => {}
            Err(error) => {
                tracing::error!(connection.id = %id, %error, "a connection that is over could not be closed");
                return;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// What an agent is asked for that told of a connection which is over here.
pub(crate) const fn stray(event: &ConnectionEvent, reason: CloseReason) -> CloseConnection {
    CloseConnection {
        connection: event.connection,
        device: event.device,
        epoch: event.epoch,
        reason,
    }
}

/// Whether the agent may still have it.
pub(crate) fn may_stay(error: &CallError) -> bool {
    match error {
        CallError::Refused(refusal) => matches!(refusal.code, RefusalCode::Busy | RefusalCode::DeviceOffline),
        CallError::Lost(_) | CallError::TimedOut => true,
        _ => false,
    }
}
