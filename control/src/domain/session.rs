//! A session: what a person sees of a lease, from the first second to the last.
//!
//! ```text
//! stage     reset ─► launch ─► connect ─► ready ─► ended
//! progress  0……30    30……60    60……95     100      100
//! ```
//!
//! The stages before `ready` come from the agent's own progress; nothing is invented to fill time. A
//! stage never goes back while a device is prepared.

use std::time::Duration;

use protocol::agent::{App, DeviceHealth, Progress, Stage as AgentStage};
use protocol::{CloseReason, DeviceId, Epoch, HostId, LeaseId, SessionId};

use super::device::Health;
use super::lease;
use super::link::Link;

/// A session with everything around it, as the store reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id; opens nothing without the cookie.
    pub id: SessionId,
    /// Its lease.
    pub lease: LeaseId,
    /// Where the lease stands.
    pub state: lease::State,
    /// The lease's epoch.
    pub epoch: Epoch,
    /// The epoch that the release carries, once there is one.
    pub release_epoch: Option<Epoch>,
    /// Hash of the cookie of the browser that holds it.
    pub binding: [u8; 32],
    /// The link that it came from.
    pub link: Link,
    /// How much of its greatest length was counted when it was last noted.
    pub spent: Duration,
    /// Viewers who only watch, also those who are still connecting.
    pub observers: u32,
    /// The device.
    pub device: DeviceId,
    /// The device's host.
    pub host: HostId,
    /// How well the device does.
    pub health: Health,
    /// The device's name.
    pub device_name: String,
    /// Pixels; 0 while unknown.
    pub width: u16,
    /// Pixels; 0 while unknown.
    pub height: u16,
}

impl Session {
    /// Whether it belongs to the browser whose cookie has this hash.
    #[must_use]
    pub fn is_bound_to(&self, cookie: [u8; 32]) -> bool {
        self.binding == cookie
    }

    /// The app that runs.
    #[must_use]
    pub fn app(&self) -> Option<&App> {
        self.link.app.as_ref()
    }

    /// The session's own state, derived from the lease.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        session_state(self.state)
    }
}

/// The state of a session whose lease stands like this.
#[must_use]
pub const fn session_state(lease: lease::State) -> &'static str {
    match lease {
        lease::State::Preparing { .. } => "preparing",
        lease::State::Active | lease::State::Grace { .. } => "running",
        lease::State::Releasing {
            reason: CloseReason::SetupFailed,
        }
        | lease::State::Released {
            reason: CloseReason::SetupFailed,
            ..
        } => "failed",
        lease::State::Releasing { .. } => "terminating",
        lease::State::Released { .. } => "terminated",
    }
}

/// Whether the device of a session is there, for the person who looks at its last picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    Ready,
    /// It answers, or is about to, and is being made what it was.
    Returning,
    /// It does not answer.
    Lost,
    /// Its host is not linked: nobody here knows. What the host sends to viewers does not pass here.
    Unlinked,
}

impl Presence {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Returning => "returning",
            Self::Lost => "lost",
            Self::Unlinked => "unlinked",
        }
    }
}

impl From<Health> for Presence {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Self::Ready,
            Health::Degraded => Self::Returning,
            Health::Offline => Self::Lost,
        }
    }
}

impl From<DeviceHealth> for Presence {
    fn from(health: DeviceHealth) -> Self {
        match health {
            DeviceHealth::Healthy => Self::Ready,
            DeviceHealth::Booting | DeviceHealth::Degraded => Self::Returning,
            DeviceHealth::Offline => Self::Lost,
        }
    }
}

/// How far a session is, for the person who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Advance {
    /// Which stage.
    pub stage: Stage,
    /// 0 to 100 over all stages.
    pub percent: u8,
}

/// The stages of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The device is being cleared.
    Reset,
    /// The app is being started.
    Launch,
    /// The first picture is awaited.
    Connect,
    /// Media and input flow.
    Ready,
    /// Over.
    Ended,
}

impl Stage {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Launch => "launch",
            Self::Connect => "connect",
            Self::Ready => "ready",
            Self::Ended => "ended",
        }
    }
}

impl Stage {
    /// The stages that a preparation passes, in their order.
    const PASSED: [Self; 4] = [Self::Reset, Self::Launch, Self::Connect, Self::Ready];

    /// The stages between two, which were passed without anybody having looked.
    pub fn between(self, later: Self) -> impl Iterator<Item = Self> {
        let passed = move |stage: &Self| *stage > self && *stage < later && later != Self::Ended;
        Self::PASSED.into_iter().filter(passed)
    }
}

impl Advance {
    /// Nothing is done yet.
    pub const START: Self = Self {
        stage: Stage::Reset,
        percent: 0,
    };

    /// The beginning of a stage.
    #[must_use]
    pub const fn begun(stage: Stage) -> Self {
        let percent = match stage {
            Stage::Reset => 0,
            Stage::Launch => 30,
            Stage::Connect => 60,
            Stage::Ready | Stage::Ended => 100,
        };
        Self { stage, percent }
    }

    /// What an agent's progress means.
    #[must_use]
    pub fn of(progress: Progress) -> Self {
        let (stage, from, to) = match progress.stage {
            AgentStage::Reset => (Stage::Reset, 0, 30),
            AgentStage::Launch => (Stage::Launch, 30, 60),
            AgentStage::FirstFrame => (Stage::Connect, 60, 95),
        };
        let done = u16::from(progress.percent.min(100));
        let percent = from + done * (to - from) / 100;
        Self {
            stage,
            percent: percent as u8,
        }
    }

    /// What a lease's state means, given the newest progress of its preparation.
    #[must_use]
    pub fn at(lease: lease::State, preparing: Self) -> Self {
        match lease {
            lease::State::Preparing { .. } => preparing,
            lease::State::Active | lease::State::Grace { .. } => Self {
                stage: Stage::Ready,
                percent: 100,
            },
            lease::State::Releasing { .. } | lease::State::Released { .. } => Self {
                stage: Stage::Ended,
                percent: 100,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_rises_through_the_stages() {
        let stages = [AgentStage::Reset, AgentStage::Launch, AgentStage::FirstFrame];
        let mut last = Advance::START;
        for stage in stages {
            for percent in [0, 50, 100, 255] {
                let next = Advance::of(Progress { stage, percent });
                assert!(next >= last, "{next:?} after {last:?}");
                last = next;
            }
        }
        assert_eq!(
            last,
            Advance {
                stage: Stage::Connect,
                percent: 95
            }
        );
    }

    #[test]
    fn stages_that_nobody_looked_at_are_known_in_their_order() {
        let between = |from: Stage, to| from.between(to).collect::<Vec<_>>();
        assert_eq!(
            between(Stage::Reset, Stage::Ready),
            [Stage::Launch, Stage::Connect]
        );
        assert_eq!(between(Stage::Reset, Stage::Launch), []);
        assert_eq!(
            between(Stage::Reset, Stage::Ended),
            [],
            "what has failed passed nothing"
        );
    }
}
