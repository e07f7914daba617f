//! Messages of the link between control and an agent, as JSON frames on QUIC streams.
//!
//! ```text
//! ALPN farglass-join/1   agent → control  JoinRequest      control → agent  JoinReply       one stream
//! ALPN farglass-agent/1  first stream of the agent:
//!                        agent → control  Hello, then Report | Connection, in order
//!                        control → agent  Welcome | Refused, later intents that need no answer
//!                        further streams of the agent:   RenewRequest → RenewReply
//!                        streams of control:             Request → Progress* → Reply
//! frame                  length u32 LE ≤ FRAME_BYTES_MAX | JSON
//! ```
//!
//! Every request about a device carries its epoch. An agent keeps a fence per device, synced to disk
//! before it acts: below the fence it answers `StaleEpoch`, above it it raises the fence first (which
//! closes every connection of an older epoch), at the fence it acts. A repeated request with the same
//! epoch is answered again with the same outcome. Times are durations, never clock readings: the two
//! machines' clocks may differ. Unknown fields are ignored, so that either side may be one version ahead.
//!
//! It does not know QUIC, certificates, the database, or how a device is prepared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CloseReason, ConnectionId, DeviceId, Epoch, HostId, LeaseId, SessionId};

/// ALPN of a host that has a join token and wants a certificate.
pub const ALPN_JOIN: &[u8] = b"farglass-join/1";
/// ALPN of a host that has its certificate.
pub const ALPN_AGENT: &[u8] = b"farglass-agent/1";
/// Longest frame in either direction, bytes of JSON. An SDP offer is at most 32 KiB; a Hello of a host
/// with a thousand devices is some 300 KiB. A longer frame ends the stream.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// The protocol version that this code speaks; a Hello lists what an agent speaks.
pub const PROTOCOL: u16 = 1;

/// How long an agent may take for a [`Release`], milliseconds; then it refuses with `SetupFailed`. A wipe takes seconds
/// where there are a few apps, a minute where thirty are cleared at a second each, and minutes on a slow phone with much
/// on it. A device that hangs is told earlier: each step has a limit of its own.
pub const RELEASE_DEADLINE_MS: u64 = 590_000;
/// The longest that an agent at work on a [`Release`] says nothing, milliseconds: it tells its [`Progress`] whenever the
/// device has done something, and gives a device up that does nothing for less. So control need not wait for the
/// deadline of an agent that has died.
pub const RELEASE_SILENCE_MS: u64 = 40_000;
/// How much longer than the agent control waits for any answer, milliseconds, so that the agent's own reason
/// arrives.
pub const ANSWER_MARGIN_MS: u64 = 5_000;

/// A host asks to be enrolled.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The secret half of the join token. One use; never logged.
    pub token: String,
    /// A certificate signing request in PEM. Only its key is taken from it.
    pub csr_pem: String,
    /// What the host calls itself, for people.
    pub name: String,
}

/// The answer to a [`JoinRequest`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JoinReply {
    /// The host is enrolled.
    Accepted {
        /// Its id from now on; the certificate says the same.
        host_id: HostId,
        /// The host's certificate.
        certificate_pem: String,
        /// The certificate authority that signs both sides.
        ca_pem: String,
    },
    /// The host is not enrolled.
    Refused(Refusal),
}

/// An enrolled host asks for a younger certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenewRequest {
    /// A certificate signing request in PEM. Only its key is taken from it.
    pub csr_pem: String,
}

/// The answer to a [`RenewRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RenewReply {
    /// The younger certificate.
    Renewed {
        /// The host's certificate.
        certificate_pem: String,
    },
    /// No certificate.
    Refused(Refusal),
}

/// What an agent says on its first stream. The first message is `Hello`, no other is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromAgent {
    /// Everything that is true now; control forgets what it believed before.
    Hello(Hello),
    /// The facts again: on every change and every 5 s.
    Report(Report),
    /// A viewer's connection came up or ended.
    Connection(ConnectionEvent),
}

