//! Commands to the simulated device's shell with their arguments: each line is a script, and what it names is run.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    device::shell::fuzz_commands(bytes);
});
