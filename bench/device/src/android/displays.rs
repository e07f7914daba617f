//! Displays beside the main one: virtual ones, which live as long as the program that made them.
//!
//! ```text
//!   Android ── on(display) ──► the same device, looked at through that display: its size, its app in front, its pointers
//!
//!   State { what all displays share, Front of the main one }        ┌ exchanged for as long as somebody looks
//!         └─ others: display ──► Front { size, rotation, in front, recent, pointers } ◄┘
//! ```
//!
//! A handle on a display that is gone sees an empty one and changes nothing that anybody sees. It does not know who
//! draws or mirrors a display.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;

use super::app::App;
use super::{Android, Pointer, Rotation, Size, State};

/// The display that the device was made with.
pub const MAIN: u32 = 0;
/// Virtual displays at once; one more is refused.
pub const DISPLAYS_MAX: usize = 8;
/// Pixels of a virtual display's side at least and at most; another one is cut to them.
const SIDE: std::ops::RangeInclusive<u16> = 64..=4_096;

/// What a display has for itself.
#[derive(Debug)]
pub(super) struct Front {
    natural: Size,
    rotation: Rotation,
    foreground: App,
    recent: Vec<App>,
    pointers: Vec<Pointer>,
}

impl Front {
    fn new(size: Size) -> Self {
        Self {
            natural: size,
            rotation: Rotation::default(),
            foreground: App::Launcher,
            recent: Vec::new(),
            pointers: Vec::new(),
        }
    }
}

/// What becomes of the app in front when its display goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// It ends.
    Destroyed,
    /// It goes to the main display.
    Moved,
}

/// A virtual display. It goes when this is dropped.
#[derive(Debug)]
pub struct VirtualDisplay {
    android: Android,
    content: Content,
}

impl VirtualDisplay {
    /// The device, looked at through this display.
    #[must_use]
    pub fn android(&self) -> &Android {
        &self.android
    }
}

impl Drop for VirtualDisplay {
    fn drop(&mut self) {
        let Android { display, .. } = self.android;
        let main = self.android.on(MAIN);
        let Some(front) = main.change(|state| state.others.remove(&display)) else {
            return;
        };
        main.system_log(
            "DisplayManagerService",
            &format!("Display device removed: {display}"),
        );
        if self.content == Content::Moved && front.foreground != App::Launcher {
            main.change(|state| state.show(front.foreground));
        }
    }
}

impl Android {
    /// The same device, looked at through a display.
    #[must_use]
    pub fn on(&self, display: u32) -> Self {
        Self {
            display,
            ..self.clone()
        }
    }

    /// The number of the display that this looks through.
    #[must_use]
    pub fn display(&self) -> u32 {
        self.display
    }

    /// Makes a virtual display; `None` when there are [`DISPLAYS_MAX`] already.
    #[must_use]
    pub fn add_display(&self, size: Size, content: Content) -> Option<VirtualDisplay> {
        let size = bounded(size);
        let main = self.on(MAIN);
        let display = main.change(|state| {
            if state.others.len() >= DISPLAYS_MAX {
                return None;
            }
            state.last_display += 1;
            state.others.insert(state.last_display, Front::new(size));
            Some(state.last_display)
        })?;
        let Size { width, height } = size;
        let added = format!("Display device added: {display}, {width} x {height}");
        main.system_log("DisplayManagerService", &added);
        Some(VirtualDisplay {
            android: self.on(display),
            content,
        })
    }

    /// Gives this display another size; whether that changes anything. The main one keeps its own.
    pub fn resize_display(&self, size: Size) -> bool {
        let size = bounded(size);
        self.display != MAIN
            && self.change(|state| {
                let old = (state.model.width, state.model.height);
                (state.model.width, state.model.height) = (size.width, size.height);
                old != (size.width, size.height)
            })
    }

    /// All displays with their sizes, the main one first.
    #[must_use]
    pub fn displays(&self) -> Vec<(u32, Size)> {
        let main = self.on(MAIN);
        let numbers: Vec<u32> = main.lock().others.keys().copied().collect();
        let others = numbers
            .into_iter()
            .map(|display| (display, self.on(display).size()));
        [(MAIN, main.size())].into_iter().chain(others).collect()
    }

