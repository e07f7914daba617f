//! Notifications that packages have posted.
//!
//! They go when their package is stopped, cleared or uninstalled; no shell command removes a single one, as on
//! Android.

use super::{Android, State};

/// Notifications that a device shows; one more is dropped, as Android drops an app's fiftieth.
pub const NOTIFICATIONS_MAX: usize = 256;

/// Package and tag: posting the same again replaces it.
pub(super) type Key = (String, String);

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Who posted it.
    pub package: String,
    /// What the package calls it.
    pub tag: String,
    /// The first line.
    pub title: String,
    /// The rest.
    pub text: String,
}

impl Android {
    /// Posts a notification.
    pub fn notify(&self, notification: Notification) {
        self.change(|state| {
            let key = (notification.package.clone(), notification.tag.clone());
            if state.notifications.len() < NOTIFICATIONS_MAX || state.notifications.contains_key(&key) {
                state.notifications.insert(key, notification);
            }
        });
    }

    /// All notifications, by package and tag.
    pub fn notifications(&self) -> Vec<Notification> {
        self.lock().notifications.values().cloned().collect()
    }
}

impl State {
    pub(super) fn cancel_notifications_of(&mut self, package: &str) {
        self.notifications.retain(|(of, _), _| of != package);
    }
}
