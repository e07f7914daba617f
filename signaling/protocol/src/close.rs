//! Why a connection ended: one list for the wire, the metrics, the audit and the pages.

use serde::{Deserialize, Serialize};

use crate::WireError;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a connection ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum CloseReason { $($(#[$doc])* $name,)* }

        impl CloseReason {
            /// Every reason, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The byte on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// The name in JSON, logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl TryFrom<u8> for CloseReason {
            type Error = WireError;

            fn try_from(code: u8) -> Result<Self, WireError> {
                match code { $($code => Ok(Self::$name),)* _ => Err(WireError::BadValue("close reason")) }
            }
        }
    };
}

reasons! {
    /// The viewer said goodbye or its page was closed.
    ClientLeft = 1, "client_left";
    /// The same holder opened the session in a newer page.
    Replaced = 2, "replaced";
    /// An operator closed this connection.
    Kicked = 3, "kicked";
    /// The link was revoked.
    LinkRevoked = 4, "link_revoked";
    /// The link's time is over.
    LinkExpired = 5, "link_expired";
    /// The lease ended in an orderly way.
    LeaseEnded = 6, "lease_ended";
    /// Nobody touched the device for the idle time.
    Idle = 7, "idle";
    /// The session reached its greatest length.
    MaxDuration = 8, "max_duration";
    /// ICE found no way to the viewer, or lost it.
    IceFailed = 9, "ice_failed";
    /// The DTLS handshake failed or its certificate was not the one in the offer.
    DtlsFailed = 10, "dtls_failed";
    /// The device stopped delivering pictures and did not recover.
    MediaStalled = 11, "media_stalled";
    /// The device's host is gone.
    HostLost = 12, "host_lost";
    /// The agent is shutting down.
    ServerShutdown = 13, "server_shutdown";
    /// A limit of the link or the host was reached.
    Quota = 14, "quota";
    /// The viewer broke the protocol.
    Protocol = 15, "protocol";
    /// Preparing the device failed.
    SetupFailed = 16, "setup_failed";
    /// A defect on our side.
    Error = 17, "error";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_code_and_its_name_in_json() {
        for reason in CloseReason::ALL {
            assert_eq!(CloseReason::try_from(reason.code()), Ok(*reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert!(CloseReason::try_from(0).is_err());
    }
}
