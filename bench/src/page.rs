//! The measured page: a viewer in a browser, with the scripts of `page/` watching from inside.
//!
//! The scripts report milliseconds of `performance.now()`. Here they become Unix µs of this machine
//! by `performance.timeOrigin`, barcodes become [`Reading`](crate::barcode::Reading)s and frame-meta
//! bytes go through the `protocol` crate. How far the page's clock is from the machine's is measured,
//! not assumed.
//!
//! ```text
//!   open ─► start ─── every frame ─── look_away ─► tap … tap ─► stop ─► Recording
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use protocol::stats::ToViewer;
use serde::{Deserialize, Serialize};

use crate::barcode::{self, unhex};
use crate::browser::Browser;
use crate::frames::Shown;
use crate::histogram::Durations;
use crate::taps::{ANSWER_LIMIT, Tap};

/// The scripts, in the order in which they must run before the page's own.
pub const SCRIPTS: [&str; 2] = [include_str!("page/barcode.js"), include_str!("page/observe.js")];

/// From opening a link to the first frame whose barcode can be read: a reset of the device included.
const FIRST_FRAME_LIMIT: Duration = Duration::from_secs(60);
/// Evaluating something that does not wait.
const AT_ONCE: Duration = Duration::ZERO;
/// Samples of the clock; the one with the shortest round trip counts.
const CLOCK_SAMPLES: u32 = 20;

/// A viewer's page in a browser.
#[derive(Debug)]
pub struct Page {
    /// The browser that shows it.
    pub browser: Browser,
}

impl Page {
    /// Opens a link and waits until its first barcode is read.
    ///
    /// # Errors
    /// When no readable frame comes; the message says what the page shows instead.
    pub async fn open(browser: Browser, link: &str) -> anyhow::Result<Self> {
        let mut page = Self { browser };
        page.browser.navigate(link).await?;
        let wait = format!("farglassBench.untilReadable({})", FIRST_FRAME_LIMIT.as_millis());
        if page.browser.evaluate::<bool>(&wait, FIRST_FRAME_LIMIT).await? {
            return Ok(page);
        }
        let facts = page.facts().await?;
        let words: String = page.browser.evaluate("farglassBench.words()", AT_ONCE).await?;
        let saw = match facts.frames {
            0 => "no frame was shown".to_owned(),
            frames => {
                format!("{frames} frames were shown, none with a barcode (is the latency target running?)")
            }
        };
        bail!(
            "within {FIRST_FRAME_LIMIT:?} {saw}. The page says: {words:?}. It complained: {:?}",
            page.browser.complaints()
        )
    }

    /// Begins to record every frame, and asks the gateway for their times.
    ///
    /// # Errors
    /// When the page is gone.
    pub async fn start(&mut self) -> anyhow::Result<Option<Inbound>> {
        self.browser.evaluate("farglassBench.start()", AT_ONCE).await
    }

    /// From now on only watches from a touch to its answer, so that watching does not delay touches.
    /// How many frames were recorded.
    ///
    /// # Errors
    /// When the page is gone.
    pub async fn look_away(&mut self) -> anyhow::Result<u64> {
        self.browser.evaluate("farglassBench.lookAway()", AT_ONCE).await
    }

    /// Where a tap at `place` (−1 to 1 in both directions, 0 the middle) lands, in CSS pixels: within
    /// the middle half of the video.
    ///
    /// # Errors
    /// When the page has no video.
    pub async fn target(&mut self, place: (f64, f64)) -> anyhow::Result<(f64, f64)> {
        let target: Option<Target> = self.browser.evaluate("farglassBench.target()", AT_ONCE).await?;
        let target = target.context("the page shows no video")?;
        Ok((
            target.x + place.0 * target.reach / 2.0,
            target.y + place.1 * target.reach / 2.0,
        ))
    }

    /// Touches the picture and holds until the answer is shown, or [`ANSWER_LIMIT`] is over; then
    /// lifts. Whether an answer was shown.
    ///
    /// # Errors
    /// When the page is gone.
    pub async fn tap(&mut self, (x, y): (f64, f64)) -> anyhow::Result<bool> {
        let made: u32 = self.browser.evaluate("farglassBench.taps()", AT_ONCE).await?;
        self.browser.finger_down(x, y).await?;
        let wait = format!(
            "farglassBench.untilAnswered({}, {})",
            made + 1,
            ANSWER_LIMIT.as_millis()
        );
        let answered = self.browser.evaluate(&wait, ANSWER_LIMIT).await?;
        self.browser.finger_up().await?;
        Ok(answered)
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When the page is gone, or its script and this file disagree.
    pub async fn stop(&mut self) -> anyhow::Result<Recording> {
        let raw: RawRecord = self.browser.evaluate("farglassBench.stop()", AT_ONCE).await?;
        Recording::new(raw, &self.facts().await?)
    }

    /// What the page knows of its start.
    ///
    /// # Errors
    /// When the page is gone.
    pub async fn facts(&mut self) -> anyhow::Result<Facts> {
        self.browser.evaluate("farglassBench.facts()", AT_ONCE).await
    }

    /// The page's clock against this machine's.
    ///
    /// # Errors
    /// When the page is gone, or this machine's clock stands before 1970.
    pub async fn clock(&mut self) -> anyhow::Result<ClockCheck> {
        let mut best: Option<ClockCheck> = None;
        for _ in 0..CLOCK_SAMPLES {
            let before = unix_ms()?;
            let page: f64 = self.browser.evaluate("farglassBench.clock()", AT_ONCE).await?;
            let after = unix_ms()?;
            let check = ClockCheck {
                ahead_ms: page - f64::midpoint(before, after),
                within_ms: (after - before) / 2.0,
            };
            if best.is_none_or(|best| check.within_ms < best.within_ms) {
                best = Some(check);
            }
        }
        best.context("no sample of the clock was taken")
    }
}

fn unix_ms() -> anyhow::Result<f64> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("this machine's clock stands before 1970")?;
    Ok(since.as_secs_f64() * 1e3)
}

