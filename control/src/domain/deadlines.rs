//! When held leases end by themselves, measured by the clock that never jumps.
//!
//! ```text
//!   store ── held leases ──► ┌───────────┐ ── due: (lease, event) ──► store.step
//!   agents ── last input ──► │ Deadlines │ ── outlook: ends, warning ──► the holder's page
//!   now: steady, wall ─────► └───────────┘ ── idle: how long is left ──► another control's Deadlines
//! ```
//!
//! The database keeps wall-clock times for people and how much of a session's length was counted. A deadline
//! counts from the look that first saw what it measures: the wall clock may jump by years, and of two controls
//! on one database neither needs the other's clock. After a restart every span but the greatest length starts
//! anew, and for one reconnect window nothing that was held before it runs out but links, for which no agent is
//! needed. The wall clock is read once per lease and process: how far away the end of its link is.
//!
//! While control could not look (the database was away, the process was stopped) nobody could come back either: that
//! time is not counted against whoever is awaited.
//!
//! People's input is heard by the one control that has the agent's link. It tells the others while an idle end is near,
//! so that a page which another control serves warns as well; only what was heard here ends anything here.
//!
//! It does not know the database, the agents' messages, or how an end is carried out.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use protocol::{CloseReason, DeviceId, Epoch, LeaseId, SessionId};

use super::lease::{Event, GRACE, STARTUP_TIMEOUT, State};
use super::policy::{OnExpiry, WARNING, warning_of};
use super::session::Session;
use super::time::{Moment, Steady, UnixMs};

/// After a start no lease that was there before runs out for this long: an agent's longest wait between two dials
/// is 36 s.
pub const RECONNECT_WINDOW: Duration = Duration::from_secs(60);

/// Looks that are further apart than this had a pause between them: four were missed.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// After a pause whoever is awaited has at least this long: a page that was put off asks again within a second or two.
pub(crate) const AFTER_PAUSE: Duration = Duration::from_secs(5);

/// How often another control is told that an idle end is still near: a word may be lost.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Another control's word on an idle end counts for this long: two of them may be lost.
const TOLD_FOR: Duration = Duration::from_secs(12);
/// An agent's word warns for this long. It speaks every 5 s; one that is silent has gone, perhaps to another control.
const HEARD_FOR: Duration = Duration::from_secs(15);

/// The deadlines of every held lease: as many entries as there are such leases, and as devices that agents
/// told of since the last look.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// Whether there was a look before: what the first one sees was granted before this process.
    looked: bool,
    watches: HashMap<LeaseId, Watch>,
    heard: HashMap<DeviceId, Heard>,
    /// Idle ends that another control told of.
    told: HashMap<SessionId, Told>,
}

/// What another control said about an idle end.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Steady,
    since: Steady,
}

/// What a look came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Leases that are over, and why.
    pub due: Vec<(LeaseId, Event)>,
    /// What each holder has to expect.
    pub outlooks: Vec<(SessionId, Outlook)>,
    /// For the other controls: how long it is to an idle end that is near, or that none is near any more.
    pub idle: Vec<(SessionId, Option<Duration>)>,
}

/// What a holder has to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// The end that comes whatever the holder does; none while there is none.
    pub ends: Option<Ending>,
    /// The end that is near.
    pub warning: Option<Ending>,
}

impl Outlook {
    /// Whether another one says the same, give or take a second: what agents tell comes with the network's delay.
    #[must_use]
    pub fn is_about(&self, other: &Self) -> bool {
        let about = |ours: Option<Ending>, theirs: Option<Ending>| match (ours, theirs) {
            (None, None) => true,
            (Some(our), Some(their)) => {
                let apart = our.at.since(their.at).max(their.at.since(our.at));
                our.reason == their.reason && apart < Duration::from_secs(1)
            }
            _ => false,
        };
        about(self.ends, other.ends) && about(self.warning, other.warning)
    }
}

/// An end that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub reason: CloseReason,
    /// When.
    pub at: Steady,
}

/// One held lease, since it was first seen.
#[derive(Debug)]
struct Watch {
    state: State,
    /// When this stay in this state was first seen.
    since: Steady,
    /// When it was first seen ready.
    running_since: Option<Steady>,
    /// What was counted before that, by processes before this one.
    spent_before: Duration,
    expiry: Option<Expiry>,
    /// Whether it may have been held before this process started.
    inherited: bool,
    /// The idle end that the other controls were told of, and when.
    told: Option<(Steady, Steady)>,
}

/// The end of a link, as both clocks see it.
#[derive(Debug, Clone, Copy)]
struct Expiry {
    wall: UnixMs,
    at: Steady,
}

/// What an agent said about people's input on a device.
#[derive(Debug, Clone, Copy)]
struct Heard {
    epoch: Epoch,
    /// How long nobody had acted; none if nobody had under this epoch.
    quiet: Option<Duration>,
    /// When it said so.
    at: Steady,
    /// When it first did about this epoch, since it greeted: what was before that it may have forgotten.
    first: Steady,
}

