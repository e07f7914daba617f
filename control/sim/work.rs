//! The long work of an agent in a world: one step after the other, with a crash possible between any two.
//!
//! ```text
//!   Prepare ── reset ─► launch ─┐            reset = Full: reset::wipe step by step, with reset::plan's commands
//!   Resume, Return ─────────────┼─► ended ─► custody            WipeApp: apps' data and the clipboard
//!   Release ── reset ───────────┘                               Keep: nothing
//!   Fresh: Prepare with a full reset if the device bears the witness of use, which whoever is let in leaves on it
//! ```
//!
//! What a wipe does and what it takes for clean is the agent's own code; here are only the hands that do it.

use host_agent::custody::{Outcome, Work};
use host_agent::reset::apps::clearing;
use host_agent::reset::wipe::{Next, Wipe};
use protocol::Epoch;
use protocol::agent::{RELEASE_DEADLINE_MS, Refusal, RefusalCode, Reply, Reset};

use super::agent_side::PICTURE;
use super::mutants::Mutant;
use super::network::CallId;
use super::violation::Invariant::{I5, I6};
use super::violation::{Checked, Violation};
use super::world::World;

/// Steps that an agent makes in one event, at most: a wipe has a dozen.
const STEPS_AT_ONCE: usize = 20;
/// Commands of a hundred that a device does not carry out, and on one that is stubborn, as some are for a while.
const FAILING: (u64, u64) = (8, 60);
/// Wipes of a hundred that meet a stubborn device.
const STUBBORN: u64 = 15;
/// Steps of a hundred after which a device that is away is not waited for any more.
const GIVEN_UP: u64 = 10;
/// Steps of a hundred in which an app that is not stopped writes something.
const WRITING: u64 = 10;

/// Work on its way.
pub(super) struct Job {
    work: Work,
    reset: Reset,
    pub(super) askers: Vec<CallId>,
    /// The epoch that control gave it.
    meant: Epoch,
    began: u64,
    began_wall: i64,
    phase: Phase,
}

enum Phase {
    /// Nothing was done.
    Fresh,
    /// With the chance in a hundred that a command fails.
    Wiping(Wipe, u64),
    /// Everything was done but the last.
    Clean,
}

impl Job {
    /// `used`: whether the device says that it was used. `now`: monotonic and wall.
    pub(super) fn new(work: Work, used: bool, askers: Vec<CallId>, meant: Epoch, now: (u64, i64)) -> Self {
        Self {
            reset: work.reset(used),
            work,
            askers,
            meant,
            began: now.0,
            began_wall: now.1,
            phase: Phase::Fresh,
        }
    }

    fn done(&self) -> Outcome {
        match &self.work {
            Work::Release(_) => Outcome::released(),
            _ => Outcome::shown(PICTURE),
        }
    }
}

fn failed(code: RefusalCode, detail: &str) -> Outcome {
    let detail = detail.to_owned();
    Outcome {
        stage: None,
        reply: Reply::Refused(Refusal { code, detail }),
    }
}

