//! Keys against bytes that other programs made: the public key by Debian's `adb keygen`, the signature by OpenSSL
//! with the private half, which is nowhere any more.
//!
//! Our own reading and writing agreeing with each other would prove little: a device compares bytes.

use super::*;

const PUBLIC: &str = include_str!("vectors/adbkey.pub");
const SIGNATURE: &str = include_str!("vectors/signature.base64");
const FINGERPRINT: &str = "4158F177ECFF7B2C8E374BF5CB25C4C2171DAAE429A63E0774A80C1D57440BF0";

/// What was signed: 1, 2, … 20.
fn token() -> Token {
    std::array::from_fn(|at| u8::try_from(at + 1).unwrap())
}

#[test]
fn a_public_key_of_stock_adb_is_read_and_written_to_the_byte() {
    let key = PublicKey::parse(PUBLIC.as_bytes()).unwrap();
    assert_eq!(key.name(), "@unknown");
    assert_eq!(key.to_string(), PUBLIC.trim_end());
    assert_eq!(hex(&key.fingerprint()), FINGERPRINT);
    let on_the_wire = PublicKey::parse(format!("{}\0", PUBLIC.trim_end()).as_bytes()).unwrap();
    assert_eq!(on_the_wire, key);
    assert_eq!(PublicKey::from_spki(&key.spki).unwrap(), key);
}

#[test]
fn a_signature_of_openssl_verifies_and_no_other_does() {
    let key = PublicKey::parse(PUBLIC.as_bytes()).unwrap();
    let signature = STANDARD.decode(SIGNATURE.trim()).unwrap();
    assert!(key.verifies(&token(), &signature));
    let mut other = token();
    other[19] ^= 1;
    assert!(!key.verifies(&other, &signature));
    let mut bent = signature.clone();
    bent[100] ^= 1;
    assert!(!key.verifies(&token(), &bent));
    assert!(!key.verifies(&token(), &signature[1..]));
    assert!(!key.verifies(&token(), b""));
}

#[test]
fn a_new_key_signs_what_its_public_half_verifies_and_survives_its_file() {
    let key = Key::generate("test@farglass").unwrap();
    let again = Key::from_pem(&key.to_pem().unwrap(), "test@farglass").unwrap();
    assert_eq!(again.public(), key.public());
    let told = PublicKey::parse(key.public().to_string().as_bytes()).unwrap();
    assert_eq!((&told, told.name()), (key.public(), "test@farglass"));
    let signature = again.sign(&token()).unwrap();
    assert_eq!(signature.len(), MODULUS_LEN);
    assert!(told.verifies(&token(), &signature));
    assert!(!format!("{key:?}").contains("PRIVATE"));
}

#[test]
fn what_is_no_key_is_refused() {
    let refused = |text: &str| PublicKey::parse(text.as_bytes()).unwrap_err();
    assert_eq!(refused(""), KeyError::NotPublicKey);
    assert_eq!(refused("QAAA name"), KeyError::NotPublicKey);
    assert_eq!(PublicKey::parse(b"\xff").unwrap_err(), KeyError::NotPublicKey);
    let blob = PublicKey::parse(PUBLIC.as_bytes()).unwrap().to_blob();
    let with = |at: usize, byte: u8| {
        let mut blob = blob.clone();
        blob[at] = byte;
        refused(&STANDARD.encode(blob))
    };
    assert_eq!(with(0, 63), KeyError::OtherKind);
    assert_eq!(with(BLOB_LEN - 4, 3), KeyError::OtherKind);
    assert_eq!(with(8, 2), KeyError::OtherKind, "an even modulus");
    assert_eq!(
        with(8 + MODULUS_LEN - 1, 0),
        KeyError::OtherKind,
        "a shorter modulus"
    );
    assert_eq!(Key::from_pem("-----BEGIN", "").unwrap_err(), KeyError::NotPem);
}
