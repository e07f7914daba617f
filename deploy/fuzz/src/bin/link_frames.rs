//! Frames of the agent link, as control reads them from an agent.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    signaling::link::codec::fuzz(bytes);
});
