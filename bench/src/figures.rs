//! From what several starts observed to the figures of the table, each with its method, and to what a
//! reader must know before believing them.
//!
//! ```text
//!  Visit × n ─► Pooled        frames, touches and residence of all starts in one histogram each
//!     Facts ────────────────► start      ready → first frame, link opened → first frame
//!     Ages, Answers ────────► loops      frame age, touch → visible change, residence
//!     Inbound × 2 × n ──────► receiver   jitter buffer, decoding, rates, freezes: differences, summed
//! ```
//!
//! The aims stand here, beside the figure that they are about, and nowhere else in code;
//! `SPECIFICATION.md` repeats them for people. Pure: no browser, no clock.

use std::collections::BTreeMap;

use crate::frames::{self, Ages};
use crate::histogram::Durations;
use crate::page::{ClockCheck, Facts, Inbound};
use crate::report::{Environment, Figure, Statistic, Value};
use crate::taps::Answers;
use crate::visit::Visit;

/// Below this many taps the 95th percentile is a guess.
const TAPS_FOR_P95: u64 = 100;
/// A 99th percentile needs at least ten samples above it.
const FRAMES_FOR_P99: u64 = 1_000;
/// Load per core before the run above which the machine was not idle.
const IDLE_LOAD_PER_CORE: f64 = 0.25;
/// A page clock further off than this makes ages wrong in the digit that is shown.
const CLOCK_OFF_MS: f64 = 1.0;

/// What all starts saw, together.
#[derive(Debug, Default)]
pub(crate) struct Pooled {
    ages: Ages,
    answers: Answers,
    arrival_to_display: Durations,
    residence: Durations,
    /// The receiver's statistics before and after, of each start.
    pub receivers: Vec<Receiver>,
    /// The median of touch → visible change of each start, ms: how far apart the phases lie.
    medians: Vec<f64>,
    taps: u64,
    bad_metas: u64,
    overflow: u64,
    damage: BTreeMap<String, u64>,
}

/// The receiver's statistics at both ends of a window.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    /// At its beginning.
    pub before: Inbound,
    /// At its end.
    pub after: Inbound,
}

impl Pooled {
    /// Puts the starts together.
    pub(crate) fn of(visits: &[Visit]) -> Self {
        let mut all = Self::default();
        for visit in visits {
            let recording = &visit.recording;
            all.ages.merge(&Ages::of(&recording.shown));
            all.arrival_to_display
                .merge(&frames::arrival_to_display(&recording.shown));
            all.residence.merge(&recording.residence);
            all.receivers.push(Receiver {
                before: visit.inbound.clone(),
                after: recording.inbound.clone().unwrap_or_default(),
            });
            all.medians
                .extend(Answers::of(&recording.taps).durations.spread().map(|one| one.p50));
            all.taps += recording.taps.len() as u64;
            all.bad_metas += recording.bad_metas;
            all.overflow += recording.overflow;
            for (why, times) in &recording.damage {
                *all.damage.entry(why.clone()).or_default() += times;
            }
        }
        all.answers = Answers::of(visits.iter().flat_map(|visit| &visit.recording.taps));
        all
    }
}

/// How long it took until there was a picture.
pub(crate) fn start(visits: &[Visit]) -> Vec<Figure> {
    let spread = |duration: fn(&Facts) -> Option<f64>, absent: &str| {
        let all: Durations = visits
            .iter()
            .filter_map(|visit| Some(micros(duration(&visit.facts)?)))
            .collect();
        Value::spread_or(all.spread(), absent)
    };
    vec![
        Figure::new(
            "ready → first frame",
            "ms",
            spread(
                Facts::ready_to_first_frame_ms,
                "the page was never told that it is ready",
            ),
            "From the moment the page is told that the session is ready (event stream or gate message, \
             whichever comes first) to expectedDisplayTime of the first frame, of every start.",
        ),
        Figure::new(
            "link opened → first frame",
            "ms",
            spread(Facts::open_to_first_frame_ms, "no frame was shown"),
            "From the page's time origin (navigation to the link) to expectedDisplayTime of the first frame, of \
             every start; holds page load, lease, reset and launch of the app.",
        ),
    ]
}

/// Whole µs of ms; 0 for what lies before 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates"
)]
fn micros(ms: f64) -> u64 {
    (ms * 1e3).round() as u64
}

