//! adb's own packet layer, for both roles, over any byte stream: the agent is a host without an adb server in
//! between, the simulated device is a daemon. It knows streams, windows, shell frames and file transfer; it does
//! not know scrcpy, Docker, USB, or what a shell command means.
//!
//! ```text
//!   host::Host ── open("shell,v2,raw:id") ──►┌────────────┐  packets  ┌────────────┐── Incoming ──► daemon's services
//!   Stream  ◄── chunks / writes ────────────►│ connection │◄─────────►│ connection │◄─────────────► Stream
//!                                            └────────────┘  one TCP  └────────────┘
//! ```
//!
//! One task per connection owns the socket ([`connection`]); everything it decides is in a machine without I/O. Devices
//! may ask for a [`key`] (AUTH) or for TLS (STLS), and a host may also go through an adb server ([`host_server`]). A
//! [`witness`] sees what passes, and a [`recording`] keeps it.

pub mod banner;
pub mod connection;
pub mod daemon;
pub mod handshake;
pub mod host;
pub mod host_server;
pub mod key;
pub mod key_file;
pub mod known_keys;
mod machine;
pub mod packet;
pub mod recording;
pub mod server_reply;
pub mod shell;
mod slot;
pub mod socket;
pub mod stream;
pub mod sync;
mod tap;
pub mod tls;
pub mod transfer;
pub mod window;
pub mod witness;

pub use connection::{Connection, End, Incoming, IncomingOpen, OpenError};
pub use daemon::Daemon;
pub use handshake::HandshakeError;
pub use host::Host;
pub use host_server::Server;
#[doc(hidden)]
pub use machine::fuzz as fuzz_machine;
pub use stream::{Reader, Stream, Writer};
#[doc(hidden)]
pub use tap::fuzz as fuzz_tap;
pub use witness::Witness;
