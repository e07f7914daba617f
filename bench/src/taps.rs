//! Taps: when to make them, and what each one's answer was.
//!
//! A tap is answered by the first frame whose barcode carries another input number than the frames
//! that the page knew when the finger came down. Taps are made one at a time, so that an answer has
//! one possible cause. Their times are dithered over two frames: source, display and taps that keep
//! step with each other would measure one phase over and over.
//!
//! ```text
//!   called   ─ 7 ─ 7 ─ 7 ────── 7 ─ 8 ─ 8 ─      input number in the barcode
//!   finger             ▲            │
//!                      └── answer ──┘            expectedDisplayTime − event.timeStamp
//! ```
//!
//! A tap without an answer is scored with the limit and counted as lost. Pure, except that the seed
//! is the caller's.

use std::time::Duration;

use crate::frames::Shown;
use crate::histogram::Durations;

/// How long an answer is waited for. Longer than the 500 ms after which the input protocol makes an
/// edge void, so that a tap given up here cannot answer for the next one.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Two frames at 60 Hz: every phase of source and display is met.
const DITHER: Duration = Duration::from_micros(33_333);

/// One finger coming down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// When the browser saw the finger: `event.timeStamp`, Unix µs.
    pub down_us: u64,
}

/// What the taps' answers were.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Finger to display; a lost tap stands as [`ANSWER_LIMIT`].
    pub durations: Durations,
    /// Taps without an answer.
    pub lost: u64,
}

impl Answers {
    /// Finds each tap's answer among the frames shown.
    #[must_use]
    pub fn of(taps: &[Tap], shown: &[Shown]) -> Self {
        let mut answers = Self::default();
        for tap in taps {
            let us = answer_us(*tap, shown).unwrap_or_else(|| {
                answers.lost += 1;
                micros(ANSWER_LIMIT)
            });
            answers.durations.record_us(us);
        }
        answers
    }
}

fn answer_us(tap: Tap, shown: &[Shown]) -> Option<u64> {
    let known = shown.partition_point(|one| one.called_us < tap.down_us);
    let number = |one: &Shown| one.reading.map(|reading| reading.input);
    let before = shown[..known].iter().rev().find_map(number)?;
    let answer = shown[known..]
        .iter()
        .find(|one| number(one).is_some_and(|input| input != before))?;
    let us = answer.display_us.saturating_sub(tap.down_us);
    (us < micros(ANSWER_LIMIT)).then_some(us)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A dithered schedule, reproducible from its seed.
#[derive(Debug, Clone)]
pub struct Schedule {
    random: SplitMix64,
    every: Duration,
}

impl Schedule {
    /// `count` taps spread over `window`.
    #[must_use]
    pub fn new(seed: u64, window: Duration, count: u32) -> Self {
        let every = (window / count.max(1)).saturating_sub(DITHER / 2);
        Self {
            random: SplitMix64(seed),
            every,
        }
    }

    /// From one tap to the next.
    pub fn next_pause(&mut self) -> Duration {
        self.every + DITHER.mul_f64(self.fraction())
    }

    /// How far from the middle a tap lands, in both directions, −1 to 1.
    pub fn next_place(&mut self) -> (f64, f64) {
        (2.0 * self.fraction() - 1.0, 2.0 * self.fraction() - 1.0)
    }

    /// In `[0, 1)`.
    fn fraction(&mut self) -> f64 {
        const STEPS: u32 = 1 << 24;
        let drawn = u32::try_from(self.random.next() >> 40).unwrap_or_default();
        f64::from(drawn) / f64::from(STEPS)
    }
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014). Enough for dither.
#[derive(Debug, Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barcode::Reading;

    fn shown(at_us: u64, input: Option<u32>) -> Shown {
        Shown {
            display_us: at_us + 8_000,
            received_us: None,
            called_us: at_us,
            presented: 0,
            reading: input.map(|input| Reading {
                frame: 0,
                input,
                time: 0,
            }),
        }
    }

    #[test]
    fn a_tap_is_answered_by_the_first_frame_with_another_input_number() {
        let frames = [
            shown(10_000, Some(7)),
            shown(26_000, Some(7)),
            shown(42_000, Some(7)),
            shown(58_000, Some(8)),
            shown(74_000, Some(8)),
        ];
        let answers = Answers::of(&[Tap { down_us: 30_000 }], &frames);
        assert_eq!(answers.lost, 0);
        let spread = answers.durations.spread().unwrap();
        assert!(
            (spread.max - 36.0).abs() < 0.05,
            "58 ms + 8 ms − 30 ms is not {}",
            spread.max
        );
    }

    #[test]
    fn an_unreadable_frame_answers_nothing() {
        let frames = [
            shown(10_000, Some(0)),
            shown(26_000, None),
            shown(42_000, Some(1)),
        ];
        let spread = Answers::of(&[Tap { down_us: 20_000 }], &frames)
            .durations
            .spread()
            .unwrap();
        assert!((spread.max - 30.0).abs() < 0.05);
    }

    #[test]
    fn a_tap_without_an_answer_is_lost_and_weighs_as_the_limit() {
        let frames = [
            shown(10_000, Some(7)),
            shown(26_000, Some(7)),
            shown(9_000_000, Some(8)),
        ];
        for taps in [[Tap { down_us: 20_000 }], [Tap { down_us: 9_500_000 }]] {
            let answers = Answers::of(&taps, &frames);
            assert_eq!(answers.lost, 1);
            assert!(answers.durations.spread().unwrap().max >= 1_999.0);
        }
    }

    #[test]
    fn the_schedule_keeps_its_mean_pause_and_meets_every_phase() {
        let mut schedule = Schedule::new(1, Duration::from_secs(20), 100);
        let pauses: Vec<Duration> = (0..1000).map(|_| schedule.next_pause()).collect();
        let mean = pauses.iter().sum::<Duration>() / 1000;
        assert!(
            mean.abs_diff(Duration::from_millis(200)) < Duration::from_millis(2),
            "{mean:?}"
        );
        let phases: std::collections::HashSet<u128> = pauses
            .iter()
            .map(|pause| pause.as_micros() % 16_667 / 1_667)
            .collect();
        assert_eq!(phases.len(), 10);
    }

    #[test]
    fn a_seed_gives_the_same_schedule_again() {
        let run = || {
            let mut schedule = Schedule::new(42, Duration::from_secs(1), 10);
            (0..10)
                .map(|_| (schedule.next_pause(), schedule.next_place()))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    }
}