/// The two loops, video and touch, and their parts.
pub(crate) fn loops(pooled: &Pooled) -> Vec<Figure> {
    let Pooled { ages, answers, .. } = pooled;
    vec![
        Figure::new(
            "frame age",
            "ms",
            Value::spread_or(ages.every.spread(), "no frame had a readable barcode"),
            "expectedDisplayTime minus the time of drawing in the frame's barcode, for every frame drawn; one \
             never seen counts with its age at the next frame seen. A start holds one phase of the 60 Hz source \
             against the 60 Hz display: starts differ by up to 17 ms.",
        ),
        Figure::new(
            "touch → visible change",
            "ms",
            Value::spread_or(answers.durations.spread(), "the page saw no touch"),
            "event.timeStamp of the pointerdown to expectedDisplayTime of the first frame whose barcode carries \
             another input number, at dithered times; a lost touch counts as 2 s.",
        )
        .aim(Statistic::P50, 35.0)
        .aim(Statistic::P95, 50.0),
        Figure::new(
            "touch → drawing",
            "ms",
            Value::spread_or(answers.to_drawing.spread(), "no touch had an answer"),
            "event.timeStamp of the pointerdown to the time of drawing in the answering frame's barcode: the way \
             up, and the device's own reaction.",
        ),
        Figure::new(
            "arrival → display",
            "ms",
            Value::spread_or(pooled.arrival_to_display.spread(), "the browser gave no arrival"),
            "receiveTime (last packet of the frame) to expectedDisplayTime, of every frame shown.",
        ),
        Figure::new(
            "touch → handler",
            "ms",
            Value::spread_or(answers.to_handler.spread(), "the page saw no touch"),
            "event.timeStamp of the pointerdown to the first handler in the page.",
        ),
        Figure::new(
            "gateway residence",
            "ms",
            Value::spread_or(pooled.residence.spread(), "no frame times came on the stats channel"),
            "From the frame's last byte read from the device to its last packet handed to the socket, on the \
             gateway's monotonic clock, of every frame, as told on the stats channel.",
        )
        .aim(Statistic::P99, 1.0),
    ]
}

/// What the browsers' receivers say of their windows.
pub(crate) fn receiver(receivers: &[Receiver]) -> Vec<Figure> {
    let over = |part: fn(&Inbound) -> f64| -> f64 {
        receivers
            .iter()
            .map(|receiver| part(&receiver.after) - part(&receiver.before))
            .sum()
    };
    let per = |sum: f64, count: f64| (count > 0.0).then(|| sum / count);
    let ms_per = |sum: f64, count: f64| per(sum * 1e3, count);
    let seconds = over(|one| one.timestamp) / 1e3;
    let decoded = over(|one| one.frames_decoded);
    let emitted = over(|one| one.jitter_buffer_emitted_count);
    let none = "the receiver's statistics did not move";
    vec![
        Figure::new(
            "jitter buffer, mean",
            "ms",
            Value::one_or(ms_per(over(|one| one.jitter_buffer_delay), emitted), none),
            "getStats: difference of jitterBufferDelay over difference of jitterBufferEmittedCount.",
        )
        .aim(Statistic::Value, 1.0),
        Figure::new(
            "decoding, mean",
            "ms",
            Value::one_or(ms_per(over(|one| one.total_decode_time), decoded), none),
            "getStats: difference of totalDecodeTime over difference of framesDecoded.",
        ),
        Figure::new(
            "frames decoded",
            "1/s",
            Value::one_or(per(decoded, seconds), none),
            "getStats: difference of framesDecoded over difference of timestamp.",
        ),
        Figure::new(
            "bitrate",
            "Mbit/s",
            Value::one_or(per(over(|one| one.bytes_received) * 8e-6, seconds), none),
            "getStats: difference of bytesReceived over difference of timestamp.",
        ),
        Figure::new(
            "freezes",
            "count",
            over(|one| one.freeze_count),
            "getStats: difference of freezeCount.",
        ),
        Figure::new(
            "frames dropped",
            "count",
            over(|one| one.frames_dropped),
            "getStats: difference of framesDropped.",
        ),
        Figure::new(
            "packets lost",
            "count",
            over(|one| one.packets_lost),
            "getStats: difference of packetsLost.",
        ),
    ]
}

