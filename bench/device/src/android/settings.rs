//! Tables of keys and values: the settings in their three namespaces, and the properties.
//!
//! ```text
//!   settings   system, secure, global · written by anyone with a shell, kept over restarts
//!   properties ro.* once, the rest by setprop
//! ```
//!
//! This device itself acts on those of [rotation](super::rotation) and on `show_touches`, with which its picture has a dot
//! at every finger.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Android, Model, SETTINGS_MAX, State};

/// The namespaces that exist.
pub const NAMESPACES: [&str; 3] = ["system", "secure", "global"];

/// What a new device has in them.
const DEFAULTS: [(&str, &str, &str); 14] = [
    ("system", "accelerometer_rotation", "0"),
    ("system", "font_scale", "1.0"),
    ("system", "haptic_feedback_enabled", "1"),
    ("system", "screen_brightness", "102"),
    ("system", "screen_off_timeout", "60000"),
    ("system", "user_rotation", "0"),
    ("secure", "accessibility_enabled", "0"),
    ("secure", "location_mode", "0"),
    ("secure", "user_setup_complete", "1"),
    ("global", "adb_enabled", "1"),
    ("global", "airplane_mode_on", "0"),
    ("global", "development_settings_enabled", "1"),
    ("global", "stay_on_while_plugged_in", "0"),
    ("global", "window_animation_scale", "1.0"),
];

/// The settings of a new device.
pub(super) fn defaults() -> BTreeMap<(String, String), String> {
    DEFAULTS
        .into_iter()
        .map(|(namespace, key, value)| ((namespace.to_owned(), key.to_owned()), value.to_owned()))
        .collect()
}

/// The properties of a device that has not booted yet.
pub(super) fn properties(model: &Model) -> BTreeMap<String, String> {
    // Nanoseconds from the kernel's start to init's: never the same at two boots.
    let init_ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_nanos() % 1_000_000_000_000)
        .to_string();
    [
        ("ro.product.model", model.name.as_str()),
        ("ro.product.manufacturer", "Farglass"),
        ("ro.product.brand", "farglass"),
        ("ro.product.name", "farglass_simulated"),
        ("ro.product.device", "simulated"),
        ("ro.build.version.release", "14"),
        ("ro.build.version.sdk", "34"),
        ("ro.build.type", "userdebug"),
        ("ro.debuggable", "1"),
        ("ro.boottime.init", init_ns.as_str()),
        ("sys.boot_completed", "1"),
        ("dev.bootcomplete", "1"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

impl Android {
    /// All settings of a namespace, sorted by key.
    pub fn settings(&self, namespace: &str) -> Vec<(String, String)> {
        let state = self.lock();
        let settings = state.settings.iter();
        settings
            .filter(|((of, _), _)| of == namespace)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect()
    }

    /// `settings reset NAMESPACE …`: what is the device's own gets its first value, what was added goes.
    pub fn reset_settings(&self, namespace: &str) {
        self.change(|state| {
            state.settings.retain(|(of, _), _| of != namespace);
            let first = defaults().into_iter().filter(|((of, _), _)| of == namespace);
            state.settings.extend(first);
            state.turn_by_settings();
        });
    }

    /// Whether the services are up. The adb daemon and its shell come earlier.
    pub fn booted(&self) -> bool {
        self.property("sys.boot_completed").as_deref() == Some("1")
    }

    /// Before the services are up: nobody has set the properties that say so, which is how Android starts.
    pub(crate) fn begin_boot(&self) {
        let mut state = self.lock();
        state.properties.remove("sys.boot_completed");
        state.properties.remove("dev.bootcomplete");
        drop(state);
        self.system_log("SystemServer", "Entered the Android system server!");
    }

    /// The services are up.
    pub(crate) fn end_boot(&self) {
        self.set_property("sys.boot_completed", "1");
        self.set_property("dev.bootcomplete", "1");
        self.system_log("SystemServiceManager", "Starting phase 1000");
        self.system_log("ActivityManager", "Boot completed");
    }

    /// A value of `settings get NAMESPACE KEY`.
    pub fn setting(&self, namespace: &str, key: &str) -> Option<String> {
        let key = (namespace.to_owned(), key.to_owned());
        self.lock().settings.get(&key).cloned()
    }

    /// `settings put NAMESPACE KEY VALUE`.
    pub fn set_setting(&self, namespace: &str, key: &str, value: &str) {
        self.change(|state| {
            state.put(namespace, key, value);
            state.turn_by_settings();
        });
    }

    /// `settings delete NAMESPACE KEY`; whether it was there.
    pub fn delete_setting(&self, namespace: &str, key: &str) -> bool {
        let key = (namespace.to_owned(), key.to_owned());
        self.change(|state| {
            let there = state.settings.remove(&key).is_some();
            state.turn_by_settings();
            there
        })
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
}

impl State {
    fn put(&mut self, namespace: &str, key: &str, value: &str) {
        if self.settings.len() < SETTINGS_MAX {
            let key = (namespace.to_owned(), key.to_owned());
            self.settings.insert(key, value.to_owned());
        }
    }

    /// Writes a setting of the namespace `system`.
    pub(super) fn put_system(&mut self, key: &str, value: &str) {
        self.put("system", key, value);
    }

    /// A setting of the namespace `system`.
    pub(super) fn system(&self, key: &str) -> Option<&str> {
        let key = ("system".to_owned(), key.to_owned());
        self.settings.get(&key).map(String::as_str)
    }
}