/// How far the page's clock is ahead of this machine's.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ClockCheck {
    /// Milliseconds; negative when behind.
    pub ahead_ms: f64,
    /// The true value lies no further than this from `ahead_ms`: half the shortest round trip.
    pub within_ms: f64,
}

/// What the page knows of its start. Times in ms of `performance.now()`.
#[derive(Debug, Clone, Deserialize)]
pub struct Facts {
    /// When the event stream said that the session is ready; none if the viewer had no such stream.
    pub ready_ms: Option<f64>,
    /// When the gateway said that the gate is open; none if it did not.
    pub gate_ms: Option<f64>,
    /// The first frame that the browser showed.
    pub first_frame: Option<RawShown>,
    /// Frames shown until now.
    pub frames: u64,
    /// The viewer's own User Timing marks `farglass:*`.
    pub marks: Vec<Mark>,
    /// `performance.timeOrigin`: Unix ms.
    pub origin_ms: f64,
}

impl Facts {
    /// From the moment the page was told that the session is ready (by the event stream or by the
    /// gate, whichever came first) to the display of the first frame, ms.
    #[must_use]
    pub fn ready_to_first_frame_ms(&self) -> Option<f64> {
        let told = [self.ready_ms, self.gate_ms]
            .into_iter()
            .flatten()
            .reduce(f64::min)?;
        Some(self.first_frame.as_ref()?.display_ms - told)
    }

    /// From the opening of the link to the display of the first frame, ms.
    #[must_use]
    pub fn open_to_first_frame_ms(&self) -> Option<f64> {
        Some(self.first_frame.as_ref()?.display_ms)
    }
}

/// A User Timing mark.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Mark {
    /// With its prefix `farglass:`.
    pub name: String,
    /// ms of `performance.now()`.
    pub at_ms: f64,
}

/// A frame as the script reports it.
#[derive(Debug, Clone, Deserialize)]
pub struct RawShown {
    display_ms: f64,
    received_ms: Option<f64>,
    presented: u64,
    code: Option<String>,
}

impl RawShown {
    fn parse(&self, origin_ms: f64) -> Shown {
        Shown {
            display_us: unix_us(origin_ms, self.display_ms),
            received_us: self.received_ms.map(|ms| unix_us(origin_ms, ms)),
            presented: self.presented,
            reading: self
                .code
                .as_deref()
                .and_then(|code| barcode::decode_hex(code).ok()),
        }
    }
}

/// What was recorded between start and stop.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Every frame shown between start and looking away.
    pub shown: Vec<Shown>,
    /// Every touch that the page saw after that.
    pub taps: Vec<Tap>,
    /// Time of each frame in the gateway; empty if it told none.
    pub residence: Durations,
    /// Messages on the stats channel that are no frame-meta although they say so.
    pub bad_metas: u64,
    /// Why barcodes could not be read, and how often.
    pub damage: BTreeMap<String, u64>,
    /// Records that the script had no room for.
    pub overflow: u64,
    /// The receiver's statistics at the end.
    pub inbound: Option<Inbound>,
}

impl Recording {
    fn new(raw: RawRecord, facts: &Facts) -> anyhow::Result<Self> {
        let origin_ms = facts.origin_ms;
        let mut residence = Durations::default();
        let mut bad_metas = 0;
        for text in &raw.metas {
            let bytes = unhex(text).context("the page's script sent no hexadecimal digits")?;
            match ToViewer::decode(&bytes) {
                Ok(ToViewer::FrameMeta(meta)) => residence.record_us(meta.residence_us.into()),
                Ok(_) | Err(_) => bad_metas += 1,
            }
        }
        Ok(Self {
            shown: raw.shown.iter().map(|one| one.parse(origin_ms)).collect(),
            taps: raw.taps.iter().map(|tap| tap.parse(origin_ms)).collect(),
            residence,
            bad_metas,
            damage: raw.damage,
            overflow: raw.overflow,
            inbound: raw.inbound,
        })
    }
}

