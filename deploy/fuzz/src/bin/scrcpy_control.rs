//! Control messages, as the simulated device reads them; the first byte picks the version.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    let texts = ["2.0", "2.7", "3.3.4", "4.0", "4.1"];
    let version = texts[usize::from(*pick) % texts.len()]
        .parse()
        .expect("a version that is spoken");
    if let Ok(Some((message, length))) = scrcpy::control::decode(version, rest) {
        assert!(length <= rest.len());
        let mut again = bytes::BytesMut::new();
        // Not every message that is read can be written for each version; what is written reads the same.
        if scrcpy::control::encode(version, &message, &mut again).is_ok() {
            assert_eq!(
                scrcpy::control::decode(version, &again),
                Ok(Some((message, again.len())))
            );
        }
    }
});
