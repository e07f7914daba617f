//! Windows, streams and timeouts of the agent link.
//!
//! The defaults of QUIC stacks are for file transfer: a hundred streams of 1.25 MB each and no limit
//! for the connection. This link carries heartbeats, requests of a few kilobytes and SDP, and its peers
//! may be hostile, so every window is capped to a frame or two.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

/// How often an idle link is touched: four packets a second and host, with their acknowledgements. It is also how soon
/// an agent misses a control that was killed, and so a part of what it takes to be back. Three lost packets in a row still
/// leave the link up.
pub const KEEP_ALIVE: Duration = Duration::from_millis(500);
/// A link from which nothing comes for this long is down. Whoever looks at a device of a host that was killed is
/// told within this time; a link that was only slow costs a dial, and no session.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Requests of control that one agent serves at the same time; more wait in control until one ends.
pub const REQUESTS_MAX: u32 = 64;

/// Streams that an agent may have open: the first one, a renewal, and one to spare.
const AGENT_STREAMS_MAX: u32 = 3;
/// Unread bytes of one stream: one frame of the greatest size and its header, rounded up.
const STREAM_WINDOW_BYTES: u32 = (1 << 20) + 4096;
/// Unread bytes of a whole connection; beyond it the peer waits.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Unacknowledged bytes that we hold for a peer; beyond it writing waits.
const SEND_WINDOW_BYTES: u64 = 4 << 20;

/// For control's side: agents open few streams.
pub(crate) fn for_control() -> Arc<TransportConfig> {
    Arc::new(capped(AGENT_STREAMS_MAX))
}

/// For the agent's side: each request of control is a stream.
pub(crate) fn for_agent() -> Arc<TransportConfig> {
    Arc::new(capped(REQUESTS_MAX))
}

fn capped(peer_streams_max: u32) -> TransportConfig {
    let idle_ms = VarInt::from_u32(4_000);
    debug_assert_eq!(u128::from(idle_ms.into_inner()), IDLE_TIMEOUT.as_millis());
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(peer_streams_max))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(idle_ms)));
    transport
}
