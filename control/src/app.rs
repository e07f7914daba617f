//! What every route, job and agent link shares: the store and the live registries.
//!
//! Durable truth is in the store. What is here is either live by nature (links to hosts, people who
//! watch a session) or may be forgotten at a restart (limits). [`App::changed`] is the one place where
//! a lease that changed in the database starts to have effects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use signaling::link::token::Fingerprint;
use signaling::origin::Origin;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::deadlines::Deadlines;
use crate::domain::lease::State;
use crate::domain::session::Session;
use crate::domain::time::{Moment, Steady, UnixMs};
use crate::hosts::Hosts;
use crate::jobs::duty::Duties;
use crate::jobs::{prepare, release};
use crate::limits::Limits;
use crate::replica::Replica;
use crate::secret::Seal;
use crate::store::Store;
use crate::watch::Watches;

/// The shared state; cheap to clone as an `Arc`.
pub(crate) struct App {
    /// The database.
    pub store: Store,
    /// Hosts whose link is up.
    pub hosts: Hosts,
    /// People who watch sessions.
    pub watches: Watches,
    /// Rate limits.
    pub limits: Limits,
    /// Origins of our own pages; the first one is in the links that are handed out.
    pub origins: Vec<Origin>,
    /// What join tokens pin: the fingerprint of our certificate authority.
    pub authority: Fingerprint,
    /// When this process started; of the clock that never jumps.
    pub started: Instant,
    /// What secrets are made from that have to be made twice.
    pub seal: Seal,
    /// When leases end by themselves.
    pub deadlines: Mutex<Deadlines>,
    /// What is being done because the rows ask for it.
    pub duties: Duties,
    /// This control among others on the same database.
    pub replica: Replica,
    /// Jobs that run; counted down at the end.
    pub jobs: TaskTracker,
    /// Cancelled when control stops.
    pub stop: CancellationToken,
}

/// One for all.
pub(crate) type Shared = Arc<App>;

/// What the agent is to be asked for because of a lease's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owed {
    /// The holder's device.
    Prepare,
    /// The device back.
    Release,
    /// Nothing.
    Nothing,
}

impl Owed {
    pub(crate) const fn by(state: State) -> Self {
        match state {
            State::Preparing { .. } => Self::Prepare,
            State::Releasing { .. } => Self::Release,
            State::Active | State::Grace { .. } | State::Released { .. } => Self::Nothing,
        }
    }
}

impl App {
    /// A lease changed: tell who watches, and tell the agent what follows.
    pub(crate) fn changed(self: &Arc<Self>, session: Session) {
        self.watches.publish(&session);
        self.set_about(session);
    }

    /// Has the agent do what a lease asks for, unless that is being done. The reading may be an older one.
    pub(crate) fn set_about(self: &Arc<Self>, session: Session) {
        match Owed::by(session.state) {
            Owed::Prepare => prepare::spawn(self, session),
            Owed::Release => release::spawn(self, session),
            Owed::Nothing => {}
        }
    }

    /// Now, by both clocks.
    pub(crate) fn now(&self) -> Moment {
        Moment {
            steady: Steady(self.started.elapsed()),
            wall: UnixMs::now(),
        }
    }

    /// The deadlines; never held over an await.
    pub(crate) fn deadlines(&self) -> MutexGuard<'_, Deadlines> {
        // Whoever panicked over them left values that the next look sets right.
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address that a link's token is put behind.
    pub(crate) fn link_url(&self, token: &str) -> String {
        format!("{}/l#{token}", self.origins[0])
    }
}
