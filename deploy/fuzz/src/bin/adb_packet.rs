//! A stream of adb packets, as either peer of a connection reads them, and as a witness sees them pass in portions as long
//! as the first byte says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    adb::fuzz_tap(bytes);
    let mut buffer = bytes::BytesMut::from(bytes.get(1..).unwrap_or_default());
    while let Ok(Some(packet)) = adb::packet::Packet::decode(&mut buffer) {
        assert!(packet.payload.len() <= packet.command.max_payload());
    }
});
