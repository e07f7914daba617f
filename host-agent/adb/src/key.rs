//! An adb key: RSA-2048, by which a device knows a host, in adb's own formats. Values only; `key_file` has the disk.
//!
//! ```text
//!   private   PEM, "PRIVATE KEY" (PKCS #8; "RSA PRIVATE KEY" is read too)
//!   public    base64 of 524 bytes, a space, user@host (and a NUL on the wire):
//!             0         4        8               264         520        524
//!            ┌─────────┬────────┬───────────────┬───────────┬──────────┐
//!            │ 64 u32  │ n0inv  │ modulus n     │ rr        │ e = 65537│   all little-endian
//!            └─────────┴────────┴───────────────┴───────────┴──────────┘
//!             words     −n⁻¹ mod 2³²             2⁴⁰⁹⁶ mod n
//!   signature PKCS #1 v1.5 over the token as if it were a SHA-1 digest
//! ```
//!
//! n0inv and rr can be had from n, and like Android's own reader this one does not look at those of the peer.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};

use self::random::SystemRandom;

mod random;

/// Bytes of the token that a device lets a host sign.
pub const TOKEN_LEN: usize = 20;
/// What a device lets a host sign.
pub type Token = [u8; TOKEN_LEN];
/// SHA-256 of a key's DER SubjectPublicKeyInfo: how TLS names a key.
pub type Fingerprint = [u8; 32];

const BITS: usize = 2048;
const MODULUS_LEN: usize = BITS / 8;
const WORDS: usize = MODULUS_LEN / 4;
const BLOB_LEN: usize = 4 + 4 + MODULUS_LEN + MODULUS_LEN + 4;
const EXPONENT: u32 = 65537;
/// The DER of DigestInfo before a SHA-1 digest (RFC 8017, 9.2).
const SHA1_PREFIX: [u8; 15] = *b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a private key in PEM.
    #[error("not an RSA private key in PEM")]
    NotPem,
    /// Not a public key as adb writes it.
    #[error("not an adb public key")]
    NotPublicKey,
    /// adb's keys have 2048 bits and the exponent 65537.
    #[error("an adb key is RSA-2048 with exponent 65537")]
    OtherKind,
    /// The computation itself failed: the parts of the key contradict each other.
    #[error("the key cannot be used: {0}")]
    Unusable(String),
}

/// A host's (or, for TLS, a device's) own key. Cheap to clone.
#[derive(Clone)]
pub struct Key {
    private: Arc<RsaPrivateKey>,
    public: PublicKey,
}

impl Key {
    /// A new key of this owner, by custom `user@host`. Takes the processor for a second or so: call it where
    /// that does not matter.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] when no key could be made.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let private = RsaPrivateKey::new(&mut SystemRandom, BITS).map_err(unusable)?;
        Self::new(private, name)
    }

    /// Reads a private key; `name` is its owner, which the PEM does not tell.
    ///
    /// # Errors
    /// [`KeyError`] when it is none that adb could use.
    pub fn from_pem(pem: &str, name: &str) -> Result<Self, KeyError> {
        let private = RsaPrivateKey::from_pkcs8_pem(pem)
            .or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem))
            .map_err(|_| KeyError::NotPem)?;
        Self::new(private, name)
    }

    fn new(private: RsaPrivateKey, name: &str) -> Result<Self, KeyError> {
        let public = PublicKey::new(private.to_public_key(), name)?;
        Ok(Self {
            private: Arc::new(private),
            public,
        })
    }

    /// The private key as adb keeps it in a file.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] when it cannot be written as PKCS #8.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self.private.to_pkcs8_pem(LineEnding::LF).map_err(unusable)?;
        Ok(pem.to_string())
    }

    /// The private key as DER of PKCS #8, for TLS.
    pub(crate) fn to_pkcs8(&self) -> Result<Vec<u8>, KeyError> {
        let der = self.private.to_pkcs8_der().map_err(unusable)?;
        Ok(der.as_bytes().to_vec())
    }

    /// Signs a device's token.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] when the parts of the key contradict each other.
    pub fn sign(&self, token: &Token) -> Result<Vec<u8>, KeyError> {
        // With randomness the computation is blinded, so that its time tells a device nothing about the key.
        let signed = self
            .private
            .sign_with_rng(&mut SystemRandom, sha1_scheme(), token);
        signed.map_err(unusable)
    }

    /// The half that devices may know.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.public).finish()
    }
}

/// A host's public key. Two are equal when they are the same key, whatever their owners are called.
#[derive(Clone)]
pub struct PublicKey {
    rsa: RsaPublicKey,
    spki: Vec<u8>,
    name: String,
}

