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

    /// Whether one of them made `signature` over `token`.
    pub(crate) fn verify(&self, token: &Token, signature: &[u8]) -> bool {
        self.all().iter().any(|key| key.verifies(token, signature))
    }

    /// Whether the host with this key may come in; a new one is remembered then.
    pub(crate) fn admit(&self, key: &PublicKey) -> bool {
        let mut keys = self.lock();
        if keys.contains(key) {
            return true;
        }
        if self.new == NewKeys::Refuse {
            return false;
        }
        if keys.len() >= MAX_KNOWN {
            keys.remove(0);
        }
        keys.push(key.clone());
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PublicKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
