//! A device as control sees it: three independent axes, and the values that people are shown.
//!
//! ```text
//! lifecycle  booting · ready · gone           what it is doing
//! health     healthy · degraded · offline     how well
//! occupancy  free → reserved → leased → wiping → free | quarantined      who has it
//! ```
//!
//! `idle`, `busy` and `offline` are derived, never kept.

use protocol::agent::DeviceHealth;
use protocol::{DeviceId, Epoch, HostId, LeaseId, SessionId};

use super::labels::Labels;
use super::lease::{self, Left};
use super::time::UnixMs;

/// A device as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Where it runs.
    pub host: HostId,
    /// For people.
    pub name: String,
    /// Its serial number.
    pub serial: String,
    /// Its model; empty while unknown.
    pub model: String,
    /// Pixels; 0 while unknown.
    pub width: u16,
    /// Pixels; 0 while unknown.
    pub height: u16,
    /// What it is doing.
    pub lifecycle: Lifecycle,
    /// How well.
    pub health: Health,
    /// Who has it.
    pub occupancy: Occupancy,
    /// Its newest epoch.
    pub epoch: Epoch,
    /// When its agent last spoke of it.
    pub seen_at: UnixMs,
    /// The live lease, if there is one.
    pub lease: Option<LeaseId>,
    /// The live lease's session.
    pub session: Option<SessionId>,
    /// What its agent's config says about it.
    pub told_labels: Labels,
    /// What an admin says about it.
    pub own_labels: Labels,
    /// Why it is quarantined, and since when, while it is.
    pub quarantine: Option<(Soiled, UnixMs)>,
}

/// The derived state that people are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// May be claimed.
    Idle,
    /// Somebody has it, or it is being cleaned or looked at.
    Busy,
    /// Cannot be reached.
    Offline,
}

impl Status {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Offline => "offline",
        }
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The name in the database and in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Reads the name; none when it is no such name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

named! {
    /// What a device is doing.
    Lifecycle {
        /// Not yet answering.
        Booting = "booting",
        /// Answering.
        Ready = "ready",
        /// Its host no longer has it.
        Gone = "gone",
    }
}

named! {
    /// How well a device does.
    Health {
        /// As promised.
        Healthy = "healthy",
        /// Below its promise.
        Degraded = "degraded",
        /// Out of reach.
        Offline = "offline",
    }
}

named! {
    /// Who has a device.
    Occupancy {
        /// Nobody.
        Free = "free",
        /// A holder whose device is being made ready.
        Reserved = "reserved",
        /// A holder.
        Leased = "leased",
        /// Nobody any more; it is being cleaned.
        Wiping = "wiping",
        /// Nobody; it is not known to be clean.
        Quarantined = "quarantined",
    }
}

named! {
    /// Why a device is quarantined.
    Soiled {
        /// Its agent said that it could not clean it.
        NotCleaned = "not_cleaned",
        /// Its agent did not say in time that it cleaned it.
        NoAnswer = "no_answer",
        /// It was cleaned for an older epoch than its newest.
        Overtaken = "overtaken",
        /// Its agent's fence is above what we remember: somebody whom we forgot may have been on it.
        Forgotten = "forgotten",
        /// Its cleaning was cut short by a restart of control. Older versions left it at that.
        Interrupted = "interrupted",
    }
}

/// An operator's order that a quarantined device be cleaned. It stands until the device is free or quarantined again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// The device.
    pub device: DeviceId,
    /// Its host.
    pub host: HostId,
    /// What it is cleaned for.
    pub epoch: Epoch,
}

impl Device {
    /// What selectors see.
    #[must_use]
    pub fn labels(&self) -> Labels {
        self.told_labels.overlaid(&self.own_labels)
    }

    /// What people are shown.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.health == Health::Offline || self.lifecycle != Lifecycle::Ready {
            Status::Offline
        } else if self.occupancy == Occupancy::Free {
            Status::Idle
        } else {
            Status::Busy
        }
    }
}

/// The axes behind an agent's word.
#[must_use]
pub const fn axes(health: DeviceHealth) -> (Lifecycle, Health) {
    match health {
        DeviceHealth::Booting => (Lifecycle::Booting, Health::Offline),
        DeviceHealth::Healthy => (Lifecycle::Ready, Health::Healthy),
        DeviceHealth::Degraded => (Lifecycle::Ready, Health::Degraded),
        DeviceHealth::Offline => (Lifecycle::Ready, Health::Offline),
    }
}

/// Who has a device whose lease stands like this.
#[must_use]
pub const fn occupancy(lease: lease::State) -> Occupancy {
    match lease {
        lease::State::Preparing { .. } => Occupancy::Reserved,
        lease::State::Active | lease::State::Grace { .. } => Occupancy::Leased,
        lease::State::Releasing { .. } => Occupancy::Wiping,
        lease::State::Released {
            left: Left::Clean, ..
        } => Occupancy::Free,
        lease::State::Released {
            left: Left::Quarantined,
            ..
        } => Occupancy::Quarantined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn device(lifecycle: Lifecycle, health: Health, occupancy: Occupancy) -> Device {
        Device {
            id: DeviceId::from_uuid(Uuid::nil()),
            host: HostId::from_uuid(Uuid::nil()),
            name: String::new(),
            serial: String::new(),
            model: String::new(),
            width: 0,
            height: 0,
            lifecycle,
            health,
            occupancy,
            epoch: Epoch(1),
            seen_at: UnixMs(0),
            lease: None,
            session: None,
            told_labels: Labels::default(),
            own_labels: Labels::default(),
            quarantine: None,
        }
    }

    #[test]
    fn only_a_device_that_answers_and_is_within_reach_is_idle_or_busy() {
        let status = |lifecycle, health, occupancy| device(lifecycle, health, occupancy).status();
        for health in [Health::Healthy, Health::Degraded] {
            assert_eq!(status(Lifecycle::Ready, health, Occupancy::Free), Status::Idle);
            for taken in [
                Occupancy::Reserved,
                Occupancy::Leased,
                Occupancy::Wiping,
                Occupancy::Quarantined,
            ] {
                assert_eq!(status(Lifecycle::Ready, health, taken), Status::Busy);
            }
            assert_eq!(
                status(Lifecycle::Booting, health, Occupancy::Free),
                Status::Offline
            );
            assert_eq!(
                status(Lifecycle::Gone, health, Occupancy::Leased),
                Status::Offline
            );
        }
        let away = status(Lifecycle::Ready, Health::Offline, Occupancy::Free);
        assert_eq!(away, Status::Offline);
    }

    #[test]
    fn a_device_that_does_worse_than_promised_may_be_used_and_one_that_boots_may_not() {
        let status = |health| {
            let (lifecycle, health) = axes(health);
            device(lifecycle, health, Occupancy::Free).status()
        };
        assert_eq!(status(DeviceHealth::Healthy), Status::Idle);
        assert_eq!(status(DeviceHealth::Degraded), Status::Idle);
        assert_eq!(status(DeviceHealth::Booting), Status::Offline);
        assert_eq!(status(DeviceHealth::Offline), Status::Offline);
        assert_eq!(axes(DeviceHealth::Degraded).1, Health::Degraded);
    }
}
