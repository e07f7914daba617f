//! Proves the harness before it is trusted: a bug is planted behind a four-byte word and a length, which
//! blind chance meets once in 2^40 inputs. `cargo xtask fuzz` runs this target first and goes on only when
//! the bug was found, so that a build without working instrumentation cannot pass as "nothing found".
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(word) = bytes.first_chunk::<4>()
        && u32::from_le_bytes(*word) == 0x6c67_7266
        && bytes.get(4) == Some(&7)
    {
        panic!("the planted bug was found");
    }
});
