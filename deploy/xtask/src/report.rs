//! What a run of xtask shows: numbered steps with their times, failures whole, a closing table of costs and
//! one last line that programs read.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::counts::Counts;

/// What one step has come to.
enum Outcome {
    Passed(Counts),
    Failed(Counts),
    /// Not run, because an earlier step that it needs has failed.
    LeftOut,
}

struct Part {
    name: String,
    took: Duration,
    outcome: Outcome,
}

/// The run so far.
pub(crate) struct Report {
    begun: Instant,
    parts: Vec<Part>,
}

/// A failure of a step, with what its runner counted before.
pub(crate) struct Failure {
    pub(crate) counts: Counts,
    pub(crate) told: String,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            counts: Counts::default(),
            told: format!("{error:#}"),
        }
    }
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            parts: Vec::new(),
        }
    }

    /// Runs a step that counts no tests; true when it passed.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> bool {
        self.counted(name, || work().map(|()| Counts::default()).map_err(Failure::from))
    }

    /// Runs a step whose runner counts tests; true when it passed.
    pub(crate) fn counted(&mut self, name: &str, work: impl FnOnce() -> Result<Counts, Failure>) -> bool {
        let number = self.parts.len() + 1;
        say(&format!(
            "[{number:2}] {name} … (at {})",
            clock(self.begun.elapsed())
        ));
        let begun = Instant::now();
        let outcome = match work() {
            Ok(counts) => Outcome::Passed(counts),
            Err(failure) => {
                say(&failure.told);
                Outcome::Failed(failure.counts)
            }
        };
        let part = Part {
            name: name.to_owned(),
            took: begun.elapsed(),
            outcome,
        };
        say(&format!("     {}", part.verdict()));
        let passed = matches!(part.outcome, Outcome::Passed(_));
        self.parts.push(part);
        passed
    }

    /// Notes a step that cannot run because of `why`.
    pub(crate) fn leave_out(&mut self, name: &str, why: &str) {
        say(&format!("[{:2}] {name} left out: {why}", self.parts.len() + 1));
        self.parts.push(Part {
            name: name.to_owned(),
            took: Duration::ZERO,
            outcome: Outcome::LeftOut,
        });
    }

    /// Prints the table and the last line.
    pub(crate) fn close(self) -> ExitCode {
        say("");
        for part in &self.parts {
            say(&format!(
                "{:>9}  {:<34} {}",
                seconds(part.took),
                part.name,
                part.word()
            ));
        }
        say(&format!("{:>9}  in all", seconds(self.begun.elapsed())));
        let total = self.total();
        say(&format!("\n{} passed, {} failed", total.passed, total.failed));
        if total.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// The runners' sums; a step that failed without a failed test, or was left out, counts as one failed.
    fn total(&self) -> Counts {
        let mut total = Counts::default();
        for part in &self.parts {
            match &part.outcome {
                Outcome::Passed(counts) => total.passed += counts.passed,
                Outcome::Failed(counts) => {
                    total.passed += counts.passed;
                    total.failed += counts.failed.max(1);
                }
                Outcome::LeftOut => total.failed += 1,
            }
        }
        total
    }
}

impl Part {
    fn verdict(&self) -> String {
        format!("{} in {}", self.word(), seconds(self.took))
    }

    fn word(&self) -> String {
        match &self.outcome {
            Outcome::Passed(Counts { passed: 0, .. }) => "ok".to_owned(),
            Outcome::Passed(counts) => format!("ok, {} passed", counts.passed),
            Outcome::Failed(counts) => format!("FAILED, {} passed, {} failed", counts.passed, counts.failed),
            Outcome::LeftOut => "left out".to_owned(),
        }
    }
}

/// One line for the person, at once.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away (`| head`) is no reason to stop checking.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

fn clock(since: Duration) -> String {
    format!("{}:{:02}", since.as_secs() / 60, since.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_hold_every_runner_and_a_failed_step_is_never_lost() {
        let mut report = Report::new();
        assert!(report.counted("tests", || Ok(Counts {
            passed: 12,
            failed: 0
        })));
        assert!(report.step("format", || Ok(())));
        assert_eq!(
            report.total(),
            Counts {
                passed: 12,
                failed: 0
            }
        );

        assert!(!report.step("lint", || anyhow::bail!("a warning")));
        assert!(!report.counted("web", || Err(Failure {
            counts: Counts { passed: 3, failed: 2 },
            told: String::new()
        })));
        report.leave_out("e2e", "web has failed");
        assert_eq!(
            report.total(),
            Counts {
                passed: 15,
                failed: 4
            }
        );
    }
}