    /// An app is on one display only: what starts here leaves the others.
    pub(super) fn take_from_others(&self, package: &str) {
        for (display, _) in self.displays() {
            if display != self.display {
                self.on(display).change(|state| {
                    let installed = state.packages.get(package).and_then(|package| package.app);
                    if installed != Some(App::Launcher) {
                        state.leave(installed);
                    }
                });
            }
        }
    }
}

fn bounded(size: Size) -> Size {
    // Even, as every encoder wants it.
    let side = |side: u16| side.clamp(*SIDE.start(), *SIDE.end()) & !1;
    Size {
        width: side(size.width),
        height: side(size.height),
    }
}

/// The state as one display sees it.
pub(super) struct Sight<'a> {
    state: MutexGuard<'a, State>,
    /// The display, whether it is there, and what belongs to another one meanwhile; `None` for the main one.
    exchanged: Option<(u32, bool, Front)>,
}

impl<'a> Sight<'a> {
    pub(super) fn new(mut state: MutexGuard<'a, State>, display: u32) -> Self {
        let exchanged = (display != MAIN).then(|| {
            let front = state.others.remove(&display);
            let there = front.is_some();
            let least = Size {
                width: *SIDE.start(),
                height: *SIDE.start(),
            };
            let mut front = front.unwrap_or_else(|| Front::new(least));
            state.exchange(&mut front);
            (display, there, front)
        });
        Self { state, exchanged }
    }
}

impl Deref for Sight<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Sight<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Sight<'_> {
    fn drop(&mut self) {
        if let Some((display, there, mut front)) = self.exchanged.take() {
            self.state.exchange(&mut front);
            if there {
                self.state.others.insert(display, front);
            }
        }
    }
}

impl State {
    fn exchange(&mut self, front: &mut Front) {
        std::mem::swap(&mut self.model.width, &mut front.natural.width);
        std::mem::swap(&mut self.model.height, &mut front.natural.height);
        std::mem::swap(&mut self.rotation, &mut front.rotation);
        std::mem::swap(&mut self.foreground, &mut front.foreground);
        std::mem::swap(&mut self.recent, &mut front.recent);
        std::mem::swap(&mut self.pointers, &mut front.pointers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::android::Model;

    #[test]
    fn a_display_has_its_own_app_and_size_and_shares_what_apps_store() {
        let android = Android::new(Model {
            name: "Two".to_owned(),
            width: 360,
            height: 640,
        });
        let size = Size {
            width: 801,
            height: 9_000,
        };
        let second = android.add_display(size, Content::Destroyed).unwrap();
        let there = second.android().clone();
        assert_eq!((there.size().width, there.size().height), (800, 4_096));
        there.start(App::Echo.package()).unwrap();
        there.paste("typed");
        assert_eq!(
            (there.foreground(), android.foreground()),
            (App::Echo.package(), App::Launcher.package())
        );
        android.start(App::Echo.package()).unwrap();
        assert_eq!(
            there.foreground(),
            App::Launcher.package(),
            "an app is in one place"
        );
        assert!(android.dumpsys().contains(r#""text":"typed""#));
        assert_eq!(android.displays().len(), 2);
        drop(second);
        assert_eq!(android.displays(), [(MAIN, android.size())]);
        there.start(App::Paint.package()).unwrap();
        assert_eq!(
            android.foreground(),
            App::Echo.package(),
            "what is on a display that is gone is nowhere"
        );
    }

    #[test]
    fn displays_are_bounded_and_their_content_may_come_home() {
        let android = Android::new(Model {
            name: "Many".to_owned(),
            width: 360,
            height: 640,
        });
        let many: Vec<_> = (0..DISPLAYS_MAX)
            .map(|_| android.add_display(android.size(), Content::Moved).unwrap())
            .collect();
        assert!(android.add_display(android.size(), Content::Moved).is_none());
        many[3].android().start(App::Still.package()).unwrap();
        drop(many);
        assert_eq!(android.foreground(), App::Still.package());
    }
}
