//! How long each lease has really been in its state, by the one clock of the world that never jumps: I5 and the end
//! of links in I8, against what control did.
//!
//! ```text
//!   entered ───────── length ─────────►│ not before: GRACE, STARTUP_TIMEOUT, the greatest length, idle
//!        first sweep ──── length ──────┼──►│ not after, once a reconnect window that it needs is over
//! ```
//!
//! It knows every touch and every report, but nothing of how control measures.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use protocol::LeaseId;

use super::invariants::{LeaseRow, Rows};
use super::violation::Invariant::{I5, I8};
use super::violation::{Checked, Eyes};
use crate::domain::deadlines::AFTER_PAUSE;
use crate::domain::lease::{GRACE, STARTUP_TIMEOUT};
use crate::domain::policy::OnExpiry;
use crate::domain::session::Session;
use crate::domain::time::UnixMs;

/// Every held lease.
#[derive(Debug, Default)]
pub(super) struct Stays {
    stays: HashMap<LeaseId, Stay>,
    /// When people acted, by lease.
    touches: HashMap<LeaseId, Vec<u64>>,
    /// When the report was sent that control heard last.
    report: u64,
    /// When the agent last started: of what people did before, it knows nothing.
    agent_since: u64,
    /// Whether the control that lives has looked.
    looked: bool,
    /// What its first look saw: it runs out when the reconnect window is over, also if it is over in between and stands
    /// again before the next look.
    guarded: HashSet<LeaseId>,
    /// Whether leases may stand again as they did before: a control that lives goes on counting where it was.
    revived: bool,
}

#[derive(Debug, Default)]
struct Stay {
    state: String,
    until: Option<i64>,
    entered: u64,
    /// Whether it was there before the control that lives.
    inherited: bool,
    running_since: Option<u64>,
    /// Of the control that lives: the first sweep that saw this stay.
    swept: Option<u64>,
    /// The first sweep that saw it running.
    swept_running: Option<u64>,
    /// The end of its link as the wall clock showed it at the first sweep that saw the lease.
    link_ends: Option<(UnixMs, u64)>,
}

impl Stay {
    /// How long its state may last.
    fn length(&self) -> Option<Duration> {
        match self.state.as_str() {
            "grace" => Some(GRACE),
            "preparing" => Some(STARTUP_TIMEOUT),
            _ => None,
        }
    }
}

impl Stays {
    /// A control starts; it knows of no sweep before.
    pub(super) fn control_starts(&mut self) {
        self.looked = false;
        self.guarded.clear();
        for stay in self.stays.values_mut() {
            stay.inherited = true;
            stay.swept = None;
            stay.swept_running = None;
            stay.link_ends = None;
        }
    }

    /// The database is older than before, under a control that lives.
    pub(super) fn database_is_older(&mut self) {
        self.revived = true;
    }

    /// The agent starts.
    pub(super) fn agent_starts(&mut self, now: u64) {
        self.agent_since = now;
    }

    /// Control hears a report.
    pub(super) fn reported(&mut self, sent: u64) {
        self.report = sent;
    }

    /// Somebody acted.
    pub(super) fn touched(&mut self, lease: LeaseId, now: u64) {
        self.touches.entry(lease).or_default().push(now);
    }

    /// Control is about to look at these.
    pub(super) fn swept(&mut self, held: &[Session], now: u64, wall: i64) {
        for session in held {
            let Some(stay) = self.stays.get_mut(&session.lease) else {
                continue;
            };
            if !self.looked {
                self.guarded.insert(session.lease);
            }
            stay.swept.get_or_insert(now);
            if stay.state != "preparing" {
                stay.swept_running.get_or_insert(now);
            }
            let cut = session.link.policy.on_expiry == OnExpiry::Cut;
            if let Some(end) = session.link.expires_at.filter(|_| cut) {
                let left = u64::try_from(end.0 - wall).unwrap_or(0);
                // An operator may move it.
                let known = stay.link_ends.filter(|(known, _)| *known == end);
                stay.link_ends = known.or(Some((end, now + left)));
            }
        }
        self.looked = true;
    }

    /// Nobody could look for so long, until now: who is awaited could not come. As `domain::deadlines` says.
    pub(super) fn missed(&mut self, away: u64, now: u64) {
        for stay in self.stays.values_mut() {
            let Some(length) = stay.length() else { continue };
            let most = (length - AFTER_PAUSE).as_millis() as u64;
            let left_out = |since: u64| now.saturating_sub(since + away).min(most);
            stay.entered = now - left_out(stay.entered);
            if let Some(swept) = &mut stay.swept {
                *swept = now - left_out(*swept);
            }
        }
    }

