//! The operating system's randomness, as the RSA library wants to be given it.
//!
//! The library takes a source of its own trait; these few lines hand the system's bytes through. Keys are made with it.
//! It keeps no state and no pool, so there is nothing to seed and nothing that two processes could share.

use std::convert::Infallible;

use rsa::rand_core::{TryCryptoRng, TryRng};

pub(super) struct SystemRandom;

impl TryRng for SystemRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        // Fails only on a system without any source of randomness, on which no key should be made.
        getrandom::fill(bytes).expect("the operating system gives random bytes");
        Ok(())
    }
}

impl TryCryptoRng for SystemRandom {}
