//! A lease: one holder's exclusive hold on a device, fenced by its epoch.
//!
//! ```text
//!              Prepared{attended}        Unattended
//!   preparing ────────────────► active ─────────────► grace{until}
//!    {until} │  Prepared, nobody      ◄───────────── Attended │
//!            │  there ──────────────────────────────► grace   │
//!            │ Failed, Deadline, End    │ End                 │ Deadline, End
//!            ▼                          ▼                     ▼
//!            releasing{reason} ──┬── Cleaned ──────► released{clean}
//!                                └── CleanFailed ──► released{quarantined}
//! ```
//!
//! Entering `releasing` raises the device's epoch: that is what cuts media and input. It lasts as long as
//! the host is out of reach, since no clock makes a device clean; the job that asks the agent measures
//! how long an agent that is there may take. `until` is the wall clock's: it is what people read, and it
//! names one stay in a state, so that a deadline that comes late ends no other. When a stay is over is measured
//! in `deadlines`. Nothing here knows time beyond `now`, or how the device is told.

use std::time::Duration;

use protocol::CloseReason;
use protocol::agent::{ANSWER_MARGIN_MS, RELEASE_DEADLINE_MS};

use super::device::Soiled;
use super::time::UnixMs;

/// How long preparing may take. Set-up that takes longer is a failure to the person who waits.
pub const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a holder whose last connection is gone keeps the device: a reload, a tunnel, a phone call.
pub const GRACE: Duration = Duration::from_secs(30);
/// How long an agent that is there may say nothing while it cleans, or that it cannot now. After it the device is
/// quarantined.
pub const RELEASE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an agent may take to clean that says all the while that it is at it. It is more than the agent gives
/// itself, so that its own reason arrives.
pub const RELEASE_MAX: Duration = Duration::from_secs(600);

const _: () = assert!(
    RELEASE_DEADLINE_MS + ANSWER_MARGIN_MS <= RELEASE_MAX.as_millis() as u64,
    "an agent must be done, and its answer here, before control gives up"
);

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The device is being made ready.
    Preparing {
        /// Failed at this time, as the wall clock stood when it began.
        until: UnixMs,
    },
    /// The holder has it.
    Active,
    /// The holder has it but is not there.
    Grace {
        /// Lost at this time, as the wall clock stood when it began.
        until: UnixMs,
    },
    /// Cut; being cleaned.
    Releasing {
        /// Why it ended.
        reason: CloseReason,
    },
    /// Over.
    Released {
        /// Why it ended.
        reason: CloseReason,
        /// How the device was left.
        left: Left,
    },
}

/// How a device was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Cleaned for the release's epoch: free.
    Clean,
    /// Not known to be clean: an operator looks at it first.
    Quarantined,
}

/// What happens to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The agent has the device ready. `attended`: the holder's connection is already up.
    Prepared {
        /// Whether a connection is up.
        attended: bool,
    },
    /// The agent could not make the device ready.
    Failed,
    /// The holder's first connection came up.
    Attended,
    /// The holder's last connection is gone.
    Unattended,
    /// The holder opened the page again; a connection will follow.
    Returned,
    /// Somebody or something ends it.
    End(CloseReason),
    /// The time of a stay in a state is over.
    Deadline {
        /// The stay's own `until`.
        until: UnixMs,
    },
    /// The agent cut and cleaned for the release's epoch.
    Cleaned,
    /// The agent could not clean, or did not say so in time.
    CleanFailed(Soiled),
}

impl State {
    /// A fresh lease.
    #[must_use]
    pub fn granted(now: UnixMs) -> Self {
        Self::Preparing {
            until: now.plus(STARTUP_TIMEOUT),
        }
    }

    /// The state after an event; none when the event changes nothing here (it came late, or twice).
    #[must_use]
    pub fn after(self, event: Event, now: UnixMs) -> Option<Self> {
        let releasing = |reason| Some(Self::Releasing { reason });
        let grace = Some(Self::Grace {
            until: now.plus(GRACE),
        });
        match (self, event) {
            (Self::Preparing { .. }, Event::Prepared { attended: true }) => Some(Self::Active),
            (Self::Preparing { .. }, Event::Prepared { attended: false }) => grace,
            (Self::Preparing { .. }, Event::Failed) => releasing(CloseReason::SetupFailed),
            (Self::Preparing { until }, Event::Deadline { until: over }) if until == over => {
                releasing(CloseReason::SetupFailed)
            }
            (Self::Active, Event::Unattended) => grace,
            (Self::Grace { .. }, Event::Attended) => Some(Self::Active),
            (Self::Grace { .. }, Event::Returned) => grace,
            (Self::Grace { until }, Event::Deadline { until: over }) if until == over => {
                releasing(CloseReason::LeaseEnded)
            }
            (Self::Preparing { .. } | Self::Active | Self::Grace { .. }, Event::End(reason)) => {
                releasing(reason)
            }
            (Self::Releasing { reason }, Event::Cleaned) => Some(Self::Released {
                reason,
                left: Left::Clean,
            }),
            (Self::Releasing { reason }, Event::CleanFailed(_)) => Some(Self::Released {
                reason,
                left: Left::Quarantined,
            }),
            _ => None,
        }
    }

