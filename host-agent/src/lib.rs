//! The agent of a host: reaches Android devices over adb, films them with scrcpy, hands pictures to the
//! gateway that it embeds and people's hands to the devices, and does what control asks, under a fence.
//!
//! ```text
//!               control ◄── QUIC, dialled from here ──► control_link
//!                                                           │
//!   browsers ◄── UDP ──► gateway ── events ──────────────► agent ── commands ──► device (one task each)
//!                          ▲                                │                      │ lifecycle, job, fence
//!                          │ pictures                       │ input                ▼
//!                         film ◄── video socket ── capture ─┴─► hand ── control socket ──► the device
//! ```
//!
//! It knows Android. It does not know SQL, users, tokens of viewers, or HTTP for people.

mod agent;
mod asker;
mod backoff;
#[cfg(test)]
mod canaries;
mod capture;
pub mod config;
mod control_link;
pub mod custody;
mod device;
pub mod doctor;
mod effects;
mod error;
pub mod fence;
mod film;
pub mod fingers;
mod hand;
#[cfg(test)]
mod hoards;
#[cfg(test)]
mod illnesses;
pub mod input;
mod job;
mod keyframes;
pub mod label;
#[cfg(test)]
mod liars;
mod lifecycle;
#[cfg(test)]
mod mayhem;
#[cfg(test)]
mod neighbours;
#[cfg(test)]
mod nonsense;
mod probe;
mod recorder;
mod refusals;
mod register;
pub mod reset;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod set_back;
mod shell_words;
mod start;
mod tenancy;
mod touches;
pub mod typing;
pub mod way;

pub use agent::run;
pub use config::{
    CaptureConfig, Config, ControlConfig, DeviceConfig, DeviceConfigError, DeviceName, MediaConfig,
    RecordConfig,
};
pub use error::AgentError;
#[doc(hidden)]
pub use probe::fuzz as fuzz_probe;
#[doc(hidden)]
pub use recorder::fuzz as fuzz_redaction;
pub use recorder::{DISK_BYTES_MAX as RECORDINGS_BYTES_MAX, Text};
pub use register::RegisterError;
#[doc(hidden)]
pub use reset::listing::fuzz as fuzz_listing;
pub use way::{Way, WayError, WayTextError};

use signaling::disk;
