//! The WebRTC stack of one viewer, set up as this gateway needs it and asked to answer an offer.
//!
//! * One codec, chosen by `sdp`; RTX and NACK; PLI and FIR delivered to us (`feedback`); no transport-wide
//!   feedback, because nothing would act on it: a device's encoder has a fixed rate.
//! * Full ICE, controlled, never lite: the stack's lite agent forgets an early nomination. One local
//!   candidate, put into the answer; nothing is gathered and nothing is waited for.
//! * `setup:active`: our ClientHello leaves with the first check that succeeds, half a round trip before the
//!   viewer's could arrive.
//! * The three channels are negotiated with fixed ids, because one opened in-band ignores `ordered` and
//!   `maxRetransmits` for what we send.
//!
//! `rtc` =0.21.1. It does not know what flows over what it sets up.

use std::net::SocketAddr;
use std::time::Instant;

use protocol::Channel;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::interceptor::{NackResponderBuilder, Registry, SenderReportBuilder, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::certificate::{CertificateParams, RTCCertificate};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_RTX, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::{SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCDtlsRole, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::shared::error::Error;

use crate::error::{OfferError, StartError};
use crate::feedback::{self, KeyFrameRequests};
use crate::limits::{ICE_FAILED_AFTER, ICE_KEEPALIVE, ICE_SILENT_AFTER, RETRANSMIT_PACKETS};
use crate::media::Negotiated;
use crate::sdp::Facts;

/// The header extension that makes a browser show a frame at once.
const PLAYOUT_DELAY_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// A stack that has answered.
pub(crate) struct Peer {
    pub(crate) stack: RTCPeerConnection,
    pub(crate) sender: RTCRtpSenderId,
    /// Empty for a viewer without data channels.
    pub(crate) channels: Vec<(Channel, RTCDataChannelId)>,
    pub(crate) ssrc: u32,
    pub(crate) answer: String,
}

/// ICE user fragment and password of one connection.
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    /// 48 and 144 bits in ICE's own alphabet (RFC 8445, section 5.3 asks for 24 and 128).
    pub(crate) fn random() -> Result<Self, OfferError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| OfferError::Stack(error.to_string()))?;
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text: String = bytes
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]))
            .collect();
        let (ufrag, password) = text.split_at(8);
        Ok(Self {
            ufrag: ufrag.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// One certificate for all connections of a gateway: making one costs more than a handshake.
pub(crate) fn certificate() -> Result<RTCCertificate, StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Certificate(error.to_string());
    let provider = rtc::crypto::default_provider().map_err(|error| failed(&error))?;
    let params = CertificateParams::new(vec!["farglass".to_owned()]).map_err(|error| failed(&error))?;
    let scheme = rtc::crypto::SignatureScheme::EcdsaP256Sha256;
    RTCCertificate::generate(provider.crypto(), scheme, params).map_err(|error| failed(&error))
}

impl Peer {
    /// Sets up a stack and lets it answer.
    pub(crate) fn answer(
        facts: &Facts,
        credentials: Credentials,
        certificate: RTCCertificate,
        local: SocketAddr,
        now: Instant,
    ) -> Result<Self, OfferError> {
        let ssrc = random_ssrc()?;
        build(facts, credentials, certificate, local, ssrc, now)
            .map_err(|error| OfferError::Stack(error.to_string()))
    }

    /// What was negotiated; `None` before the stack knows.
    pub(crate) fn negotiated(&mut self) -> Option<Negotiated> {
        let ssrc = self.ssrc;
        let mut sender = self.stack.rtp_sender(self.sender)?;
        let parameters = &sender.get_parameters().rtp_parameters;
        let is_h264 =
            |codec: &&RTCRtpCodecParameters| codec.rtp_codec.mime_type.eq_ignore_ascii_case(MIME_TYPE_H264);
        let payload_type = parameters.codecs.iter().find(is_h264)?.payload_type;
        let extension = parameters
            .header_extensions
            .iter()
            .find(|extension| extension.uri == PLAYOUT_DELAY_URI);
        Some(Negotiated {
            ssrc,
            payload_type,
            playout_delay: extension.and_then(|found| u8::try_from(found.id).ok()),
        })
    }
}

fn build(
    facts: &Facts,
    credentials: Credentials,
    certificate: RTCCertificate,
    local: SocketAddr,
    ssrc: u32,
    now: Instant,
) -> Result<Peer, Error> {
    let codec = h264(facts);
    let mut engine = MediaEngine::default();
    engine.register_codec(codec.clone(), RtpCodecKind::Video)?;
    if let Some(payload_type) = facts.rtx {
        engine.register_codec(rtx(payload_type, facts.payload_type), RtpCodecKind::Video)?;
    }
    let uri = PLAYOUT_DELAY_URI.to_owned();
    engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri }, RtpCodecKind::Video, None)?;
    let registry = Registry::new()
        .with(
            Slot::NackResponder,
            NackResponderBuilder::new().with_size(RETRANSMIT_PACKETS).build(),
        )
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
        .with(Slot::from(feedback::SLOT), KeyFrameRequests::default());
    let mut stack = RTCPeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::new()
                .with_certificates(vec![certificate])
                .build(),
        )
        .with_setting_engine(settings(facts, credentials))
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .build(now)?;
    let sendonly = RTCRtpTransceiverInit {
        direction: RTCRtpTransceiverDirection::Sendonly,
        streams: Vec::new(),
        send_encodings: Vec::new(),
    };
    stack.add_transceiver_from_track(track(codec.rtp_codec, ssrc), Some(sendonly))?;
    let sender = stack.get_senders().next().ok_or(Error::ErrSenderWithNoCodecs)?;
    let mut channels = Vec::new();
    if facts.data {
        for channel in Channel::ALL {
            let id = stack
                .create_data_channel(channel.label(), Some(negotiated(channel)))?
                .id();
            channels.push((channel, id));
        }
    }
    stack.set_remote_description(now, RTCSessionDescription::offer(facts.sdp.clone())?)?;
    stack.add_local_candidate(RTCIceCandidate::from(&host_candidate(local)?).to_json()?)?;
    // Nothing else will come: the viewer need not wait for more.
    stack.add_local_candidate(rtc::peer_connection::transport::RTCIceCandidateInit::default())?;
    let answer = stack.create_answer(None)?;
    let sdp = answer.sdp.clone();
    stack.set_local_description(now, answer)?;
    Ok(Peer {
        stack,
        sender,
        channels,
        ssrc,
        answer: sdp,
    })
}

