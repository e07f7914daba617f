//! How long an agent waits before it dials again.
//!
//! ```text
//!   a link that stood was lost with control ──────► 0.1 s, however short it stood
//!   nobody answers (down, starting, cut off) ─────► 0.1 0.2 0.4 0.8 1 1 1 …  s      one datagram each: cheap for control
//!   control answers, and there is no link ────────► 1 2 4 8 16 30 30 …       s      a handshake each: dear
//!                                                    each ± 20 %, drawn anew; a link that held a minute starts it over
//! ```
//!
//! Control that comes back should have its agents within a second, and no agent calls it more often than about once in
//! a second. Randomness and times are arguments; it neither sleeps nor dials.

use std::time::Duration;

/// First and longest wait for a control that does not answer.
const AWAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// First and longest wait when control answers and there is no link: it refuses us, or one of both is wrong.
const TURNED_AWAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How much a wait varies to either side, so that agents do not return in step.
const JITTER: f64 = 0.2;
/// A link that held this long ends a row of failures.
const STEADY: Duration = Duration::from_secs(60);

/// The failures in a row.
#[derive(Debug, Default)]
pub(super) struct Pace {
    silent: u32,
    turned_away: u32,
}

impl Pace {
    /// A dial or a link ended. `is_away`: control did not answer, or its host says that nobody listens. `stood`: how
    /// long there was a link, if there was one. `unit` (0 to 1) chooses within the jitter.
    pub(super) fn ended(&mut self, is_away: bool, stood: Option<Duration>, unit: f64) -> Duration {
        if stood.is_some_and(|stood| is_away || stood >= STEADY) {
            *self = Self::default();
        }
        let (row, (first, longest)) = if is_away {
            (&mut self.silent, AWAY)
        } else {
            (&mut self.turned_away, TURNED_AWAY)
        };
        let doubled = first.saturating_mul(1u32 << (*row).min(16));
        *row = row.saturating_add(1);
        doubled.min(longest).mul_f64(1.0 - JITTER + 2.0 * JITTER * unit)
    }
}

pub(super) fn random_unit() -> f64 {
    // Without randomness agents only lose their jitter.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(pace: &mut Pace, is_away: bool, stood: Option<Duration>) -> Vec<u128> {
        let ends = (0..7).map(|_| pace.ended(is_away, stood, 0.5).as_millis());
        ends.collect()
    }

    #[test]
    fn a_control_that_is_killed_every_few_seconds_has_its_agents_back_at_once_each_time() {
        let stood = Some(Duration::from_secs(3));
        assert_eq!(waits(&mut Pace::default(), true, stood), [100; 7]);
    }

    #[test]
    fn a_control_that_does_not_answer_is_called_once_a_second_at_most() {
        let mut pace = Pace::default();
        assert_eq!(
            waits(&mut pace, true, None),
            [100, 200, 400, 800, 1000, 1000, 1000]
        );
        let wait = |unit| pace.ended(true, None, unit).as_millis();
        assert_eq!([0.0, 1.0].map(wait), [800, 1200], "not all in step");
    }

    #[test]
    fn a_control_that_turns_us_away_is_left_alone_ever_longer() {
        let mut pace = Pace::default();
        let seconds = [1, 2, 4, 8, 16, 30, 30].map(|seconds| seconds * 1000);
        assert_eq!(waits(&mut pace, false, Some(Duration::from_secs(3))), seconds);
        let steady = Some(STEADY);
        assert_eq!(pace.ended(false, steady, 0.5).as_millis(), 1000);
    }
}
