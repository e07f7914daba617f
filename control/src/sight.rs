//! Whether this control, one of several, still sees the database that they share.
//!
//! ```text
//!   seen ── no look succeeds for GONE_AFTER ──► lost: every link is closed, nobody is welcomed
//!     ▲                                           │
//!     └───────────── a look succeeds ─────────────┘
//! ```
//!
//! To the others a control that writes nothing for so long is gone, and what they decide about its hosts reaches the
//! hosts' agents only over another link. An agent that were kept here would keep a picture and touches for somebody
//! whose lease is over; turned away, it finds a control that sees. Where nobody else was when it was last looked there is
//! nobody to go to, and everything stays: a picture that goes on is not told to be out of reach. It does not know the
//! database.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use signaling::link::server::close_code;

use crate::app::Shared;
use crate::domain::time::Steady;
use crate::others::GONE_AFTER;

/// How often it is asked how long ago the last look was.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// What this control knows of its own sight.
#[derive(Debug, Default)]
pub(crate) struct Sight(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
struct State {
    seen: Steady,
    lost: bool,
    /// Whether there were no others then.
    alone: bool,
}

impl Sight {
    /// The database answered to what began at this time, and whether it knows of no other control.
    pub(crate) fn saw(&self, now: Steady, alone: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State {
            seen: now,
            lost: false,
            alone,
        };
    }

    /// Whether the sight is lost, by now.
    fn is_lost_by(&self, now: Steady) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.lost |= !state.alone && now.since(state.seen) > GONE_AFTER;
        state.lost
    }

    /// Whether it has looked, and there was somebody else.
    #[cfg(test)]
    pub(crate) fn knows_others(&self) -> bool {
        let state = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen > Steady::default() && !state.alone
    }

    /// Whether it was lost and did not come back.
    pub(crate) fn is_lost(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lost
    }
}

/// Has this control's agents go to another one when it does not see the database, until control stops. It waits for
/// nothing that may wait for the database.
pub(crate) async fn run(app: Shared) {
    let mut asked = tokio::time::interval(ASKED_EVERY);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = asked.tick() => let_go(&app, app.now().steady),
        }
    }
}

/// Closes every link if the sight is lost.
pub(crate) fn let_go(app: &Shared, now: Steady) {
    if !app.replica.may_have_others() || !app.replica.sight.is_lost_by(now) {
        return;
    }
    for host in app.hosts.links() {
        tracing::error!(host.id = %host.id(), "the database is out of reach; a host is sent to another control");
        host.close(close_code::STOPPING, "control does not see its database");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sight_is_lost_after_as_long_as_the_others_wait_and_comes_back_with_the_first_look() {
        let at = |seconds| Steady(Duration::from_secs(seconds));
        let sight = Sight::default();
        sight.saw(at(5), false);
        assert!(!sight.is_lost_by(at(15)));
        assert!(sight.is_lost_by(at(16)) && sight.is_lost());
        sight.saw(at(17), false);
        assert!(!sight.is_lost() && !sight.is_lost_by(at(27)));
    }

    #[test]
    fn a_control_that_is_alone_keeps_its_hosts_however_long_its_database_is_away() {
        let at = |seconds| Steady(Duration::from_secs(seconds));
        let sight = Sight::default();
        sight.saw(at(5), true);
        assert!(!sight.is_lost_by(at(3600)) && !sight.is_lost());
        // Another one may have come meanwhile, and this one knows of it as soon as it looks.
        sight.saw(at(3601), false);
        assert!(sight.is_lost_by(at(3612)));
    }
}
