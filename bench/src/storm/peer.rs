//! A viewer without a screen: a WebRTC peer that opens the product's channels, counts what comes and touches where its
//! holder's epoch says.
//!
//! ```text
//!   offer ─► answer ─► packets, numbered ─┬─ whole frames: every packet from one marker to the next
//!                                         └─ missing:      numbers below the highest that never came, repairs included
//!   place of a touch  ◄── epoch:  x = epoch mod width, y = epoch / width mod height       so a device's log tells whose
//! ```
//!
//! The stack is the one that the gateway is built on, from the other side, and without a socket or a clock: datagrams and
//! `now` are given (`viewer.rs`). Browsers are asked elsewhere (`media.rs`); this one is light enough for a crowd. Nothing
//! is decoded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use protocol::control::ToViewer;
use protocol::input::{Ack, EDGES_MAX, Edge, EdgeKind, Message, Pointer, Touch};
use protocol::{Channel, Fraction, Generation};
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::interceptor_registry::{configure_nack, configure_rtcp_reports};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_RTX, MediaEngine};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol as _;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use super::rhythm::Rhythm;

/// The devices of a storm, pixels: what a touch's place is counted in.
pub(crate) const SCREEN: (u16, u16) = (360, 640);
/// An edge that nobody acknowledged for this long is void: the gateway says so too.
const EDGE_VOID_AFTER: Duration = Duration::from_millis(500);
const H264: u8 = 121;
const RTX: u8 = 122;

/// The pixel that stands for an epoch: in a storm no two epochs of a device share one.
pub(crate) fn place(epoch: u64) -> (u16, u16) {
    let (width, height) = (u64::from(SCREEN.0), u64::from(SCREEN.1));
    let pixel = |at: u64| u16::try_from(at).unwrap_or_default();
    (pixel(epoch % width), pixel(epoch / width % height))
}

/// The middle of a pixel, as a part of the picture.
fn fraction(pixel: u16, of: u16) -> Fraction {
    let middle = (u32::from(pixel) * 2 + 1) * 0x8000 / u32::from(of);
    Fraction(u16::try_from(middle).unwrap_or(u16::MAX))
}

/// What came, as far as anybody asks.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Of the packets that end a frame.
    pub(crate) rhythm: Rhythm,
    /// Numbers of the packets, unwrapped, and whether each ends a frame.
    packets: BTreeMap<u64, bool>,
    highest: Option<u64>,
    /// The picture, once the gateway has told it.
    generation: Option<Generation>,
    /// Whether media and input flow.
    pub(crate) is_open: bool,
    acknowledged: u32,
}

impl Seen {
    const fn new(now: Instant) -> Self {
        Self {
            rhythm: Rhythm::begun(now),
            packets: BTreeMap::new(),
            highest: None,
            generation: None,
            is_open: false,
            acknowledged: 0,
        }
    }

    /// Frames that came whole.
    pub(crate) fn frames(&self) -> usize {
        let (mut frames, mut expected) = (0, None);
        let mut is_whole = true;
        for (&number, &ends) in &self.packets {
            is_whole &= expected.is_none_or(|expected| expected == number);
            frames += usize::from(ends && is_whole);
            is_whole |= ends;
            expected = Some(number + 1);
        }
        frames
    }

    /// Packets between the first and the last that never came.
    pub(crate) fn missing(&self) -> u64 {
        let (first, last) = (self.packets.first_key_value(), self.packets.last_key_value());
        let span = first.zip(last).map_or(0, |(first, last)| last.0 - first.0 + 1);
        span - self.packets.len() as u64
    }

    /// Packets that came.
    pub(crate) fn packets(&self) -> u64 {
        self.packets.len() as u64
    }

    fn packet(&mut self, sequence: u16, ends: bool, now: Instant) {
        if ends {
            self.rhythm.came(now);
        }
        let number = match self.highest {
            // Room for packets that were sent before the first one that came.
            None => 0x1_0000 + u64::from(sequence),
            Some(highest) => {
                let low = u16::try_from(highest & 0xffff).unwrap_or_default();
                highest.wrapping_add_signed(i64::from(sequence.wrapping_sub(low).cast_signed()))
            }
        };
        self.highest = self.highest.max(Some(number));
        self.packets.insert(number, ends);
    }
}

/// The peer.
pub(crate) struct Peer {
    address: SocketAddr,
    pc: RTCPeerConnection,
    channels: Vec<(Channel, RTCDataChannelId)>,
    open: Vec<Channel>,
    pub(crate) seen: Seen,
    finger: Finger,
}