/// The state of a host at the moment when its link comes up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol versions that the agent speaks.
    pub protocol: Vec<u16>,
    /// The agent's own version, for people.
    pub agent_version: String,
    /// What the host calls itself, for people.
    pub name: String,
    /// Every device that the agent has, reachable or not. A device that is missing is gone.
    pub devices: Vec<DeviceFact>,
    /// Every viewer connection, also those that are still coming up. One that is missing is closed.
    pub connections: Vec<LiveConnection>,
}

/// The facts about all devices of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// As in [`Hello::devices`].
    pub devices: Vec<DeviceFact>,
    /// When people last acted. A device that is missing was not touched under its fence's epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touched: Vec<Touched>,
}

/// When a person last acted on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Which device.
    pub device: DeviceId,
    /// Under which epoch.
    pub epoch: Epoch,
    /// How long ago, milliseconds.
    pub ago_ms: u64,
}

/// One device as its agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFact {
    /// Made by the agent when it first sees the device and kept beside the fence, so that it
    /// survives restarts. Control refuses an id that another host has.
    pub id: DeviceId,
    /// The name that the operator gave.
    pub name: String,
    /// The device's serial number, or its adb address where it has none.
    pub serial: String,
    /// `ro.product.model`; empty while unknown.
    pub model: String,
    /// Width of the screen in its current rotation, pixels; 0 while unknown.
    pub width: u16,
    /// Height of the screen in its current rotation, pixels; 0 while unknown.
    pub height: u16,
    /// Whether it can be leased and how well it does.
    pub health: DeviceHealth,
    /// The fence on the agent's disk.
    pub fence: Epoch,
    /// What the host's config says about it, for links that take any device with certain labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// How a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceHealth {
    /// Not yet answering; being connected or booted.
    Booting,
    /// Answers, and can show a picture.
    Healthy,
    /// Usable but below its promise.
    Degraded,
    /// Does not answer.
    Offline,
}

/// A viewer connection that was offered and is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveConnection {
    /// Which connection.
    pub connection: ConnectionId,
    /// On which device.
    pub device: DeviceId,
    /// Under which epoch it was offered.
    pub epoch: Epoch,
    /// Whether it is up. Agents of before listed no others.
    #[serde(default = "is_up")]
    pub connected: bool,
}

const fn is_up() -> bool {
    true
}

/// A viewer connection changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEvent {
    /// Which connection.
    pub connection: ConnectionId,
    /// On which device.
    pub device: DeviceId,
    /// Under which epoch it was offered.
    pub epoch: Epoch,
    /// What happened.
    pub state: ConnectionState,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ConnectionState {
    /// ICE and DTLS are through; media and input may flow once the gate is open.
    Connected,
    /// It is over. Said once for every offer that was taken in, also when it came to nothing.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// What control says on the agent's first stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Intent {
    /// The Hello was accepted; requests may follow.
    Welcome {
        /// The host's id, as in its certificate.
        host_id: HostId,
        /// The protocol version to speak.
        protocol: u16,
    },
    /// The Hello was not accepted. The link ends.
    Refused(Refusal),
}

/// One request of control; it opens a stream for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Make the device ready for a new holder.
    Prepare(Prepare),
    /// The holder is gone: cut first, then clean.
    Release(Release),
    /// A viewer's SDP offer.
    WhepOffer(WhepOffer),
    /// A viewer's trickled candidates or ICE restart.
    WhepPatch(WhepPatch),
    /// End one connection.
    CloseConnection(CloseConnection),
}

/// What an agent says on a stream that control opened: any number of `Progress`, then one `Reply`.
/// Tagged from outside, `{"reply":{"type":…}}`, because a reply has a `type` of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// How far it is.
    Progress(Progress),
    /// How it ended.
    Reply(Reply),
}

/// Make a device ready: raise the fence with the gate closed, reset, launch, wait for the first
/// picture, open the gate, reply [`Reply::Prepared`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The lease that it is for.
    pub lease: LeaseId,
    /// Which device.
    pub device: DeviceId,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// The app to launch; none means the launcher.
    pub app: Option<App>,
    /// What to clear beforehand.
    pub reset: Reset,
    /// Give up after this long, milliseconds.
    pub deadline_ms: u64,
}

/// An app on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Package name.
    pub package: String,
    /// Activity, `.Main` or fully qualified; none means the package's launcher activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
}

