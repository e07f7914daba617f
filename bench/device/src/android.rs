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

mod app;
mod dumpsys;
mod input;
mod installing;
mod log;
mod packages;
mod peripherals;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

pub use app::App;
pub use installing::NAMES_MAX;
pub use input::{KeyPress, POINTERS_MAX, Pointer, PointerKey, TouchKind};
pub use log::{Dropped, EVENTS_MAX, InputEvent};
pub use packages::{AppData, Package, Painting, SEGMENTS_MAX, Segment, TEXT_CHARS_MAX};
pub use peripherals::{HID_DEVICES_MAX, HidInfo, Panel, PeripheralError, SCANNED_MAX};
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
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    clipboard: watch::Sender<String>,
    peripherals: Mutex<peripherals::Peripherals>,
}

#[derive(Debug)]
struct State {
    model: Model,
    rotation: Rotation,
    screen_on: bool,
    foreground: App,
    /// Apps left by HOME or by another app, newest last, each once.
    recent: Vec<App>,
    packages: BTreeMap<String, Package>,
    pointers: Vec<Pointer>,
    log: log::Log,
    settings: BTreeMap<(String, String), String>,
    properties: BTreeMap<String, String>,
    /// Rises with everything that may change the picture.
    version: u64,
    /// Someone wants the screen's thread to look up.
    poked: bool,
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
        let properties = properties(&model);
        let state = State {
            rotation: Rotation::default(),
            screen_on: true,
            foreground: App::Launcher,
            recent: Vec::new(),
            packages: packages::built_in(),
            pointers: Vec::new(),
            log: log::Log::default(),
            settings: BTreeMap::new(),
            properties,
            version: 1,
            poked: false,
            model,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Condvar::new(),
                clipboard: watch::Sender::new(String::new()),
                peripherals: Mutex::default(),
            }),
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

    /// How the device is held.
    pub fn rotation(&self) -> Rotation {
        self.lock().rotation
    }

    /// Turns the device.
    pub fn set_rotation(&self, rotation: Rotation) {
        self.change(|state| state.rotation = rotation);
    }

    /// Turns the device as scrcpy's ROTATE_DEVICE does: from either upright position to landscape and back.
    pub fn rotate(&self) {
        self.change(|state| state.rotation = Rotation((state.rotation.0 & 1) ^ 1));
    }

    /// Whether the screen is on.
    pub fn screen_on(&self) -> bool {
        self.lock().screen_on
    }

    /// Switches the screen on or off. Off means a black picture and no input.
    pub fn set_screen_on(&self, on: bool) {
        self.change(|state| state.screen_on = on);
    }

    /// The package in front.
    pub fn foreground(&self) -> &'static str {
        self.lock().foreground.package()
    }

    /// The names of all installed packages, sorted.
    pub fn packages(&self) -> Vec<String> {
        self.lock().packages.keys().cloned().collect()
    }

    /// A copy of one package.
    pub fn package(&self, name: &str) -> Option<Package> {
        self.lock().packages.get(name).cloned()
    }

    /// Puts an app in front.
    ///
    /// # Errors
    /// It is not installed, or has nothing to show.
    pub fn start(&self, package: &str) -> Result<(), PackageError> {
        self.change(|state| state.start(package))
    }

    /// The first package whose label begins with `label`, in any case.
    pub fn package_by_label(&self, label: &str) -> Option<String> {
        let wanted = label.to_lowercase();
        let state = self.lock();
        let mut packages = state.packages.iter();
        let found = packages.find(|(_, package)| package.label.to_lowercase().starts_with(&wanted));
        found.map(|(name, _)| name.clone())
    }

    /// Ends an app; what it has stored stays.
    ///
    /// # Errors
    /// It is not installed.
    pub fn force_stop(&self, package: &str) -> Result<(), PackageError> {
        self.change(|state| {
            let app = state.installed(package)?.app;
            state.leave(app);
            Ok(())
        })
    }

    /// Ends an app and deletes what it has stored.
    ///
    /// # Errors
    /// It is not installed.
    pub fn clear(&self, package: &str) -> Result<(), PackageError> {
        self.change(|state| {
            let installed = state.installed(package)?;
            installed.data.wipe();
            let app = installed.app;
            state.leave(app);
            Ok(())
        })
    }

    /// Installs a package without a screen, or keeps the one that is there with its data.
    ///
    /// # Errors
    /// There are [`PACKAGES_MAX`] already.
    pub fn install(&self, package: &str) -> Result<(), PackageError> {
        self.change(|state| {
            if state.packages.len() >= PACKAGES_MAX && !state.packages.contains_key(package) {
                return Err(PackageError::Full);
            }
            let new = || Package {
                label: package.to_owned(),
                app: App::of_package(package),
                data: AppData::default(),
            };
            state.packages.entry(package.to_owned()).or_insert_with(new);
            Ok(())
        })
    }

    /// Removes a package with all that it has stored.
    ///
    /// # Errors
    /// It is not installed, or is the launcher.
    pub fn uninstall(&self, package: &str) -> Result<(), PackageError> {
        self.change(|state| {
            let app = state.installed(package)?.app;
            if app == Some(App::Launcher) {
                return Err(PackageError::System(package.to_owned()));
            }
            state.leave(app);
            state.packages.remove(package);
            Ok(())
        })
    }

    /// Stores a preference of an app, as the app itself would; for tests of what a reset leaves behind.
    ///
    /// # Errors
    /// It is not installed.
    pub fn set_preference(&self, package: &str, key: &str, value: &str) -> Result<(), PackageError> {
        self.change(|state| {
            let data = &mut state.installed(package)?.data;
            if data.preferences.len() < SETTINGS_MAX {
                data.preferences.insert(key.to_owned(), value.to_owned());
            }
            Ok(())
        })
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

    /// A value of `settings get NAMESPACE KEY`.
    pub fn setting(&self, namespace: &str, key: &str) -> Option<String> {
        let key = (namespace.to_owned(), key.to_owned());
        self.lock().settings.get(&key).cloned()
    }

    /// `settings put NAMESPACE KEY VALUE`. `system user_rotation` turns the device.
    pub fn set_setting(&self, namespace: &str, key: &str, value: &str) {
        self.change(|state| {
            if state.settings.len() < SETTINGS_MAX {
                state
                    .settings
                    .insert((namespace.to_owned(), key.to_owned()), value.to_owned());
            }
            if let ("system", "user_rotation", Ok(quarters)) = (namespace, key, value.parse()) {
                state.rotation = Rotation::from_quarters(quarters);
            }
        });
    }

    /// `settings delete NAMESPACE KEY`; whether it was there.
    pub fn delete_setting(&self, namespace: &str, key: &str) -> bool {
        let key = (namespace.to_owned(), key.to_owned());
        self.lock().settings.remove(&key).is_some()
    }

    /// A value of `getprop NAME`.
    pub fn property(&self, name: &str) -> Option<String> {
        self.lock().properties.get(name).cloned()
    }

    /// All properties, sorted, for `getprop`.
    pub fn properties(&self) -> Vec<(String, String)> {
        let state = self.lock();
        state
            .properties
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// `setprop NAME VALUE`.
    pub fn set_property(&self, name: &str, value: &str) {
        let mut state = self.lock();
        if state.properties.len() < SETTINGS_MAX {
            state.properties.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Back to how it came from its box, except for how it is held: what a fresh container would be.
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
            state.settings.clear();
            state.screen_on = true;
        });
        self.set_clipboard("");
        self.reset_peripherals();
    }

    /// Number of the last change that may be seen.
    pub(crate) fn version(&self) -> u64 {
        self.lock().version
    }

    /// Sleeps until someone [pokes](Self::poke), the time is over, or there is a newer change than `seen`, if that
    /// is of interest.
    pub(crate) fn wait(&self, seen: Option<u64>, at_most: Duration) {
        let nothing_new = |state: &mut State| seen.is_none_or(|seen| state.version == seen) && !state.poked;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.lock(), at_most, nothing_new);
        waited.unwrap_or_else(PoisonError::into_inner).0.poked = false;
    }

    /// Ends a [`wait`](Self::wait).
    pub(crate) fn poke(&self) {
        self.lock().poked = true;
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change of what may be seen goes through here.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        state.version += 1;
        drop(state);
        self.shared.changed.notify_all();
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

fn properties(model: &Model) -> BTreeMap<String, String> {
    [
        ("ro.product.model", model.name.as_str()),
        ("ro.product.manufacturer", "Farglass"),
        ("ro.product.brand", "farglass"),
        ("ro.product.name", "farglass_simulated"),
        ("ro.product.device", "simulated"),
        ("ro.build.version.release", "14"),
        ("ro.build.version.sdk", "34"),
        ("sys.boot_completed", "1"),
        ("dev.bootcomplete", "1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
