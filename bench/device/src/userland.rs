//! What the programs of one device share: its state, its picture, its files, its sockets.
//!
//! ```text
//!   adbd, shell, scrcpy_server ──► Userland { android, display, files, sockets, ports, processes, … }
//! ```
//!
//! It only holds them together; each part has its own locks and its own limits, and a clone is the same device.

use std::time::Duration;

use crate::abstract_sockets::AbstractSockets;
use crate::android::Android;
use crate::display::Display;
use crate::encode::Habit;
use crate::fault::Faults;
use crate::files::Files;
use crate::processes::Processes;

/// The device as its programs see it; cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Userland {
    /// Screen, packages, settings.
    pub android: Android,
    /// The picture.
    pub display: Display,
    /// The file system.
    pub files: Files,
    /// `localabstract:NAME`, by name.
    pub sockets: AbstractSockets,
    /// The device's own loopback, `tcp:PORT`, by the decimal port. No port of this machine is involved.
    pub ports: AbstractSockets,
    /// The programs that run for long.
    pub processes: Processes,
    /// What its scrcpy servers do wrong; none by default.
    pub faults: Faults,
    /// The kind of its video encoder.
    pub encoder: Habit,
    /// What its shell may do, and how quickly it does it.
    pub manner: Manner,
}

/// What the shell of a device may do, and how quickly it does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// Whether there is an `su` for the shell.
    pub root: Root,
    /// How long `pm clear` takes, which on a busy or emulated device is most of a second.
    pub clear_takes: Duration,
    /// How long `sha256sum` takes for each MiB.
    pub hash_mib_takes: Duration,
}

/// Whether the shell can become root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Root {
    /// As on a userdebug image.
    #[default]
    Here,
    /// As on what people buy.
    Locked,
}

impl Userland {
    /// A device with fresh files; `now_s` is the unix time in seconds of the directories.
    #[must_use]
    pub fn new(android: Android, display: Display, now_s: u32) -> Self {
        Self {
            android,
            display,
            files: Files::new(now_s),
            sockets: AbstractSockets::default(),
            ports: AbstractSockets::default(),
            processes: Processes::default(),
            faults: Faults::default(),
            encoder: Habit::Usual,
            manner: Manner::default(),
        }
    }
}
