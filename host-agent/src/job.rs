//! One long piece of work on a device, as a task with askers: a [`Prepare`], its repetition, or a [`Release`].
//!
//! ```text
//!   Job ── start ──► Running ── outcome ──► { stage that the fence has reached, reply }
//! ```
//!
//! It is over within its deadline. It does not know the fence's file or the gateway: device.rs acts on the
//! outcome.

use std::time::Duration;

use protocol::Epoch;
use protocol::agent::{Prepare, RELEASE_DEADLINE_MS, RefusalCode, Release, Reply};
use tokio_util::task::AbortOnDropHandle;

use crate::asker::{Asker, Askers, refusal};
use crate::effects::{EffectError, Effects, Reach};
use crate::fence::Stage;
use crate::fingers::PictureSize;
use crate::refusals::effect_refusal;
use crate::tenancy;

/// The longest that a job may take, whatever control allows.
const DEADLINE_MAX: Duration = Duration::from_secs(120);
/// How long a release may take: control waits a little longer before it quarantines the device.
const RELEASE_DEADLINE: Duration = Duration::from_millis(RELEASE_DEADLINE_MS);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    Prepare(Prepare),
    /// The device was prepared for this already, before a restart: only a picture is awaited, and nothing is
    /// cleaned under its holder.
    Resume(Prepare),
    /// The device has booted since it was prepared for this holder: the app is launched again, and nothing is
    /// cleaned.
    Return(Prepare),
    Release(Release),
}

/// Work with those who wait for it.
#[derive(Debug)]
pub(crate) struct Job {
    work: Work,
    pub(crate) askers: Askers,
}

/// A job at work. Dropping it abandons the work.
pub(crate) struct Running {
    job: Job,
    task: AbortOnDropHandle<Outcome>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How far the epoch came; `None` if it failed.
    pub(crate) stage: Option<Stage>,
    pub(crate) reply: Reply,
}

impl Job {
    pub(crate) fn new(work: Work, asker: Asker) -> Self {
        let askers = Askers::default();
        askers.join(asker);
        Self::of(work, askers)
    }

    /// Work that nobody need have asked for.
    pub(crate) fn of(work: Work, askers: Askers) -> Self {
        Self { work, askers }
    }

    pub(crate) fn work(&self) -> &Work {
        &self.work
    }

    /// Whether this job is the answer to `work` as well: the same kind under the same epoch.
    pub(crate) fn is_for(&self, work: &Work) -> bool {
        match (&self.work, work) {
            (Work::Prepare(mine), Work::Prepare(other)) => mine.epoch == other.epoch,
            (Work::Release(mine), Work::Release(other)) => mine.epoch == other.epoch,
            (Work::Resume(mine), Work::Resume(other)) => mine.epoch == other.epoch,
            (Work::Return(mine), Work::Return(other)) => mine.epoch == other.epoch,
            (Work::Prepare(_) | Work::Resume(_) | Work::Return(_) | Work::Release(_), _) => false,
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        match &self.work {
            Work::Prepare(request) | Work::Resume(request) | Work::Return(request) => request.epoch,
            Work::Release(request) => request.epoch,
        }
    }

    pub(crate) fn start(self, reach: Reach) -> Running {
        let (work, askers) = (self.work.clone(), self.askers.clone());
        let effects = Effects::new(reach, self.epoch());
        let task = tokio::spawn(async move { carry_out(&effects, &work, &askers).await });
        Running {
            job: self,
            task: AbortOnDropHandle::new(task),
        }
    }
}

impl Running {
    pub(crate) fn job(&self) -> &Job {
        &self.job
    }

    /// Waits for the end. Safe to cancel; once it has come, not to be called again.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        match (&mut self.task).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome {
                stage: None,
                reply: refusal(RefusalCode::Internal, &error),
            },
        }
    }
}

impl Outcome {
    fn prepared(size: PictureSize) -> Self {
        let PictureSize { width, height } = size;
        Self {
            stage: Some(Stage::Prepared),
            reply: Reply::Prepared { width, height },
        }
    }
}

async fn carry_out(effects: &Effects, work: &Work, askers: &Askers) -> Outcome {
    let deadline = match work {
        Work::Prepare(request) | Work::Resume(request) | Work::Return(request) => {
            Duration::from_millis(request.deadline_ms).min(DEADLINE_MAX)
        }
        Work::Release(_) => RELEASE_DEADLINE,
    };
    let done = tokio::time::timeout(deadline, async {
        match work {
            Work::Prepare(request) => {
                let size = tenancy::prepare(effects, request, |progress| askers.tell(progress)).await?;
                Ok(Outcome::prepared(size))
            }
            Work::Resume(_) => Ok(Outcome::prepared(effects.fresh_picture().await?)),
            Work::Return(request) => Ok(Outcome::prepared(tenancy::return_to(effects, request).await?)),
            Work::Release(request) => {
                tenancy::release(effects, request, |progress| askers.tell(progress)).await?;
                Ok(Outcome {
                    stage: Some(Stage::Clean),
                    reply: Reply::Released,
                })
            }
        }
    });
    match done.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => failed(&error),
        Err(_) => failed(&EffectError::Late("preparing the device".to_owned())),
    }
}

fn failed(error: &EffectError) -> Outcome {
    Outcome {
        stage: None,
        reply: refusal(effect_refusal(error), error),
    }
}
