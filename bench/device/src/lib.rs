//! The simulated Android device: reached over adb, mirrored by scrcpy, drawn in software.
//!
//! ```text
//!   host ══ adb over TCP ══ adbd ──┬── shell commands, files ──────────────► Android (state)
//!                                  │                                          ▲        │ view
//!                                  └── abstract sockets ── scrcpy_server ─────┘ input  ▼
//!                                                          ▲ packets ── display ── screen, encoder
//! ```
//!
//! It is honest: it enforces the rules of the real daemon and of the real server (exact version, exact video size,
//! silence on a still screen), and nobody who talks to it over the network can tell but by its name.
//! Two parts are shared by all: [`android::Android`] is the device's state, [`abstract_sockets::AbstractSockets`] is
//! where a scrcpy server and the adb daemon meet.

pub mod abstract_sockets;
pub mod adbd;
pub mod android;
mod clock;
pub mod display;
pub mod encode;
pub mod files;
pub mod scrcpy_server;
pub mod screen;
pub mod shell;
pub mod stand_in;
pub mod userland;

pub use android::Android;
pub use stand_in::{stand_in_server, stand_in_version};
pub use userland::Userland;

use abstract_sockets::AbstractSockets;
use display::Display;

/// The parts of one device that its services share. Clones share one device.
#[derive(Debug, Clone)]
pub struct Phone {
    /// The state.
    pub android: Android,
    /// Where a scrcpy server and the adb daemon meet.
    pub sockets: AbstractSockets,
    /// The picture.
    pub display: Display,
}
