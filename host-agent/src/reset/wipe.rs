//! A full wipe, step by step, and what counts as clean. Pure: what was found and what was done in, what comes next
//! out. The agent works it on a device over adb (`full.rs`), the simulation on one that is only a survey.
//!
//! ```text
//!   Survey ─► Run: other users go ─► Survey     once in a pass, where there are any
//!   Survey ─► plan ─► Run each action ─► Clear ─► Survey (the scan) ─┬─ nothing found, nothing failed
//!               ▲                                                    │     └─► Run: the witness goes ─► Over: clean
//!               └─────────────────── once more ──────────────────────┴─ left ─► Over: what is left
//! ```
//!
//! Nothing is remembered in between: a wipe that was cut short at any point starts over, and its survey finds what is
//! left to do. A scan that could not take in all files is followed by the same pass again. An action that fails does not keep the others from being done, but the device is not clean then,
//! whatever the scan says.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::reset::findings::findings;
use crate::reset::plan::{Action, Spare, alone, plan};
use crate::reset::survey::Survey;
use crate::reset::witness;

/// Passes at most: an app that was still writing while it was stopped is caught by the second. What is left then
/// will be left by the third as well.
const PASSES: [Spare; 2] = [Spare::Servers, Spare::Nothing];

/// Looks at most that did not see all files, each followed by removing what it saw: some two million names. A person
/// who left more has to be cleaned up after more than once.
const CROWDED_MAX: usize = 32;

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Look at everything, then [`Wipe::surveyed`].
    Survey,
    /// Run it, then [`Wipe::ran`].
    Run(Action),
    /// Empty what no survey shows (clipboard, logs) and leave the launcher in front, then [`Wipe::cleared`].
    Clear,
    /// It is over: what is left, in words for a log. Empty means clean.
    Over(Vec<String>),
}

/// A wipe on its way.
#[derive(Debug)]
pub struct Wipe {
    baseline: Arc<Survey>,
    /// The pass that is next or at work, from 0.
    pass: usize,
    /// Scans of the pass that did not see all files.
    crowded: usize,
    /// Whether the users that were added were sent away in this pass.
    alone: bool,
    /// The first action of this pass that failed.
    failure: Option<String>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Looking,
    /// Users go; what is left is seen only then.
    Parting(VecDeque<Action>),
    Acting {
        left: VecDeque<Action>,
        planned: usize,
    },
    Clearing,
    Scanning,
    /// Nothing is left but the witness of use.
    Vouching,
    Over(Vec<String>),
}

impl Wipe {
    /// A wipe back to `baseline`.
    #[must_use]
    pub fn new(baseline: Arc<Survey>) -> Self {
        Self {
            baseline,
            pass: 0,
            crowded: 0,
            alone: false,
            failure: None,
            phase: Phase::Looking,
        }
    }

    /// How the device was before anybody used it.
    #[must_use]
    pub fn baseline(&self) -> &Survey {
        &self.baseline
    }

    /// What is to be done now.
    #[must_use]
    pub fn due(&self) -> Next {
        match &self.phase {
            Phase::Looking | Phase::Scanning => Next::Survey,
            Phase::Parting(left) => left
                .front()
                .map_or(Next::Survey, |action| Next::Run(action.clone())),
            Phase::Acting { left, .. } => left
                .front()
                .map_or(Next::Clear, |action| Next::Run(action.clone())),
            Phase::Clearing => Next::Clear,
            Phase::Vouching => Next::Run(witness::take_away()),
            Phase::Over(left) => Next::Over(left.clone()),
        }
    }

    /// How far it came, percent. Less than 100 until it is over.
    #[must_use]
    pub fn percent(&self) -> u8 {
        match &self.phase {
            Phase::Looking | Phase::Parting(_) => 0,
            Phase::Acting { left, planned } => {
                let done = planned - left.len();
                u8::try_from(done * 90 / (*planned).max(1)).unwrap_or(90)
            }
            Phase::Clearing | Phase::Scanning | Phase::Vouching => 90,
            Phase::Over(_) => 100,
        }
    }

    /// What is on the device now.
    pub fn surveyed(&mut self, now: &Survey) {
        match self.phase {
            Phase::Looking => self.act(now),
            Phase::Scanning => {
                let mut left = findings(&self.baseline, now);
                let failed = self.failure.take();
                if now.more && failed.is_none() && self.crowded < CROWDED_MAX {
                    self.crowded += 1;
                    return self.act(now);
                }
                left.extend(failed);
                self.pass += 1;
                self.alone = false;
                if left.is_empty() {
                    self.phase = Phase::Vouching;
                } else if self.pass >= PASSES.len() {
                    self.phase = Phase::Over(left);
                } else {
                    self.act(now);
                }
            }
            // Nobody was asked to look.
            Phase::Parting(_) | Phase::Acting { .. } | Phase::Clearing | Phase::Vouching | Phase::Over(_) => {
            }
        }
    }

    fn act(&mut self, now: &Survey) {
        if !std::mem::replace(&mut self.alone, true) {
            let parting = VecDeque::from(alone(&self.baseline, now));
            if !parting.is_empty() {
                self.phase = Phase::Parting(parting);
                return;
            }
        }
        let spare = PASSES[self.pass.min(PASSES.len() - 1)];
        let left = VecDeque::from(plan(&self.baseline, now, spare));
        let planned = left.len();
        self.phase = if left.is_empty() {
            Phase::Clearing
        } else {
            Phase::Acting { left, planned }
        };
    }

