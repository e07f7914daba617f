//! What a server changes on the device for as long as it lives, and puts back when it is gone, however it went.
//!
//! ```text
//!   option                start                                       end
//!   stay_awake            global stay_on_while_plugged_in = 7         the number that it was, if another
//!   show_touches          system show_touches = 1                     0, if it was anything else
//!   screen_off_timeout    system screen_off_timeout = N               the number that it was, if another
//!   power_off_on_close                                                the screen goes off
//!   –                     the client makes the panel dark             the panel is lit
//! ```
//!
//! Only with `cleanup`; without it nothing of this happens, neither at the start nor at the end. As of server 2.7; older
//! ones differ in what they do with a value that is no number.

use std::sync::atomic::{AtomicBool, Ordering};

use scrcpy::options::ServerOptions;

use crate::android::Android;
use crate::android::displays::MAIN;

const GLOBAL: &str = "global";
const SYSTEM: &str = "system";
const STAY_ON: &str = "stay_on_while_plugged_in";
const SHOW_TOUCHES: &str = "show_touches";
const SCREEN_OFF_TIMEOUT: &str = "screen_off_timeout";

/// On mains, by USB and without wires.
const ANY_PLUG: &str = "7";

/// Puts everything back when it is dropped.
pub(super) struct CleanUp {
    android: Android,
    settings: Vec<Put>,
    power_off: bool,
    /// The client made the panel dark.
    dark: AtomicBool,
}

/// A setting and the value to put back.
struct Put(&'static str, &'static str, String);

impl CleanUp {
    /// Changes what the options ask for; nothing to put back without `cleanup`.
    pub(super) fn start(android: &Android, options: &ServerOptions) -> Option<Self> {
        if !options.cleanup {
            return None;
        }
        let mut this = Self {
            android: android.on(MAIN),
            settings: Vec::new(),
            power_off: options.power_off_on_close,
            dark: AtomicBool::new(false),
        };
        if options.show_touches {
            let old = this.exchange(SYSTEM, SHOW_TOUCHES, "1");
            if old.as_deref() != Some("1") {
                this.settings.push(Put(SYSTEM, SHOW_TOUCHES, "0".to_owned()));
            }
        }
        if options.stay_awake {
            this.number(GLOBAL, STAY_ON, ANY_PLUG);
        }
        if let Some(timeout_ms) = options.screen_off_timeout {
            this.number(SYSTEM, SCREEN_OFF_TIMEOUT, &timeout_ms.to_string());
        }
        Some(this)
    }

    /// The client made the panel dark or lit it.
    pub(super) fn panel(&self, lit: bool) {
        self.dark.store(!lit, Ordering::Release);
    }

    fn exchange(&self, namespace: &str, key: &str, value: &str) -> Option<String> {
        let old = self.android.setting(namespace, key);
        self.android.set_setting(namespace, key, value);
        old
    }

    fn number(&mut self, namespace: &'static str, key: &'static str, value: &str) {
        let old = self.exchange(namespace, key, value);
        let old: Option<i32> = old.and_then(|old| old.parse().ok());
        if let Some(old) = old.map(|old| old.to_string()).filter(|old| old != value) {
            self.settings.push(Put(namespace, key, old));
        }
    }
}

impl Drop for CleanUp {
    fn drop(&mut self) {
        for Put(namespace, key, value) in &self.settings {
            self.android.set_setting(namespace, key, value);
        }
        if !self.android.screen_on() {
            return;
        }
        if self.power_off {
            self.android.set_screen_on(false);
        } else if *self.dark.get_mut() {
            self.android.set_panel_power(true);
        }
    }
}
