//! Why an agent does not start, or does not go on: what an operator has to put right.
//!
//! ```text
//!   run(config) ─┬─ before anything is reached: Config (devices twice, too many), File, Token, Register, Record, Gateway
//!                └─ later: GatewayGone (start again) · Link (control does not take this host, and no viewer is left)
//! ```
//!
//! What happens to one device or one viewer is never among them: a device is tried again (lifecycle.rs), and who asked
//! is told (refusals.rs). The main program prints one of these with its causes, once.

use std::io;
use std::path::PathBuf;

use signaling::link::client::ClientError;

use crate::config::{DEVICES_MAX, DeviceName};
use crate::register::RegisterError;

/// Why an agent ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// More devices than one agent takes.
    #[error("{0} devices are configured; one agent takes at most {DEVICES_MAX}")]
    TooManyDevices(usize),
    /// A device's name is used twice.
    #[error("the device {0} is configured twice")]
    DeviceTwice(DeviceName),
    /// A file that is needed at the start.
    #[error("{what} {}: {source}", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for recordings.
    #[error("nothing can be recorded in {}: {source}", folder.display())]
    Record {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The join token's file holds something else.
    #[error("{}: {source}", path.display())]
    Token {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: signaling::link::token::TokenError,
    },
    /// A device's folder.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The media gateway.
    #[error("the media gateway did not start: {0}")]
    Gateway(#[from] gateway::StartError),
    /// The media gateway ended by itself. Start again.
    #[error("the media gateway has ended")]
    GatewayGone,
    /// Control does not take this host, and no viewer is left.
    #[error(transparent)]
    Link(#[from] ClientError),
}
