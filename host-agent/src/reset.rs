//! How a device is cleaned between holders: one strategy per [`Reset`].
//!
//! ```text
//!   Keep      nothing: the same holder goes on
//!   WipeApp   apps.rs   data of the installed apps, clipboard                        seconds, leaves files and more
//!   Full      full.rs   everything that differs from the baseline, then a scan       clean, or an error that says why
//! ```
//!
//! A strategy that recreates a container joins here. None knows leases; the epoch is the business of the
//! [`Effects`] that they work through, which check it before each step.

mod apps;
pub(crate) mod baseline;
mod files;
mod findings;
mod full;
pub(crate) mod listing;
pub(crate) mod names;
pub mod plan;
pub mod survey;
pub mod wipe;
pub mod witness;

pub use listing::Account;

use std::time::Duration;

use protocol::agent::Reset;

use crate::effects::{EffectError, Effects};

/// One step of a reset and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) took: Duration,
}

/// Cleans the device as `reset` says; `progress` is told percentages. Gives what was done.
pub(crate) async fn clean(
    effects: &Effects,
    reset: Reset,
    progress: impl FnMut(u8),
) -> Result<Vec<Step>, EffectError> {
    match reset {
        Reset::Keep => Ok(Vec::new()),
        Reset::WipeApp => apps::wipe_apps(effects, progress).await,
        Reset::Full => full::wipe(effects, progress).await,
    }
}
