//! What is asked of a device, the long work that follows from it, and how that ended.
//!
//! ```text
//!   Asked ── custody.rs ──► Work { epoch } ── carried out elsewhere ──► Outcome { how far the epoch came, reply }
//! ```
//!
//! It does not know which work is due, nor what an outcome means for the fence.

use std::time::Duration;

use protocol::agent::{Prepare, RELEASE_DEADLINE_MS, Release, Reply, Reset, WhepOffer};
use protocol::{ConnectionId, Epoch, LeaseId};

use crate::fence::{Mark, Stage};
use crate::fingers::PictureSize;

/// The longest that making a device ready may take, whatever control allows.
const PREPARING_MAX: Duration = Duration::from_secs(120);
/// How long a release may take: control waits a little longer before it quarantines the device.
const RELEASING_MAX: Duration = Duration::from_millis(RELEASE_DEADLINE_MS);

/// What control asks of a device under an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To be made ready.
    Prepare(Prepare),
    /// To be cut off and cleaned, with the connections that are told why.
    Release(Release, Vec<ConnectionId>),
    /// To let a viewer in.
    Offer(WhepOffer),
}

/// A long piece of work on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Making it ready.
    Prepare(Prepare),
    /// The same where nobody was let in since it was clean, as far as the fence knows: nothing is cleaned, unless the
    /// device itself says that it was used.
    Fresh(Prepare),
    /// It was prepared for this already, and is out of reach or the agent was restarted: only a picture is awaited,
    /// and nothing is cleaned under its holder.
    Resume(Prepare),
    /// The device has booted since it was prepared for this holder: the app is launched again, and nothing is cleaned.
    Return(Prepare),
    /// Cleaning it.
    Release(Release),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How far the epoch came; none if the job failed. That a device is clean counts only after a full wipe.
    pub stage: Option<Stage>,
    /// What whoever asked is told.
    pub reply: Reply,
}

impl Outcome {
    /// Its holder is shown the device, in a picture of this size.
    #[must_use]
    pub const fn shown(size: PictureSize) -> Self {
        let PictureSize { width, height } = size;
        Self {
            stage: Some(Stage::Prepared),
            reply: Reply::Prepared { width, height },
        }
    }

    /// The device was taken back.
    #[must_use]
    pub const fn released() -> Self {
        Self {
            stage: Some(Stage::Clean),
            reply: Reply::Released,
        }
    }
}

impl Work {
    /// What is cleaned by it. `used`: whether the device says by its witness that somebody was let in since it was clean;
    /// only work that the fence takes for [`Work::Fresh`] has to ask.
    #[must_use]
    pub const fn reset(&self, used: bool) -> Reset {
        match self {
            Self::Fresh(_) if used => Reset::Full,
            Self::Prepare(request) | Self::Fresh(request) => request.reset,
            Self::Release(request) => request.reset,
            Self::Resume(_) | Self::Return(_) => Reset::Keep,
        }
    }

    /// The epoch that it is done under.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Release(request) => request.epoch,
            Self::Prepare(request) | Self::Fresh(request) | Self::Resume(request) | Self::Return(request) => {
                request.epoch
            }
        }
    }

    /// How long it may take from its beginning, by a clock that does not jump. Then it has failed.
    #[must_use]
    pub fn allowed(&self) -> Duration {
        match self {
            Self::Release(_) => RELEASING_MAX,
            Self::Prepare(request) | Self::Fresh(request) | Self::Resume(request) | Self::Return(request) => {
                Duration::from_millis(request.deadline_ms).min(PREPARING_MAX)
            }
        }
    }

    /// The mark of a fence that its end has brought to `stage`.
    pub(super) fn reaches(&self, stage: Stage) -> Mark {
        let lease = match self {
            Self::Release(_) => None,
            Self::Prepare(request) | Self::Fresh(request) | Self::Resume(request) | Self::Return(request) => {
                Some(request.lease)
            }
        };
        let epoch = self.epoch();
        Mark { epoch, stage, lease }
    }

    /// Whether its end is the answer to `other` as well: both make the device ready, or both clean it and this one no
    /// less, under the same epoch.
    pub(super) fn answers(&self, other: &Self) -> bool {
        let same = match (self, other) {
            (Self::Release(this), Self::Release(other)) => {
                this.reset == other.reset || this.reset == Reset::Full
            }
            (Self::Release(_), _) | (_, Self::Release(_)) => false,
            _ => true,
        };
        same && self.epoch() == other.epoch()
    }

    /// Whether the device is as its operator made it when this has come to its end.
    pub(super) fn vouches(&self) -> bool {
        matches!(self, Self::Release(request) if request.reset == Reset::Full)
    }
}

/// Of these connections, those that a release is the end of, and that are told why.
#[must_use]
pub fn told(
    release: &Release,
    connections: impl IntoIterator<Item = (ConnectionId, Epoch)>,
) -> Vec<ConnectionId> {
    let ended = connections
        .into_iter()
        .filter(|(_, epoch)| *epoch <= release.epoch);
    ended.map(|(connection, _)| connection).collect()
}

impl Asked {
    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::Prepare(request) => request.epoch,
            Self::Release(request, _) => request.epoch,
            Self::Offer(offer) => offer.epoch,
        }
    }

    /// Who is to be let in; none where nobody is, or by a control that does not say it yet.
    pub(super) fn lease(&self) -> Option<LeaseId> {
        match self {
            Self::Prepare(request) => Some(request.lease),
            Self::Release(..) => None,
            Self::Offer(offer) => offer.lease,
        }
    }
}
