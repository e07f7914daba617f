//! The wire of scrcpy: how a mirroring server on an Android device speaks to its client.
//!
//! Both ends are here, because the host agent is a client and the simulated device is a server:
//!
//! ```text
//!   options ──► command line ──► server starts ──► sockets: video · audio · control
//!                                                   video    handshake, then packets   device ──► client
//!                                                   control  control messages          client ──► device
//!                                                            device messages           device ──► client
//! ```
//!
//! The crate does no I/O, keeps no clock and starts no task: bytes in, values out, and the other way round.
//! It does not know adb, which carries the sockets, nor what is in the video beyond one access unit per packet.
//! Versions followed: 2.0 to 4.1, in two framings (see [`version::Framing`]).

pub mod codec;
pub mod control;
pub mod demux;
pub mod device_msg;
pub mod handshake;
pub mod keys;
pub mod options;
pub mod packet;
mod reader;
pub mod version;

pub use codec::{AudioCodec, VideoCodec};
pub use control::ControlMsg;
pub use demux::{Demuxer, Event};
pub use device_msg::DeviceMsg;
pub use options::ServerOptions;
pub use version::{Framing, ServerVersion};

/// Presentation time of a picture in microseconds of the device's monotonic clock.
///
/// It keeps counting across encoder restarts. On the wire it has 62 bits before 4.0 and 61 from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pts(pub u64);
