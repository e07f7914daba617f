//! Names of services that a host opens on the simulated device, one a line.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    device::adbd::fuzz(bytes);
});
