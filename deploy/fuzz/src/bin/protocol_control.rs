//! The `control` channel, both directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = protocol::control::ToGateway::decode(bytes) {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(again, bytes, "a message has one encoding");
    }
    if let Ok(message) = protocol::control::ToViewer::decode(bytes) {
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(again, bytes, "a message has one encoding");
    }
});
