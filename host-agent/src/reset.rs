//! How a device is cleaned between holders: one strategy per [`Reset`].
//!
//! ```text
//!   Keep      nothing: the same holder goes on
//!   WipeApp   apps.rs   data of the installed apps, clipboard                        seconds, leaves files and more
//!   Full      full.rs   everything that differs from the baseline, then a scan       clean, or an error that says why
//! ```
//!
//! Each is a [`Strategy`]; one that recreates a container is another. None knows leases; the epoch is the business of the
//! [`Effects`] that they work through, which check it before each step.

pub mod apps;
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

use std::pin::Pin;
use std::time::Duration;

use protocol::agent::Reset;

use crate::effects::{EffectError, Effects};

/// One step of a reset and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) took: Duration,
}

/// What a reset gives: what was done, or why the device is not clean.
pub(crate) type Cleaning<'a> = Pin<Box<dyn Future<Output = Result<Vec<Step>, EffectError>> + Send + 'a>>;

/// A way to clean a device between holders.
pub(crate) trait Strategy: Sync {
    /// Cleans the device; `progress` is told percentages.
    ///
    /// # Errors
    /// The device is not clean, or nobody knows whether it is.
    fn clean<'a>(&'a self, effects: &'a Effects, progress: &'a mut (dyn FnMut(u8) + Send)) -> Cleaning<'a>;
}

/// The strategy that a reset asks for.
pub(crate) fn strategy(reset: Reset) -> &'static dyn Strategy {
    match reset {
        Reset::Keep => &Keep,
        Reset::WipeApp => &apps::WipeApps,
        Reset::Full => &full::Full,
    }
}

/// The same holder goes on: nothing is done.
struct Keep;

impl Strategy for Keep {
    fn clean<'a>(&'a self, _: &'a Effects, _: &'a mut (dyn FnMut(u8) + Send)) -> Cleaning<'a> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
