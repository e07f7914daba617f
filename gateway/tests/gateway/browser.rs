//! A browser's side: offers to receive H.264, opens the negotiated channels, puts frames together again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;
use protocol::{Channel, ConnectionId};
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::interceptor_registry::{configure_nack, configure_rtcp_reports};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_RTX, MediaEngine};
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent, RTCTrackEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp::Packet;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpReceiverId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Not the numbers that the stack would choose by itself.
pub const H264: u8 = 121;
pub const RTX: u8 = 122;

pub struct Browser {
    pub connection: ConnectionId,
    pub address: SocketAddr,
    pub pc: RTCPeerConnection,
    pub messages: Vec<(Instant, Channel, Vec<u8>)>,
    pub packets: BTreeMap<u64, (Instant, Packet)>,
    pub open: Vec<Channel>,
    pub closed: bool,
    /// Its handshake was refused: its stack says nothing more.
    pub refused: bool,
    channels: Vec<(Channel, RTCDataChannelId)>,
    receiver: Option<RTCRtpReceiverId>,
    ssrc: u32,
    highest: Option<u64>,
}

/// One decodable thing that arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub at: Instant,
    pub rtp: u32,
    pub nals: Vec<Vec<u8>>,
}

impl Browser {
    pub fn new(connection: ConnectionId, address: SocketAddr, data: bool, now: Instant) -> Self {
        let mut engine = MediaEngine::default();
        for codec in codecs() {
            engine.register_codec(codec, RtpCodecKind::Video).unwrap();
        }
        // Other extensions first, so that the id of ours is not 1.
        for uri in [
            "urn:ietf:params:rtp-hdrext:toffset",
            "urn:3gpp:video-orientation",
            PLAYOUT_DELAY,
        ] {
            let capability = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
            engine
                .register_header_extension(capability, RtpCodecKind::Video, None)
                .unwrap();
        }
        let registry = configure_rtcp_reports(configure_nack(Registry::new(), &mut engine));
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .build(now)
            .unwrap();
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: vec![],
            send_encodings: vec![],
        };
        pc.add_transceiver_from_kind(RtpCodecKind::Video, Some(init))
            .unwrap();
        let mut channels = Vec::new();
        for channel in Channel::ALL.into_iter().filter(|_| data) {
            let init = RTCDataChannelInit {
                ordered: channel.reliable(),
                max_retransmits: (!channel.reliable()).then_some(0),
                negotiated: Some(channel.id()),
                ..RTCDataChannelInit::default()
            };
            channels.push((
                channel,
                pc.create_data_channel(channel.label(), Some(init)).unwrap().id(),
            ));
        }
        Self {
            connection,
            address,
            pc,
            messages: Vec::new(),
            packets: BTreeMap::new(),
            open: Vec::new(),
            closed: false,
            refused: false,
            channels,
            receiver: None,
            ssrc: 0,
            highest: None,
        }
    }

    /// The offer, sent at once: without candidates.
    pub fn offer(&mut self, now: Instant) -> String {
        let offer = self.pc.create_offer(None).unwrap();
        self.pc.set_local_description(now, offer.clone()).unwrap();
        let base_config = CandidateConfig {
            network: "udp".to_owned(),
            address: self.address.ip().to_string(),
            port: self.address.port(),
            component: 1,
            ..CandidateConfig::default()
        };
        let config = CandidateHostConfig {
            base_config,
            ..CandidateHostConfig::default()
        };
        let candidate = RTCIceCandidate::from(&config.new_candidate_host().unwrap());
        self.pc.add_local_candidate(candidate.to_json().unwrap()).unwrap();
        offer.sdp
    }

    /// A trickle fragment with this browser's candidate.
    pub fn fragment(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!("a=mid:0\r\na=candidate:7 1 udp 2130706431 {ip} {port} typ host\r\n")
    }

    pub fn accept(&mut self, answer: &str, now: Instant) {
        let answer = RTCSessionDescription::answer(answer.to_owned()).unwrap();
        self.pc.set_remote_description(now, answer).unwrap();
    }

    pub fn receive(&mut self, from: SocketAddr, data: &[u8], now: Instant) {
        let transport = TransportContext {
            local_addr: self.address,
            peer_addr: from,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        // A refusal is what a browser does with what it does not know.
        let _ = self.pc.handle_read(TaggedBytesMut {
            now,
            transport,
            message: BytesMut::from(data),
        });
    }

    pub fn send(&mut self, channel: Channel, bytes: &[u8], now: Instant) {
        let id = self.channels.iter().find(|(of, _)| *of == channel).unwrap().1;
        self.pc
            .data_channel(id)
            .unwrap()
            .send(now, BytesMut::from(bytes))
            .unwrap();
    }

    pub fn ask_for_key_frame(&mut self, now: Instant) {
        let pli = PictureLossIndication {
            sender_ssrc: 1,
            media_ssrc: self.ssrc,
        };
        let mut receiver = self.pc.rtp_receiver(self.receiver.unwrap()).unwrap();
        receiver.write_rtcp(now, vec![Box::new(pli)]).unwrap();
    }

    pub fn open_in_band(&mut self) -> RTCDataChannelId {
        self.pc.create_data_channel("mine", None).unwrap().id()
    }

    /// Takes everything out; returns datagrams.
    pub fn pump(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut out = Vec::new();
        loop {
            let before = out.len();
            while let Some(write) = self.pc.poll_write() {
                out.push((write.transport.peer_addr, write.message.to_vec()));
            }
            let mut moved = out.len() > before;
            while let Some(event) = self.pc.poll_event() {
                moved = true;
                self.on_event(event);
            }
            while let Some(message) = self.pc.poll_read() {
                moved = true;
                self.on_message(message.message, now);
            }
            if !moved {
                return out;
            }
        }
    }

    /// Frames that arrived whole, in the order of their packets.
    pub fn frames(&self) -> Vec<Received> {
        let mut frames = Vec::new();
        let mut parts: Vec<&(Instant, Packet)> = Vec::new();
        let mut expected = None;
        for (&sequence, part) in &self.packets {
            let fits = expected == Some(sequence)
                && parts
                    .last()
                    .is_none_or(|(_, last)| last.header.timestamp == part.1.header.timestamp);
            if !fits {
                parts.clear();
            }
            expected = Some(sequence + 1);
            parts.push(part);
            if part.1.header.marker {
                if let Some(nals) = depacketize(parts.iter().map(|(_, packet)| &packet.payload[..])) {
                    let at = parts.iter().map(|(at, _)| *at).max().unwrap();
                    frames.push(Received {
                        at,
                        rtp: part.1.header.timestamp,
                        nals,
                    });
                }
                parts.clear();
            }
        }
        frames
    }

    fn on_event(&mut self, event: RTCPeerConnectionEvent) {
        match event {
            RTCPeerConnectionEvent::OnTrack(RTCTrackEvent::OnOpen(track)) => {
                (self.receiver, self.ssrc) = (Some(track.receiver_id), track.ssrc);
            }
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                let channel = self
                    .channels
                    .iter()
                    .find(|(_, of)| *of == id)
                    .map(|(channel, _)| *channel);
                self.open.extend(channel);
            }
            RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(_)) => self.closed = true,
            _ => {}
        }
    }

    fn on_message(&mut self, message: RTCMessage, now: Instant) {
        match message {
            RTCMessage::RtpPacket(_, packet) => {
                let sequence = unwrap(packet.header.sequence_number, self.highest);
                self.highest = self.highest.max(Some(sequence));
                self.packets.entry(sequence).or_insert((now, packet));
            }
            RTCMessage::DataChannelMessage(id, message) => {
                if let Some((channel, _)) = self.channels.iter().find(|(_, of)| *of == id) {
                    self.messages.push((now, *channel, message.data.to_vec()));
                }
            }
            _ => {}
        }
    }
}

fn unwrap(sequence: u16, highest: Option<u64>) -> u64 {
    let Some(highest) = highest else {
        return 0x1_0000 + u64::from(sequence);
    };
    highest.wrapping_add_signed(i64::from(sequence.wrapping_sub(highest as u16) as i16))
}

fn depacketize<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Vec<u8>>> {
    let (mut nals, mut open): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
    for payload in payloads {
        match payload.first()? & 0x1f {
            24 => {
                let mut rest = &payload[1..];
                while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                    let (nal, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                    nals.push(nal.to_vec());
                    rest = tail;
                }
            }
            28 => {
                if payload[1] & 0x80 != 0 {
                    open = Some(vec![payload[0] & 0xe0 | payload[1] & 0x1f]);
                }
                open.as_mut()?.extend_from_slice(&payload[2..]);
                if payload[1] & 0x40 != 0 {
                    nals.extend(open.take());
                }
            }
            _ => nals.push(payload.to_vec()),
        }
    }
    open.is_none().then_some(nals)
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
