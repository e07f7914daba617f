//! Joins a host's stream with a socket inside the device, until either side is done.
//!
//! ```text
//!   OPEN localabstract:N, tcp:P ──► somebody listens? ── no ──► CLSE
//!                                     └ yes ──► OKAY, and bytes both ways
//! ```
//!
//! It does not know what is spoken. adb has no half-close: when the program is done, the stream is closed.

use adb::{IncomingOpen, Stream};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::task::JoinSet;

use crate::abstract_sockets::{Refused, Socket};

/// Bytes that go in one WRTE at most, so that a key frame is a few packets and not dozens.
const CHUNK: usize = 128 * 1024;

/// Accepts the host's OPEN and joins it with `socket`, or refuses it when nobody listens.
pub(super) fn spawn(streams: &mut JoinSet<()>, open: IncomingOpen, socket: Result<Socket, Refused>) {
    let Ok(socket) = socket else { return open.refuse() };
    if let Ok(stream) = open.accept() {
        streams.spawn(join(stream, socket));
    }
}

/// Copies both ways until both sides are done or one fails.
pub(super) async fn join(mut stream: Stream, mut socket: Socket) {
    // Either side may hang up at any time; there is nobody to tell but the other side, which sees it.
    let _ = copy_bidirectional_with_sizes(&mut stream, &mut socket, CHUNK, CHUNK).await;
}
