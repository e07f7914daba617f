//! What a host asks the simulated device about its reverses, one request a line.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    device::adbd::fuzz_reverses(bytes);
});