/// What a reader must know before believing the figures.
pub(crate) fn notes(environment: &Environment, pooled: &Pooled, taps: u32) -> Vec<String> {
    let Pooled { ages, answers, .. } = pooled;
    let medians: Vec<String> = pooled.medians.iter().map(|ms| format!("{ms:.1}")).collect();
    let mut notes = vec![format!(
        "touch → visible change, p50 of each start: {} ms",
        medians.join(", ")
    )];
    let mut count = |number: u64, what: &str| {
        if number > 0 {
            notes.push(format!("{what}: {number}"));
        }
    };
    count(
        ages.unseen,
        "frames drawn but never seen, each scored at the next frame seen",
    );
    count(
        ages.uncalled,
        "frames submitted for display without the page being told",
    );
    count(
        ages.unreadable,
        "frames whose barcode was not read, scored as unseen",
    );
    count(ages.repeated, "frames shown again without being drawn anew");
    count(ages.restarts, "starts of the latency target in between");
    count(
        ages.impossible,
        "frames displayed before they were drawn (the clocks disagree)",
    );
    count(answers.lost, "touches without an answer within 2 s");
    count(
        u64::from(taps).saturating_sub(pooled.taps),
        "touches that the page did not see",
    );
    count(
        pooled.bad_metas,
        "messages with frame times that could not be read",
    );
    count(pooled.overflow, "records that did not fit");
    for (why, times) in &pooled.damage {
        notes.push(format!("barcode not read, {why}: {times}"));
    }
    if pooled.taps < TAPS_FOR_P95 {
        notes.push(format!(
            "fewer than {TAPS_FOR_P95} taps: their p95 and p99 are guesses"
        ));
    }
    if ages.every.len() < FRAMES_FOR_P99 {
        notes.push(format!(
            "fewer than {FRAMES_FOR_P99} frames: the p99 of frame age is a guess"
        ));
    }
    let ClockCheck { ahead_ms, within_ms } = environment.clock;
    if ahead_ms.abs() > CLOCK_OFF_MS + within_ms {
        notes.push(format!(
            "the page's clock is {ahead_ms:.1} ms ahead of the machine's: frame ages are off by that"
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let idle_load = IDLE_LOAD_PER_CORE * environment.cores as f64;
    if environment.load_before.is_none_or(|load| load > idle_load) {
        notes.push(
            "the machine was not idle before the run: compare only with runs under the same load".to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound(at_s: f64, frames: f64) -> Inbound {
        Inbound {
            timestamp: at_s * 1e3,
            frames_decoded: frames,
            jitter_buffer_emitted_count: frames,
            jitter_buffer_delay: frames * 0.0005,
            total_decode_time: frames * 0.002,
            bytes_received: frames * 10_000.0,
            ..Inbound::default()
        }
    }

    fn over(before: (f64, f64), after: (f64, f64)) -> Receiver {
        Receiver {
            before: inbound(before.0, before.1),
            after: inbound(after.0, after.1),
        }
    }

    fn value(figures: &[Figure], name: &str) -> Option<f64> {
        match figures.iter().find(|figure| figure.name == name)?.value {
            Value::One(value) => Some(value),
            Value::Spread(_) | Value::Absent { .. } => None,
        }
    }

    #[test]
    fn receiver_figures_are_differences_over_all_windows() {
        let figures = receiver(&[
            over((10.0, 600.0), (20.0, 1200.0)),
            over((5.0, 300.0), (15.0, 900.0)),
        ]);
        let near = |name, want: f64| {
            let got = value(&figures, name).unwrap();
            assert!((got - want).abs() < 1e-6, "{name} is {got}, not {want}");
        };
        near("jitter buffer, mean", 0.5);
        near("decoding, mean", 2.0);
        near("frames decoded", 60.0);
        near("bitrate", 4.8);
    }

    #[test]
    fn a_receiver_that_stood_still_has_no_means() {
        let figures = receiver(&[over((10.0, 600.0), (10.0, 600.0))]);
        assert_eq!(value(&figures, "jitter buffer, mean"), None);
        assert_eq!(value(&figures, "frames decoded"), None);
        assert_eq!(value(&figures, "freezes"), Some(0.0));
    }
}
