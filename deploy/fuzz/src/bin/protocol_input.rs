//! The `input` channel, from a viewer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = protocol::input::Message::decode(bytes) {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(again, bytes, "a message has one encoding");
    }
    let _ = protocol::input::Ack::decode(bytes);
});
