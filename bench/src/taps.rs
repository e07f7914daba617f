//! Taps: when to make them, and what each one's answer was.
//!
//! A tap is answered by the first frame whose barcode carries another input number than the last one
//! read before the finger came down. Taps are made one at a time, so that an answer has one possible
//! cause. Their times are dithered over two frames: source, display and taps that keep step with each
//! other would measure one phase over and over.
//!
//! ```text
//!   finger   ▲ down, heard ─ 7 ─ 7 ─ 8              input numbers of the frames shown since
//!            └────────── answer ─────┘              expectedDisplayTime − event.timeStamp
//! ```
//!
//! A tap without an answer is scored with the limit and counted as lost. Pure, except that the seed
//! is the caller's.

use std::time::Duration;

use crate::barcode::Reading;
use crate::frames::Shown;
use crate::histogram::Durations;

/// How long an answer is waited for. Longer than the 500 ms after which the input protocol makes an
/// edge void, so that a tap given up here cannot answer for the next one.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Two frames at 60 Hz: every phase of source and display is met.
const DITHER: Duration = Duration::from_micros(33_333);
/// From one answer to the next tap, at least: the finger is up again and the page is at rest.
const PAUSE: Duration = Duration::from_millis(100);

/// One finger coming down. Unix µs on this machine's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    /// When the browser saw the finger: `event.timeStamp`.
    pub down_us: u64,
    /// When the page's first handler ran.
    pub heard_us: u64,
    /// The input number that the page had read last.
    pub before: u32,
    /// The frames shown since, up to the answer.
    pub shown: Vec<Shown>,
}

impl Tap {
    fn answer(&self) -> Option<(&Shown, Reading)> {
        let readable = self.shown.iter().filter_map(|one| Some((one, one.reading?)));
        let (shown, reading) = readable
            .into_iter()
            .find(|(_, reading)| reading.input != self.before)?;
        let in_time = shown.display_us.saturating_sub(self.down_us) < micros(ANSWER_LIMIT);
        in_time.then_some((shown, reading))
    }
}

/// What the taps' answers were.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Finger to display; a lost tap stands as [`ANSWER_LIMIT`].
    pub durations: Durations,
    /// Finger to the page's first handler, of every tap.
    pub to_handler: Durations,
    /// Finger to the drawing of the answer: the way up. Only of taps with an answer.
    pub to_drawing: Durations,
    /// Taps without an answer.
    pub lost: u64,
}

impl Answers {
    /// Scores each tap.
    #[must_use]
    pub fn of<'a>(taps: impl IntoIterator<Item = &'a Tap>) -> Self {
        let mut answers = Self::default();
        for tap in taps {
            answers
                .to_handler
                .record_us(tap.heard_us.saturating_sub(tap.down_us));
            let Some((answer, reading)) = tap.answer() else {
                answers.lost += 1;
                answers.durations.record_us(micros(ANSWER_LIMIT));
                continue;
            };
            answers
                .durations
                .record_us(answer.display_us.saturating_sub(tap.down_us));
            let drawn_us = reading.drawn_us(answer.display_us);
            answers.to_drawing.record_us(drawn_us.saturating_sub(tap.down_us));
        }
        answers
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Dithered times and places, reproducible from their seed.
#[derive(Debug, Clone)]
pub struct Schedule(SplitMix64);

impl Schedule {
    /// The schedule of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64(seed))
    }

    /// From one tap's answer to the next tap.
    pub fn next_pause(&mut self) -> Duration {
        PAUSE + DITHER.mul_f64(self.fraction())
    }

    /// How far from the middle a tap lands, in both directions, −1 to 1.
    pub fn next_place(&mut self) -> (f64, f64) {
        (2.0 * self.fraction() - 1.0, 2.0 * self.fraction() - 1.0)
    }

    /// In `[0, 1)`.
    fn fraction(&mut self) -> f64 {
        const STEPS: u32 = 1 << 24;
        let drawn = u32::try_from(self.0.next() >> 40).unwrap_or_default();
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

    fn shown(display_us: u64, input: Option<u32>) -> Shown {
        Shown {
            display_us,
            received_us: None,
            presented: 0,
            reading: input.map(|input| Reading {
                frame: 0,
                input,
                time: (display_us / 100) as u32 - 200,
            }),
        }
    }

    fn tap(shown: Vec<Shown>) -> Tap {
        Tap {
            down_us: 30_000,
            heard_us: 31_600,
            before: 7,
            shown,
        }
    }

    #[test]
    fn a_tap_is_answered_by_the_first_frame_with_another_input_number() {
        let frames = vec![
            shown(42_000, Some(7)),
            shown(66_000, Some(8)),
            shown(82_000, Some(8)),
        ];
        let answers = Answers::of(&[tap(frames)]);
        let max = |durations: &Durations| durations.spread().unwrap().max;
        assert_eq!(answers.lost, 0);
        assert!(
            (max(&answers.durations) - 36.0).abs() < 0.05,
            "66 ms − 30 ms: {answers:?}"
        );
        assert!(
            (max(&answers.to_drawing) - 16.0).abs() < 0.05,
            "drawn 20 ms before it was shown: {answers:?}"
        );
        assert!((max(&answers.to_handler) - 1.6).abs() < 0.01, "{answers:?}");
    }

    #[test]
    fn an_unreadable_frame_answers_nothing() {
        let answers = Answers::of(&[tap(vec![shown(42_000, None), shown(60_000, Some(8))])]);
        assert!((answers.durations.spread().unwrap().max - 30.0).abs() < 0.05);
    }

    #[test]
    fn a_tap_without_an_answer_is_lost_and_weighs_as_the_limit() {
        for frames in [
            vec![],
            vec![shown(42_000, Some(7))],
            vec![shown(9_000_000, Some(8))],
        ] {
            let answers = Answers::of(&[tap(frames)]);
            assert_eq!(answers.lost, 1);
            assert!(answers.durations.spread().unwrap().max >= 1_999.0);
        }
    }

    #[test]
    fn the_schedule_meets_every_phase_of_a_frame() {
        let mut schedule = Schedule::new(1);
        let pauses: Vec<Duration> = (0..1000).map(|_| schedule.next_pause()).collect();
        assert!(pauses.iter().all(|pause| (PAUSE..PAUSE + DITHER).contains(pause)));
        let phases: std::collections::HashSet<u128> = pauses
            .iter()
            .map(|pause| pause.as_micros() % 16_667 / 1_667)
            .collect();
        assert_eq!(phases.len(), 10);
    }

    #[test]
    fn a_seed_gives_the_same_schedule_again() {
        let run = || {
            let mut schedule = Schedule::new(42);
            (0..10)
                .map(|_| (schedule.next_pause(), schedule.next_place()))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    }
}
