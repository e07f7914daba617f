//! What a storm came to, as one table for a person, and as JSON.
//!
//! ```text
//!   kills          control 14 · agent 9 · …
//!   recovery       from start to all devices ready: p50, p99 for each kind
//!   races          how many were cut in the middle
//!   connected      frames and touches of a holder while every control was dead
//!   media          frames that a browser showed while every control was dead
//!   answers        grants, resumes, refusals by code, silences
//!   violations     0, or what cannot be true
//! ```
//!
//! It knows numbers and no processes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::house::Kind;
use super::load::Tally;
use super::media::Watched;
use super::watch::Crossing;
use crate::histogram::Durations;

/// The report of a storm.
#[derive(Debug, Clone, Serialize)]
pub struct StormReport {
    /// Plans the same storm again.
    pub seed: u64,
    /// Seconds of storm, quiet moments included.
    pub seconds: f64,
    /// `sqlite` or `postgres`.
    pub database: &'static str,
    /// Controls on it.
    pub controls: u8,
    /// How often each part was killed.
    pub kills: BTreeMap<&'static str, u64>,
    /// How often something was killed while some of 32 who race for one device had their answer and others had not, by
    /// what was killed.
    pub races: BTreeMap<&'static str, u64>,
    /// How often everything was looked at.
    pub looks: u64,
    /// Leases given.
    pub grants: u64,
    /// Holders who came back and were let in.
    pub resumes: u64,
    /// Sessions that their holders ended.
    pub ends: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Links that were revoked.
    pub revokes: u64,
    /// Quarantined devices that an operator had cleaned.
    pub resets: u64,
    /// Requests that nobody answered.
    pub silences: u64,
    /// Requests that hung until their client gave up. None.
    pub hangs: u64,
    /// The longest that somebody waited for an answer to a launch, milliseconds.
    pub slowest_ms: f64,
    /// Answers without success, by status and code.
    pub refusals: BTreeMap<String, u64>,
    /// From the start of a killed part to all devices ready, milliseconds, by kind; `hosts moved` is from the death of a
    /// replica to its hosts at another.
    pub recoveries: BTreeMap<&'static str, Recovery>,
    /// What a connected holder saw over the death of every control, in the order of the quiet moments.
    pub crossings: Vec<Crossing>,
    /// What a browser saw while every control was dead, in the order of the quiet moments.
    pub media: Vec<Watched>,
    /// What must not be. Empty.
    pub violations: Vec<String>,
}

/// Times of recovery.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Recovery {
    /// How many were measured: a part that was killed again before all was ready is not.
    pub n: u64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    /// Milliseconds.
    pub max: f64,
}

/// What was run.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) database: &'static str,
    pub(crate) controls: u8,
}

/// What the one who kills writes down.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    kills: BTreeMap<Kind, u64>,
    recoveries: BTreeMap<&'static str, Durations>,
    media: Vec<Watched>,
    crossings: Vec<Crossing>,
    races: BTreeMap<Kind, u64>,
    pub(crate) looks: u64,
    pub(crate) violations: Vec<String>,
}

impl Notes {
    pub(crate) fn killed(&mut self, kind: Kind) {
        *self.kills.entry(kind).or_default() += 1;
    }

    pub(crate) fn recovered(&mut self, what: &'static str, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.recoveries.entry(what).or_default().record_us(us);
    }

    pub(crate) fn cut_a_race(&mut self, kind: Kind) {
        *self.races.entry(kind).or_default() += 1;
    }

    pub(crate) fn crossed(&mut self, crossing: Crossing, found: Vec<String>) {
        self.violations.extend(found);
        self.crossings.push(crossing);
    }

    pub(crate) fn watched(&mut self, watched: Watched) {
        self.violations.extend(watched.violation());
        self.media.push(watched);
    }
}

impl StormReport {
    pub(crate) fn new(plan: &Plan, notes: Notes, tally: Tally) -> Self {
        let recovery = |(what, durations): (&&'static str, &Durations)| {
            let spread = durations.spread()?;
            let recovery = Recovery {
                n: spread.n,
                p50: spread.p50,
                p99: spread.p99,
                max: spread.max,
            };
            Some((*what, recovery))
        };
        let by_name = |of: &BTreeMap<Kind, u64>| of.iter().map(|(kind, n)| (kind.name(), *n)).collect();
        Self {
            seed: plan.seed,
            seconds: plan.seconds,
            database: plan.database,
            controls: plan.controls,
            kills: by_name(&notes.kills),
            races: by_name(&notes.races),
            looks: notes.looks,
            grants: tally.grants,
            resumes: tally.resumes,
            ends: tally.ends,
            connections: tally.connections,
            revokes: tally.revokes,
            resets: tally.resets,
            silences: tally.silences,
            hangs: tally.hangs,
            slowest_ms: tally.slowest.as_secs_f64() * 1e3,
            refusals: tally.refusals,
            recoveries: notes.recoveries.iter().filter_map(recovery).collect(),
            crossings: notes.crossings,
            media: notes.media,
            violations: notes.violations,
        }
    }
}

impl fmt::Display for StormReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "storm over {}, {} control(s), {:.0} s, seed {}",
            self.database, self.controls, self.seconds, self.seed
        )?;
        for (kind, n) in &self.kills {
            writeln!(f, "  killed {kind:<12} {n:>5}")?;
        }
        for (what, Recovery { n, p50, p99, max }) in &self.recoveries {
            writeln!(
                f,
                "  back   {what:<12} p50 {p50:>8.0} ms   p99 {p99:>8.0} ms   longest {max:>8.0} ms   of {n}"
            )?;
        }
        writeln!(
            f,
            "  grants {}, resumes {}, connections {}, ends {}, revocations {}, resets {}, unanswered {}",
            self.grants, self.resumes, self.connections, self.ends, self.revokes, self.resets, self.silences
        )?;
        writeln!(
            f,
            "  hung {}, longest answer to a launch {:.0} ms",
            self.hangs, self.slowest_ms
        )?;
        for (kind, n) in &self.races {
            writeln!(f, "  cut    {n} races by killing {kind}")?;
        }
        for crossing in &self.crossings {
            writeln!(f, "  {crossing}")?;
        }
        for watched in &self.media {
            writeln!(f, "  {watched}")?;
        }
        for (code, n) in &self.refusals {
            writeln!(f, "  refused {code:<28} {n:>6}")?;
        }
        writeln!(f, "  looked at everything {} times", self.looks)?;
        write!(f, "  violations {}", self.violations.len())?;
        for violation in &self.violations {
            write!(f, "\n    {violation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_every_kind_that_was_killed_and_every_violation() {
        let mut notes = Notes::default();
        notes.killed(Kind::Control);
        notes.killed(Kind::Agent);
        notes.recovered("control", Duration::from_millis(1_500));
        notes.cut_a_race(Kind::Control);
        notes.violations.push("two holders".to_owned());
        let plan = Plan {
            seed: 7,
            seconds: 20.0,
            database: "sqlite",
            controls: 1,
        };
        let text = StormReport::new(&plan, notes, Tally::default()).to_string();
        for part in [
            "seed 7",
            "killed control",
            "1500 ms",
            "killed agent",
            "cut    1 races by killing control",
            "violations 1\n    two holders",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}
