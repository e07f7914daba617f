//! The hosts that a device knows by their keys, and what it does about a new one. Does not know AUTH or TLS.
//!
//! ```text
//!   offered key ──► known? ──► in
//!                     └─ no ─► NewKeys::Accept: in, and known from now on ("always allow from this computer")
//!                              NewKeys::Refuse: out
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::{PublicKey, Token};

/// Keys that a device remembers. Reached: the oldest is forgotten, and its host has to ask again.
pub const MAX_KNOWN: usize = 64;

/// What to do with a key that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKeys {
    /// Let its host in and remember it, as a person who confirms does.
    Accept,
    /// Turn its host away.
    Refuse,
}

/// A device's known keys; cheap to clone, all clones are one.
#[derive(Debug, Clone)]
pub struct KnownKeys {
    keys: Arc<Mutex<Vec<PublicKey>>>,
    new: NewKeys,
}

impl KnownKeys {
    /// These keys, and this policy for others.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>, new: NewKeys) -> Self {
        Self {
            keys: Arc::new(Mutex::new(keys)),
            new,
        }
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<PublicKey> {
        self.lock().clone()
    }

    /// Adds a key, as a person does who copies it onto the device.
    pub fn remember(&self, key: &PublicKey) {
        let mut keys = self.lock();
        if keys.contains(key) {
            return;
        }
        if keys.len() >= MAX_KNOWN {
            keys.remove(0);
        }
        keys.push(key.clone());
    }

    /// Whether one of them made `signature` over `token`.
    pub(crate) fn verify(&self, token: &Token, signature: &[u8]) -> bool {
        self.all().iter().any(|key| key.verifies(token, signature))
    }

    /// Whether the host with this key may come in; a new one is remembered then.
    pub(crate) fn admit(&self, key: &PublicKey) -> bool {
        match self.new {
            NewKeys::Accept => {
                self.remember(key);
                true
            }
            NewKeys::Refuse => self.lock().contains(key),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PublicKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_key_is_forgotten_when_there_are_too_many() {
        // Keys without owners, of moduli that are good for nothing else.
        let key = |n: usize| {
            let mut blob = vec![0; 524];
            (blob[0], blob[8], blob[263]) = (64, 1, 0x80);
            blob[16] = u8::try_from(n).unwrap();
            blob[520..].copy_from_slice(&65537u32.to_le_bytes());
            let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, blob);
            PublicKey::parse(text.as_bytes()).unwrap()
        };
        let known = KnownKeys::new(vec![key(0)], NewKeys::Accept);
        for n in 0..=MAX_KNOWN {
            assert!(known.admit(&key(n)));
        }
        let all = known.all();
        assert_eq!(all.len(), MAX_KNOWN);
        assert_eq!((&all[0], &all[MAX_KNOWN - 1]), (&key(1), &key(MAX_KNOWN)));
    }
}
