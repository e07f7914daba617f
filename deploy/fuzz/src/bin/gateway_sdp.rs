//! Offers and fragments of viewers, before the WebRTC library sees them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = gateway::sdp::check(text);
        let (_, candidates) = gateway::sdp::fragment(text);
        candidates.for_each(drop);
    }
});
