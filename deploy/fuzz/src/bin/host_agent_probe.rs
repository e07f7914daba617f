//! What a device prints about itself, as the agent reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    host_agent::fuzz_probe(bytes);
});
