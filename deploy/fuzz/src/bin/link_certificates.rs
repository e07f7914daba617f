//! A host's certificate and its signing request, as control takes them from whoever reaches the link.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    signaling::link::tls::fuzz(bytes);
});
