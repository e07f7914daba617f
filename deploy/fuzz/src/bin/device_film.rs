//! A film in place of the screen: a file of H.264. Its pictures are only told apart; their size is read by a decoder that is
//! not ours to fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    device::replay::fuzz(bytes);
});
