//! Work that outlives a request: preparing, releasing and resetting devices, and the clock's part.
//!
//! ```text
//!   rows ── preparing, releasing, wiping ──► duties ── not at it yet ──► a job ── asks the agent ──► rows
//!    ▲                                   (duty.rs)                                                    │
//!    └──────────────────────────── what is still owed, the sweep starts again ◄───────────────────────┘
//! ```
//!
//! A job holds no truth: the rows say what is owed. Whatever becomes of one (its link broke, the database was away, it
//! panicked, control died), the control that has the host's link starts it again. An agent that did it already says so.

mod cleaning;
pub(crate) mod cut_off;
pub(crate) mod duty;
mod gone;
pub(crate) mod hang_up;
pub(crate) mod prepare;
pub(crate) mod release;
pub(crate) mod reset;
pub(crate) mod sweep;

use std::future::Future;

use crate::app::{App, Shared};
use duty::Duty;

/// Has a job do a duty, unless one is at it.
fn spawn<F>(app: &Shared, duty: Duty, job: impl FnOnce(Shared) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    if let Some(taken) = App::take_up(app, duty) {
        let job = job(app.clone());
        app.jobs.spawn(async move {
            let _taken = taken;
            job.await;
        });
    }
}

#[cfg(test)]
mod tests;
