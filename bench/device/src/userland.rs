//! What the programs of one device share: its state, its files, its sockets. It only holds them together.

use crate::abstract_sockets::AbstractSockets;
use crate::android::Android;
use crate::files::Files;

/// The device as its programs see it; cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Userland {
    /// Screen, packages, settings.
    pub android: Android,
    /// The file system.
    pub files: Files,
    /// `localabstract:NAME`, by name.
    pub sockets: AbstractSockets,
    /// The device's own loopback, `tcp:PORT`, by the decimal port. No port of this machine is involved.
    pub ports: AbstractSockets,
}

impl Userland {
    /// A fresh device; `now_s` is the unix time in seconds of its directories.
    #[must_use]
    pub fn new(android: Android, now_s: u32) -> Self {
        Self {
            android,
            files: Files::new(now_s),
            sockets: AbstractSockets::default(),
            ports: AbstractSockets::default(),
        }
    }
}
