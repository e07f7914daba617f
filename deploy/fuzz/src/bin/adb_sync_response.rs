//! Answers of sync, as a host reads them; the first byte picks what was asked for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use adb::sync::{Listing, ResponseParser};
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    let listing = [Listing::No, Listing::V1, Listing::V2][usize::from(pick % 3)];
    let (head, tail) = rest.split_at(rest.len() / 2);
    let mut parser = ResponseParser::new(listing);
    for piece in [head, tail] {
        parser.push(piece);
        while let Ok(Some(_)) = parser.next_response() {}
    }
});
