//! What is installed, and what each app has stored.
//!
//! Wiping an app's data brings it back to how it was installed; a device keeps nothing else about an app, so that a
//! test of a reset can see what is left. Strokes are kept as segments in the order of drawing, for the screen to draw
//! only what is new.

use std::collections::BTreeMap;

use super::app::App;

/// Characters that the echo app keeps; more are dropped from the front.
pub const TEXT_CHARS_MAX: usize = 4_096;

/// Segments that the paint app keeps; more drop the older half, and the picture is drawn again.
pub const SEGMENTS_MAX: usize = 65_536;

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What people call it.
    pub label: String,
    /// What the device can draw, `None` for a package that was installed by adb and has no screen here.
    pub app: Option<App>,
    /// What it has stored.
    pub data: AppData,
}

/// What an app has stored. The default is a fresh install.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppData {
    /// The echo app's text.
    pub text: String,
    /// The paint app's picture.
    pub painting: Painting,
    /// The latency app's count of touches.
    pub touches: u32,
    /// Free keys and values, as an app's preferences.
    pub preferences: BTreeMap<String, String>,
}

/// A picture made of line segments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Painting {
    /// Rises when segments are dropped, so that what was drawn before counts no more.
    pub epoch: u32,
    /// In the order of drawing.
    pub segments: Vec<Segment>,
    /// Strokes that were begun.
    pub strokes: u32,
}

/// A piece of a stroke, in pixels of the display; both ends equal for a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Which colour of the palette.
    pub colour: u8,
    /// Start.
    pub from: (i32, i32),
    /// End.
    pub to: (i32, i32),
}

impl Painting {
    pub(super) fn add(&mut self, segment: Segment) {
        if self.segments.len() >= SEGMENTS_MAX {
            self.segments.drain(..SEGMENTS_MAX / 2);
            self.epoch = self.epoch.wrapping_add(1);
        }
        self.segments.push(segment);
    }
}

impl AppData {
    pub(super) fn type_text(&mut self, text: &str) {
        self.text.push_str(text);
        let excess = self.text.chars().count().saturating_sub(TEXT_CHARS_MAX);
        if let Some((kept, _)) = self.text.char_indices().nth(excess) {
            self.text.drain(..kept);
        }
    }

    /// As it was installed, but with an epoch that tells the screen to start over.
    pub(super) fn wipe(&mut self) {
        let epoch = self.painting.epoch.wrapping_add(1);
        *self = Self::default();
        self.painting.epoch = epoch;
    }
}

/// The packages of a new device.
pub(super) fn built_in() -> BTreeMap<String, Package> {
    App::ALL
        .into_iter()
        .map(|app| {
            let package = Package {
                label: app.label().to_owned(),
                app: Some(app),
                data: AppData::default(),
            };
            (app.package().to_owned(), package)
        })
        .collect()
}
