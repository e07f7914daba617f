//! What passes between the agent and a device, on its way into a recording.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    host_agent::fuzz_redaction(bytes);
});
