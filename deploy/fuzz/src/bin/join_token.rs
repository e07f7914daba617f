//! A join token, as an agent reads it from a file and control from the wire.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use signaling::link::token::JoinToken;
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(token) = text.parse::<JoinToken>()
    {
        assert!(
            token
                .reveal()
                .parse::<JoinToken>()
                .is_ok_and(|again| again == token)
        );
    }
});
