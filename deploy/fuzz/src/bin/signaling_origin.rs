//! The `Origin` header, and configured addresses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<signaling::origin::Origin>();
    }
});
