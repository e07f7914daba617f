//! What Android's tools print about what is on a device, as the agent's wipe reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    host_agent::fuzz_listing(bytes);
});