/// One of the ends that a lease may come to.
struct End {
    event: Event,
    reason: CloseReason,
    at: Steady,
    /// Whether it is over, for sure.
    is_due: bool,
    /// How long before it the holder is warned; none when no warning makes sense.
    warning: Option<Duration>,
}

impl Deadlines {
    /// An agent told when a person last acted on a device: `quiet` ago, under its fence's epoch.
    pub fn heard(&mut self, device: DeviceId, epoch: Epoch, quiet: Option<Duration>, now: Steady) {
        let known = self.heard.get(&device).filter(|known| known.epoch == epoch);
        let first = known.map_or(now, |known| known.first);
        let heard = Heard {
            epoch,
            quiet,
            at: now,
            first,
        };
        self.heard.insert(device, heard);
    }

    /// Another control told how long it is to an idle end, or that none is near.
    pub fn told(&mut self, session: SessionId, left: Option<Duration>, now: Steady) {
        match left {
            Some(left) => {
                let at = now.plus(left);
                self.told.insert(session, Told { at, since: now });
            }
            None => drop(self.told.remove(&session)),
        }
    }

    /// An agent greeted: it may have restarted, and what it said of its devices before is over.
    pub fn greeted(&mut self, devices: impl IntoIterator<Item = DeviceId>) {
        for device in devices {
            self.heard.remove(&device);
        }
    }

    /// The look that comes now is the first one for so long. Whether that is a pause.
    pub fn missed(&mut self, apart: Duration, now: Steady) -> bool {
        let is_pause = apart > PAUSE_MIN;
        if is_pause {
            for watch in self.watches.values_mut() {
                watch.missed(apart, now);
            }
        }
        is_pause
    }

    /// Looks at every held lease. What is not among them is forgotten.
    pub fn look(&mut self, held: &[Session], now: Moment) -> Look {
        self.look_since(held, now.steady, now)
    }

    /// The same, where reading them took from `begun` until now: what was not over when it began is not over by what was
    /// read, and a stay that was read began at its end at the latest.
    pub fn look_since(&mut self, held: &[Session], begun: Steady, now: Moment) -> Look {
        let leases: HashSet<LeaseId> = held.iter().map(|session| session.lease).collect();
        let devices: HashSet<DeviceId> = held.iter().map(|session| session.device).collect();
        self.watches.retain(|lease, _| leases.contains(lease));
        self.heard.retain(|device, _| devices.contains(device));
        let sessions: HashSet<SessionId> = held.iter().map(|session| session.id).collect();
        self.told
            .retain(|session, told| sessions.contains(session) && now.steady.since(told.since) < TOLD_FOR);
        let mut look = Look::default();
        for session in held {
            let watch = self
                .watches
                .entry(session.lease)
                .or_insert_with(|| Watch::new(session, !self.looked, now.steady));
            watch.see(session, now);
            let heard = self.heard.get(&session.device);
            let told = self.told.get(&session.id);
            let ends = watch.ends(session, heard, told, begun);
            let settled = now.steady.0 >= RECONNECT_WINDOW || !watch.inherited;
            let may_run_out = |end: &&End| settled || end.reason == CloseReason::LinkExpired;
            if let Some(end) = ends.iter().filter(|end| end.is_due).find(may_run_out) {
                look.due.push((session.lease, end.event));
            }
            look.outlooks.push((session.id, outlook(&ends, now.steady)));
            if heard.is_some()
                && let Some(left) = watch.news(&ends, now.steady)
            {
                look.idle.push((session.id, left));
            }
        }
        self.looked = true;
        look
    }

    /// How much of its greatest length each lease that has one has used, for a process that comes after this one.
    #[must_use]
    pub fn spent(&self, held: &[Session], now: Steady) -> Vec<(LeaseId, Duration)> {
        let limited = held
            .iter()
            .filter(|session| session.link.policy.max_duration.is_some());
        limited
            .filter_map(|session| {
                let watch = self.watches.get(&session.lease)?;
                Some((session.lease, watch.spent(now)?))
            })
            .collect()
    }
}

impl Watch {
    fn new(session: &Session, inherited: bool, now: Steady) -> Self {
        Self {
            state: session.state,
            since: now,
            running_since: None,
            spent_before: session.spent,
            expiry: None,
            inherited,
            told: None,
        }
    }

    /// Nobody could look for so long, and whoever is awaited could not come.
    fn missed(&mut self, apart: Duration, now: Steady) {
        let Some(length) = self.length() else { return };
        let stayed = now.since(self.since.plus(apart));
        self.since = Steady(
            now.0
                .saturating_sub(stayed.min(length.saturating_sub(AFTER_PAUSE))),
        );
    }

    /// How long the state itself may last.
    const fn length(&self) -> Option<Duration> {
        match self.state {
            State::Preparing { .. } => Some(STARTUP_TIMEOUT),
            State::Grace { .. } => Some(GRACE),
            State::Active | State::Releasing { .. } | State::Released { .. } => None,
        }
    }

