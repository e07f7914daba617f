//! Access units in Annex B: cut into units, none outside the data, none with a start code inside.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for nal in gateway::access_unit::nals(bytes) {
        assert!(
            !nal.windows(3).any(|three| three == [0, 0, 1]),
            "a unit holds no start code"
        );
    }
});
