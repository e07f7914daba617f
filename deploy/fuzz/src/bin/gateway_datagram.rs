//! Datagrams on the one UDP port: anybody may send them. This covers routing only: what kind a datagram is, and
//! whom a STUN message names. What a peer does with its datagrams is the WebRTC library's, and not fuzzed here.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = gateway::mux::Kind::of(bytes);
    let _ = gateway::mux::Stun::parse(bytes);
});