impl PublicKey {
    /// Reads a public key as adb writes it, in a file or in AUTH.
    ///
    /// # Errors
    /// [`KeyError`] when it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NotPublicKey)?;
        let text = text.trim_end_matches('\0').trim();
        let (blob, name) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let blob = STANDARD.decode(blob).map_err(|_| KeyError::NotPublicKey)?;
        let blob: &[u8; BLOB_LEN] = blob.as_slice().try_into().map_err(|_| KeyError::NotPublicKey)?;
        let word = |at: usize| u32::from_le_bytes([blob[at], blob[at + 1], blob[at + 2], blob[at + 3]]);
        if word(0) as usize != WORDS || word(BLOB_LEN - 4) != EXPONENT {
            return Err(KeyError::OtherKind);
        }
        let modulus: Vec<u8> = blob[8..8 + MODULUS_LEN].iter().rev().copied().collect();
        let modulus = BoxedUint::from_be_slice(&modulus, 2048).map_err(unusable)?;
        // An even modulus is no product of two primes, and is refused by the constructor.
        let rsa = RsaPublicKey::new(modulus, BoxedUint::from(EXPONENT)).map_err(|_| KeyError::OtherKind)?;
        Self::new(rsa, name.trim())
    }

    /// Reads the key of a certificate.
    pub(crate) fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let rsa = RsaPublicKey::from_public_key_der(spki).map_err(|_| KeyError::NotPublicKey)?;
        Self::new(rsa, "")
    }

    fn new(rsa: RsaPublicKey, name: &str) -> Result<Self, KeyError> {
        if rsa.n_bytes().len() != MODULUS_LEN || *rsa.e_bytes() != EXPONENT.to_be_bytes()[1..] {
            return Err(KeyError::OtherKind);
        }
        let spki = rsa.to_public_key_der().map_err(unusable)?.as_bytes().to_vec();
        // A name with a line feed or a NUL would not survive its own format.
        let name = name.replace(|c: char| c.is_control(), "_");
        Ok(Self { rsa, spki, name })
    }

    /// Its owner, as told by the key itself: nothing to rely on.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `signature` over `token` was made with this key.
    #[must_use]
    pub fn verifies(&self, token: &Token, signature: &[u8]) -> bool {
        self.rsa.verify(sha1_scheme(), token, signature).is_ok()
    }

    /// How TLS names it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Sha256::digest(&self.spki).into()
    }

    /// The 524 bytes that adb's text encodes.
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let mut modulus = [0; WORDS];
        for (word, bytes) in modulus.iter_mut().zip(self.rsa.n_bytes().rchunks(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        let mut words = vec![WORDS as u32, negative_inverse(modulus[0])];
        words.extend(modulus);
        words.extend(montgomery_square(&modulus));
        words.push(EXPONENT);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// For fuzzing: any bytes as the key of a certificate.
#[doc(hidden)]
pub fn fuzz_spki(bytes: &[u8]) {
    if let Ok(key) = PublicKey::from_spki(bytes) {
        let again = PublicKey::from_spki(&key.spki).expect("our own DER is a key");
        assert_eq!(again.fingerprint(), key.fingerprint());
        let text = PublicKey::parse(key.to_string().as_bytes()).expect("our own text is a key");
        assert_eq!(text, key, "the same key in adb's own form");
    }
}

impl fmt::Display for PublicKey {
    /// As in `adbkey.pub`, without the line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", STANDARD.encode(self.to_blob()), self.name)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {:?})", hex(&self.fingerprint()), self.name)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

/// Upper-case hexadecimal digits, as adb writes fingerprints.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn sha1_scheme() -> Pkcs1v15Sign {
    Pkcs1v15Sign {
        hash_len: Some(TOKEN_LEN),
        prefix: Box::new(SHA1_PREFIX),
    }
}

fn unusable(error: impl fmt::Display) -> KeyError {
    KeyError::Unusable(error.to_string())
}

/// −n⁻¹ mod 2³² of an odd number, by Newton's iteration: each step doubles the bits that are right, from 3 to 32.
fn negative_inverse(n: u32) -> u32 {
    let mut inverse = n;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// 2⁴⁰⁹⁶ mod n by doubling; words from the lowest. Only public numbers: its time may tell them.
fn montgomery_square(n: &[u32; WORDS]) -> [u32; WORDS] {
    let mut r = [0; WORDS];
    r[0] = 1;
    for _ in 0..2 * BITS {
        let overflows = r[WORDS - 1] >> 31 == 1;
        let mut carry = 0;
        for word in &mut r {
            (*word, carry) = (*word << 1 | carry, *word >> 31);
        }
        if overflows || r.iter().rev().ge(n.iter().rev()) {
            let mut borrow = false;
            for (word, &subtracted) in r.iter_mut().zip(n) {
                let (difference, first) = word.overflowing_sub(subtracted);
                let (difference, second) = difference.overflowing_sub(u32::from(borrow));
                (*word, borrow) = (difference, first || second);
            }
        }
    }
    r
}

#[cfg(test)]
mod tests;
