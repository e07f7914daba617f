//! What an adb server answers, field by field; the first byte picks which.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use adb::server_reply::{MAX_TEXT, devices, length, status, version};
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    match (pick % 3, rest.first_chunk(), std::str::from_utf8(rest)) {
        (0, Some(field), _) => {
            let _ = status(*field);
            if let Ok(length) = length(*field) {
                assert!(length <= MAX_TEXT);
            }
        }
        (1, _, Ok(text)) => drop(version(text)),
        (_, _, Ok(text)) => {
            for listed in devices(text) {
                assert!(!listed.serial.is_empty() && !listed.state.is_empty());
            }
        }
        _ => {}
    }
});
