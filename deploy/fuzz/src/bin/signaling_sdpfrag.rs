//! Trickled candidates and restarts, as a browser sends them to WHEP.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    signaling::sdpfrag::fuzz(bytes);
});