fn settings(facts: &Facts, credentials: Credentials) -> SettingEngine {
    let role = if facts.viewer_active {
        RTCDtlsRole::Server
    } else {
        RTCDtlsRole::Client
    };
    SettingEngineBuilder::new()
        .with_answering_dtls_role(role)
        .with_ice_credentials(credentials.ufrag, credentials.password)
        .with_ice_timeouts(
            Some(ICE_SILENT_AFTER),
            Some(ICE_FAILED_AFTER - ICE_SILENT_AFTER),
            Some(ICE_KEEPALIVE),
        )
        .build()
}

fn h264(facts: &Facts) -> RTCRtpCodecParameters {
    let feedback = [("nack", ""), ("nack", "pli"), ("ccm", "fir")];
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_H264.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: facts.fmtp.clone(),
            rtcp_feedback: feedback
                .map(|(typ, parameter)| RTCPFeedback {
                    typ: typ.to_owned(),
                    parameter: parameter.to_owned(),
                })
                .to_vec(),
        },
        payload_type: facts.payload_type,
    }
}

fn rtx(payload_type: u8, repairs: u8) -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: format!("apt={repairs}"),
            rtcp_feedback: Vec::new(),
        },
        payload_type,
    }
}

fn track(codec: RTCRtpCodec, ssrc: u32) -> MediaStreamTrack {
    let coding = RTCRtpCodingParameters {
        ssrc: Some(ssrc),
        ..RTCRtpCodingParameters::default()
    };
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: coding,
        codec,
        ..Default::default()
    };
    let name = |name: &str| name.to_owned();
    MediaStreamTrack::new(
        name("device"),
        name("screen"),
        name("screen"),
        RtpCodecKind::Video,
        vec![encoding],
    )
}

fn negotiated(channel: Channel) -> RTCDataChannelInit {
    RTCDataChannelInit {
        ordered: channel.reliable(),
        max_retransmits: (!channel.reliable()).then_some(0),
        negotiated: Some(channel.id()),
        ..RTCDataChannelInit::default()
    }
}

fn host_candidate(local: SocketAddr) -> Result<rtc::ice::candidate::Candidate, Error> {
    let base_config = CandidateConfig {
        network: "udp".to_owned(),
        address: local.ip().to_string(),
        port: local.port(),
        component: 1,
        ..CandidateConfig::default()
    };
    CandidateHostConfig {
        base_config,
        ..CandidateHostConfig::default()
    }
    .new_candidate_host()
}

fn random_ssrc() -> Result<u32, OfferError> {
    getrandom::u32().map_err(|error| OfferError::Stack(error.to_string()))
}
