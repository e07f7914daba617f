//! What the screen needs to draw a picture, copied out of the device in one step.
//!
//! The screen says what it has drawn already ([`Drawn`]), so that a long painting is not copied for every picture.

use super::app::App;
use super::packages::Segment;
use super::{Android, Rotation, Size, State};

/// A picture's content.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Number of the device's change that this shows.
    pub version: u64,
    /// The display as it is held.
    pub size: Size,
    /// How that is.
    pub rotation: Rotation,
    /// What is shown.
    pub scene: Scene,
    /// The fingers that are to be seen on it: none unless `show_touches` is set.
    pub fingers: Vec<(i32, i32)>,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Scene {
    /// The screen is off.
    Off,
    /// The icons of these apps, and the one under a finger.
    Launcher {
        /// Installed apps in the launcher's order.
        apps: Vec<App>,
        /// The finger that is down first.
        touched: Option<(i32, i32)>,
    },
    /// Strokes.
    Paint {
        /// Of the painting.
        epoch: u32,
        /// How many segments of this epoch come before `segments`.
        start: usize,
        /// The segments that are not drawn yet.
        segments: Vec<Segment>,
    },
    /// Typed text.
    Echo {
        /// All of it.
        text: String,
    },
    /// A still page.
    Still,
    /// An installed package's page.
    Page {
        /// What people call it.
        label: String,
        /// Its name.
        package: &'static str,
    },
    /// A moving page.
    Motion,
    /// The latency target.
    Latency {
        /// Touches so far; an odd number shows the other colour.
        touches: u32,
    },
}

/// How much of a painting is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drawn {
    /// Of the painting.
    pub epoch: u32,
    /// Segments of that epoch.
    pub segments: usize,
}

impl Android {
    /// What is on the screen, without the segments of a painting that `drawn` names.
    pub fn view(&self, drawn: Drawn) -> View {
        let state = self.lock();
        View {
            version: state.version,
            size: state.size(),
            rotation: state.rotation,
            scene: state.scene(drawn),
            fingers: state.shown_fingers(),
        }
    }
}

impl State {
    fn scene(&self, drawn: Drawn) -> Scene {
        if !self.screen_on {
            return Scene::Off;
        }
        let data = self
            .packages
            .get(self.foreground.package())
            .map(|package| &package.data);
        match (self.foreground, data) {
            (App::Paint, Some(data)) => {
                let painting = &data.painting;
                let start = match drawn.epoch == painting.epoch {
                    true => drawn.segments.min(painting.segments.len()),
                    false => 0,
                };
                Scene::Paint {
                    epoch: painting.epoch,
                    start,
                    segments: painting.segments[start..].to_vec(),
                }
            }
            (App::Echo, Some(data)) => Scene::Echo {
                text: data.text.clone(),
            },
            (App::Still, _) => Scene::Still,
            (App::Installed(package), _) => Scene::Page {
                label: self.label(package).to_owned(),
                package,
            },
            (App::Motion, _) => Scene::Motion,
            (App::Latency, Some(data)) => Scene::Latency {
                touches: data.touches,
            },
            // An app in front is installed: uninstalling takes it off the screen.
            (App::Launcher | App::Paint | App::Echo | App::Latency, _) => Scene::Launcher {
                apps: self.launchable(),
                touched: self.pointers.first().map(|pointer| (pointer.x, pointer.y)),
            },
        }
    }

    /// Any number but 0 shows them, as in Android.
    fn shown_fingers(&self) -> Vec<(i32, i32)> {
        let setting = self.system("show_touches").and_then(|value| value.parse().ok());
        if !self.screen_on || setting.unwrap_or(0) == 0 {
            return Vec::new();
        }
        let seen = self.pointers.iter().filter(|pointer| !pointer.outside);
        seen.map(|pointer| (pointer.x, pointer.y)).collect()
    }

    fn label<'a>(&'a self, package: &'a str) -> &'a str {
        let installed = self.packages.get(package);
        installed.map_or(package, |installed| &installed.label)
    }

    pub(super) fn launchable(&self) -> Vec<App> {
        let installed = |app: &App| *app != App::Launcher && self.packages.contains_key(app.package());
        App::ALL.into_iter().filter(installed).collect()
    }
}
