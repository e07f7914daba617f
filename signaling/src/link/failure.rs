//! Why an agent has no link to control, sorted by what its driver does about it.
//!
//! ```text
//!   final     somebody has to act: the agent ends
//!   away      nobody answers: dialled again soon
//!   the rest  control answers, and it does not work: dialled again ever later (`pace.rs`)
//! ```
//!
//! It neither dials nor waits.

use protocol::agent::{Refusal, RefusalCode};

use super::codec::CodecError;
use super::identity::IdentityError;
use super::server::close_code;
use super::tls::TlsError;

/// Why the driver gave up. Everything else is retried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Neither certificate nor token.
    #[error(
        "this host is not enrolled with the control at {control}: make a join token there and start the agent with it"
    )]
    NotEnrolled {
        /// Where control is.
        control: String,
    },
    /// Control does not want this host, or not this token.
    #[error("control refused this host: {}", .0.detail)]
    Refused(Refusal),
    /// The identity's folder.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The link broke or could not be made, and control had a part in it. Retried ever later.
    #[error("{0}")]
    Network(String),
    /// Nobody answers, or not any more: control is down, starting, or cut off. Retried soon.
    #[error("{0}")]
    Away(String),
}

impl ClientError {
    /// Whether trying again cannot help.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                matches!(refusal.code, RefusalCode::Unauthorised | RefusalCode::Version)
            }
            Self::Network(_) | Self::Away(_) => false,
            Self::NotEnrolled { .. } | Self::Identity(_) | Self::Tls(_) => true,
        }
    }

    /// Whether it says nothing about us: control, or the database behind it, is not there now.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Away(_) => true,
            Self::Refused(refusal) => refusal.code == RefusalCode::Internal,
            _ => false,
        }
    }

    pub(super) fn nobody_listens() -> Self {
        Self::Away("nobody listens there".to_owned())
    }
}

impl From<CodecError> for ClientError {
    fn from(error: CodecError) -> Self {
        Self::Network(error.to_string())
    }
}

impl From<quinn::ConnectionError> for ClientError {
    fn from(error: quinn::ConnectionError) -> Self {
        use quinn::ConnectionError::{ApplicationClosed, Reset, TimedOut};
        match &error {
            Reset | TimedOut => Self::Away(error.to_string()),
            ApplicationClosed(close) if close.error_code == close_code::STOPPING.into() => {
                Self::Away("control stops".to_owned())
            }
            _ => Self::Network(error.to_string()),
        }
    }
}
