//! The device behind its interfaces: what is installed, what is on the screen, what was touched.
//!
//! ```text
//!   shell commands ──┐                       ┌── the screen draws a View of it
//!   scrcpy control ──┼──► Android (a handle) ┤
//!   tests ───────────┘                       └── dumpsys simulated prints it
//! ```
//!
//! One handle type, clones share one device. Its methods are short and take a mutex inside; none blocks for long or
//! calls back, except [`Android::wait`], by which the screen's thread sleeps until something has changed.
//! It does not know adb, scrcpy, sockets, files or pixels' colours.

mod accounts;
mod app;
pub mod displays;
mod drops;
mod dumpsys;
mod idle;
mod input;
mod installing;
pub mod journal;
mod log;
mod notifications;
mod packages;
mod people;
mod peripherals;
mod private;
mod rotation;
mod settings;
pub mod surroundings;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

use displays::Sight;

pub use accounts::{ACCOUNTS_MAX, Account};
pub use app::App;
pub use drops::{DROPS_MAX, Dropped, DroppedInput};
pub(crate) use idle::Idle;
pub use input::{KeyPress, POINTERS_MAX, Pointer, PointerKey, TouchKind};
pub use installing::NAMES_MAX;
pub use log::{EVENTS_MAX, InputEvent};
pub use notifications::{NOTIFICATIONS_MAX, Notification};
pub use packages::{
    ACCOUNT_TYPE, ACCOUNTS, AppData, Origin, PROVIDERS, Package, Painting, SEGMENTS_MAX, SHELL, Segment,
    TEXT_CHARS_MAX,
};
pub use people::{AUTHORITIES, OTHERS_MAX, User};
pub use peripherals::{HID_DEVICES_MAX, HidInfo, Panel, PeripheralError, SCANNED_MAX};
pub use private::{APPS, PRIVATE_FILE_LEN_MAX, WALLPAPER};
pub use settings::NAMESPACES;
pub use view::{Drawn, Scene, View};

/// Packages that may be installed; one more fails as a full storage does.
pub const PACKAGES_MAX: usize = 256;

/// Bytes of clipboard text that the device keeps; a longer one is refused by scrcpy's own limit before.
pub const CLIPBOARD_LEN_MAX: usize = 1 << 18;

/// Properties and settings that a device keeps in each of its tables; one more is ignored.
pub const SETTINGS_MAX: usize = 1_024;

/// What a device is made as.
#[derive(Debug, Clone)]
pub struct Model {
    /// `ro.product.model`, also scrcpy's device name.
    pub name: String,
    /// Natural width in pixels, even.
    pub width: u16,
    /// Natural height in pixels, even.
    pub height: u16,
}

/// A quarter turn counted from the natural position, 0 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation(u8);

/// Pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// Why a package is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackageError {
    /// No such package.
    #[error("package {0} is not installed")]
    Unknown(String),
    /// Installed, but with nothing to show.
    #[error("package {0} has no activity")]
    NoActivity(String),
    /// A part of the system.
    #[error("package {0} belongs to the system")]
    System(String),
    /// [`PACKAGES_MAX`] are installed.
    #[error("not enough storage")]
    Full,
}

/// A handle on one simulated device.
#[derive(Debug, Clone)]
pub struct Android {
    shared: Arc<Shared>,
    /// The display that this handle looks through.
    display: u32,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    clipboard: watch::Sender<String>,
    peripherals: Mutex<peripherals::Peripherals>,
    surroundings: Mutex<surroundings::Surroundings>,
    journal: journal::Journal,
}

#[derive(Debug)]
struct State {
    model: Model,
    /// How the picture is turned.
    rotation: Rotation,
    /// How the hand holds it.
    held: Rotation,
    screen_on: bool,
    foreground: App,
    /// Apps left by HOME or by another app, newest last, each once.
    recent: Vec<App>,
    packages: BTreeMap<String, Package>,
    pointers: Vec<Pointer>,
    log: log::Log,
    settings: BTreeMap<(String, String), String>,
    accounts: Vec<Account>,
    people: people::People,
    notifications: BTreeMap<notifications::Key, Notification>,
    /// The picture that a person chose; none is the device's own.
    wallpaper: Option<Vec<u8>>,
    /// Packages of the system image that were uninstalled for the user, as they came.
    dismissed: BTreeMap<String, Package>,
    properties: BTreeMap<String, String>,
    /// Rises with everything that may change the picture.
    version: u64,
    /// How often somebody gave a sign of life.
    lives: u64,
    /// How often someone wanted the screens' threads to look up.
    pokes: u64,
    /// Displays beside the main one, by their numbers.
    others: BTreeMap<u32, displays::Front>,
    last_display: u32,
}

impl Rotation {
    /// Quarter turns, taken modulo four.
    pub fn from_quarters(quarters: u8) -> Self {
        Self(quarters % 4)
    }

    /// 0 to 3.
    pub fn quarters(self) -> u8 {
        self.0
    }
}

