//! From the frames that a browser showed to the age of every frame that was drawn.
//!
//! The source numbers its frames. One that was never shown (dropped on the way, or shown so briefly
//! that the page was not told) must not vanish from the percentiles: it is scored with the age that
//! the person's picture had at the next frame shown, counted from its own time of drawing, which is
//! interpolated between its shown neighbours.
//!
//! ```text
//!  drawn    1     2     3     4     5
//!  shown    1                 4     5
//!  scored   1     2→4   3→4   4     5       age(2) = displayed(4) − drawn(2)
//! ```
//!
//! Pure: frames in, durations out. Knows no browser and no clock.

use crate::barcode::Reading;
use crate::histogram::Durations;

/// Ten minutes at 60 frames a second. A larger jump of the frame number is a new start of the target,
/// not a gap, and counted as one.
const GAP_MAX: u32 = 36_000;

/// One frame that the browser showed. Unix µs on this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// When the browser promised to have it on the screen.
    pub display_us: u64,
    /// When its last packet had arrived; none if the browser did not say.
    pub received_us: Option<u64>,
    /// How many frames the browser had submitted for display, this one included.
    pub presented: u64,
    /// What the barcode said; none if it could not be read.
    pub reading: Option<Reading>,
}

/// The age of every drawn frame, and what happened to those that were not seen.
#[derive(Debug, Clone, Default)]
pub struct Ages {
    /// Of every frame drawn, seen or not.
    pub every: Durations,
    /// Only of those that were seen: the difference shows what leaving out would hide.
    pub seen: Durations,
    /// Drawn, but never seen.
    pub unseen: u64,
    /// Shown, but with a barcode that could not be read (and so among the unseen).
    pub unreadable: u64,
    /// The same drawn frame shown again.
    pub repeated: u64,
    /// The frame number fell, or rose by more than a run can hold: the target was started anew.
    pub restarts: u64,
    /// Displayed before they were drawn: the two clocks disagree. Scored as 0.
    pub impossible: u64,
    /// Submitted for display without the page being told (and so among the unseen).
    pub uncalled: u64,
}

impl Ages {
    /// Scores what was shown, in the order of being shown.
    #[must_use]
    pub fn of(shown: &[Shown]) -> Self {
        let mut ages = Self::default();
        let mut last: Option<Drawn> = None;
        for pair in shown.windows(2) {
            ages.uncalled += pair[1]
                .presented
                .saturating_sub(pair[0].presented)
                .saturating_sub(1);
        }
        for one in shown {
            let Some(reading) = one.reading else {
                ages.unreadable += 1;
                continue;
            };
            let drawn = Drawn {
                frame: reading.frame,
                at_us: reading.drawn_us(one.display_us),
            };
            match last.map(|last| (last, drawn.frame.checked_sub(last.frame))) {
                None => {}
                Some((_, Some(0))) => {
                    ages.repeated += 1;
                    continue;
                }
                Some((last, Some(step))) if step <= GAP_MAX => ages.score_gap(last, drawn, one.display_us),
                Some(_) => ages.restarts += 1,
            }
            let age_us = ages.age_us(drawn.at_us, one.display_us);
            ages.every.record_us(age_us);
            ages.seen.record_us(age_us);
            last = Some(drawn);
        }
        ages
    }

    /// Adds what another start of the browser showed. Frames between the two starts are nobody's.
    pub fn merge(&mut self, other: &Self) {
        self.every.merge(&other.every);
        self.seen.merge(&other.seen);
        self.unseen += other.unseen;
        self.unreadable += other.unreadable;
        self.repeated += other.repeated;
        self.restarts += other.restarts;
        self.impossible += other.impossible;
        self.uncalled += other.uncalled;
    }

    /// Scores the frames between two that were seen.
    fn score_gap(&mut self, before: Drawn, after: Drawn, display_us: u64) {
        let steps = u64::from(after.frame - before.frame);
        let span_us = after.at_us.saturating_sub(before.at_us);
        for step in 1..steps {
            let age_us = self.age_us(before.at_us + span_us * step / steps, display_us);
            self.every.record_us(age_us);
            self.unseen += 1;
        }
    }

    fn age_us(&mut self, drawn_us: u64, display_us: u64) -> u64 {
        display_us.checked_sub(drawn_us).unwrap_or_else(|| {
            self.impossible += 1;
            0
        })
    }
}