    fn see(&mut self, session: &Session, now: Moment) {
        if self.state != session.state {
            self.state = session.state;
            self.since = now.steady;
        }
        if self.is_ready() {
            self.running_since.get_or_insert(now.steady);
        }
        let wall = session.link.expires_at;
        if self.expiry.map(|known| known.wall) != wall {
            self.expiry = wall.map(|wall| Expiry {
                wall,
                at: now.steady.plus(now.wall.until(wall)),
            });
        }
    }

    /// Whether people may act on the device.
    const fn is_ready(&self) -> bool {
        matches!(self.state, State::Active | State::Grace { .. })
    }

    fn spent(&self, now: Steady) -> Option<Duration> {
        Some(self.spent_before + now.since(self.running_since?))
    }

    /// Every end that the lease may come to; the one that is told first stands first.
    fn ends(&self, session: &Session, heard: Option<&Heard>, told: Option<&Told>, now: Steady) -> Vec<End> {
        let expiry = self
            .expiry
            .filter(|_| session.link.policy.on_expiry == OnExpiry::Cut);
        let expired = expiry.map(|expiry| End {
            is_due: expiry.at <= now,
            ..End::of(CloseReason::LinkExpired, expiry.at, WARNING)
        });
        let used_up = session.link.policy.max_duration.and_then(|max| {
            let at = self.running_since?.plus(max.saturating_sub(self.spent_before));
            Some(End {
                is_due: at <= now,
                ..End::of(CloseReason::MaxDuration, at, warning_of(max))
            })
        });
        // What was heard here is nearer to the truth than what another control says.
        let idle = self
            .idle(session, heard, now)
            .or_else(|| self.idle_elsewhere(told));
        let ends = [expired, used_up, idle, self.overstayed(now)];
        ends.into_iter().flatten().collect()
    }

    /// Nobody acts, whether the holder is there or away: coming back is no act. An agent tells so every few seconds;
    /// between two words somebody may have, and only what it said counts.
    fn idle(&self, session: &Session, heard: Option<&Heard>, now: Steady) -> Option<End> {
        let heard = heard.filter(|heard| heard.epoch == session.epoch && self.is_ready())?;
        let told = heard.quiet.unwrap_or(heard.at.since(heard.first));
        let quiet = told.min(heard.at.since(self.running_since?));
        let timeout = session.link.policy.idle_timeout;
        let is_due = quiet >= timeout;
        if !is_due && now.since(heard.at) > HEARD_FOR {
            return None;
        }
        let at = heard.at.plus(timeout.saturating_sub(quiet));
        Some(End {
            is_due,
            ..End::of(CloseReason::Idle, at, warning_of(timeout))
        })
    }

    /// Another control says that nobody acts. It warned when it was time to, and it will see to the end itself.
    fn idle_elsewhere(&self, told: Option<&Told>) -> Option<End> {
        let told = told.filter(|_| self.is_ready())?;
        Some(End::of(CloseReason::Idle, told.at, WARNING))
    }

    /// What the other controls are to be told about an idle end, if it is news or the last word may have been lost.
    fn news(&mut self, ends: &[End], now: Steady) -> Option<Option<Duration>> {
        let idle = ends.iter().find(|end| end.reason == CloseReason::Idle);
        let Some(near) = idle.filter(|end| end.is_near(now)) else {
            return self.told.take().map(|_| None);
        };
        let known = |(at, since): (Steady, Steady)| {
            let apart = at.since(near.at).max(near.at.since(at));
            apart < Duration::from_secs(1) && now.since(since) < TELL_EVERY
        };
        if self.told.is_some_and(known) {
            return None;
        }
        self.told = Some((near.at, now));
        Some(Some(near.at.since(now)))
    }

    /// The state itself lasts only so long.
    fn overstayed(&self, now: Steady) -> Option<End> {
        let at = self.since.plus(self.length()?);
        Some(End {
            event: Event::Deadline {
                until: self.state.until()?,
            },
            reason: CloseReason::LeaseEnded,
            at,
            is_due: at <= now,
            warning: None,
        })
    }
}

impl End {
    const fn of(reason: CloseReason, at: Steady, warning: Duration) -> Self {
        Self {
            event: Event::End(reason),
            reason,
            at,
            is_due: false,
            warning: Some(warning),
        }
    }

    /// Whether its holder is to be warned of it.
    fn is_near(&self, now: Steady) -> bool {
        self.warning.is_some_and(|warning| self.at <= now.plus(warning))
    }

    const fn told(&self) -> Ending {
        Ending {
            reason: self.reason,
            at: self.at,
        }
    }
}

fn outlook(ends: &[End], now: Steady) -> Outlook {
    let told = || ends.iter().filter(|end| end.warning.is_some());
    let sure = told().filter(|end| end.reason != CloseReason::Idle);
    let near = told().filter(|end| end.is_near(now));
    Outlook {
        ends: sure.min_by_key(|end| end.at).map(End::told),
        warning: near.min_by_key(|end| end.at).map(End::told),
    }
}

#[cfg(test)]
#[path = "deadlines_tests.rs"]
mod tests;
