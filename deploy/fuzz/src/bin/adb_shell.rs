//! Frames of shell v2, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let mut decoder = adb::shell::Decoder::default();
    for piece in [head, tail] {
        decoder.push(piece);
        while let Ok(Some(frame)) = decoder.next_frame() {
            let mut again = bytes::BytesMut::new();
            frame.encode(&mut again);
            let mut twin = adb::shell::Decoder::default();
            twin.push(&again);
            assert_eq!(
                twin.next_frame(),
                Ok(Some(frame)),
                "our own frame is read as it was"
            );
        }
    }
});
