//! Whoever waits for the outcome of a request: control, through the link, and possibly more than once for the
//! same thing, for a request is repeated when the link broke in between.
//!
//! ```text
//!   request ─► Asker ─┐
//!   repeated ► Asker ─┴─► Askers ── tell(progress)* ── reply ─► each of them
//! ```
//!
//! It does not know QUIC: control_link.rs carries the other ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::agent::{Progress, Refusal, RefusalCode, Reply};
use tokio::sync::{mpsc, oneshot};

/// Askers of one job; control repeats a request only after the last one broke. One more is told `Busy`.
const ASKERS_MAX: usize = 8;
/// Progress on its way to control. Beyond it a step is left out: the next one says more.
pub(crate) const PROGRESS_MAX: usize = 32;

/// One who asked.
#[derive(Debug)]
pub(crate) struct Asker {
    progress: mpsc::Sender<Progress>,
    reply: oneshot::Sender<Reply>,
}

/// The other end of an [`Asker`]. `reply` fails when it was dropped unanswered.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) progress: mpsc::Receiver<Progress>,
    pub(crate) reply: oneshot::Receiver<Reply>,
}

impl Asker {
    pub(crate) fn new() -> (Self, Answers) {
        let (progress, steps) = mpsc::channel(PROGRESS_MAX);
        let (reply, answer) = oneshot::channel();
        (
            Self { progress, reply },
            Answers {
                progress: steps,
                reply: answer,
            },
        )
    }

    /// Says how it ended. Who asked may be gone; what was done stays done.
    pub(crate) fn reply(self, reply: Reply) {
        let _ = self.reply.send(reply);
    }

    /// Says that it was not done.
    pub(crate) fn refuse(self, code: RefusalCode, detail: &dyn std::fmt::Display) {
        self.reply(refusal(code, detail));
    }
}

/// All who asked for the same thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Askers(Arc<Mutex<Vec<Asker>>>);

impl Askers {
    pub(crate) fn join(&self, asker: Asker) {
        let mut askers = self.lock();
        askers.retain(|asker| !asker.reply.is_closed());
        if askers.len() >= ASKERS_MAX {
            asker.refuse(RefusalCode::Busy, &"too many wait for the same thing");
        } else {
            askers.push(asker);
        }
    }

    pub(crate) fn tell(&self, progress: Progress) {
        for asker in self.lock().iter() {
            let _ = asker.progress.try_send(progress);
        }
    }

    pub(crate) fn reply(&self, reply: &Reply) {
        for asker in self.lock().drain(..) {
            asker.reply(reply.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Asker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn refusal(code: RefusalCode, detail: &dyn std::fmt::Display) -> Reply {
    Reply::Refused(Refusal {
        code,
        detail: detail.to_string(),
    })
}
