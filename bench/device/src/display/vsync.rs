//! The display's clock: ticks at a fixed distance, counted from when it was switched on, never made up for.

use std::time::{Duration, Instant};

/// Ticks of a display.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vsync {
    start: Instant,
    fps: u32,
}

impl Vsync {
    /// `fps` ticks a second, at least one.
    pub(crate) fn new(start: Instant, fps: u32) -> Self {
        Self {
            start,
            fps: fps.max(1),
        }
    }

    /// The first tick after `now`.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let (nanos, fps) = ((now - self.start).as_nanos(), u128::from(self.fps));
        let tick = nanos * fps / 1_000_000_000 + 1;
        // Rounded up, so that the next question gives the next tick.
        let at = (tick * 1_000_000_000).div_ceil(fps);
        self.start + Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stay_on_their_grid() {
        let start = Instant::now();
        let vsync = Vsync::new(start, 60);
        let mut now = start;
        for _ in 0..60 {
            now = vsync.next(now);
        }
        assert_eq!(now, start + Duration::from_secs(1));
        let late = now + Duration::from_millis(40);
        assert_eq!(vsync.next(late), start + Duration::from_millis(1_050));
    }
}
