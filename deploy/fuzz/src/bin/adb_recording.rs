//! A recording of the wire, and the film that the simulated device makes of it; the first byte picks which. Films of
//! servers before 4.0 are left out: for their sizes a picture is decoded, by a decoder that is not ours to fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use adb::recording::{PAYLOAD_MAX, RecordingError, SAID_MAX, What, parse};
    use scrcpy::{Framing, ServerVersion};
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    let file = bytes::Bytes::copy_from_slice(rest);
    let Ok((head, records)) = parse(file.clone()) else {
        return;
    };
    let version = head.server.parse::<ServerVersion>();
    if pick % 2 == 0 && version.is_ok_and(|version| version.framing() == Framing::Session) {
        let _ = device::replay::Film::parse(&file);
    }
    let records: Vec<Result<_, RecordingError>> = records.collect();
    for (at, record) in records.iter().enumerate() {
        let is_last = at + 1 == records.len();
        match record.as_ref().map(|record| &record.what) {
            Ok(What::Received(_, bytes) | What::Sent(_, bytes)) => assert!(bytes.len() <= PAYLOAD_MAX),
            Ok(What::Packet(packet)) => assert!(packet.said.len() <= SAID_MAX),
            Ok(What::Ended(_)) => assert!(is_last, "nothing follows the end"),
            Ok(_) => {}
            Err(_) => assert!(is_last, "nothing is read after a fault"),
        }
    }
});