    /// Whether the holder may still connect.
    #[must_use]
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Preparing { .. } | Self::Active | Self::Grace { .. })
    }

    /// When the state ends by itself, as the wall clock stood when it began.
    #[must_use]
    pub const fn until(self) -> Option<UnixMs> {
        match self {
            Self::Preparing { until } | Self::Grace { until } => Some(until),
            Self::Active | Self::Releasing { .. } | Self::Released { .. } => None,
        }
    }

    /// Why it ended, once it did.
    #[must_use]
    pub const fn reason(self) -> Option<CloseReason> {
        match self {
            Self::Releasing { reason } | Self::Released { reason, .. } => Some(reason),
            Self::Preparing { .. } | Self::Active | Self::Grace { .. } => None,
        }
    }

    /// Whether a lease that stands like this may have stood like `other` before, and cannot again.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.age() > other.age()
    }

    const fn age(self) -> u8 {
        match self {
            Self::Preparing { .. } => 0,
            // These two take turns.
            Self::Active | Self::Grace { .. } => 1,
            Self::Releasing { .. } => 2,
            Self::Released { .. } => 3,
        }
    }

    /// The name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing { .. } => "preparing",
            Self::Active => "active",
            Self::Grace { .. } => "grace",
            Self::Releasing { .. } => "releasing",
            Self::Released { .. } => "released",
        }
    }
}

/// Whether a claim that was counted is given back: the person never got the device.
#[must_use]
pub fn refunds(before: State, after: State) -> bool {
    matches!(before, State::Preparing { .. })
        && matches!(
            after,
            State::Releasing {
                reason: CloseReason::SetupFailed
            }
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: UnixMs = UnixMs(1_000_000);

    fn later(duration: Duration) -> UnixMs {
        NOW.plus(duration)
    }

    #[test]
    fn a_lease_lives_through_a_reload() {
        let state = State::granted(NOW)
            .after(Event::Prepared { attended: true }, NOW)
            .unwrap();
        assert_eq!(state, State::Active);
        let state = state.after(Event::Unattended, NOW).unwrap();
        assert_eq!(state, State::Grace { until: later(GRACE) });
        let soon = NOW.plus(Duration::from_secs(29));
        let state = state.after(Event::Returned, soon).unwrap();
        assert_eq!(
            state,
            State::Grace {
                until: soon.plus(GRACE)
            }
        );
        assert_eq!(state.after(Event::Attended, soon), Some(State::Active));
    }

    #[test]
    fn a_prepared_device_that_nobody_looks_at_is_only_kept_for_the_grace() {
        let state = State::granted(NOW).after(Event::Prepared { attended: false }, NOW);
        assert_eq!(state, Some(State::Grace { until: later(GRACE) }));
    }

    #[test]
    fn a_deadline_ends_only_the_stay_that_it_was_measured_for() {
        let grace = State::Grace { until: later(GRACE) };
        let over = |until| Event::Deadline { until };
        assert_eq!(grace.after(over(NOW), NOW), None, "the deadline of another stay");
        assert!(!grace.after(over(later(GRACE)), NOW).unwrap().is_held());
        let preparing = State::granted(NOW);
        assert_eq!(preparing.after(over(NOW), NOW), None);
        let failed = preparing.after(over(later(STARTUP_TIMEOUT)), NOW).unwrap();
        assert_eq!(failed.reason(), Some(CloseReason::SetupFailed));
        assert!(refunds(preparing, failed));
    }

    #[test]
    fn only_a_failed_set_up_gives_the_use_back() {
        let preparing = State::granted(NOW);
        let revoked = preparing
            .after(Event::End(CloseReason::LinkRevoked), NOW)
            .unwrap();
        assert!(!refunds(preparing, revoked));
        let ended = State::Active
            .after(Event::End(CloseReason::LeaseEnded), NOW)
            .unwrap();
        assert!(!refunds(State::Active, ended));
    }

    #[test]
    fn a_device_is_free_only_after_it_was_cleaned() {
        let state = State::Active
            .after(Event::End(CloseReason::LinkRevoked), NOW)
            .unwrap();
        let (clean, dirty) = (
            state.after(Event::Cleaned, NOW),
            state.after(Event::CleanFailed(Soiled::NotCleaned), NOW),
        );
        assert_eq!(
            clean,
            Some(State::Released {
                reason: CloseReason::LinkRevoked,
                left: Left::Clean
            })
        );
        assert_eq!(
            dirty,
            Some(State::Released {
                reason: CloseReason::LinkRevoked,
                left: Left::Quarantined
            })
        );
        assert_eq!(
            state.after(Event::Deadline { until: NOW }, later(Duration::from_secs(3600))),
            None,
            "no clock cleans"
        );
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<bool>().prop_map(|attended| Event::Prepared { attended }),
            Just(Event::Failed),
            Just(Event::Attended),
            Just(Event::Unattended),
            Just(Event::Returned),
            Just(Event::End(CloseReason::LinkRevoked)),
            (0..40_000i64).prop_map(|wait| Event::Deadline {
                until: UnixMs(NOW.0 + wait)
            }),
            Just(Event::Cleaned),
            Just(Event::CleanFailed(Soiled::NoAnswer)),
        ]
    }

    proptest! {
        #[test]
        fn once_cut_a_lease_is_never_held_again_and_keeps_its_reason(
            steps in proptest::collection::vec((any_event(), 0..40_000i64), 0..40),
        ) {
            let (mut state, mut now, mut cut) = (State::granted(NOW), NOW, None);
            for (event, wait) in steps {
                now = UnixMs(now.0 + wait);
                let Some(next) = state.after(event, now) else { continue };
                prop_assert!(!matches!(state, State::Released { .. }), "released is the end");
                if matches!(next, State::Released { left: Left::Clean, .. }) {
                    prop_assert_eq!(event, Event::Cleaned);
                }
                state = next;
                if let Some(reason) = cut {
                    prop_assert!(!state.is_held());
                    prop_assert_eq!(state.reason(), Some(reason));
                }
                cut = state.reason();
            }
        }
    }
}