/// Unix µs of a time on the page's clock; 0 for what cannot be one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates"
)]
fn unix_us(origin_ms: f64, at_ms: f64) -> u64 {
    // Apart, because 1.8e12 ms in an f64 is only exact to a quarter of a microsecond.
    (origin_ms.trunc() * 1e3) as u64 + ((origin_ms.fract() + at_ms) * 1e3).round() as u64
}

#[derive(Debug, Deserialize)]
struct RawRecord {
    shown: Vec<RawShown>,
    taps: Vec<RawTap>,
    metas: Vec<String>,
    damage: BTreeMap<String, u64>,
    overflow: u64,
    inbound: Option<Inbound>,
}

#[derive(Debug, Deserialize)]
struct RawTap {
    at_ms: f64,
    heard_ms: f64,
    before: u32,
    shown: Vec<RawShown>,
}

impl RawTap {
    fn parse(&self, origin_ms: f64) -> Tap {
        Tap {
            down_us: unix_us(origin_ms, self.at_ms),
            heard_us: unix_us(origin_ms, self.heard_ms),
            before: self.before,
            shown: self.shown.iter().map(|one| one.parse(origin_ms)).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Target {
    x: f64,
    y: f64,
    reach: f64,
}

/// The receiver's statistics since the connection began, as in w3c/webrtc-stats `inbound-rtp`. Times
/// in seconds, except `timestamp`, which is ms.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Inbound {
    /// When these were taken, ms.
    pub timestamp: f64,
    /// Time that emitted frames spent in the jitter buffer, summed.
    pub jitter_buffer_delay: f64,
    /// Frames that left the jitter buffer.
    pub jitter_buffer_emitted_count: f64,
    /// Time spent decoding, summed.
    pub total_decode_time: f64,
    /// Frames decoded.
    pub frames_decoded: f64,
    /// Of these, key frames.
    pub key_frames_decoded: f64,
    /// Frames that were complete but not shown.
    pub frames_dropped: f64,
    /// Gaps longer than three frames or 150 ms over the average.
    pub freeze_count: f64,
    /// Their length, summed.
    pub total_freezes_duration: f64,
    /// Payload and headers.
    pub bytes_received: f64,
    /// Packets that did not come.
    pub packets_lost: f64,
    /// Packets asked for again.
    pub nack_count: f64,
    /// Key frames asked for.
    pub pli_count: f64,
    /// Pixels.
    pub frame_width: f64,
    /// Pixels.
    pub frame_height: f64,
    /// For example `video/H264`.
    pub mime_type: Option<String>,
    /// Name and version of the decoder.
    pub decoder_implementation: Option<String>,
    /// Of the candidate pair in use.
    pub current_round_trip_time: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(told: [Option<f64>; 2], display_ms: f64) -> Facts {
        let first = RawShown {
            display_ms,
            received_ms: None,
            presented: 1,
            code: None,
        };
        Facts {
            ready_ms: told[0],
            gate_ms: told[1],
            first_frame: Some(first),
            frames: 1,
            marks: Vec::new(),
            origin_ms: 1.7e12,
        }
    }

    #[test]
    fn ready_is_when_the_page_was_first_told() {
        assert_eq!(
            facts([Some(100.0), Some(90.0)], 130.0).ready_to_first_frame_ms(),
            Some(40.0)
        );
        assert_eq!(
            facts([None, Some(90.0)], 130.0).ready_to_first_frame_ms(),
            Some(40.0)
        );
        assert_eq!(facts([None, None], 130.0).ready_to_first_frame_ms(), None);
    }

    #[test]
    fn page_time_becomes_unix_time_to_the_microsecond() {
        assert_eq!(unix_us(1_700_000_000_123.4, 1000.1), 1_700_000_001_123_500);
        assert_eq!(unix_us(0.0, -5.0), 0);
    }

    #[test]
    fn statistics_that_a_browser_does_not_have_are_zero() {
        let inbound: Inbound =
            serde_json::from_str(r#"{"framesDecoded": 60, "type": "inbound-rtp"}"#).unwrap();
        assert!(
            (inbound.frames_decoded - 60.0).abs() < f64::EPSILON && inbound.nack_count.abs() < f64::EPSILON
        );
    }

    #[test]
    fn a_record_with_wrong_frame_times_counts_them() {
        let raw = RawRecord {
            shown: Vec::new(),
            taps: vec![RawTap {
                at_ms: 10.0,
                heard_ms: 10.5,
                before: 3,
                shown: Vec::new(),
            }],
            metas: vec!["32".to_owned(), "ff00".to_owned()],
            damage: BTreeMap::new(),
            overflow: 0,
            inbound: None,
        };
        let recording = Recording::new(raw, &facts([None, None], 0.0)).unwrap();
        assert_eq!((recording.bad_metas, recording.residence.len()), (2, 0));
        let tap = &recording.taps[0];
        assert_eq!(
            (tap.down_us, tap.heard_us, tap.before),
            (1_700_000_000_010_000, 1_700_000_000_010_500, 3)
        );
    }
}
