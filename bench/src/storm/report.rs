//! What a storm came to, as one table for a person, and as JSON.
//!
//! ```text
//!   kills          control 14 · agent 9 · …
//!   recovery       from start to all devices ready: p50, p99 for each kind
//!   answers        grants, resumes, refusals by code, silences
//!   violations     0, or what cannot be true
//! ```
//!
//! It knows numbers and no processes.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::house::Kind;
use super::load::Tally;
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
    /// How often each part was killed.
    pub kills: BTreeMap<&'static str, u64>,
    /// How often everything was looked at.
    pub looks: u64,
    /// Leases given.
    pub grants: u64,
    /// Holders who came back and were let in.
    pub resumes: u64,
    /// Sessions that their holders ended.
    pub ends: u64,
    /// Links that were revoked.
    pub revokes: u64,
    /// Quarantined devices that an operator had cleaned.
    pub resets: u64,
    /// Requests that nobody answered.
    pub silences: u64,
    /// Answers without success, by status and code.
    pub refusals: BTreeMap<String, u64>,
    /// From the start of a killed part to all devices ready, milliseconds, by kind.
    pub recoveries: BTreeMap<&'static str, Recovery>,
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

/// What the one who kills writes down.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    kills: BTreeMap<Kind, u64>,
    recoveries: BTreeMap<Kind, Durations>,
    pub(crate) looks: u64,
    pub(crate) violations: Vec<String>,
}

impl Notes {
    pub(crate) fn killed(&mut self, kind: Kind) {
        *self.kills.entry(kind).or_default() += 1;
    }

    pub(crate) fn recovered(&mut self, kind: Kind, us: u64) {
        self.recoveries.entry(kind).or_default().record_us(us);
    }
}

impl StormReport {
    pub(crate) fn new(seed: u64, seconds: f64, database: &'static str, notes: Notes, tally: Tally) -> Self {
        let recovery = |(kind, durations): (&Kind, &Durations)| {
            let spread = durations.spread()?;
            let recovery = Recovery {
                n: spread.n,
                p50: spread.p50,
                p99: spread.p99,
                max: spread.max,
            };
            Some((kind.name(), recovery))
        };
        Self {
            seed,
            seconds,
            database,
            kills: notes.kills.iter().map(|(kind, n)| (kind.name(), *n)).collect(),
            looks: notes.looks,
            grants: tally.grants,
            resumes: tally.resumes,
            ends: tally.ends,
            revokes: tally.revokes,
            resets: tally.resets,
            silences: tally.silences,
            refusals: tally.refusals,
            recoveries: notes.recoveries.iter().filter_map(recovery).collect(),
            violations: notes.violations,
        }
    }
}

impl fmt::Display for StormReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "storm over {}, {:.0} s, seed {}",
            self.database, self.seconds, self.seed
        )?;
        for (kind, n) in &self.kills {
            write!(f, "  killed {kind:<10} {n:>5}")?;
            match self.recoveries.get(kind) {
                Some(Recovery { n, p50, p99, max }) => writeln!(
                    f,
                    "   ready again p50 {p50:>8.0} ms   p99 {p99:>8.0} ms   longest {max:>8.0} ms   of {n}"
                )?,
                None => writeln!(f)?,
            }
        }
        writeln!(
            f,
            "  grants {}, resumes {}, ends {}, revocations {}, resets {}, unanswered {}",
            self.grants, self.resumes, self.ends, self.revokes, self.resets, self.silences
        )?;
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
        notes.recovered(Kind::Control, 1_500_000);
        notes.violations.push("two holders".to_owned());
        let text = StormReport::new(7, 20.0, "sqlite", notes, Tally::default()).to_string();
        for part in [
            "seed 7",
            "killed control",
            "1500 ms",
            "killed agent",
            "violations 1\n    two holders",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}
