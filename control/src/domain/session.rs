//! A session: what a person sees of a lease, from the first second to the last.
//!
//! ```text
//! stage     reset ─► launch ─► connect ─► ready ─► ended
//! progress  0……30    30……60    60……95     100      100
//! ```
//!
//! The stages before `ready` come from the agent's own progress; nothing is invented to fill time. A
//! stage never goes back while a device is prepared.
//!
//! A session's own state follows its lease's:
//!
//! ```text
//!   preparing ──► running ⇄ idle             idle: nobody is there, the lease is in its grace
//!      │  └──────────┴───────┴──► terminating ──► terminated
//!      └── the set-up failed ───► failed
//! ```
//!
//! Nothing is ever pending, because a claim is granted or refused at once; and a link's session is over with its lease,
//! it does not hibernate.

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
    /// Where the session itself stands.
    pub own_state: State,
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

    /// The session, for a browser that presents a cookie with this hash, or none. Everybody else has no such session.
    #[must_use]
    pub fn shown_to(self, presented: Option<[u8; 32]>) -> Option<Self> {
        presented
            .is_some_and(|cookie| self.is_bound_to(cookie))
            .then_some(self)
    }

    /// The app that runs.
    #[must_use]
    pub fn app(&self) -> Option<&App> {
        self.link.app.as_ref()
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The device is being made ready.
    Preparing,
    /// The holder is on the device.
    Running,
    /// The device is ready, and nobody is there.
    Idle,
    /// It ended, and the device is being cleaned.
    Terminating,
    /// Over, and the device is cleaned or given up.
    Terminated,
    /// The device was never ready. Over.
    Failed,
}

impl State {
    /// The session of a lease that was just granted.
    pub const GRANTED: Self = Self::Preparing;

    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Preparing,
        Self::Running,
        Self::Idle,
        Self::Terminating,
        Self::Terminated,
        Self::Failed,
    ];

    /// The state once the lease stands like this; none when that changes nothing here: it is so already, or it is over.
    #[must_use]
    pub const fn after(self, lease: lease::State) -> Option<Self> {
        use lease::State as Lease;
        match (self, lease) {
            (Self::Preparing | Self::Idle, Lease::Active) => Some(Self::Running),
            (Self::Preparing | Self::Running, Lease::Grace { .. }) => Some(Self::Idle),
            (
                Self::Preparing,
                Lease::Releasing {
                    reason: CloseReason::SetupFailed,
                },
            ) => Some(Self::Failed),
            (Self::Preparing | Self::Running | Self::Idle, Lease::Releasing { .. }) => {
                Some(Self::Terminating)
            }
            (Self::Terminating, Lease::Released { .. }) => Some(Self::Terminated),
            // What is over stays over, what is ready is not prepared again, and nothing is cleaned that was not ended.
            (_, Lease::Preparing { .. } | Lease::Released { .. })
            | (Self::Running | Self::Terminating | Self::Terminated | Self::Failed, Lease::Active)
            | (Self::Idle | Self::Terminating | Self::Terminated | Self::Failed, Lease::Grace { .. })
            | (Self::Terminating | Self::Terminated | Self::Failed, Lease::Releasing { .. }) => None,
        }
    }

    /// The name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Terminating => "terminating",
            Self::Terminated => "terminated",
            Self::Failed => "failed",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
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

    use crate::domain::lease::{Event, GRACE, Left, STARTUP_TIMEOUT};
    use crate::domain::time::UnixMs;
    use proptest::prelude::*;

    const NOW: UnixMs = UnixMs(1_000_000);

    #[test]
    fn every_state_is_found_by_its_name() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("hibernated"), None);
    }

    #[test]
    fn what_is_over_or_not_ended_yet_refuses_what_cannot_be() {
        let (active, grace) = (lease::State::Active, lease::State::Grace { until: NOW });
        for over in [State::Terminating, State::Terminated, State::Failed] {
            assert_eq!(over.after(active), None);
            assert_eq!(over.after(grace), None);
            assert_eq!(over.after(lease::State::granted(NOW)), None);
        }
        let released = lease::State::Released {
            reason: CloseReason::LeaseEnded,
            left: Left::Clean,
        };
        assert_eq!(State::Running.after(released), None, "it was never cut");
        assert_eq!(State::Failed.after(released), None, "it stays failed");
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let until = prop_oneof![Just(STARTUP_TIMEOUT), Just(GRACE)];
        prop_oneof![
            any::<bool>().prop_map(|attended| Event::Prepared { attended }),
            Just(Event::Failed),
            Just(Event::Attended),
            Just(Event::Unattended),
            Just(Event::Returned),
            Just(Event::End(CloseReason::LinkRevoked)),
            until.prop_map(|length| Event::Deadline {
                until: NOW.plus(length)
            }),
            Just(Event::Cleaned),
        ]
    }

    proptest! {
        #[test]
        fn a_session_says_what_its_lease_does(events in proptest::collection::vec(any_event(), 0..30)) {
            let (mut lease, mut own) = (lease::State::granted(NOW), State::GRANTED);
            for event in events {
                let Some(next) = lease.after(event, NOW) else { continue };
                lease = next;
                own = own.after(lease).unwrap_or(own);
                let failed = lease.reason() == Some(CloseReason::SetupFailed);
                let expected = match lease {
                    lease::State::Preparing { .. } => State::Preparing,
                    lease::State::Active => State::Running,
                    lease::State::Grace { .. } => State::Idle,
                    _ if failed => State::Failed,
                    lease::State::Releasing { .. } => State::Terminating,
                    lease::State::Released { .. } => State::Terminated,
                };
                prop_assert_eq!(own, expected, "{:?}", lease);
            }
        }
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
