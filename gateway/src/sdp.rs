//! Offers and trickle fragments: what is read from them, and what is made of the answer.
//!
//! The stack's own parser is lenient and its negotiation falls back to other packetization modes, so an
//! offer is read here first, with hard bounds, and only one codec is put in front of the stack: the
//! offer's own H.264 with packetization-mode=1 that fits best, and its RTX. Candidates in an offer are
//! not needed (the viewer's checks teach us where it is) and are left out, so that an offer cannot
//! make us send anywhere.
//!
//! ```text
//! offer  ─► facts: one H.264 payload type, its RTX, user fragment, data channels? ─► stack
//! answer ◄─ candidates of component 2 taken out                                   ◄─ stack
//! ```
//!
//! SDP is RFC 8866, H.264 parameters RFC 6184, fragments RFC 8840. It does not know peers or sockets.

use std::net::{IpAddr, SocketAddr};

use crate::error::OfferError;
use crate::limits::{MEDIA_SECTIONS_MAX, SDP_BYTES_MAX};

/// What an offer says that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The payload type of the H.264 that will be sent.
    pub payload_type: u8,
    /// Its format parameters, as offered.
    pub fmtp: String,
    /// The payload type of its retransmissions, if offered.
    pub rtx: Option<u8>,
    /// The viewer's ICE user fragment.
    pub ufrag: String,
    /// Whether the viewer has data channels; a plain player has none and only sees.
    pub data: bool,
    /// Whether the viewer insists on being the DTLS client, so that the answer must be passive.
    pub viewer_active: bool,
    /// The offer without candidates.
    pub sdp: String,
}

