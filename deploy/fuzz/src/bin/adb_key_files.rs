//! Files of keys that somebody gave us: the first byte picks a private key (PEM), or public keys as Android lists them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    use adb::key::{Key, PublicKey};
    let Some((pick, rest)) = bytes.split_first() else {
        return;
    };
    match pick % 2 {
        0 => {
            let _ = Key::from_pem(&String::from_utf8_lossy(rest), "a@b");
        }
        _ => {
            for line in rest.split(|byte| *byte == b'\n') {
                let _ = PublicKey::parse(line);
            }
        }
    }
});
