//! One viewer: its stack, its state, what it is sent and what it says.
//!
//! ```text
//!              ICE and DTLS are up            every channel is open
//!  Connecting ─────────────────────► Secured ───────────────────────► Connected
//!      │                                │  (media flows from here on)     │
//!      └── too late │ failed │ fence │ bye │ kicked ──► `close` takes the viewer; the rest is datagrams
//! ```
//!
//! The engine feeds it datagrams and time and asks `pump` what has happened. Media flows as soon as
//! DTLS is up: the channels need a round trip more. A channel that the viewer opens in-band is closed.
//!
//! A controlled ICE agent of `rtc` 0.21 forgets a nomination that arrives before its own check has
//! succeeded, and a peer that does not repeat it costs a second: such a check is kept here and shown to
//! the agent again when an answer has come in.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use protocol::stats::FrameMeta;
use protocol::{Channel, CloseReason, ConnectionId, DeviceId, Epoch, Pts};
use rtc::data_channel::RTCDataChannelId;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::state::{RTCIceConnectionState, RTCPeerConnectionState};
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use crate::announcement::Announcement;
use crate::bucket::Bucket;
use crate::burst::{Datagram, FrameTag};
use crate::clock::Clock;
use crate::departure::{Departure, Departures};
use crate::event::{Role, Timings};
use crate::feedback;
use crate::held_keys::HeldKeys;
use crate::input::Hand;
use crate::limits::{
    CONNECT_TIMEOUT, CONTROL_BURST, CONTROL_RATE, INPUT_BURST, INPUT_RATE, REMOTE_CANDIDATES_MAX,
    STACK_TICK_MIN,
};
use crate::media::{Flow, Media};
use crate::mux::{Kind, Rtp, Stun, StunClass};
use crate::peer::Peer;
use crate::source::Frame;

/// One viewer.
pub(crate) struct Viewer {
    pub(crate) connection: ConnectionId,
    pub(crate) device: DeviceId,
    pub(crate) epoch: Epoch,
    pub(crate) role: Role,
    pub(crate) hand: Hand,
    pub(crate) keys: HeldKeys,
    pub(crate) announcement: Announcement,
    pub(crate) input_bucket: Bucket,
    pub(crate) control_bucket: Bucket,
    /// Messages that broke the protocol.
    pub(crate) bad_messages: u32,
    /// One frame-meta for so many frames; 0: none.
    pub(crate) meta_every: u8,
    /// When the stack, or the patience with it, wants to be called.
    pub(crate) wake: Option<Instant>,
    peer: Peer,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    remote_ufrag: String,
    remote_candidates: usize,
    nomination: Option<(SocketAddr, BytesMut)>,
    offered: Instant,
    timings: Timings,
    open: Vec<Channel>,
    state: State,
    departures: Departures,
    frames: u64,
}

enum State {
    Connecting,
    Secured(Media),
    Connected(Media),
}

/// What has happened to a viewer.
pub(crate) enum Happening {
    /// DTLS is up: media may flow.
    Secured,
    /// Every channel is open.
    Connected(Timings),
    /// Its ICE has fallen silent, or speaks again.
    Away(bool),
    /// It cannot decode.
    KeyFrameAsked,
    /// It said something, at this time.
    Said(Channel, BytesMut, Instant),
    /// It broke the protocol.
    Misbehaved,
    /// It is gone.
    Gone(CloseReason),
}

/// What a viewer is for, and whose.
pub(crate) struct Spec {
    pub(crate) connection: ConnectionId,
    pub(crate) device: DeviceId,
    pub(crate) epoch: Epoch,
    pub(crate) role: Role,
    pub(crate) remote_ufrag: String,
}

impl Viewer {
    pub(crate) fn new(spec: Spec, peer: Peer, local: SocketAddr, now: Instant) -> Self {
        Self {
            connection: spec.connection,
            device: spec.device,
            epoch: spec.epoch,
            role: spec.role,
            hand: Hand::default(),
            keys: HeldKeys::default(),
            announcement: Announcement::default(),
            input_bucket: Bucket::new(INPUT_RATE, INPUT_BURST),
            control_bucket: Bucket::new(CONTROL_RATE, CONTROL_BURST),
            bad_messages: 0,
            meta_every: 0,
            wake: Some(now),
            peer,
            local,
            remote: None,
            remote_ufrag: spec.remote_ufrag,
            remote_candidates: 0,
            nomination: None,
            offered: now,
            timings: Timings::default(),
            open: Vec::with_capacity(Channel::ALL.len()),
            state: State::Connecting,
            departures: Departures::default(),
            frames: 0,
        }
    }

