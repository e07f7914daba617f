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
//! One task per connection owns the socket ([`connection`]); everything it decides is in a machine without I/O.
//! Authentication (AUTH) and TLS (STLS) are recognised and refused with an error that says what to do.

pub mod banner;
pub mod connection;
pub mod daemon;
pub mod host;
mod machine;
pub mod packet;
pub mod shell;
mod slot;
pub mod stream;
pub mod sync;
pub mod transfer;

pub use connection::{Connection, End, HandshakeError, Incoming, IncomingOpen, OpenError};
pub use daemon::Daemon;
pub use host::Host;
pub use stream::{Reader, Stream, Writer};
