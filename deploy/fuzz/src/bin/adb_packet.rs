//! A stream of adb packets, as either peer of a connection reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut buffer = bytes::BytesMut::from(bytes);
    while let Ok(Some(packet)) = adb::packet::Packet::decode(&mut buffer) {
        assert!(packet.payload.len() <= packet.command.max_payload());
    }
});
