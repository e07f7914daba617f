//! What control is told when something is not done: which of its codes each of our errors becomes, on one page.
//!
//! ```text
//!   fence     stale, taken ► STALE_EPOCH               offer, patch   too many ► BUSY · bad text ► BAD_SDP
//!   effects   over ► STALE_EPOCH · away, not filmed ► DEVICE_OFFLINE · anything else of a device ► SETUP_FAILED
//!   all       what control can do nothing about ► INTERNAL, with our own words beside it
//! ```
//!
//! The code decides what control does (try again, give up, tell a person), the words are for its log. It does not know
//! how control acts on a code, nor who asked.

use gateway::{OfferError, PatchError};
use protocol::agent::RefusalCode;

use crate::asker::Asker;
use crate::effects::EffectError;
use crate::fence::FenceError;

/// Tells who asked what the fence said.
pub(crate) fn refuse(asker: Asker, error: &FenceError) {
    asker.refuse(fence_refusal(error), error);
}

/// What the fence said.
pub(crate) fn fence_refusal(error: &FenceError) -> RefusalCode {
    match error {
        FenceError::Stale { .. } | FenceError::Taken(_) => RefusalCode::StaleEpoch,
        _ => RefusalCode::Internal,
    }
}

/// Why the gateway gave no answer.
pub(crate) fn offer_refusal(error: &OfferError) -> RefusalCode {
    use OfferError as E;
    match error {
        E::TooLarge { .. } | E::Malformed(_) => RefusalCode::BadSdp,
        E::CodecUnsupported => RefusalCode::CodecUnsupported,
        E::TooManyViewers { .. } | E::Busy => RefusalCode::Busy,
        E::Fenced { .. } => RefusalCode::StaleEpoch,
        _ => RefusalCode::Internal,
    }
}

/// Why the gateway did not take a fragment.
pub(crate) fn patch_refusal(error: &PatchError) -> RefusalCode {
    use PatchError as E;
    match error {
        E::UnknownConnection(_) => RefusalCode::ConnectionNotFound,
        E::TooLarge { .. } | E::OtherSession => RefusalCode::BadSdp,
        E::Busy => RefusalCode::Busy,
        _ => RefusalCode::Internal,
    }
}

/// Why a job failed.
pub(crate) fn effect_refusal(error: &EffectError) -> RefusalCode {
    match error {
        EffectError::Over(_) => RefusalCode::StaleEpoch,
        EffectError::Away | EffectError::NotFilmed(_) => RefusalCode::DeviceOffline,
        EffectError::Failed { .. }
        | EffectError::Late(_)
        | EffectError::Left(_)
        | EffectError::NoBaseline => RefusalCode::SetupFailed,
    }
}
