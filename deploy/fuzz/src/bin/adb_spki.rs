//! The key of a certificate, as each side of adb's TLS reads it before it knows the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    adb::key::fuzz_spki(bytes);
});
