//! Requests of sync (push, pull, list), as a daemon reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let mut parser = adb::sync::RequestParser::default();
    for piece in [head, tail] {
        parser.push(piece);
        while let Ok(Some(_)) = parser.next_request() {}
    }
});