    /// A datagram of this viewer.
    pub(crate) fn receive(&mut self, from: SocketAddr, data: &[u8], received: Instant) {
        self.feed(from, BytesMut::from(data), received);
        if matches!(self.state, State::Connecting)
            && let Some(stun) = Stun::parse(data)
        {
            match stun.class {
                StunClass::Request if stun.use_candidate => {
                    self.nomination = Some((from, BytesMut::from(data)));
                }
                StunClass::Success => {
                    if let Some((from, check)) = self.nomination.take() {
                        self.feed(from, check, received);
                    }
                }
                StunClass::Request | StunClass::Other => {}
            }
        }
    }

    /// Time has come.
    pub(crate) fn tick(&mut self, now: Instant, happenings: &mut Vec<Happening>) {
        if self.peer.stack.handle_timeout(now).is_err() {
            happenings.push(Happening::Gone(CloseReason::Error));
        }
        if !matches!(self.state, State::Connected(_)) && now >= self.offered + CONNECT_TIMEOUT {
            let ice_is_up = self.timings.ice > Duration::ZERO;
            let reason = if ice_is_up {
                CloseReason::DtlsFailed
            } else {
                CloseReason::IceFailed
            };
            happenings.push(Happening::Gone(reason));
        }
    }

    /// Candidates of a trickle fragment; one too many is ignored.
    pub(crate) fn add_candidates<'a>(
        &mut self,
        ufrag: Option<&str>,
        lines: impl Iterator<Item = &'a str>,
    ) -> bool {
        if ufrag.is_some_and(|ufrag| ufrag != self.remote_ufrag) {
            return false;
        }
        for line in lines.take(REMOTE_CANDIDATES_MAX.saturating_sub(self.remote_candidates)) {
            self.remote_candidates += 1;
            let candidate = RTCIceCandidateInit {
                candidate: line.to_owned(),
                ..Default::default()
            };
            if let Err(error) = self.peer.stack.add_remote_candidate(candidate) {
                tracing::debug!(connection = %self.connection, %error, "a candidate was not taken");
            }
        }
        true
    }

    /// Moves everything that can move: datagrams out, events and messages in.
    pub(crate) fn pump(
        &mut self,
        now: Instant,
        out: &mut VecDeque<Datagram>,
        happenings: &mut Vec<Happening>,
    ) {
        loop {
            let mut moved = self.take_writes(out);
            while let Some(event) = self.peer.stack.poll_event() {
                moved = true;
                self.on_event(&event, now, happenings);
            }
            while let Some(message) = self.peer.stack.poll_read() {
                moved = true;
                self.on_message(message.message, message.now, happenings);
            }
            if !moved {
                break;
            }
        }
        let patience = (!matches!(self.state, State::Connected(_))).then(|| self.offered + CONNECT_TIMEOUT);
        // A stack that wants to be called in the past is called soon, not for ever.
        let stack = self
            .peer
            .stack
            .poll_timeout()
            .map(|at| at.max(now + STACK_TICK_MIN));
        self.wake = stack.into_iter().chain(patience).min();
    }

    /// The stream, once DTLS is up.
    pub(crate) fn media(&mut self) -> Option<&mut Media> {
        match &mut self.state {
            State::Connecting => None,
            State::Secured(media) | State::Connected(media) => Some(media),
        }
    }

    /// Whether frames are sent or awaited, and which.
    pub(crate) fn flow(&self) -> Flow {
        match &self.state {
            State::Connecting => Flow::Gated,
            State::Secured(media) | State::Connected(media) => media.flow(),
        }
    }

    /// Sends a frame. `again`: what the device's clock shows and how many frames follow, for a replay.
    pub(crate) fn send(&mut self, frame: &Frame, again: Option<(Pts, usize)>, now: Instant) {
        let (State::Secured(media) | State::Connected(media)) = &mut self.state else {
            return;
        };
        let rtp = match again {
            Some((pts, after)) => media.stamp_again(pts, after),
            None => media.stamp(frame.pts),
        };
        let Some(mut sender) = self.peer.stack.rtp_sender(self.peer.sender) else {
            return;
        };
        for packet in media.packets(frame, rtp) {
            if let Err(error) = sender.write_rtp(now, packet) {
                tracing::debug!(connection = %self.connection, %error, "the stack refused a packet");
                return;
            }
        }
        self.frames += 1;
        let wanted = self.meta_every > 0 && self.frames.is_multiple_of(u64::from(self.meta_every));
        // What is sent again has been here for long: its residence would say nothing.
        let received = if again.is_some() { now } else { frame.received };
        let Frame {
            capture_us, picture, ..
        } = *frame;
        self.departures.push(Departure {
            rtp,
            received,
            capture_us,
            picture,
            wanted,
        });
    }

    /// The last packet of a frame has left: how long it stayed, and what to tell the viewer if it asked.
    pub(crate) fn left(
        &mut self,
        tag: FrameTag,
        now: Instant,
        clock: &Clock,
    ) -> Option<(Duration, Option<FrameMeta>)> {
        self.departures.left(tag.rtp, now, clock)
    }

    /// Says something on a channel that is open; a channel that is not has nobody to hear it.
    pub(crate) fn say(&mut self, channel: Channel, bytes: &[u8], now: Instant) {
        let Some(id) = self.channel_id(channel).filter(|_| self.open.contains(&channel)) else {
            return;
        };
        if let Some(mut channel) = self.peer.stack.data_channel(id)
            && let Err(error) = channel.send(now, BytesMut::from(bytes))
        {
            tracing::debug!(connection = %self.connection, %error, "a message was not sent");
        }
    }

    /// Says goodbye and takes the connection down: what leaves here is the last.
    pub(crate) fn close(mut self, reason: CloseReason, now: Instant, out: &mut VecDeque<Datagram>) {
        if let Some(media) = self.media() {
            media.gate();
        }
        let remote = self.remote;
        out.retain(|datagram| Some(datagram.to) != remote || Kind::of(&datagram.data) != Kind::Rtp);
        let mut bye = Vec::new();
        protocol::control::ToViewer::Bye(reason).encode(&mut bye);
        self.say(Channel::Control, &bye, now);
        self.take_writes(out);
        if let Err(error) = self.peer.stack.close() {
            tracing::debug!(connection = %self.connection, %error, "the stack did not close cleanly");
        }
        self.take_writes(out);
    }

    fn feed(&mut self, from: SocketAddr, message: BytesMut, now: Instant) {
        let transport = TransportContext {
            local_addr: self.local,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        if let Err(error) = self.peer.stack.handle_read(TaggedBytesMut {
            now,
            transport,
            message,
        }) {
            tracing::trace!(connection = %self.connection, %error, "a datagram was refused");
        }
    }

    fn take_writes(&mut self, out: &mut VecDeque<Datagram>) -> bool {
        let mut moved = false;
        while let Some(write) = self.peer.stack.poll_write() {
            moved = true;
            let frame = match Rtp::parse(&write.message) {
                // A retransmission that the viewer asked for before the gate closed.
                Some(_) if self.flow() == Flow::Gated => continue,
                Some(rtp) => self.tag(&rtp),
                None => None,
            };
            let to = write.transport.peer_addr;
            self.remote = Some(to);
            out.push_back(Datagram {
                connection: self.connection,
                to,
                data: write.message,
                frame,
            });
        }
        moved
    }

    fn tag(&self, rtp: &Rtp) -> Option<FrameTag> {
        let (State::Secured(media) | State::Connected(media)) = &self.state else {
            return None;
        };
        let last = rtp.marker && rtp.payload_type == media.negotiated().payload_type;
        last.then_some(FrameTag {
            connection: self.connection,
            rtp: rtp.timestamp,
        })
    }

    fn on_event(&mut self, event: &RTCPeerConnectionEvent, now: Instant, happenings: &mut Vec<Happening>) {
        let since = now.saturating_duration_since(self.offered);
        match event {
            RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(RTCIceConnectionState::Connected) => {
                if self.timings.ice.is_zero() {
                    self.timings.ice = since;
                }
                self.nomination = None;
                happenings.push(Happening::Away(false));
                // `rtc` 0.21 makes its ClientHello when ICE has a pair but hands it out only at its next
                // timer, up to 200 ms later: call the timers now.
                if self.peer.stack.handle_timeout(now).is_err() {
                    happenings.push(Happening::Gone(CloseReason::Error));
                }
            }
            RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(RTCIceConnectionState::Disconnected) => {
                happenings.push(Happening::Away(true));
            }
            RTCPeerConnectionEvent::OnIceConnectionStateChangeEvent(RTCIceConnectionState::Failed) => {
                happenings.push(Happening::Gone(CloseReason::IceFailed));
            }
            RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => match state {
                RTCPeerConnectionState::Connected => self.secure(since, happenings),
                RTCPeerConnectionState::Failed => happenings.push(Happening::Gone(self.failure())),
                RTCPeerConnectionState::Closed => happenings.push(Happening::Gone(CloseReason::ClientLeft)),
                _ => {}
            },
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                self.on_open(*id, since, happenings);
            }
            // Our channels live as long as the connection: the viewer's stack has closed it.
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id))
                if self.peer.channels.iter().any(|(_, ours)| ours == id) =>
            {
                happenings.push(Happening::Gone(CloseReason::ClientLeft));
            }
            _ => {}
        }
    }

    /// What has failed: the handshake, when there was a way to the viewer and none is secured.
    fn failure(&self) -> CloseReason {
        let handshaking = matches!(self.state, State::Connecting) && !self.timings.ice.is_zero();
        if handshaking {
            CloseReason::DtlsFailed
        } else {
            CloseReason::IceFailed
        }
    }

    fn secure(&mut self, since: Duration, happenings: &mut Vec<Happening>) {
        if !matches!(self.state, State::Connecting) {
            return;
        }
        let mut random = [0; 6];
        let Some(negotiated) = self
            .peer
            .negotiated()
            .filter(|_| getrandom::fill(&mut random).is_ok())
        else {
            happenings.push(Happening::Gone(CloseReason::Error));
            return;
        };
        self.timings.dtls = since;
        self.state = State::Secured(Media::new(negotiated, random));
        happenings.push(Happening::Secured);
        self.connect(since, happenings);
    }

    fn on_open(&mut self, id: RTCDataChannelId, since: Duration, happenings: &mut Vec<Happening>) {
        match self.peer.channels.iter().find(|(_, ours)| *ours == id) {
            Some((channel, _)) => {
                self.open.push(*channel);
                self.connect(since, happenings);
            }
            None => {
                if let Some(mut foreign) = self.peer.stack.data_channel(id) {
                    // Its only failure is that the channel is gone, which is what is wanted.
                    let _ = foreign.close();
                }
                happenings.push(Happening::Misbehaved);
            }
        }
    }

    fn connect(&mut self, since: Duration, happenings: &mut Vec<Happening>) {
        if self.open.len() < self.peer.channels.len() {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Connecting) {
            State::Secured(media) => {
                self.timings.channels = since;
                happenings.push(Happening::Connected(self.timings));
                State::Connected(media)
            }
            other => other,
        };
    }

    fn on_message(&mut self, message: RTCMessage, received: Instant, happenings: &mut Vec<Happening>) {
        match message {
            RTCMessage::DataChannelMessage(id, message) => {
                let channel = self.peer.channels.iter().find(|(_, ours)| *ours == id);
                happenings.push(match channel {
                    Some((channel, _)) if !message.is_string => {
                        Happening::Said(*channel, message.data, received)
                    }
                    _ => Happening::Misbehaved,
                });
            }
            RTCMessage::RtcpPacket(_, packets) if feedback::asks_for_key_frame(&packets) => {
                happenings.push(Happening::KeyFrameAsked);
            }
            _ => {}
        }
    }

    fn channel_id(&self, channel: Channel) -> Option<RTCDataChannelId> {
        channel_id(&self.peer.channels, channel)
    }
}

fn channel_id(channels: &[(Channel, RTCDataChannelId)], wanted: Channel) -> Option<RTCDataChannelId> {
    channels
        .iter()
        .find(|(channel, _)| *channel == wanted)
        .map(|(_, id)| *id)
}
