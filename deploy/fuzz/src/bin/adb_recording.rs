//! A recording of the wire, and the film that the simulated device makes of it; the first byte picks which, for a film
//! decodes pictures and is slow.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use adb::recording::{PAYLOAD_MAX, RecordingError, What, parse};
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    let file = bytes::Bytes::copy_from_slice(rest);
    if pick % 8 == 0 {
        let _ = device::replay::Film::parse(&file);
        return;
    }
    if let Ok((_, records)) = parse(file) {
        let records: Vec<Result<_, RecordingError>> = records.collect();
        for (at, record) in records.iter().enumerate() {
            match record {
                Ok(record) => match &record.what {
                    What::Received(_, bytes) | What::Sent(_, bytes) => assert!(bytes.len() <= PAYLOAD_MAX),
                    What::Ended(_) => assert_eq!(at + 1, records.len(), "nothing follows the end"),
                    _ => {}
                },
                Err(_) => assert_eq!(at + 1, records.len(), "nothing is read after a fault"),
            }
        }
    }
});
