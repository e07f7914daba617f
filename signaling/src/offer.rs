//! What an SDP offer must look like before it is worth an agent's time.
//!
//! The gateway parses SDP for good. This only turns away, in one pass over the lines, what can never
//! work or only costs: no SDP, no video, no H.264, more candidates than any browser has, fingerprints
//! that are missing, weak or differ (RFC 8827 binds media to exactly one certificate). Line endings may
//! be LF or CRLF.

/// Longest offer that is read, bytes. A browser's offer for video and data is 3 to 6 KiB.
pub const OFFER_BYTES_MAX: usize = 32 * 1024;
/// Candidates in an offer. A browser lists each of its addresses once per section.
const CANDIDATES_MAX: usize = 64;

/// Why an offer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// It does not start as SDP does.
    #[error("the body is not an SDP offer")]
    NotSdp,
    /// No `m=video`.
    #[error("the offer has no video section")]
    NoVideo,
    /// No `a=rtpmap:… H264/90000`.
    #[error("the offer has no H.264")]
    NoH264,
    /// No fingerprint, several different ones, or none of SHA-256.
    #[error("the offer must have exactly one sha-256 fingerprint")]
    Fingerprint,
    /// More than 64 candidates.
    #[error("the offer has more than {CANDIDATES_MAX} candidates")]
    Candidates,
}

/// Checks an offer.
///
/// # Errors
/// The first [`OfferError`] that applies.
pub fn check(sdp: &str) -> Result<(), OfferError> {
    if sdp.lines().next() != Some("v=0") {
        return Err(OfferError::NotSdp);
    }
    let (mut video, mut h264, mut candidates) = (false, false, 0);
    let mut fingerprint: Option<&str> = None;
    for line in sdp.lines() {
        if line.starts_with("m=video ") {
            video = true;
        } else if let Some(map) = line.strip_prefix("a=rtpmap:") {
            let encoding = map.split(' ').nth(1).unwrap_or_default();
            h264 |= video && encoding.eq_ignore_ascii_case("H264/90000");
        } else if line.starts_with("a=candidate:") {
            candidates += 1;
        } else if let Some(value) = line.strip_prefix("a=fingerprint:") {
            let sha256 = value
                .split_once(' ')
                .is_some_and(|(hash, _)| hash.eq_ignore_ascii_case("sha-256"));
            if !sha256 || fingerprint.is_some_and(|first| !first.eq_ignore_ascii_case(value)) {
                return Err(OfferError::Fingerprint);
            }
            fingerprint = Some(value);
        }
    }
    match (video, h264, fingerprint) {
        (false, ..) => Err(OfferError::NoVideo),
        (_, false, _) => Err(OfferError::NoH264),
        (.., None) => Err(OfferError::Fingerprint),
        _ if candidates > CANDIDATES_MAX => Err(OfferError::Candidates),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AB:CD\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\na=fingerprint:SHA-256 ab:cd\r\n";

    #[test]
    fn an_offer_with_h264_and_one_fingerprint_passes() {
        assert_eq!(check(GOOD), Ok(()));
        assert_eq!(check(&GOOD.replace("\r\n", "\n")), Ok(()));
    }

    #[test]
    fn what_can_never_work_is_refused() {
        assert_eq!(check(""), Err(OfferError::NotSdp));
        assert_eq!(check("hello"), Err(OfferError::NotSdp));
        assert_eq!(
            check(&GOOD.replace("m=video", "m=audio")),
            Err(OfferError::NoVideo)
        );
        assert_eq!(check(&GOOD.replace("H264", "VP8")), Err(OfferError::NoH264));
        assert_eq!(
            check(&GOOD.replace("a=fingerprint", "a=x")),
            Err(OfferError::Fingerprint)
        );
        assert_eq!(
            check(&GOOD.replace("sha-256 AB", "sha-256 EF")),
            Err(OfferError::Fingerprint)
        );
        assert_eq!(
            check(&GOOD.replace("sha-256 AB", "sha-1 AB")),
            Err(OfferError::Fingerprint)
        );
        let many = format!(
            "{GOOD}{}",
            "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(65)
        );
        assert_eq!(check(&many), Err(OfferError::Candidates));
    }
}
