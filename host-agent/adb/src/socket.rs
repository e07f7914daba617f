//! What adb's TCP sockets get, in both roles: they send at once, and they notice a peer that has vanished without a
//! word, as a phone does that leaves its network, or a host whose machine loses power.
//!
//! ```text
//!   last sign of the peer ── quiet ──► probe ── probe ── probe ──► the socket fails with TimedOut
//!   data that it does not acknowledge ──────────────────────────►
//!   0                                                            gone_after, at most half of it later
//! ```
//!
//! A peer whose kernel still answers while its adb does not is not noticed here: that is a matter of asking it. With one
//! exception: who has something to send to an adb that reads nothing, so that the peer's window stays shut, loses the
//! connection after the same time, for Linux counts data that cannot be sent as not acknowledged.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long a peer may show no sign of life: longer than a Wi-Fi roams, shorter than a person waits. Reached: the
/// connection ends with [`End::Io`](crate::End::Io) and `TimedOut`.
pub const GONE_AFTER: Duration = Duration::from_secs(10);
/// The system counts probes in whole seconds.
const PROBES_APART_MIN: Duration = Duration::from_secs(1);
/// Probes that are sent into the silence; the time decides before the last one.
const PROBES: u32 = 5;

/// Sets a new socket up.
///
/// # Errors
/// The system refuses an option, mostly because the socket is closed already.
pub fn prepare(socket: &TcpStream, gone_after: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let apart = (gone_after / 5).max(PROBES_APART_MIN);
    let probes = TcpKeepalive::new()
        .with_time((apart * 2).min(gone_after).max(PROBES_APART_MIN))
        .with_interval(apart)
        .with_retries(PROBES);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(gone_after))
}
