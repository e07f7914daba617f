//! The device's clocks: the one place that reads them.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use scrcpy::Pts;

/// CLOCK_MONOTONIC in microseconds, as MediaCodec stamps pictures.
pub(crate) fn monotonic() -> Pts {
    // The clock exists on every Linux; a zero would only spoil a time stamp.
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(std::time::Duration::ZERO, std::time::Duration::from);
    Pts(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

/// Unix time, µs.
pub(crate) fn unix_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Unix time in units of 100 µs, its low 32 bits.
pub(crate) fn unix_100us() -> u32 {
    (unix_us() / 100) as u32
}
