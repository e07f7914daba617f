//! Running media while control is dead: a browser watches a device, every control and the database die, and the frames
//! that it goes on showing are counted.
//!
//! ```text
//!   link ─► picture ─┬─ SPAN alive ─┬─ SIGKILL ─ SPAN dead ─┬─ started again ─ all devices ready ─┬─ SPAN ─► revoked
//!                    └── frames ────┘        frames, gap ───┘           gap ──────────────────────┘ frames
//! ```
//!
//! Frames are those that the page presented (`requestVideoFrameCallback`), counted by one object in the page: a page that
//! was loaded anew has none. It judges two things: as good as no frame is missing, and the device stays with its holder.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use super::house::{House, Kind};
use super::revoke::{PICTURE_LIMIT, PLAYS, WINDOW, success, text, until};
use crate::browser::{self, Browser};

/// How long frames are counted each time: over a hundred of them.
const SPAN: Duration = Duration::from_secs(3);
/// The longest that the picture may stand still, on a machine that starts everything again meanwhile.
const GAP_MAX_MS: f64 = 1_000.0;

const COUNT: &str = "(() => { const video = document.querySelector('video'); \
    const count = { frames: 0, gap: 0, last: performance.now() }; window.stormCount = count; \
    const shown = () => { const now = performance.now(); count.gap = Math.max(count.gap, now - count.last); \
    count.last = now; count.frames += 1; video.requestVideoFrameCallback(shown); }; \
    video.requestVideoFrameCallback(shown); return true; })()";
const READ: &str = "(() => { const count = window.stormCount; if (!count) return [0, 1e6]; \
    const read = [count.frames, Math.max(count.gap, performance.now() - count.last)]; \
    count.frames = 0; count.gap = 0; return read; })()";

/// What was seen around one death. Milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Watched {
    /// Frames shown while all was alive.
    pub alive: u32,
    /// Frames shown in the same time while every control and the database were dead.
    pub dead: u32,
    /// Frames shown in the same time after all were back.
    pub back: u32,
    /// The longest time without a new frame from the death until all were back.
    pub gap_ms: f64,
    /// Whether the device was still with its holder.
    pub held: bool,
}

impl Watched {
    /// What must not be.
    pub(crate) fn violation(&self) -> Option<String> {
        let flows = self.gap_ms <= GAP_MAX_MS && self.dead >= self.alive / 2 && self.back >= self.alive / 2;
        (!flows || !self.held).then(|| format!("running media suffered from control's death: {self:?}"))
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "watched: {} frames with control, {} without, {} with it again; longest gap {:.0} ms",
            self.alive, self.dead, self.back, self.gap_ms
        )
    }
}

/// A browser that watches.
pub(crate) struct Screen {
    browser: Browser,
}

impl Screen {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let browser = Browser::launch(&browser::find(None)?, WINDOW, &[]).await?;
        Ok(Self { browser })
    }

    /// Watches the first device, which has to be free, over a death of everything that is not in the picture's way.
    pub(crate) async fn watch(&mut self, house: &mut House) -> anyhow::Result<Watched> {
        let device = house.devices[0].clone();
        let wish =
            json!({ "name": "watched", "device_id": device, "app": { "package": "dev.farglass.motion" } });
        let link = success(house.admin.post("/api/v1/links", &wish).await)?;
        let (id, url) = (text(&link, "id")?, text(&link, "url")?);
        self.browser.navigate(&url).await?;
        until(&mut self.browser, "the picture", PLAYS, PICTURE_LIMIT).await?;
        self.browser.evaluate::<bool>(COUNT, Duration::ZERO).await?;
        let (alive, _) = self.count().await?;

        let kinds = house.kinds();
        let brains = |kind: &Kind| matches!(kind, Kind::Postgres | Kind::Control);
        let struck: Vec<usize> = (0..kinds.len()).filter(|part| brains(&kinds[*part])).collect();
        let before = house.seen().await.context("control shows its devices")?;
        for part in &struck {
            house.kill(*part);
        }
        let (dead, gap_dead) = self.count().await?;
        for part in &struck {
            house.start_part(*part).await?;
        }
        let whole = house.recovered(&before).await?;
        let (_, gap_start) = self.browser.evaluate::<(u32, f64)>(READ, Duration::ZERO).await?;
        let (back, _) = self.count().await?;
        let seen = house.seen().await.unwrap_or_default();
        let held = seen
            .iter()
            .any(|seen| seen.id == device && seen.occupancy == "leased");

        self.browser.navigate("about:blank").await?;
        success(
            house
                .admin
                .post(&format!("/api/v1/links/{id}/revoke"), &json!({}))
                .await,
        )?;
        Ok(Watched {
            alive,
            dead,
            back,
            gap_ms: gap_dead.max(gap_start),
            held: held && whole,
        })
    }

    /// Frames of the next span, and the longest time without one.
    async fn count(&mut self) -> anyhow::Result<(u32, f64)> {
        self.browser.evaluate::<(u32, f64)>(READ, Duration::ZERO).await?;
        tokio::time::sleep(SPAN).await;
        self.browser.evaluate(READ, Duration::ZERO).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_stands_still_or_a_holder_who_lost_his_device_is_a_violation() {
        let good = Watched {
            alive: 180,
            dead: 179,
            back: 175,
            gap_ms: 60.0,
            held: true,
        };
        assert_eq!(good.violation(), None);
        let frozen = Watched {
            dead: 12,
            ..good.clone()
        };
        let stalled = Watched {
            gap_ms: 1_500.0,
            ..good.clone()
        };
        let cut = Watched { held: false, ..good };
        for bad in [frozen, stalled, cut] {
            assert!(bad.violation().is_some(), "{bad:?}");
        }
    }
}