impl Peer {
    /// A peer at this address, whose touches land on the place of this epoch, and its offer.
    pub(crate) fn new(address: SocketAddr, epoch: u64, now: Instant) -> anyhow::Result<(Self, String)> {
        let mut engine = MediaEngine::default();
        for codec in codecs() {
            engine.register_codec(codec, RtpCodecKind::Video)?;
        }
        let registry = configure_rtcp_reports(configure_nack(Registry::new(), &mut engine));
        let builder = RTCPeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry);
        let mut pc = builder.build(now)?;
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: vec![],
            send_encodings: vec![],
        };
        pc.add_transceiver_from_kind(RtpCodecKind::Video, Some(init))?;
        let mut channels = Vec::new();
        for channel in Channel::ALL {
            let init = RTCDataChannelInit {
                ordered: channel.reliable(),
                max_retransmits: (!channel.reliable()).then_some(0),
                negotiated: Some(channel.id()),
                ..RTCDataChannelInit::default()
            };
            let made = pc.create_data_channel(channel.label(), Some(init))?;
            channels.push((channel, made.id()));
        }
        let offer = pc.create_offer(None)?;
        pc.set_local_description(now, offer.clone())?;
        pc.add_local_candidate(candidate(address)?.to_json()?)?;
        let peer = Self {
            address,
            pc,
            channels,
            open: Vec::new(),
            seen: Seen::new(now),
            finger: Finger::new(place(epoch), now),
        };
        Ok((peer, offer.sdp))
    }

    pub(crate) fn accept(&mut self, answer: String, now: Instant) -> anyhow::Result<()> {
        let answer = RTCSessionDescription::answer(answer)?;
        Ok(self.pc.set_remote_description(now, answer)?)
    }

    /// A datagram came.
    pub(crate) fn receive(&mut self, from: SocketAddr, data: &[u8], now: Instant) {
        let transport = TransportContext {
            local_addr: self.address,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        // What cannot be read is thrown away, as by any browser.
        let _ = self.pc.handle_read(TaggedBytesMut {
            now,
            transport,
            message: BytesMut::from(data),
        });
    }

    /// Gives everything that is to be sent.
    pub(crate) fn pump(&mut self, now: Instant) -> Vec<(SocketAddr, BytesMut)> {
        if self.pc.poll_timeout().is_some_and(|due| due <= now) {
            // A connection that is over has nothing to do in time.
            let _ = self.pc.handle_timeout(now);
        }
        let mut out = Vec::new();
        loop {
            let mut is_moved = false;
            while let Some(write) = self.pc.poll_write() {
                out.push((write.transport.peer_addr, write.message));
                is_moved = true;
            }
            while let Some(event) = self.pc.poll_event() {
                self.on_event(&event);
                is_moved = true;
            }
            while let Some(message) = self.pc.poll_read() {
                self.on_message(message.message, now);
                is_moved = true;
            }
            if !is_moved {
                return out;
            }
        }
    }

    /// When something is to be done at the latest.
    pub(crate) fn due(&mut self) -> Option<Instant> {
        self.pc.poll_timeout()
    }

    /// The finger goes down, or up again. Whether there was anything to send it over; a finger knows of no end.
    pub(crate) fn tap(&mut self, now: Instant) -> bool {
        let Some(generation) = self
            .seen
            .generation
            .filter(|_| self.open.contains(&Channel::Input))
        else {
            return false;
        };
        let touch = self.finger.moves(generation, self.seen.acknowledged, now);
        let mut bytes = Vec::new();
        Message::Touch(touch).encode(&mut bytes);
        let input = self
            .channels
            .iter()
            .find(|(channel, _)| *channel == Channel::Input);
        if let Some(mut channel) = input.and_then(|(_, id)| self.pc.data_channel(*id)) {
            // Over a channel that is closed nothing goes, and that is right.
            let _ = channel.send(now, BytesMut::from(&bytes[..]));
        }
        true
    }

    fn on_event(&mut self, event: &RTCPeerConnectionEvent) {
        if let RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) = event {
            let known = self.channels.iter().find(|(_, known)| known == id);
            self.open.extend(known.map(|(channel, _)| *channel));
        }
    }

    fn on_message(&mut self, message: RTCMessage, now: Instant) {
        match message {
            RTCMessage::RtpPacket(_, packet) => {
                let header = packet.header;
                self.seen.packet(header.sequence_number, header.marker, now);
            }
            RTCMessage::DataChannelMessage(id, message) => {
                let known = self.channels.iter().find(|(_, known)| *known == id);
                match known.map(|(channel, _)| channel) {
                    Some(Channel::Control) => self.on_control(&message.data),
                    Some(Channel::Input) => {
                        if let Ok(ack) = Ack::decode(&message.data) {
                            self.seen.acknowledged = self.seen.acknowledged.max(ack.edge);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn on_control(&mut self, bytes: &[u8]) {
        match ToViewer::decode(bytes) {
            Ok(ToViewer::Picture { generation, .. }) => self.seen.generation = Some(generation),
            Ok(ToViewer::Gate { open }) => self.seen.is_open = open,
            Ok(ToViewer::Bye(_)) | Err(_) => {}
        }
    }
}

/// A finger that taps one place.
struct Finger {
    at: (Fraction, Fraction),
    start: Instant,
    is_down: bool,
    sent: u32,
    made: u32,
    edges: Vec<(Edge, Instant)>,
}

impl Finger {
    fn new(pixel: (u16, u16), start: Instant) -> Self {
        Self {
            at: (fraction(pixel.0, SCREEN.0), fraction(pixel.1, SCREEN.1)),
            start,
            is_down: false,
            sent: 0,
            made: 0,
            edges: Vec::new(),
        }
    }

    fn moves(&mut self, generation: Generation, acknowledged: u32, now: Instant) -> Touch {
        let (id, (x, y)) = (0, self.at);
        self.edges
            .retain(|(edge, at)| edge.n > acknowledged && now - *at < EDGE_VOID_AFTER);
        self.is_down = !self.is_down;
        self.made += 1;
        self.sent += 1;
        let edge = Edge {
            n: self.made,
            kind: if self.is_down {
                EdgeKind::Down
            } else {
                EdgeKind::Up
            },
            id,
            generation,
            x,
            y,
            age_ms: 0,
        };
        self.edges.push((edge, now));
        let age = |at: Instant| u16::try_from((now - at).as_millis()).unwrap_or(u16::MAX);
        let newest = self.edges.len().saturating_sub(EDGES_MAX);
        let pointer = Pointer {
            id,
            x,
            y,
            pressure: u16::MAX,
            moves: Vec::new(),
        };
        Touch {
            seq: self.sent,
            t_ms: u32::try_from((now - self.start).as_millis()).unwrap_or(u32::MAX),
            generation,
            pointers: self.is_down.then_some(pointer).into_iter().collect(),
            edges: self.edges[newest..]
                .iter()
                .map(|(edge, at)| Edge {
                    age_ms: age(*at),
                    ..*edge
                })
                .collect(),
        }
    }
}

fn candidate(address: SocketAddr) -> anyhow::Result<RTCIceCandidate> {
    let base_config = CandidateConfig {
        network: "udp".to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
        component: 1,
        ..CandidateConfig::default()
    };
    let config = CandidateHostConfig {
        base_config,
        ..CandidateHostConfig::default()
    };
    Ok(RTCIceCandidate::from(&config.new_candidate_host()?))
}

fn codecs() -> [RTCRtpCodecParameters; 2] {
    let codec = |mime: &str, payload_type, fmtp: &str, feedback: &[(&str, &str)]| RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: fmtp.to_owned(),
            rtcp_feedback: feedback
                .iter()
                .map(|(typ, parameter)| RTCPFeedback {
                    typ: (*typ).into(),
                    parameter: (*parameter).into(),
                })
                .collect(),
        },
        payload_type,
    };
    let fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
    let feedback = [("nack", ""), ("nack", "pli"), ("ccm", "fir")];
    [
        codec(MIME_TYPE_H264, H264, fmtp, &feedback),
        codec(MIME_TYPE_RTX, RTX, &format!("apt={H264}"), &[]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These packets, in this order; `!` ends a frame.
    fn seen(packets: &[(u16, bool)]) -> Seen {
        let now = Instant::now();
        let mut seen = Seen::new(now);
        for &(number, ends) in packets {
            seen.packet(number, ends, now);
        }
        seen
    }

    #[test]
    fn only_frames_of_which_every_packet_came_are_counted() {
        let whole = [(65_534, false), (65_535, true), (0, false), (1, true)];
        assert_eq!((seen(&whole).frames(), seen(&whole).missing()), (2, 0));
        let late = [(65_534, false), (0, false), (1, true), (65_535, true)];
        assert_eq!((seen(&late).frames(), seen(&late).missing()), (2, 0));
        let torn = [(7, false), (8, true), (10, false), (11, true), (12, true)];
        assert_eq!((seen(&torn).frames(), seen(&torn).missing()), (2, 1));
        assert_eq!((seen(&[]).frames(), seen(&[]).missing()), (0, 0));
    }

    #[test]
    fn a_touch_lands_on_the_pixel_of_its_epoch() {
        for epoch in [0, 1, 359, 360, 361, 230_399, 230_400 + 7] {
            let (x, y) = place(epoch);
            let pixel = |at: Fraction, of: u16| u32::from(at.0) * u32::from(of) / 0x1_0000;
            let landed = (
                pixel(fraction(x, SCREEN.0), SCREEN.0),
                pixel(fraction(y, SCREEN.1), SCREEN.1),
            );
            assert_eq!(landed, (u32::from(x), u32::from(y)));
        }
        assert_eq!(place(361), (1, 1));
    }

    #[test]
    fn a_finger_goes_down_and_up_and_repeats_what_nobody_took_in() {
        let start = Instant::now();
        let mut finger = Finger::new((3, 4), start);
        let first = finger.moves(Generation(1), 0, start);
        assert_eq!((first.pointers.len(), first.edges.len()), (1, 1));
        let second = finger.moves(Generation(1), 0, start + Duration::from_millis(50));
        assert_eq!((second.pointers.len(), second.edges.len()), (0, 2));
        assert_eq!(second.edges[0].age_ms, 50);
        let third = finger.moves(Generation(1), 2, start + Duration::from_millis(100));
        let numbers: Vec<u32> = third.edges.iter().map(|edge| edge.n).collect();
        assert_eq!(numbers, [3]);
    }
}
