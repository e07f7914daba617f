//! Sequence parameter sets, which come from the encoder of a device.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What we say instead must be read as the same picture, without reordering.
    if let Ok((sps, rewritten)) = gateway::sps::rewrite(bytes) {
        let again = gateway::sps::Sps::parse(&rewritten).expect("our own SPS is read");
        assert_eq!((again.width, again.height), (sps.width, sps.height));
        assert_eq!(again.reorder_frames, Some(0), "nothing is reordered");
    }
});
