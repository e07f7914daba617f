//! Lines to the emulator console of the simulated device.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    device::console::fuzz(bytes);
});
