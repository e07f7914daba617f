//! The `If-Match` header of WHEP.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    signaling::whep::fuzz_if_match(bytes);
});