    /// The action that was to be run has ended; whether it did what it should.
    pub fn ran(&mut self, well: bool) {
        if let Phase::Vouching = self.phase {
            let left = (!well).then(|| format!("{} failed", witness::take_away().what));
            self.phase = Phase::Over(left.into_iter().collect());
            return;
        }
        let (left, then) = match &mut self.phase {
            Phase::Parting(left) => (left, Phase::Looking),
            Phase::Acting { left, .. } => (left, Phase::Clearing),
            _ => return,
        };
        if let Some(action) = left.pop_front()
            && !well
        {
            // The command may hold what a person wrote; what it was for does not.
            self.failure.get_or_insert(format!("{} failed", action.what));
        }
        if left.is_empty() {
            self.phase = then;
        }
    }

    /// What no survey shows was emptied.
    pub fn cleared(&mut self) {
        if let Phase::Clearing = self.phase {
            self.phase = Phase::Scanning;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(file: &str) -> Survey {
        let mut survey = Survey::default();
        survey.files.insert(file.to_owned(), None);
        survey
    }

    /// Works a wipe whose surveys find `found`, one after the other, and whose actions end `well`; the steps.
    fn work(found: &[Survey], well: bool) -> (String, Vec<String>) {
        let mut wipe = Wipe::new(Arc::default());
        let (mut found, mut steps) = (found.iter(), String::new());
        loop {
            match wipe.due() {
                Next::Survey => {
                    steps.push('s');
                    wipe.surveyed(found.next().expect("no more looks than the test foresees"));
                }
                Next::Run(_) => {
                    steps.push('r');
                    wipe.ran(well);
                }
                Next::Clear => {
                    steps.push('c');
                    wipe.cleared();
                }
                Next::Over(left) => return (steps, left),
            }
            assert!(wipe.percent() < 100 || matches!(wipe.due(), Next::Over(_)));
        }
    }

    #[test]
    fn a_device_is_clean_only_after_a_scan_that_came_after_every_action() {
        let (dirty, clean) = (with("/sdcard/a"), Survey::default());
        assert_eq!(work(&[dirty, clean.clone()], true), ("srcsr".to_owned(), vec![]));
        assert_eq!(work(&[clean.clone(), clean], true), ("scsr".to_owned(), vec![]));
    }

    #[test]
    fn what_the_scan_finds_is_wiped_once_more_and_then_told() {
        let (dirty, clean) = (with("/sdcard/a"), Survey::default());
        let twice = [dirty.clone(), dirty.clone(), clean];
        assert_eq!(work(&twice, true), ("srcsrcsr".to_owned(), vec![]));
        let never = [dirty.clone(), dirty.clone(), dirty];
        let (steps, left) = work(&never, true);
        assert_eq!(
            (steps.as_str(), left.join("; ")),
            ("srcsrcs", "1 files or folders".to_owned())
        );
    }

    #[test]
    fn a_device_with_more_files_than_a_look_takes_in_is_wiped_look_by_look() {
        let crowd = Survey {
            more: true,
            ..with("/sdcard/a")
        };
        let (last, clean) = (with("/sdcard/b"), Survey::default());
        let looks = [crowd.clone(), crowd.clone(), crowd.clone(), last, clean];
        assert_eq!(work(&looks, true), ("srcsrcsrcsrcsr".to_owned(), vec![]));
        let endless = vec![crowd; CROWDED_MAX + 3];
        let (_, left) = work(&endless, true);
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn users_are_sent_away_before_anything_is_planned_and_again_in_the_next_pass() {
        let own = |users: &[u32]| Survey {
            users: Some(users.iter().copied().collect()),
            ..Survey::default()
        };
        let mut wipe = Wipe::new(Arc::new(own(&[5])));
        let mut commands = Vec::new();
        let clean = own(&[5]);
        let mut found = [
            own(&[5, 10, 11]),
            clean.clone(),
            own(&[5, 12]),
            own(&[5, 12]),
            clean.clone(),
            clean,
        ]
        .into_iter();
        loop {
            match wipe.due() {
                Next::Survey => wipe.surveyed(&found.next().expect("no more looks")),
                Next::Run(action) => {
                    commands.push(action.command);
                    wipe.ran(true);
                }
                Next::Clear => wipe.cleared(),
                Next::Over(left) => break assert_eq!(left, [""; 0]),
            }
        }
        let parted = [
            "am switch-user 0",
            "pm remove-user 10 || true",
            "pm remove-user 11 || true",
        ];
        assert_eq!(commands[..3], parted);
        assert_eq!(commands[3..5], ["am switch-user 0", "pm remove-user 12 || true"]);
    }

    #[test]
    fn an_action_that_failed_is_done_again_however_clean_the_scan() {
        let (dirty, clean) = (with("/sdcard/a"), Survey::default());
        let (steps, left) = work(&[dirty.clone(), clean.clone(), clean.clone()], false);
        assert_eq!(
            (steps.as_str(), left.join("; ")),
            ("srcscsr", "the witness of use failed".to_owned()),
            "there was nothing to do the second time but to take the witness away"
        );
        let (_, left) = work(&[dirty.clone(), dirty.clone(), clean], false);
        assert_eq!(left, ["files failed"]);
    }
}