#[derive(Default)]
struct Section<'a> {
    media: &'a str,
    mid: bool,
    receives: bool,
    rtpmap: Vec<(u8, &'a str)>,
    fmtp: Vec<(u8, &'a str)>,
}

/// Reads an offer.
///
/// # Errors
/// `TooLarge`, `Malformed` or `CodecUnsupported`.
pub fn check(offer: &str) -> Result<Facts, OfferError> {
    if offer.len() > SDP_BYTES_MAX {
        return Err(OfferError::TooLarge { bytes: offer.len() });
    }
    let sections = sections(offer)?;
    let mut videos = sections.iter().filter(|section| section.media == "video");
    let video = videos.next().ok_or(OfferError::Malformed("no video section"))?;
    if videos.next().is_some() {
        return Err(OfferError::Malformed("more than one video section"));
    }
    if !video.receives {
        return Err(OfferError::Malformed("the viewer does not receive video"));
    }
    let (payload_type, fmtp) = video.h264().ok_or(OfferError::CodecUnsupported)?;
    for required in ["a=ice-pwd:", "a=fingerprint:", "a=rtcp-mux"] {
        if !lines(offer).any(|line| line.starts_with(required)) {
            return Err(OfferError::Malformed("no ICE password, fingerprint or rtcp-mux"));
        }
    }
    let ufrag = lines(offer).find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    Ok(Facts {
        payload_type,
        fmtp: fmtp.to_owned(),
        rtx: video.rtx(payload_type),
        ufrag: ufrag
            .ok_or(OfferError::Malformed("no ICE user fragment"))?
            .to_owned(),
        data: sections.iter().any(|section| section.media == "application"),
        viewer_active: lines(offer).any(|line| line == "a=setup:active"),
        sdp: without_candidates(offer),
    })
}

/// The answer without candidates of component 2, because RTCP travels with RTP, and with a copy of
/// each remaining candidate for every `other` address of ours: the stack knows only the first.
#[must_use]
pub fn finish_answer(answer: &str, others: &[SocketAddr]) -> String {
    let mut out = String::with_capacity(answer.len() + 128 * others.len());
    for line in lines(answer) {
        let words: Vec<&str> = line.split(' ').collect();
        if line.starts_with("a=candidate:") {
            // a=candidate:FOUNDATION COMPONENT udp PRIORITY ADDRESS PORT typ host
            let [foundation, "1", transport, priority, _, _, rest @ ..] = &words[..] else {
                continue;
            };
            let rest = rest.join(" ");
            push_line(&mut out, line);
            for (index, other) in others.iter().enumerate() {
                let priority = priority
                    .parse::<u32>()
                    .unwrap_or_default()
                    .saturating_sub(index as u32 + 1);
                let (ip, port) = (other.ip(), other.port());
                push_line(
                    &mut out,
                    &format!("{foundation}{index} 1 {transport} {priority} {ip} {port} {rest}"),
                );
            }
        } else {
            push_line(&mut out, line);
        }
    }
    out
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

/// A trickle fragment: the user fragment that it names, and its UDP candidates with an address.
/// Candidates that hide their address (`.local`) are useless here and left out.
pub fn fragment(text: &str) -> (Option<&str>, impl Iterator<Item = &str>) {
    let ufrag = lines(text).find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    let candidates = lines(text)
        .filter_map(|line| line.strip_prefix("a="))
        .filter(|line| {
            let mut words = line.strip_prefix("candidate:").unwrap_or_default().split(' ');
            let (component, transport) = (words.nth(1), words.next());
            let address = words.nth(1);
            component == Some("1")
                && transport.is_some_and(|transport| transport.eq_ignore_ascii_case("udp"))
                && address.is_some_and(|address| address.parse::<IpAddr>().is_ok())
        });
    (ufrag, candidates)
}

impl<'a> Section<'a> {
    /// The best H.264: the profiles that devices send, the most common first.
    fn h264(&self) -> Option<(u8, &'a str)> {
        let rank = |fmtp: &str| {
            let profile = parameter(fmtp, "profile-level-id")
                .unwrap_or_default()
                .to_ascii_lowercase();
            match profile.get(..4) {
                Some("42e0") => Some(0),
                Some("42c0" | "4200") => Some(1),
                Some("4d00" | "4d40") => Some(2),
                Some("6400" | "640c") => Some(3),
                _ => None,
            }
        };
        let candidates = self
            .rtpmap
            .iter()
            .filter(|(_, name)| name.eq_ignore_ascii_case("H264/90000"));
        candidates
            .filter_map(|(payload_type, _)| {
                let (_, fmtp) = self.fmtp.iter().find(|(of, _)| of == payload_type)?;
                let mode = parameter(fmtp, "packetization-mode")?;
                (mode == "1").then_some(())?;
                Some((rank(fmtp)?, *payload_type, *fmtp))
            })
            .min_by_key(|(rank, ..)| *rank)
            .map(|(_, payload_type, fmtp)| (payload_type, fmtp))
    }

    fn rtx(&self, payload_type: u8) -> Option<u8> {
        let is_rtx = |of: &u8| {
            self.rtpmap
                .iter()
                .any(|(id, name)| id == of && name.eq_ignore_ascii_case("rtx/90000"))
        };
        let repairs =
            |fmtp: &str| parameter(fmtp, "apt").and_then(|apt| apt.parse().ok()) == Some(payload_type);
        self.fmtp
            .iter()
            .find(|(of, fmtp)| is_rtx(of) && repairs(fmtp))
            .map(|(of, _)| *of)
    }
}

fn sections(offer: &str) -> Result<Vec<Section<'_>>, OfferError> {
    let mut lines = lines(offer);
    if lines.next() != Some("v=0") {
        return Err(OfferError::Malformed("not a session description"));
    }
    let mut sections: Vec<Section<'_>> = Vec::new();
    for line in lines {
        if let Some(media) = line.strip_prefix("m=") {
            if sections.len() == MEDIA_SECTIONS_MAX {
                return Err(OfferError::Malformed("too many media sections"));
            }
            let media = media.split(' ').next().unwrap_or_default();
            if !matches!(media, "video" | "audio" | "application") {
                return Err(OfferError::Malformed("a media section of an unknown kind"));
            }
            sections.push(Section {
                media,
                receives: true,
                ..Section::default()
            });
        } else if let (Some(section), Some(attribute)) = (sections.last_mut(), line.strip_prefix("a=")) {
            section.read(attribute);
        }
    }
    if sections.iter().any(|section| !section.mid) {
        return Err(OfferError::Malformed("a media section without mid"));
    }
    Ok(sections)
}

impl<'a> Section<'a> {
    fn read(&mut self, attribute: &'a str) {
        let numbered = |value: &'a str| {
            let (number, rest) = value.split_once(' ')?;
            Some((number.parse().ok()?, rest))
        };
        match attribute.split_once(':') {
            Some(("mid", mid)) => self.mid = !mid.is_empty(),
            Some(("rtpmap", value)) => self.rtpmap.extend(numbered(value)),
            Some(("fmtp", value)) => self.fmtp.extend(numbered(value)),
            None if attribute == "sendonly" || attribute == "inactive" => self.receives = false,
            _ => {}
        }
    }
}

fn without_candidates(offer: &str) -> String {
    let keep = |line: &&str| !line.starts_with("a=candidate:") && *line != "a=end-of-candidates";
    lines(offer)
        .filter(keep)
        .flat_map(|line| [line, "\r\n"])
        .collect()
}

fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|part| part.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n";
    const TRANSPORT: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 AA\r\na=setup:actpass\r\na=rtcp-mux\r\n";

    fn offer(video: &str) -> String {
        format!(
            "{HEAD}m=video 9 UDP/TLS/RTP/SAVPF 96 102 103 106 107\r\na=mid:0\r\na=recvonly\r\n{TRANSPORT}{video}\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n{TRANSPORT}a=sctp-port:5000\r\n"
        )
    }

    const CODECS: &str = "a=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n\
        a=rtpmap:106 H264/90000\r\na=fmtp:106 level-asymmetry-allowed=1; packetization-mode=1;profile-level-id=42001f\r\n\
        a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\na=rtpmap:107 rtx/90000\r\na=fmtp:107 apt=106\r\n";

    #[test]
    fn the_h264_with_packetization_mode_1_is_chosen_with_its_retransmissions() {
        let facts = check(&offer(CODECS)).unwrap();
        assert_eq!(
            (facts.payload_type, facts.rtx, facts.data),
            (106, Some(107), true)
        );
        assert_eq!(facts.ufrag, "abcd");
        assert!(facts.fmtp.contains("profile-level-id=42001f"));
    }

    #[test]
    fn candidates_of_an_offer_are_left_out() {
        let offer = offer(&format!(
            "{CODECS}a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\na=end-of-candidates\r\n"
        ));
        let facts = check(&offer).unwrap();
        assert!(!facts.sdp.contains("candidate"));
        assert_eq!(facts.sdp.lines().count(), offer.lines().count() - 2);
    }

    #[test]
    fn an_offer_that_no_device_can_meet_is_refused_by_name() {
        let vp8 = "a=rtpmap:96 VP8/90000\r\n";
        assert_eq!(check(&offer(vp8)), Err(OfferError::CodecUnsupported));
        let mode_0 = "a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=0;profile-level-id=42e01f\r\n";
        assert_eq!(check(&offer(mode_0)), Err(OfferError::CodecUnsupported));
        assert_eq!(
            check(&"x".repeat(SDP_BYTES_MAX + 1)),
            Err(OfferError::TooLarge {
                bytes: SDP_BYTES_MAX + 1
            })
        );
        let malformed = |offer: &str| matches!(check(offer), Err(OfferError::Malformed(_)));
        assert!(malformed(""));
        assert!(malformed("hello"));
        assert!(malformed(HEAD));
        assert!(malformed(&offer(CODECS).replace("a=recvonly", "a=sendonly")));
        assert!(malformed(&offer(CODECS).replace("a=mid:0", "a=mood:0")));
        assert!(malformed(&offer(CODECS).replace("a=ice-ufrag", "a=ice-nothing")));
        assert!(malformed(&offer(CODECS).replace("a=fingerprint", "a=no")));
        assert!(malformed(&offer(CODECS).replace("m=application", "m=text")));
        assert!(malformed(&offer(CODECS).replace("m=application", "m=video")));
    }

    #[test]
    fn an_answer_keeps_only_component_1_and_names_every_address() {
        let answer = "v=0\r\na=candidate:1 1 udp 500 192.0.2.1 9 typ host\r\n\
                      a=candidate:1 2 udp 500 192.0.2.1 9 typ host\r\na=mid:0\r\n";
        let first = "v=0\r\na=candidate:1 1 udp 500 192.0.2.1 9 typ host\r\n";
        assert_eq!(finish_answer(answer, &[]), format!("{first}a=mid:0\r\n"));
        let other = "a=candidate:10 1 udp 499 198.51.100.7 9 typ host\r\n";
        assert_eq!(
            finish_answer(answer, &[([198, 51, 100, 7], 9).into()]),
            format!("{first}{other}a=mid:0\r\n")
        );
    }

    #[test]
    fn a_fragment_brings_candidates_that_have_an_address() {
        let text = "a=ice-ufrag:abcd\r\na=candidate:1 1 udp 5 192.0.2.1 9 typ host\r\na=candidate:2 1 udp 5 x.local 9 typ host\r\n\
                    a=candidate:3 1 tcp 5 192.0.2.1 9 typ host tcptype active\r\na=candidate:4 2 UDP 5 192.0.2.1 9 typ host\r\na=mid:0\r\n";
        let (ufrag, candidates) = fragment(text);
        assert_eq!(ufrag, Some("abcd"));
        assert_eq!(
            candidates.collect::<Vec<_>>(),
            ["candidate:1 1 udp 5 192.0.2.1 9 typ host"]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(v=0\n)?([a-z]=[ -~]{0,20}\n){0,20}", noise in "\\PC{0,80}") {
            let _ = check(&text);
            let _ = check(&noise);
            let _ = fragment(&noise).1.count();
            let _ = finish_answer(&text, &[]);
        }
    }
}
