//! A host's public key in AUTH, as a device reads it before it knows the host.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = adb::key::PublicKey::parse(bytes) {
        let again = adb::key::PublicKey::parse(key.to_string().as_bytes()).expect("our own text is a key");
        assert_eq!(again, key, "our own text is the same key");
        assert_eq!(again.to_blob(), key.to_blob());
    }
});