    /// Whether a lease was there before the control that lives.
    pub(super) fn is_inherited(&self, lease: LeaseId) -> bool {
        self.stays.get(&lease).is_some_and(|stay| stay.inherited)
    }

    /// Looks at what came of an event. `settled`: after a sweep, whether the reconnect window was over.
    pub(super) fn check(
        &mut self,
        before: &Rows,
        after: &Rows,
        now: u64,
        settled: Option<bool>,
        eyes: Eyes,
    ) -> Checked {
        for was in before.held() {
            let is = after.lease(was.id);
            if is.is_none_or(|is| !is.is_held()) {
                let why = is.and_then(|is| is.reason.as_deref());
                self.not_too_early(was, why, now, settled.is_some(), eyes)?;
            }
        }
        self.note(after, now);
        if let Some(settled) = settled {
            for lease in after.held() {
                self.not_too_late(lease, now, settled, eyes)?;
            }
        }
        Ok(())
    }

    /// Notes what came of an event, whoever did it.
    pub(super) fn note(&mut self, after: &Rows, now: u64) {
        self.stays
            .retain(|lease, _| after.lease(*lease).is_some_and(LeaseRow::is_held));
        let revived = std::mem::take(&mut self.revived);
        for lease in after.held() {
            let stay = self.stays.entry(lease.id).or_default();
            if revived && (stay.state != lease.state || stay.until != lease.until) {
                // A control that did not look meanwhile knows of nothing in between.
                stay.state.clone_from(&lease.state);
                stay.until = lease.until;
                stay.entered = 0;
                stay.swept = None;
            }
            if stay.state != lease.state || stay.until != lease.until {
                stay.state.clone_from(&lease.state);
                stay.until = lease.until;
                stay.entered = now;
                stay.swept = None;
            }
            if lease.state != "preparing" {
                stay.running_since.get_or_insert(now);
            }
        }
    }

    /// I5: what ends by a clock has had its time.
    fn not_too_early(
        &self,
        lease: &LeaseRow,
        why: Option<&str>,
        now: u64,
        swept: bool,
        eyes: Eyes,
    ) -> Checked {
        let Some(stay) = self.stays.get(&lease.id) else {
            return Ok(());
        };
        let stayed = now - stay.entered;
        let (had, owed) = match why {
            Some("lease_ended") if swept => (stayed, GRACE.as_millis() as u64),
            Some("setup_failed") if swept => (stayed, STARTUP_TIMEOUT.as_millis() as u64),
            Some("max_duration") => {
                let ran = stay.running_since.map_or(0, |since| now - since);
                (ran, lease.max_s.unwrap_or(0) * 1000)
            }
            Some("idle") => (self.quiet(lease.id), lease.idle_s * 1000),
            Some("link_expired") => {
                let over = stay.link_ends.is_some_and(|(_, end)| end <= now);
                (u64::from(over), 1)
            }
            _ => return Ok(()),
        };
        if had >= owed {
            return Ok(());
        }
        eyes.broken(I5, || {
            format!(
                "the lease at {} ended by {why:?} after {had} of {owed} ms",
                lease.epoch
            )
        })
    }

    /// How long nobody had acted when the report was sent that control heard last, as far as the agent knew.
    fn quiet(&self, lease: LeaseId) -> u64 {
        let touches = self.touches.get(&lease).into_iter().flatten();
        let told = |at: &u64| (self.agent_since..=self.report).contains(at);
        let last = touches.copied().filter(told).max();
        last.map_or(u64::MAX, |at| self.report - at)
    }

    /// I5, I8: what is over by the clock does not outlive a sweep.
    fn not_too_late(&self, lease: &LeaseRow, now: u64, settled: bool, eyes: Eyes) -> Checked {
        let Some(stay) = self.stays.get(&lease.id) else {
            return Ok(());
        };
        if lease.cut && stay.link_ends.is_some_and(|(_, end)| end <= now) {
            eyes.broken(I8, || {
                format!("the lease at {} is held through an expired link", lease.epoch)
            })?;
        }
        let length = stay.length();
        let over = |since: Option<u64>, length_ms: u64| since.is_some_and(|since| now - since >= length_ms);
        let overstayed = length.is_some_and(|length| over(stay.swept, length.as_millis() as u64));
        let used_up = lease
            .max_s
            .is_some_and(|max| over(stay.swept_running, max * 1000));
        let may_run_out = settled || !self.guarded.contains(&lease.id);
        if may_run_out && (overstayed || used_up) {
            eyes.broken(I5, || {
                format!(
                    "the lease at {} is still {} at {now} ms",
                    lease.epoch, lease.state
                )
            })?;
        }
        Ok(())
    }
}
