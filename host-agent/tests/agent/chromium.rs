//! Viewers in a real Chromium, which tell of every picture that it decoded what it is (`chromium.js`).

use bench::browser::{self, Browser, Window};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

use crate::rig::PATIENCE;

const PAGE: &str = concat!(
    "file://",
    env!("CARGO_MANIFEST_DIR"),
    "/tests/agent/chromium.html"
);
const WINDOW: Window = Window {
    width: 400,
    height: 400,
};

pub struct Chromium(Browser);

/// A viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct View(usize);

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Picture {
    pub width: u16,
    pub height: u16,
    pub format: String,
    /// SHA-256 of its planes.
    pub hash: String,
}

/// What Chromium counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    pub frames_decoded: usize,
    pub frames_dropped: usize,
}

#[derive(Deserialize)]
struct Offered {
    view: View,
    sdp: String,
}

impl Chromium {
    pub async fn launch() -> Self {
        let chromium = browser::find(None).unwrap();
        let mut browser = Browser::launch(&chromium, WINDOW, &[]).await.unwrap();
        browser.navigate(PAGE).await.unwrap();
        let loaded = "new Promise((done) => document.readyState === 'complete' ? done(true) : onload = () => done(true))";
        browser.evaluate::<bool>(loaded, PATIENCE).await.unwrap();
        Self(browser)
    }

    /// A new viewer and its offer.
    pub async fn offer(&mut self) -> (View, String) {
        let Offered { view, sdp } = self.0.evaluate("offer()", PATIENCE).await.unwrap();
        (view, sdp)
    }

    pub async fn accept(&mut self, View(view): View, sdp: &str) {
        let call = format!("accept({view}, {}).then(() => true)", json!(sdp));
        self.0.evaluate::<bool>(&call, PATIENCE).await.unwrap();
    }

    /// Every picture so far, once there are so many; why not, if that takes too long.
    pub async fn pictures(&mut self, View(view): View, count: usize) -> anyhow::Result<Vec<Picture>> {
        let call = format!("pictures({view}, {count}, {})", PATIENCE.as_millis());
        self.0.evaluate(&call, 2 * PATIENCE).await
    }

    /// Every picture so far, once one with this hash was shown.
    pub async fn until_shown(&mut self, View(view): View, hash: &str) -> anyhow::Result<Vec<Picture>> {
        let call = format!("untilShown({view}, '{hash}', {})", PATIENCE.as_millis());
        self.0.evaluate(&call, 2 * PATIENCE).await
    }

    pub async fn statistics(&mut self, View(view): View) -> Statistics {
        let call = format!("statistics({view})");
        self.0.evaluate(&call, PATIENCE).await.unwrap()
    }

    /// The viewer goes.
    pub async fn leave(&mut self, View(view): View) {
        let call = format!("close({view}), true");
        self.0.evaluate::<bool>(&call, Duration::ZERO).await.unwrap();
    }

    pub async fn close(self) {
        self.0.close().await.unwrap();
    }
}
