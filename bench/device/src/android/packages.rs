//! What is installed, and what each app has stored.
//!
//! Wiping an app's data brings it back to how it was installed; a device keeps nothing else about an app, so that a
//! test of a reset can see what is left. Strokes are kept as segments in the order of drawing, for the screen to draw
//! only what is new.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::app::App;
use super::{Android, PACKAGES_MAX, PackageError, SETTINGS_MAX};

/// Characters that the echo app keeps; more are dropped from the front.
pub const TEXT_CHARS_MAX: usize = 4_096;

/// Segments that the paint app keeps; more drop the older half, and the picture is drawn again.
pub const SEGMENTS_MAX: usize = 65_536;

/// The part of the system image that keeps accounts, as a vendor's services do.
pub const ACCOUNTS: &str = "dev.farglass.accounts";

/// The type of the accounts that [`ACCOUNTS`] keeps.
pub const ACCOUNT_TYPE: &str = "dev.farglass";

/// Who posts what `cmd notification post` says.
pub const SHELL: &str = "com.android.shell";

/// What the providers of the system image are asked for, and the package that keeps it.
pub const PROVIDERS: [(&str, &str); 7] = [
    ("com.android.contacts", "com.android.providers.contacts"),
    ("call_log", "com.android.providers.contacts"),
    ("sms", "com.android.providers.telephony"),
    ("com.android.calendar", "com.android.providers.calendar"),
    ("user_dictionary", "com.android.providers.userdictionary"),
    ("downloads", "com.android.providers.downloads"),
    ("media", "com.android.providers.media"),
];

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What people call it.
    pub label: String,
    /// What the device can draw, `None` for a package that was installed by adb and has no screen here.
    pub app: Option<App>,
    /// What it has stored.
    pub data: AppData,
    /// Where it came from.
    pub origin: Origin,
    /// Where its APK is: another place after every installation.
    pub code: String,
    /// The type of the accounts that it keeps for the system, if it is an authenticator.
    pub account_type: Option<String>,
}

/// Where a package came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The system image: it can be uninstalled for the user, and brought back.
    Image,
    /// It was installed, and is gone for good when it is uninstalled.
    Installed,
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
    /// Files below its private folder, by relative path.
    pub files: BTreeMap<String, Vec<u8>>,
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

impl Android {
    /// The names of all installed packages, sorted.
    pub fn packages(&self) -> Vec<String> {
        self.lock().packages.keys().cloned().collect()
    }

    /// A copy of one package.
    pub fn package(&self, name: &str) -> Option<Package> {
        self.lock().packages.get(name).cloned()
    }

    /// The only package that can be started and whose label begins with `label`, in any case; none if there are several.
    pub fn package_by_label(&self, label: &str) -> Option<String> {
        let wanted = label.to_lowercase();
        let state = self.lock();
        let mut found = state.packages.iter().filter(|(_, package)| {
            package.app.is_some() && package.label.to_lowercase().starts_with(&wanted)
        });
        let first = found.next().map(|(name, _)| name.clone());
        first.filter(|_| found.next().is_none())
    }

    /// Ends an app; what it has stored stays.
    ///
    /// # Errors
    /// It is not installed.
    pub fn force_stop(&self, package: &str) -> Result<(), PackageError> {
        self.system_log(
            "ActivityManager",
            &format!("Force stopping {package} user=0: from shell"),
        );
        self.change(|state| {
            // As on Android, what a stopped package has posted goes with it.
            state.cancel_notifications_of(package);
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
        self.system_log(
            "ActivityManager",
            &format!("Force stopping {package} user=0: clear data"),
        );
        self.change(|state| {
            let installed = state.installed(package)?;
            installed.data.wipe();
            let app = installed.app;
            state.cancel_notifications_of(package);
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
                origin: Origin::Installed,
                code: fresh_code(package),
                account_type: None,
            };
            state.packages.entry(package.to_owned()).or_insert_with(new);
            Ok(())
        })
    }

    /// Installs another APK in the place of a package, which is called `label` from then on and keeps what is stored.
    ///
    /// # Errors
    /// It is not installed.
    pub fn replace(&self, package: &str, label: &str) -> Result<(), PackageError> {
        self.change(|state| {
            let installed = state.installed(package)?;
            installed.code = fresh_code(package);
            label.clone_into(&mut installed.label);
            let app = installed.app;
            state.leave(app);
            Ok(())
        })
    }

    /// Takes a package of the system image back to the APK that came with it, without what it has stored; whether
    /// there was another.
    pub fn take_back_update(&self, package: &str) -> bool {
        self.change(|state| {
            let as_it_came = built_in().remove(package);
            let (Some(was), Ok(now)) = (as_it_came, state.installed(package)) else {
                return false;
            };
            if now.origin != Origin::Image || now.code == was.code {
                return false;
            }
            *now = was;
            true
        })
    }

    /// Removes a package with all that it has stored and the accounts that it keeps. One of the system image comes
    /// back with [`Self::install_existing`]; the launcher stays.
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
            state.cancel_notifications_of(package);
            if let Some(mut removed) = state.packages.remove(package) {
                state.forget_accounts_of(removed.account_type.as_deref());
                if removed.origin == Origin::Image {
                    removed.data = AppData::default();
                    state.dismissed.insert(package.to_owned(), removed);
                }
            }
            Ok(())
        })
    }

    /// Brings back a package of the system image that was uninstalled for the user; one that is there stays.
    ///
    /// # Errors
    /// The system image has no such package.
    pub fn install_existing(&self, package: &str) -> Result<(), PackageError> {
        self.change(|state| match state.dismissed.remove(package) {
            Some(back) => {
                state.packages.insert(package.to_owned(), back);
                Ok(())
            }
            None => state.installed(package).map(|_| ()),
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
}

/// The packages of a new device.
pub(super) fn built_in() -> BTreeMap<String, Package> {
    let apps = App::ALL.into_iter().map(|app| {
        let origin = if app == App::Launcher {
            Origin::Image
        } else {
            Origin::Installed
        };
        (app.package(), app.label(), Some(app), origin, None)
    });
    let parts = [
        (ACCOUNTS, "Accounts", None, Origin::Image, Some(ACCOUNT_TYPE)),
        (SHELL, "Shell", None, Origin::Image, None),
    ];
    let providers = PROVIDERS.map(|(_, package)| (package, package, None, Origin::Image, None));
    apps.chain(parts)
        .chain(providers)
        .map(|(name, label, app, origin, account_type)| {
            let package = Package {
                label: label.to_owned(),
                app,
                data: AppData::default(),
                origin,
                code: match origin {
                    Origin::Image => format!("/product/app/{name}/{name}.apk"),
                    Origin::Installed => fresh_code(name),
                },
                account_type: account_type.map(str::to_owned),
            };
            (name.to_owned(), package)
        })
        .collect()
}

/// A place that no installation had before, as Android chooses one by dice.
fn fresh_code(package: &str) -> String {
    static INSTALLATIONS: AtomicU64 = AtomicU64::new(0);
    let number = INSTALLATIONS.fetch_add(1, Ordering::Relaxed);
    format!("/data/app/~~{number:012x}==/{package}-{number:012x}==/base.apk")
}
