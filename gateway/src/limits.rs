//! Every queue, size, rate and time that the gateway holds somebody to.
//!
//! One line each: unit, where the number comes from, and what happens when it is reached. Nothing in
//! this crate waits, queues or repeats by a number that does not stand here.

use std::time::Duration;

/// Viewers on one host. 0.6 % of a core each was measured at 32 streams, so 64 leave one core of two
/// to everything else. One more is refused with `OfferError::TooManyViewers`.
pub const VIEWERS_MAX: usize = 64;

/// Longest SDP offer or trickle fragment, bytes. A browser's offer with one video section and data
/// channels is 6–9 kB. A longer one is refused unread.
pub const SDP_BYTES_MAX: usize = 32 * 1024;

/// Candidates that one connection may bring by trickle. Browsers send 2–6; each costs a check every
/// 200 ms until a pair is found. More are ignored.
pub const REMOTE_CANDIDATES_MAX: usize = 8;

/// Commands that wait for the media thread (offers, patches). It drains them at every wake-up; this
/// many mean that it stands still. One more is refused as `Busy`.
pub const COMMANDS_MAX: usize = 256;

/// Events that wait for the agent. A person makes at most 240 messages a second, so this is seconds of
/// one busy hand. Beyond it input is dropped and every finger of that connection is lifted.
pub const EVENTS_MAX: usize = 2_048;

/// Events kept free for `Connected`, `Closed` and lifts, which are never dropped.
pub const EVENTS_RESERVED: usize = 512;

/// Pictures of one source that wait for the media thread: a quarter of a second at 60 fps. Beyond it all of them are
/// dropped, and the source waits for a key frame: newest wins.
pub const PICTURES_PENDING_MAX: usize = 15;

/// Bytes of one source that wait for the media thread: four large key frames. Treated as
/// [`PICTURES_PENDING_MAX`].
pub const PICTURE_BYTES_PENDING_MAX: usize = 4 * 1024 * 1024;

/// Longest access unit, bytes. A 1080x2400 key frame at 20 Mbit/s has less than 1 MB; scrcpy itself
/// bounds a packet only by 32 bits. A longer one is dropped, and a key frame is asked for.
pub const ACCESS_UNIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// NAL units looked at in one access unit: 68 slices and parameter sets are already unusual. The rest
/// of the unit is left out.
pub const NALS_MAX: usize = 256;

/// Longest parameter set, bytes. Real ones have 10–60. A longer one is refused.
pub const PARAMETER_SET_BYTES_MAX: usize = 1_024;

/// Frames of a group of pictures that are kept for a join: half a second at 60 fps, which a browser
/// decodes in 30–60 ms. A longer group is forgotten, and joins ask for a key frame.
pub const GOP_FRAMES_MAX: usize = 30;

/// Bytes of a group of pictures that are kept for a join: 0.3 s of a 4 Mbit/s stream, 60 ms on a
/// 20 Mbit/s link. As [`GOP_FRAMES_MAX`].
pub const GOP_BYTES_MAX: usize = 150_000;

/// Key frames are asked for at most this often per device: RESET_VIDEO rebuilds the encoder, which
/// takes a real device 100–300 ms. Wishes in between are one wish.
pub const KEY_FRAME_DEBOUNCE: Duration = Duration::from_millis(300);

/// A viewer gets the cached pictures again at most this often, whatever it asks for: Chromium repeats
/// a PLI about every 200 ms while it has no picture, and each replay may be [`GOP_BYTES_MAX`].
pub const REPLAY_INTERVAL: Duration = Duration::from_millis(100);

/// Longest RTP payload, bytes. With 12 bytes of header, 8 of extensions, 2 of RTX and 16 of SRTP tag a
/// datagram stays below 1 200, which every path of the internet carries.
pub const RTP_PAYLOAD_BYTES_MAX: usize = 1_160;

/// Bytes that one GSO send may carry: the length field of IPv4 minus its headers. A frame is split there.
pub const SEND_BYTES_MAX: usize = 65_507;

/// Segments that one GSO send may carry (`UDP_MAX_SEGMENTS` of Linux before 6.9). A frame is split there.
pub const SEND_SEGMENTS_MAX: usize = 64;

/// Largest datagram read from the socket, bytes. Larger ones are not ours and are cut (and then fail
/// their integrity check).
pub const DATAGRAM_BYTES_MAX: usize = 2_048;

/// Datagrams read in one call.
pub const RECEIVE_BATCH: usize = 32;

/// Calls of [`RECEIVE_BATCH`] before pictures get their turn again: input arrives at most a few
/// hundred times a second, so more than this is a flood.
pub const RECEIVE_ROUNDS_MAX: usize = 4;

/// Send buffer of the socket, bytes: 8 viewers × a 150 kB replay, with the kernel's overhead of about
/// twice. When it is full the media thread waits for room, and pictures wait in their mailbox.
pub const SOCKET_SEND_BYTES: usize = 4 * 1024 * 1024;

