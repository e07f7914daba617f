//! How long a frame stays, and what was counted: the gateway's own numbers.
//!
//! ```text
//!  device ──► unit read ──► packetised ──► last packet of the last viewer handed to the socket
//!             │◄─ waiting ─►│◄─ packing ──►│◄─ sending ─►│
//!             │◄───────────── residence (per viewer) ───►│
//! ```
//!
//! Times are microseconds in high dynamic range histograms (three digits). Recording costs a few
//! nanoseconds and never fails: a value above the range counts as the highest.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest time that is told apart: a frame that stays a minute is a defect, not a latency.
const HIGHEST_US: u64 = 60_000_000;

/// Histograms and counters, owned by the engine.
#[derive(Debug)]
pub struct Stats {
    /// From the last byte of a picture to its last packet, for each viewer.
    pub residence: Histogram<u64>,
    /// From the last byte of a picture to the media thread taking it.
    pub waiting: Histogram<u64>,
    /// From offer to open channels.
    pub connecting: Histogram<u64>,
    /// What was counted.
    pub counters: Counters,
}

/// What is counted, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Pictures taken from sources.
    pub pictures: u64,
    /// Pictures dropped because newer ones came before they could be sent.
    pub pictures_dropped: u64,
    /// RTP packets sent, retransmissions included.
    pub packets: u64,
    /// System calls that sent them.
    pub sends: u64,
    /// Cached pictures sent again, each group once.
    pub replays: u64,
    /// Key frames asked for.
    pub key_frames_wanted: u64,
    /// Input packets applied.
    pub inputs: u64,
    /// Input packets above the rate.
    pub inputs_limited: u64,
    /// Edges that were too late.
    pub edges_void: u64,
    /// Pointers lifted because the viewer was silent.
    pub pointers_silent: u64,
    /// Messages that broke the protocol.
    pub bad_messages: u64,
    /// Datagrams of nobody.
    pub strays: u64,
}

/// A copy of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// From the last byte of a picture to its last packet.
    pub residence: Percentiles,
    /// From the last byte of a picture to the media thread taking it.
    pub waiting: Percentiles,
    /// From offer to open channels.
    pub connecting: Percentiles,
    /// What was counted.
    pub counters: Counters,
    /// Connections now.
    pub connections: usize,
}

/// Three points of a distribution; all zero when nothing was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Median, microseconds.
    pub p50_us: u64,
    /// 99th percentile, microseconds.
    pub p99_us: u64,
    /// Greatest, microseconds.
    pub max_us: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            residence: histogram(),
            waiting: histogram(),
            connecting: histogram(),
            counters: Counters::default(),
        }
    }
}

impl Stats {
    /// A copy for somebody else, with the number of connections at this moment.
    #[must_use]
    pub fn snapshot(&self, connections: usize) -> Snapshot {
        Snapshot {
            residence: percentiles(&self.residence),
            waiting: percentiles(&self.waiting),
            connecting: percentiles(&self.connecting),
            counters: self.counters,
            connections,
        }
    }
}

/// Records a time.
pub(crate) fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(HIGHEST_US));
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("constant bounds are valid")
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    Percentiles {
        count: histogram.len(),
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        max_us: histogram.max(),
    }
}
