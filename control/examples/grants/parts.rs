//! What commits consist of: collects what `store/batch.rs` says about each in its debug line.
//!
//! ```text
//!   queue ── waited_us ──► begun_us: connection, BEGIN, the writers' turn ──► worked_us ──► committed_us: the disk's sync
//! ```
//!
//! It is a subscriber of `tracing` that hears one line and nothing else.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Values of each field, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Parts(Arc<Mutex<BTreeMap<&'static str, Vec<u64>>>>);

impl Parts {
    /// Listens from now on.
    pub(crate) fn listen() -> Self {
        let parts = Self::default();
        let ours = Targets::new().with_target("control::store::batch", tracing::Level::DEBUG);
        let layer = parts.clone().with_filter(ours);
        tracing_subscriber::registry().with(layer).init();
        parts
    }

    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) fn told(&self) -> String {
        let mut text = String::new();
        for (name, values) in self.0.lock().unwrap().iter_mut() {
            values.sort_unstable();
            let at = |percent: usize| values[(values.len() - 1) * percent / 100];
            let spread = (at(50), at(90), at(99), at(100));
            writeln!(
                text,
                "  {name:<26} {spread:?}   p50, p90, p99, most of {}",
                values.len()
            )
            .unwrap();
        }
        text
    }
}

impl<S: Subscriber> Layer<S> for Parts {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut &*self);
    }
}

impl Visit for &Parts {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0
            .lock()
            .unwrap()
            .entry(field.name())
            .or_default()
            .push(value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
