//! What devices and Docker answer the doctor.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    host_agent::doctor::fuzz(bytes);
});
