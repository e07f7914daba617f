//! The screen: draws what the device shows, in software.
//!
//! ```text
//!   View ── draw ──► Canvas (RGB, damage) ── update ──► Planes (4:2:0) ──► encoder
//! ```
//!
//! A picture is a function of a [`View`] and a moment; what was drawn before only saves work. It knows pixels; it does
//! not know who touches, who encodes, what time it is, or when the next picture is due.

pub mod app;
pub mod barcode;
pub mod canvas;
pub mod font;
pub mod layout;
pub mod lens;
pub mod planes;
pub mod scale;

use std::time::Duration;

use crate::android::{Android, App, Drawn, Rotation, Scene, View};

use app::motion::Feed;
use app::{echo, latency, launcher, page, paint, still};
use barcode::Barcode;
use canvas::{Canvas, Rgb};
use font::Fonts;

/// When a picture is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Since the display was switched on: what moves is moved by this.
    pub elapsed: Duration,
    /// Unix time in units of 100 µs, low 32 bits: for the barcode.
    pub unix_100us: u32,
}

/// A picture that follows what the device shows.
#[derive(Debug)]
pub struct Screen {
    canvas: Canvas,
    fonts: Fonts,
    shown: Option<Shown>,
    rotation: Rotation,
    /// Number of the last picture, from 1.
    frame: u32,
}

/// What is on the canvas, as far as it helps to draw the next picture.
#[derive(Debug)]
enum Shown {
    Off,
    Launcher { apps: Vec<App>, pressed: Option<usize> },
    Paint(Drawn),
    Echo(String),
    Still,
    Page { label: String, package: &'static str },
    Motion(Box<Feed>),
    Latency { touches: u32 },
}

impl Screen {
    /// A black screen of the device's size.
    pub fn new(android: &Android) -> Self {
        Self {
            canvas: Canvas::new(android.size()),
            fonts: Fonts::default(),
            shown: None,
            rotation: Rotation::default(),
            frame: 0,
        }
    }

    /// The picture.
    pub fn canvas(&self) -> &Canvas {
        &self.canvas
    }

    /// How the display was held when the picture was drawn.
    pub fn rotation(&self) -> Rotation {
        self.rotation
    }

    /// The picture, to take its damage.
    pub fn canvas_mut(&mut self) -> &mut Canvas {
        &mut self.canvas
    }

    /// Whether the picture changes without anything happening.
    pub fn moves(&self) -> bool {
        matches!(self.shown, Some(Shown::Motion(_) | Shown::Latency { .. }))
    }

    /// What of a painting is on the canvas, for the next view.
    fn drawn(&self) -> Drawn {
        match self.shown {
            Some(Shown::Paint(drawn)) => drawn,
            _ => Drawn::default(),
        }
    }

    /// Brings the picture up to date; tells which change of the device it shows.
    pub fn draw(&mut self, android: &Android, moment: Moment) -> u64 {
        let mut view = android.view(self.drawn());
        if self.canvas.size() != view.size {
            self.shown = None;
            view = android.view(Drawn::default());
            self.canvas = Canvas::new(view.size);
        }
        self.rotation = view.rotation;
        self.frame = self.frame.wrapping_add(1);
        self.draw_scene(&view, moment);
        view.version
    }

    fn draw_scene(&mut self, view: &View, moment: Moment) {
        let code = Barcode {
            frame: self.frame,
            touches: 0,
            time: moment.unix_100us,
        };
        let (canvas, fonts) = (&mut self.canvas, &mut self.fonts);
        let shown = self.shown.take();
        self.shown = Some(match &view.scene {
            Scene::Off => match shown {
                Some(Shown::Off) => Shown::Off,
                _ => {
                    canvas.fill(layout::full(view.size), Rgb(0));
                    Shown::Off
                }
            },
            Scene::Still => match shown {
                Some(Shown::Still) => Shown::Still,
                _ => {
                    still::draw(canvas, fonts);
                    Shown::Still
                }
            },
            Scene::Page { label, package } => draw_page(canvas, fonts, shown, label, package),
            Scene::Launcher { apps, touched } => draw_launcher(canvas, fonts, shown, apps, *touched),
            Scene::Paint {
                epoch,
                start,
                segments,
            } => {
                match shown {
                    Some(Shown::Paint(drawn)) if drawn.epoch == *epoch && drawn.segments == *start => {}
                    _ => paint::draw(canvas, fonts),
                }
                paint::strokes(canvas, segments);
                Shown::Paint(Drawn {
                    epoch: *epoch,
                    segments: start + segments.len(),
                })
            }
            Scene::Echo { text } => {
                match shown {
                    Some(Shown::Echo(old)) if old == *text => {}
                    Some(Shown::Echo(_)) => echo::text(canvas, fonts, text),
                    _ => echo::draw(canvas, fonts, text),
                }
                Shown::Echo(text.clone())
            }
            Scene::Motion => {
                let feed = match shown {
                    Some(Shown::Motion(feed)) => feed,
                    _ => {
                        Feed::draw_header(canvas);
                        Box::new(Feed::new(view.size, fonts))
                    }
                };
                feed.draw(canvas, moment.elapsed, code);
                Shown::Motion(feed)
            }
            Scene::Latency { touches } => {
                let code = Barcode {
                    touches: *touches,
                    ..code
                };
                match shown {
                    Some(Shown::Latency { touches }) if touches == code.touches => {
                        barcode::draw(canvas, code);
                    }
                    Some(Shown::Latency { .. }) => latency::update(canvas, fonts, code),
                    _ => latency::draw(canvas, fonts, code),
                }
                Shown::Latency { touches: *touches }
            }
        });
    }
}

/// What the device shows now, drawn from nothing: a screenshot.
pub fn screenshot(android: &Android, moment: Moment) -> Canvas {
    let mut screen = Screen::new(android);
    screen.draw(android, moment);
    screen.canvas
}

fn draw_page(
    canvas: &mut Canvas,
    fonts: &mut Fonts,
    shown: Option<Shown>,
    label: &str,
    package: &'static str,
) -> Shown {
    match shown {
        Some(Shown::Page {
            label: old,
            package: of,
        }) if old == label && of == package => {}
        _ => page::draw(canvas, fonts, label, package),
    }
    Shown::Page {
        label: label.to_owned(),
        package,
    }
}

fn draw_launcher(
    canvas: &mut Canvas,
    fonts: &mut Fonts,
    shown: Option<Shown>,
    apps: &[App],
    touched: Option<(i32, i32)>,
) -> Shown {
    let pressed = touched.and_then(|at| layout::icon_at(canvas.size(), apps.len(), at));
    let before = match shown {
        Some(Shown::Launcher { apps: old, pressed }) if old == apps => pressed,
        _ => {
            launcher::draw(canvas, fonts, apps);
            None
        }
    };
    if before != pressed {
        for index in [before, pressed].into_iter().flatten() {
            launcher::icon(canvas, fonts, apps, index, Some(index) == pressed);
        }
    }
    Shown::Launcher {
        apps: apps.to_vec(),
        pressed,
    }
}
