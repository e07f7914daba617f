//! The screen: draws what the device shows, in software.
//!
//! ```text
//!   View ── draw ──► Canvas (RGB, damage) ── update ──► Planes (4:2:0) ──► encoder
//!            └ the last dots off ── the scene, where it changed ── what is below the new dots kept ── these on
//! ```
//!
//! Dots are at the fingers, while `show_touches` is set. A picture is a function of a [`View`] and a moment; what was
//! drawn before only saves work. It knows pixels; it does not know who touches, who encodes, what time it is, or when
//! the next picture is due.

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
use canvas::{Canvas, Patch, Rgb};
use font::Fonts;
use layout::Rect;

/// How far a dot reaches around its finger, in [`layout::dp`].
const DOT_DP: i32 = 12;
const DOT_COLOUR: Rgb = Rgb(0x60_6060);
/// With a ring of this colour a dot is seen on what is dark, too.
const DOT_RIM: Rgb = Rgb(0xff_ffff);
/// Of 256.
const DOT_ALPHA: u32 = 176;

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
    /// What is below the dots, in the order in which these were drawn.
    below_dots: Vec<Patch>,
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
            below_dots: Vec::new(),
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
        for patch in self.below_dots.drain(..).rev() {
            self.canvas.put_back(&patch);
        }
        let mut view = android.view(self.drawn());
        if self.canvas.size() != view.size {
            self.shown = None;
            view = android.view(Drawn::default());
            self.canvas = Canvas::new(view.size);
        }
        self.rotation = view.rotation;
        self.frame = self.frame.wrapping_add(1);
        self.draw_scene(&view, moment);
        for &finger in &view.fingers {
            self.draw_dot(finger);
        }
        view.version
    }

    /// Shows a finger that is on the display.
    fn draw_dot(&mut self, (x, y): (i32, i32)) {
        let size = self.canvas.size();
        if !layout::full(size).contains((x, y)) {
            return;
        }
        let radius = DOT_DP * layout::dp(size);
        let around = Rect {
            x: x - radius - 1,
            y: y - radius - 1,
            w: 2 * radius + 2,
            h: 2 * radius + 2,
        };
        self.below_dots.push(self.canvas.patch(around));
        self.canvas.disc_alpha((x, y), radius, DOT_RIM, DOT_ALPHA);
        let inner = radius - 2 * layout::dp(size);
        self.canvas.disc_alpha((x, y), inner, DOT_COLOUR, DOT_ALPHA);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::android::{Model, PointerKey, TouchKind};

    const AT: (i32, i32) = (100, 500);

    /// A device and what has been drawn of it.
    fn showing(app: App, show_touches: &str) -> (Android, Screen) {
        let android = Android::new(Model {
            name: "Dots".to_owned(),
            width: 360,
            height: 640,
        });
        android.start(app.package()).unwrap();
        android.set_setting("system", "show_touches", show_touches);
        let mut screen = Screen::new(&android);
        screen.draw(&android, Moment::default());
        screen.canvas_mut().take_damage();
        (android, screen)
    }

    fn touch(android: &Android, kind: TouchKind, id: i64, (x, y): (i32, i32)) {
        android.touch(kind, PointerKey { source: 1, id }, x, y);
    }

    #[test]
    fn a_finger_has_a_dot_from_down_to_up_while_touches_are_shown_and_none_otherwise() {
        for (setting, seen) in [("1", true), ("0", false), ("yes", false)] {
            let (android, mut screen) = showing(App::Still, setting);
            let before = screen.canvas().pixels().to_vec();
            touch(&android, TouchKind::Down, 1, AT);
            screen.draw(&android, Moment::default());
            let damage = screen.canvas_mut().take_damage();
            assert_eq!(
                damage.is_some_and(|damage| damage.contains(AT)),
                seen,
                "{setting}"
            );
            assert_eq!(screen.canvas().pixels() != before, seen, "{setting}");
            touch(&android, TouchKind::Up, 1, AT);
            screen.draw(&android, Moment::default());
            let damage = screen.canvas_mut().take_damage();
            assert_eq!(
                damage.is_some_and(|damage| damage.contains(AT)),
                seen,
                "{setting}"
            );
            assert!(screen.canvas().pixels() == before, "{setting}: something stays");
        }
    }

    #[test]
    fn dots_that_move_over_each_other_and_over_a_painting_leave_nothing_behind() {
        let (android, mut screen) = showing(App::Paint, "1");
        let mut steps = vec![(TouchKind::Down, 1, AT), (TouchKind::Down, 2, (104, 504))];
        for step in 1..20 {
            steps.push((
                TouchKind::Move,
                1 + i64::from(step % 2),
                (100 + step * 20, 500 - step * 30),
            ));
        }
        steps.extend([(TouchKind::Up, 1, AT), (TouchKind::Up, 2, AT)]);
        for (kind, id, at) in steps {
            touch(&android, kind, id, at);
            screen.draw(&android, Moment::default());
            let fresh = screenshot(&android, Moment::default());
            assert!(
                screen.canvas().pixels() == fresh.pixels(),
                "{kind:?} {id} at {at:?}"
            );
        }
    }
}