/// What is cleared between holders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Nothing: the same holder goes on.
    Keep,
    /// The data of all installed apps and the clipboard. Files, accounts and settings stay: for a device that its
    /// people share knowingly, or one that was wiped already.
    WipeApp,
    /// Everything that differs from how the device was when its agent first saw it, proven by a scan. For
    /// another holder.
    Full,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// How much of this stage is done, 0 to 100.
    pub percent: u8,
}

/// The stages of [`Prepare`], in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The device is reset.
    Reset,
    /// The app is launched.
    Launch,
    /// The first picture is awaited.
    FirstFrame,
}

/// The holder is gone. The fence rises to `epoch` (above the lease's) at once, which closes every
/// connection with `reason`; then the device is cleaned; then [`Reply::Released`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The lease that ended; none when an operator resets a quarantined device.
    pub lease: Option<LeaseId>,
    /// Which device.
    pub device: DeviceId,
    /// The epoch to raise the fence to.
    pub epoch: Epoch,
    /// The app that ran.
    pub app: Option<App>,
    /// What to clear.
    pub reset: Reset,
    /// What the viewers are told.
    pub reason: CloseReason,
}

/// What a viewer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watches and touches.
    Controller,
    /// Only watches.
    Observer,
}

/// A viewer's offer. Its epoch may be ahead of [`Prepare`] on the way: then it raises the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhepOffer {
    /// Made by control for this offer.
    pub connection: ConnectionId,
    /// For the logs.
    pub session: SessionId,
    /// The lease that it looks at, whose epoch no other lease has. Controls of before did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseId>,
    /// Which device.
    pub device: DeviceId,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// What the viewer may do.
    pub role: Role,
    /// At most 32 KiB.
    pub sdp: String,
}

/// Candidates or an ICE restart for a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhepPatch {
    /// Which connection.
    pub connection: ConnectionId,
    /// On which device.
    pub device: DeviceId,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// Whether the viewer asks for new ICE credentials.
    pub kind: PatchKind,
    /// `application/trickle-ice-sdpfrag` (RFC 8840), at most 32 KiB.
    pub fragment: String,
}

/// What a patch is, by its `If-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchKind {
    /// More candidates of the current ICE session.
    Trickle,
    /// A new ICE session.
    Restart,
}

/// End one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseConnection {
    /// Which connection.
    pub connection: ConnectionId,
    /// On which device.
    pub device: DeviceId,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// What the viewer is told.
    pub reason: CloseReason,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Prepare`]: the app's first picture is there and the gate is open.
    Prepared {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// To [`Release`]: cut and cleaned for that epoch.
    Released,
    /// To [`WhepOffer`].
    Answer {
        /// The SDP answer.
        sdp: String,
        /// Names the ICE session; letters, digits, `-` and `_` only, no quotes.
        etag: String,
    },
    /// To [`WhepPatch`]. Both are there after a restart, none after trickled candidates.
    Patched {
        /// The new credentials and candidates as `application/trickle-ice-sdpfrag`.
        fragment: Option<String>,
        /// Names the new ICE session.
        etag: Option<String>,
    },
    /// To [`CloseConnection`]; also when it was already closed.
    Closed,
    /// To any: nothing was done beyond what the code says.
    Refused(Refusal),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What the other side may do about it.
    pub code: RefusalCode,
    /// A sentence for the log.
    pub detail: String,
}

/// What the other side may do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The credential is not good: unknown, used, expired or revoked.
    Unauthorised,
    /// No common protocol version.
    Version,
    /// The fence is above the request's epoch: the lease is over.
    StaleEpoch,
    /// The agent has no such device.
    DeviceNotFound,
    /// The device does not answer.
    DeviceOffline,
    /// Resetting or launching failed, or took too long.
    SetupFailed,
    /// The device cannot deliver a picture that browsers show, or the offer has no H.264.
    CodecUnsupported,
    /// The offer or fragment is not usable.
    BadSdp,
    /// There is no such connection.
    ConnectionNotFound,
    /// A limit is reached; later may do.
    Busy,
    /// A defect.
    Internal,
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
