//! Headers of HTTP requests, as control reads them from anybody.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    control::fuzz_headers(bytes);
});
