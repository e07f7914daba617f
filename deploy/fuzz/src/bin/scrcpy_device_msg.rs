//! Messages that a scrcpy server sends to its client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((message, length))) = scrcpy::device_msg::decode(bytes) {
        let mut again = bytes::BytesMut::new();
        scrcpy::device_msg::encode(&message, &mut again).expect("what was read can be written");
        assert_eq!(again.as_ref(), &bytes[..length], "a message has one encoding");
    }
});