impl Android {
    /// A device as it comes from its box: the launcher in front, nothing stored.
    pub fn new(model: Model) -> Self {
        let properties = settings::properties(&model);
        let state = State {
            rotation: Rotation::default(),
            held: Rotation::default(),
            screen_on: true,
            foreground: App::Launcher,
            recent: Vec::new(),
            packages: packages::built_in(),
            pointers: Vec::new(),
            log: log::Log::default(),
            settings: settings::defaults(),
            accounts: Vec::new(),
            people: people::People::default(),
            notifications: BTreeMap::new(),
            wallpaper: None,
            dismissed: BTreeMap::new(),
            properties,
            version: 1,
            lives: 0,
            pokes: 0,
            others: BTreeMap::new(),
            last_display: displays::MAIN,
            model,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Condvar::new(),
                clipboard: watch::Sender::new(String::new()),
                peripherals: Mutex::default(),
                surroundings: Mutex::default(),
                journal: journal::Journal::default(),
            }),
            display: displays::MAIN,
        }
    }

    /// The name that the device was made with.
    pub fn name(&self) -> String {
        self.lock().model.name.clone()
    }

    /// The display's size as it is held now.
    pub fn size(&self) -> Size {
        self.lock().size()
    }

    /// The display's size in its natural position.
    pub fn natural_size(&self) -> Size {
        let state = self.lock();
        Size {
            width: state.model.width,
            height: state.model.height,
        }
    }

    /// Whether the screen is on.
    pub fn screen_on(&self) -> bool {
        self.lock().screen_on
    }

    /// Switches the screen on or off. Off means a black picture and no input.
    pub fn set_screen_on(&self, on: bool) {
        self.change(|state| {
            state.lives += u64::from(on);
            state.screen_on = on;
        });
    }

    /// The package in front.
    pub fn foreground(&self) -> &'static str {
        self.lock().foreground.package()
    }

    /// The packages in the overview, newest last, with the one in front.
    pub fn recents(&self) -> Vec<&'static str> {
        let state = self.lock();
        let recent = state.recent.iter().chain([&state.foreground]);
        recent.map(|app| app.package()).collect()
    }

    /// Puts an app in front.
    ///
    /// # Errors
    /// It is not installed, or has nothing to show.
    pub fn start(&self, package: &str) -> Result<(), PackageError> {
        self.take_from_others(package);
        let started = self.change(|state| state.start(package));
        if started.is_ok() {
            let what = format!("START u0 {{cmp={package}/.MainActivity}} from uid 2000");
            self.system_log("ActivityTaskManager", &what);
        }
        started
    }

    /// The clipboard's text.
    pub fn clipboard(&self) -> String {
        self.shared.clipboard.borrow().clone()
    }

    /// Sets the clipboard; the same text again is no change.
    pub fn set_clipboard(&self, text: &str) {
        if text.len() > CLIPBOARD_LEN_MAX {
            return;
        }
        self.shared.clipboard.send_if_modified(|old| {
            let changed = old != text;
            if changed {
                text.clone_into(old);
            }
            changed
        });
    }

    /// Tells of changes of the clipboard.
    pub fn watch_clipboard(&self) -> watch::Receiver<String> {
        self.shared.clipboard.subscribe()
    }

    /// Back to how it came from its box, except for how a hand holds it: what a fresh container would be.
    pub fn factory_reset(&self) {
        self.change(|state| {
            let old = std::mem::replace(&mut state.packages, packages::built_in());
            // A screen that shows the old painting has to notice that this is another one.
            if let (Some(old), Some(new)) = (
                old.get(App::Paint.package()),
                state.packages.get_mut(App::Paint.package()),
            ) {
                new.data.painting.epoch = old.data.painting.epoch.wrapping_add(1);
            }
            state.foreground = App::Launcher;
            state.recent.clear();
            state.pointers.clear();
            state.settings = settings::defaults();
            state.turn_by_settings();
            state.accounts.clear();
            state.people = people::People::default();
            state.notifications.clear();
            state.wallpaper = None;
            state.dismissed.clear();
            state.screen_on = true;
        });
        self.set_clipboard("");
        self.reset_peripherals();
        self.reset_surroundings();
    }

    /// Number of the last change that may be seen.
    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// Sleeps until someone has [poked](Self::poke) more often than `pokes`, which is then brought up to date, the time
    /// is over, or there is a newer change than `seen`, if that is of interest.
    pub(crate) fn wait(&self, seen: Option<u64>, pokes: &mut u64, at_most: Duration) {
        let known = *pokes;
        let nothing_new =
            |state: &mut State| seen.is_none_or(|seen| state.version == seen) && state.pokes == known;
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, at_most, nothing_new);
        *pokes = waited.unwrap_or_else(PoisonError::into_inner).0.pokes;
    }

    /// Ends a [`wait`](Self::wait).
    pub(crate) fn poke(&self) {
        self.lock().pokes += 1;
        self.shared.changed.notify_all();
    }

    /// The state as the display of this handle sees it.
    fn lock(&self) -> Sight<'_> {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        Sight::new(state, self.display)
    }

    /// Every change of what may be seen goes through here.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        state.version += 1;
        let unsaid = state.log.drops.take_unsaid();
        drop(state);
        self.shared.changed.notify_all();
        self.say(&unsaid);
        result
    }
}

impl State {
    fn size(&self) -> Size {
        let Model { width, height, .. } = self.model;
        if self.rotation.0.is_multiple_of(2) {
            Size { width, height }
        } else {
            Size {
                width: height,
                height: width,
            }
        }
    }

    fn installed(&mut self, package: &str) -> Result<&mut Package, PackageError> {
        self.packages
            .get_mut(package)
            .ok_or_else(|| PackageError::Unknown(package.to_owned()))
    }

    fn start(&mut self, package: &str) -> Result<(), PackageError> {
        match self.installed(package)?.app {
            Some(app) => {
                self.show(app);
                Ok(())
            }
            None => Err(PackageError::NoActivity(package.to_owned())),
        }
    }

    fn show(&mut self, app: App) {
        let left = std::mem::replace(&mut self.foreground, app);
        self.recent.retain(|&recent| recent != left && recent != app);
        if left != App::Launcher && left != app {
            self.recent.push(left);
        }
    }

    /// Takes an app off the screen and out of the recent ones.
    fn leave(&mut self, app: Option<App>) {
        if app == Some(self.foreground) {
            self.foreground = App::Launcher;
        }
        self.recent.retain(|&recent| Some(recent) != app);
    }
}
