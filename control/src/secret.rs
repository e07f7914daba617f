//! Secrets that control hands out: link tokens, session tokens, binding cookies, viewer tokens.
//!
//! Each is 32 random bytes as base64url, shown once to its holder and kept only as a SHA-256 hash.
//! A plain hash is enough, because there is nothing to guess in 256 random bits; and looking a hash up
//! in an index leaks nothing about the secret by its timing. `Debug` shows none of them.
//!
//! A secret for a request with an Idempotency-Key is not random but made from the key and from the seal, which is
//! made from the key of our certificate authority and is in no database: whoever repeats the request gets the same
//! secret, and nothing that is kept gives it away.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Random bytes in a secret.
const BYTES: usize = 32;
/// Characters of a secret that are kept to tell secrets apart: 24 of 256 bits.
const HINT: usize = 4;

/// A secret that was just made.
#[derive(Clone)]
pub(crate) struct Secret(String);

/// What is kept of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hash(pub [u8; 32]);

impl Secret {
    /// A new secret.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What is kept.
    #[must_use]
    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }

    /// The last characters, for people.
    #[must_use]
    pub(crate) fn hint(&self) -> &str {
        &self.0[self.0.len() - HINT..]
    }

    /// The secret itself, to be given to its holder and nobody else.
    #[must_use]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// What secrets are made from that have to be made twice.
pub(crate) struct Seal([u8; 32]);

impl Seal {
    /// The seal that belongs to a certificate authority's key.
    #[must_use]
    pub(crate) fn of(key_pem: &str) -> Self {
        Self(digest(&[b"farglass seal 1", key_pem.as_bytes()]))
    }

    /// The secret for `purpose` and these parts.
    #[must_use]
    pub(crate) fn secret(&self, purpose: &str, parts: &[&[u8]]) -> Secret {
        Secret(URL_SAFE_NO_PAD.encode(self.bytes(purpose, parts)))
    }

    /// The id for `purpose` and these parts.
    #[must_use]
    pub(crate) fn id(&self, purpose: &str, parts: &[&[u8]]) -> Uuid {
        let mut id = [0; 16];
        id.copy_from_slice(&self.bytes(purpose, parts)[..16]);
        uuid::Builder::from_custom_bytes(id).into_uuid()
    }

    /// Hashed twice, so that nobody can go on from a secret to that of longer parts.
    fn bytes(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut all = vec![self.0.as_slice(), purpose.as_bytes()];
        all.extend(parts);
        let inner = digest(&all);
        digest(&[&self.0, &inner])
    }
}

/// The hash of parts, each with its length before it.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl Hash {
    /// The hash of bytes that somebody sent.
    #[must_use]
    pub(crate) fn of_bytes(sent: &[u8]) -> Self {
        Self(Sha256::digest(sent).into())
    }

    /// The hash of whatever somebody presents.
    #[must_use]
    pub(crate) fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_hide() {
        let (a, b) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!(a.reveal().len(), 43);
        assert!(a.reveal().ends_with(a.hint()));
        assert_eq!(Hash::of(a.reveal()), a.hash());
        assert!(!format!("{a:?}{:?}", a.hash()).contains(a.hint()));
    }

    #[test]
    fn a_seal_makes_the_same_secret_of_the_same_parts_and_no_other() {
        let (seal, other) = (Seal::of("key"), Seal::of("other key"));
        let secret = |seal: &Seal, purpose, parts: &[&[u8]]| seal.secret(purpose, parts).reveal().to_owned();
        let made = secret(&seal, "link", &[b"ab", b"c"]);
        assert_eq!(made.len(), 43);
        assert_eq!(secret(&seal, "link", &[b"ab", b"c"]), made);
        assert_ne!(secret(&seal, "link", &[b"a", b"bc"]), made);
        assert_ne!(secret(&seal, "launch", &[b"ab", b"c"]), made);
        assert_ne!(secret(&other, "link", &[b"ab", b"c"]), made);
        assert_ne!(seal.id("link", &[b"ab"]), seal.id("link", &[b"c"]));
    }
}
