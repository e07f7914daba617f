//! Duties: what the rows ask of this process, and which of it is being done.
//!
//! ```text
//!   a lease is preparing ──► Prepare ─┐
//!   a lease is releasing ──► Release ─┼─► taken up, once at a time ─► done, given up, panicked: laid down
//!   a device is wiping, no lease ► Reset ─┤                                  the row still asks? the sweep starts again
//!   quarantined, fence below ───► CutOff ─┘
//! ```
//!
//! A row asks for as long as it stands like that, whoever was told of its change. So a job need not be told of: what
//! starts it at once (a claim, a revocation, a Hello, another control's notice) is haste, and the sweep is what makes it
//! happen. It does not know what is done.

use dashmap::DashMap;
use protocol::{DeviceId, Epoch, LeaseId};

use crate::app::{App, Shared};
use crate::store::live::Owing;

/// What a row asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Duty {
    /// That a holder's device is made ready.
    Prepare(LeaseId),
    /// That a holder's device is cut off and cleaned.
    Release(LeaseId),
    /// That a quarantined device is cleaned for this epoch.
    Reset(DeviceId, Epoch),
    /// That whoever is on a quarantined device is cut off for this epoch.
    CutOff(DeviceId, Epoch),
}

impl Duty {
    /// What a lease asks for.
    pub(crate) const fn of(owing: &Owing) -> Self {
        if owing.is_releasing {
            Self::Release(owing.lease)
        } else {
            Self::Prepare(owing.lease)
        }
    }
}

/// The duties that are being done: no more than there are live leases and devices.
#[derive(Debug, Default)]
pub(crate) struct Duties(DashMap<Duty, ()>);

impl Duties {
    /// Takes a duty up. False when somebody is at it.
    pub(crate) fn take_up(&self, duty: Duty) -> bool {
        self.0.insert(duty, ()).is_none()
    }

    /// Lays a duty down.
    pub(crate) fn lay_down(&self, duty: Duty) {
        self.0.remove(&duty);
    }

    /// Whether somebody is at it.
    pub(crate) fn is_at(&self, duty: Duty) -> bool {
        self.0.contains_key(&duty)
    }
}

/// A duty that was taken up. It is laid down when this is dropped, however its job ends.
pub(crate) struct Taken {
    app: Shared,
    duty: Duty,
}

impl App {
    /// Takes a duty up, unless somebody is at it.
    pub(crate) fn take_up(self: &Shared, duty: Duty) -> Option<Taken> {
        self.duties.take_up(duty).then(|| Taken {
            app: self.clone(),
            duty,
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.app.duties.lay_down(self.duty);
    }
}