/// Receive buffer of the socket, bytes. When it is full the kernel drops.
pub const SOCKET_RECEIVE_BYTES: usize = 2 * 1024 * 1024;

/// From offer to open channels. A slow start takes 6 round trips and some losses; after this the
/// connection is closed with `IceFailed` or `DtlsFailed`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Without any answer from the viewer's ICE for so long a connection counts as gone: a phone that
/// changes its network needs up to 10 s to come back.
pub const ICE_FAILED_AFTER: Duration = Duration::from_secs(15);

/// ICE checks and consent (RFC 7675) leave this often.
pub const ICE_KEEPALIVE: Duration = Duration::from_secs(2);

/// Input messages a second on the unreliable channel: a 240 Hz screen with one message per frame. A message
/// above it is dropped unread; the next one holds the whole state anyway.
pub const INPUT_RATE: u32 = 240;

/// Messages of the unreliable channel that may come at once: two seconds of a stalled link.
pub const INPUT_BURST: u32 = 480;

/// Messages a second on the reliable channels (keys, text, pings), and twice that at once. Above it
/// they are dropped: on a reliable channel only a program types 100 keys a second.
pub const CONTROL_RATE: u32 = 100;

/// As [`INPUT_BURST`], for the reliable channels.
pub const CONTROL_BURST: u32 = 200;

/// Messages that broke the protocol before a connection is closed with `Protocol`: a neighbour's
/// version may send one kind that is not known here, a fuzzer sends thousands.
pub const BAD_MESSAGES_MAX: u32 = 64;

/// An edge older than this is void: a late tap is a wrong tap.
pub const EDGE_VOID_AFTER: Duration = Duration::from_millis(500);

/// A pointer that says nothing for so long is lifted: the viewer repeats its state every 50 ms, so six
/// packets were lost or the viewer is gone.
pub const POINTER_SILENT_AFTER: Duration = Duration::from_millis(300);

/// Keys of a viewer that has said nothing for so long are lifted: it pings every second while it can hold
/// any, so three pings were lost or it is gone. Long for a finger, but a key's release is retransmitted.
pub const KEY_SILENT_AFTER: Duration = Duration::from_secs(3);

/// Keys of one viewer that are noted as held: more than two hands have fingers. More are not noted.
pub const HELD_KEYS_MAX: usize = 16;

/// How long the smallest delay of a clock filter is remembered. Clocks drift by up to 100 ppm: 2 ms
/// in this time.
pub const CLOCK_WINDOW: Duration = Duration::from_secs(20);

/// Packets that a viewer may ask for again: half a second of 20 Mbit/s at 1 200 bytes. Must be a power of two.
pub const RETRANSMIT_PACKETS: u16 = 1_024;

/// Furthest that one packet may scroll, in 1/120 notch: twenty notches, one hard flick of a free
/// wheel. More, after an outage or from a forger, is forgotten.
pub const WHEEL_STEP_MAX: i32 = 2_400;

/// Media sections of an offer. A browser makes two or three; more is refused as malformed.
pub const MEDIA_SECTIONS_MAX: usize = 4;

/// Frames of one viewer whose departure is awaited for frame-meta: they leave in the same step, so
/// more than a replayed group cannot be pending.
pub const FRAMES_PENDING_MAX: usize = 64;

/// Shortest time between two calls of a stack's timers: its finest one is a handshake's retransmission.
/// A stack that asks for less waits so long.
pub const STACK_TICK_MIN: Duration = Duration::from_millis(1);

/// A device that has not answered a wish for a key frame is asked again after this: a slow encoder
/// restarts in half a second.
pub const KEY_FRAME_RETRY: Duration = Duration::from_secs(2);

/// Parameter sets kept of one stream: real ones have two. More are forgotten, the oldest first.
pub const PARAMETER_SETS_MAX: usize = 8;

/// While the agent's channel is full its events are offered again this often.
pub const EVENT_RETRY: Duration = Duration::from_millis(5);

/// Longest wait for a full socket: three frames at 60 fps. Then the datagrams are dropped, as a network
/// would drop them, and retransmission repairs it.
pub const SEND_WAIT: Duration = Duration::from_millis(50);

/// A viewer whose ICE says nothing for so long is sent no pictures until it does: its keep-alives and
/// our checks make it speak every 2 s.
pub const ICE_SILENT_AFTER: Duration = Duration::from_secs(5);

/// A picture's new size is said again this often until the viewer names it: as often as the viewer repeats
/// its own state, so that one lost packet costs as much in either direction.
pub const PICTURE_REPEAT: Duration = Duration::from_millis(50);

/// How often a new size is said again to a viewer that does not touch: half a second, after which no press of
/// before counts either. Who then still names an older picture is answered with the size.
pub const PICTURE_REPEATS: u32 = 10;