impl World<'_> {
    /// The running work goes some steps further.
    pub(super) fn agent_works(&mut self, at: usize) -> Checked {
        for _ in 0..=self.dice.below(STEPS_AT_ONCE) {
            if self.agent_dies_here() {
                return Ok(());
            }
            let Some(outcome) = self.step(at)? else {
                continue;
            };
            let device = &mut self.devices[at];
            if let Some(work) = device.custody.running().cloned() {
                device.note_holder(&work, &outcome.reply);
            }
            let effects = device.custody.ended(outcome);
            self.carry_out(at, effects)?;
            return self.attend_holder(at);
        }
        Ok(())
    }

    /// One step; the outcome if it was the last.
    fn step(&mut self, at: usize) -> Result<Option<Outcome>, Violation> {
        let fence = self.devices[at].mark().epoch;
        let Some(mut job) = self.devices[at].running.take() else {
            return Ok(None);
        };
        let over = !self.devices[at].pass().admits(job.work.epoch())
            && self.mutant != Some(Mutant::WipeOutlivesTheFence);
        let away = !self.devices[at].reached;
        let outcome = if over {
            // Whatever is sent to a device is checked against the fence first.
            Some(failed(RefusalCode::StaleEpoch, "the epoch is over"))
        } else if self.is_late(&job)? {
            Some(failed(RefusalCode::SetupFailed, "it took too long"))
        } else if away {
            // It is waited for, for a while.
            let given_up = self.dice.percent(GIVEN_UP);
            given_up.then(|| failed(RefusalCode::DeviceOffline, "the device does not answer"))
        } else {
            self.acts(at, job.meant)?;
            self.cleans_its_own(&job, fence)?;
            self.goes_on(at, &mut job)
        };
        self.devices[at].running = Some(job);
        Ok(outcome)
    }

    fn goes_on(&mut self, at: usize, job: &mut Job) -> Option<Outcome> {
        if self.mutant == Some(Mutant::SkipWipe) && matches!(job.phase, Phase::Fresh) {
            job.phase = Phase::Clean;
            return None;
        }
        if self.faults && self.dice.percent(WRITING) {
            self.devices[at].phone.lives();
        }
        match &mut job.phase {
            Phase::Fresh => {
                let Some(phase) = self.begins(at, job.reset) else {
                    return Some(failed(RefusalCode::SetupFailed, "no baseline was taken"));
                };
                job.phase = phase;
                (self.mutant == Some(Mutant::AcknowledgedBeforeDone)).then(|| job.done())
            }
            Phase::Wiping(wipe, failing) => match wipe.due() {
                Next::Survey => {
                    wipe.surveyed(&self.devices[at].phone.on);
                    None
                }
                Next::Run(action) => {
                    let fails = self.faults && self.dice.percent(*failing);
                    self.note(|| format!("device {at} runs {:?}, fails: {fails}", action.command));
                    if !fails {
                        self.devices[at].phone.run(&action.command);
                    }
                    wipe.ran(!fails);
                    None
                }
                Next::Clear => {
                    if self.mutant != Some(Mutant::PlaceSkipped) {
                        self.devices[at].phone.clear();
                    }
                    wipe.cleared();
                    None
                }
                Next::Over(left) if left.is_empty() || self.mutant == Some(Mutant::ScanIgnored) => {
                    job.phase = Phase::Clean;
                    None
                }
                Next::Over(left) => Some(failed(RefusalCode::SetupFailed, &left.join(", "))),
            },
            Phase::Clean => Some(job.done()),
        }
    }

    /// The first step of a reset; none when it cannot begin.
    fn begins(&mut self, at: usize, reset: Reset) -> Option<Phase> {
        let failing = if self.dice.percent(STUBBORN) {
            FAILING.1
        } else {
            FAILING.0
        };
        let device = &mut self.devices[at];
        Some(match reset {
            Reset::Keep => Phase::Clean,
            Reset::WipeApp => {
                let apps: Vec<String> = device.phone.on.third_party.iter().cloned().collect();
                for command in apps.iter().flat_map(|app| clearing(app)) {
                    device.phone.run(&command);
                }
                device.phone.clear();
                Phase::Clean
            }
            Reset::Full => Phase::Wiping(Wipe::new(device.baseline.clone()?), failing),
        })
    }

    /// I6: what is cleaned for an epoch meets nobody of a higher one.
    fn cleans_its_own(&self, job: &Job, fence: Epoch) -> Checked {
        let epoch = job.meant.min(job.work.epoch());
        if job.reset == Reset::Keep || epoch >= fence {
            return Ok(());
        }
        self.eyes.broken(I6, || {
            format!("a reset for {epoch} is at work behind the fence at {fence}")
        })
    }

    /// Whether a job is given up, by the time that the agent allows it. I5: that is when control's word for it is over by
    /// the clock that never jumps, and no earlier.
    fn is_late(&self, job: &Job) -> Result<bool, Violation> {
        let allowed = job.work.allowed().as_millis() as u64;
        let deadline = match &job.work {
            Work::Release(_) => RELEASE_DEADLINE_MS,
            Work::Prepare(prepare) | Work::Fresh(prepare) | Work::Resume(prepare) | Work::Return(prepare) => {
                prepare.deadline_ms
            }
        };
        let passed = self.monotonic - job.began;
        let late = match self.mutant {
            Some(Mutant::WallClockAtAgent) => self.agent_wall - job.began_wall >= allowed as i64,
            _ => passed >= allowed,
        };
        if late != (passed >= deadline) {
            self.eyes.broken(I5, || {
                format!("a job with {deadline} ms is late after {passed} ms: {late}")
            })?;
        }
        Ok(late)
    }
}
