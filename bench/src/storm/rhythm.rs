//! How evenly something comes that ought to come all the time, and how evenly time itself comes on this machine.
//!
//! ```text
//!   picture   f f f f f f ················ f f f f      the longest silence is 16 dots
//!   witness   s   s   s   ··········   s   s   s        a thread that only sleeps was not woken for 10 of them
//!             └── begun                                 so the picture stood still for 6 by itself, at least
//! ```
//!
//! A machine that others use stands still now and then, with all that runs on it: what a witness went through as well
//! is nobody's fault. It does not know what comes.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two times that a witness wakes up.
const WAKES_EVERY: Duration = Duration::from_millis(50);

/// The longest silence of something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    last: Instant,
    longest: Duration,
}

impl Rhythm {
    /// It is watched from now on.
    pub(crate) const fn begun(now: Instant) -> Self {
        Self {
            last: now,
            longest: Duration::ZERO,
        }
    }

    /// It came.
    pub(crate) fn came(&mut self, now: Instant) {
        self.longest = self.longest(now);
        self.last = now;
    }

    /// The longest silence so far; the one that lasts counts.
    pub(crate) fn longest(&self, now: Instant) -> Duration {
        self.longest.max(now.saturating_duration_since(self.last))
    }
}

/// A thread that only sleeps. Dropping it ends it.
pub(crate) struct Witness {
    rhythm: Arc<Mutex<Rhythm>>,
    end: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    pub(crate) fn start() -> std::io::Result<Self> {
        let rhythm = Arc::new(Mutex::new(Rhythm::begun(Instant::now())));
        let (end, ended) = mpsc::sync_channel::<()>(0);
        let own = Arc::clone(&rhythm);
        let thread = std::thread::Builder::new().name("witness".to_owned());
        let thread = thread.spawn(move || {
            while ended.recv_timeout(WAKES_EVERY) == Err(RecvTimeoutError::Timeout) {
                read(&own).came(Instant::now());
            }
        })?;
        Ok(Self {
            rhythm,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// For how long it was not woken at most, its own sleep included.
    pub(crate) fn longest(&self) -> Duration {
        read(&self.rhythm).longest(Instant::now())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It wakes up at once, and has nothing that can panic.
            drop(thread.join());
        }
    }
}

fn read(rhythm: &Mutex<Rhythm>) -> std::sync::MutexGuard<'_, Rhythm> {
    rhythm.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_counts_wherever_it_is_and_also_while_it_lasts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let longest = |came: &[u64], now| {
            let mut rhythm = Rhythm::begun(start);
            came.iter().for_each(|ms| rhythm.came(at(*ms)));
            rhythm.longest(at(now)).as_millis()
        };
        assert_eq!(longest(&[], 7), 7);
        assert_eq!(longest(&[5, 6, 7], 8), 5);
        assert_eq!(longest(&[1, 30, 31], 32), 29);
        assert_eq!(longest(&[1, 2, 3], 40), 37);
    }
}
