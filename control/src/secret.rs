//! Secrets that control hands out: link tokens, session tokens, binding cookies, viewer tokens.
//!
//! Each is 32 random bytes as base64url, shown once to its holder and kept only as a SHA-256 hash.
//! A plain hash is enough, because there is nothing to guess in 256 random bits; and looking a hash up
//! in an index leaks nothing about the secret by its timing. `Debug` shows none of them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Random bytes in a secret.
const BYTES: usize = 32;
/// Characters of a secret that are kept to tell secrets apart: 24 of 256 bits.
const HINT: usize = 4;

/// A secret that was just made.
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

impl Hash {
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
}
