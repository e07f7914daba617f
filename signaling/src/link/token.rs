//! Join tokens: what an operator carries from control to a new host.
//!
//! ```text
//! <secret, 32 bytes, base64url>.<SHA-256 of control's CA certificate, hex>
//! ```
//!
//! The secret lets the host in, once. The hash lets the host know that it talks to the control that
//! made the token: without it, whoever sits between them could enrol the host with himself. The
//! secret is never shown by `Debug` and never logged; only control's database knows its hash.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate or key in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(TokenError);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or(TokenError)?;
            let low = char::from(pair[1]).to_digit(16).ok_or(TokenError)?;
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(hash))
    }
}

/// The text is no join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: it is 43 letters, a dot and 64 hexadecimal digits")]
pub struct TokenError;

/// A join token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    secret: String,
    authority: Fingerprint,
}

impl JoinToken {
    /// A new token for the control whose CA certificate has this fingerprint.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate(authority: Fingerprint) -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self {
            secret: URL_SAFE_NO_PAD.encode(secret),
            authority,
        })
    }

    /// The part that control checks.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The part that the agent checks.
    #[must_use]
    pub fn authority(&self) -> Fingerprint {
        self.authority
    }

    /// The text that an operator carries.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.secret, self.authority)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken(…, {})", self.authority)
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let (secret, authority) = text.trim().split_once('.').ok_or(TokenError)?;
        let bytes = URL_SAFE_NO_PAD.decode(secret).map_err(|_| TokenError)?;
        if bytes.len() != SECRET_BYTES {
            return Err(TokenError);
        }
        Ok(Self {
            secret: secret.to_owned(),
            authority: authority.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_and_hides_its_secret() {
        let token = JoinToken::generate(Fingerprint::of(b"authority")).unwrap();
        assert_eq!(format!("{}\n", token.reveal()).parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains(token.secret()));
    }

    #[test]
    fn anything_else_is_refused() {
        let good = JoinToken::generate(Fingerprint::of(b"authority"))
            .unwrap()
            .reveal();
        for bad in [
            "",
            ".",
            "a.b",
            &good[1..],
            &good[..good.len() - 1],
            &good.replace('.', "!"),
        ] {
            assert_eq!(bad.parse::<JoinToken>(), Err(TokenError), "{bad}");
        }
    }
}
