//! A connection's streams, with a peer and an application that do anything in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    adb::fuzz_machine(bytes);
});