/// From the last packet's arrival to display, of every frame shown.
#[must_use]
pub fn arrival_to_display(shown: &[Shown]) -> Durations {
    shown
        .iter()
        .filter_map(|one| Some(one.display_us.saturating_sub(one.received_us?)))
        .collect()
}

#[derive(Debug, Clone, Copy)]
struct Drawn {
    frame: u32,
    at_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH_US: u64 = 1_700_000_000_000_000;
    const FRAME_US: u64 = 16_700;

    /// Frame `number`, drawn on time, displayed `age_us` later.
    fn shown(number: u32, age_us: u64) -> Shown {
        let drawn_us = EPOCH_US + u64::from(number) * FRAME_US;
        Shown {
            display_us: drawn_us + age_us,
            received_us: Some(drawn_us + age_us / 2),
            presented: u64::from(number),
            reading: Some(Reading {
                frame: number,
                input: 0,
                time: (drawn_us / 100) as u32,
            }),
        }
    }

    #[test]
    fn a_frame_seen_at_once_is_scored_once() {
        let ages = Ages::of(&[shown(1, 30_000), shown(2, 30_000), shown(3, 30_000)]);
        let spread = ages.every.spread().unwrap();
        assert_eq!((spread.n, ages.unseen, ages.impossible), (3, 0, 0));
        assert!((spread.max - 30.0).abs() < 0.05);
    }

    #[test]
    fn frames_that_were_never_shown_are_scored_at_the_next_one_shown() {
        let ages = Ages::of(&[shown(1, 30_000), shown(4, 30_000), shown(5, 30_000)]);
        assert_eq!(
            (ages.every.len(), ages.seen.len(), ages.unseen, ages.uncalled),
            (5, 3, 2, 2)
        );
        let longest = ages.every.spread().unwrap().max;
        let want = 30.0 + 2.0 * FRAME_US as f64 / 1e3;
        assert!(
            (longest - want).abs() < 0.1,
            "frame 2 was {longest} ms old, not {want}"
        );
    }

    #[test]
    fn a_stall_weighs_as_much_as_it_lasted() {
        // One second of nothing after 600 good frames: 60 frames wait, up to a second.
        let mut all: Vec<Shown> = (1..=600).map(|number| shown(number, 30_000)).collect();
        all.extend((660..=1200).map(|number| shown(number, 30_000)));
        let ages = Ages::of(&all);
        assert!(
            ages.seen.spread().unwrap().p99 < 31.0,
            "without the unseen nobody would notice"
        );
        assert!(ages.every.spread().unwrap().p99 > 700.0);
    }

    #[test]
    fn an_unreadable_frame_is_counted_and_scored_as_unseen() {
        let damaged = Shown {
            reading: None,
            ..shown(2, 30_000)
        };
        let ages = Ages::of(&[shown(1, 30_000), damaged, shown(3, 30_000)]);
        assert_eq!((ages.unreadable, ages.unseen, ages.every.len()), (1, 1, 3));
    }

    #[test]
    fn a_frame_shown_twice_is_scored_once() {
        let ages = Ages::of(&[shown(1, 30_000), shown(1, 46_700), shown(2, 30_000)]);
        assert_eq!((ages.repeated, ages.every.len()), (1, 2));
    }

    #[test]
    fn a_target_started_anew_is_no_gap() {
        let ages = Ages::of(&[
            shown(500, 30_000),
            shown(1, 30_000),
            shown(2, 30_000),
            shown(u32::MAX, 1),
        ]);
        assert_eq!((ages.restarts, ages.unseen), (2, 0));
    }

    #[test]
    fn what_was_drawn_between_two_starts_counts_for_neither() {
        let mut ages = Ages::of(&[shown(1, 30_000), shown(3, 30_000)]);
        ages.merge(&Ages::of(&[shown(500, 30_000), shown(501, 30_000)]));
        assert_eq!((ages.every.len(), ages.unseen, ages.seen.len()), (5, 1, 4));
    }

    #[test]
    fn a_frame_displayed_before_it_was_drawn_is_counted() {
        let early = Shown {
            display_us: EPOCH_US,
            ..shown(3, 0)
        };
        assert_eq!(Ages::of(&[early]).impossible, 1);
    }
}
