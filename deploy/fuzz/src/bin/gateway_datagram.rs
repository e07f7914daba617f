//! Datagrams on the one UDP port: anybody may send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = gateway::mux::Kind::of(bytes);
    let _ = gateway::mux::Stun::parse(bytes);
});
