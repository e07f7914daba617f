//! Scripts for the simulated device's shell, as any adb host may send them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    device::shell::words::fuzz(bytes);
});
