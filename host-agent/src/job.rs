//! One long piece of work on a device, as a task with askers.
//!
//! ```text
//!   Work ── start ──► Running ── outcome ──► { stage that the fence has reached, reply }
//! ```
//!
//! It is over within its deadline. It does not know the fence's file or the gateway, nor when which work is due:
//! custody.rs decides that, and what follows from the outcome.

use std::time::Duration;

use protocol::agent::{RELEASE_DEADLINE_MS, RefusalCode, Reply};
use tokio_util::task::AbortOnDropHandle;

use crate::asker::{Askers, refusal};
use crate::custody::{Outcome, Work};
use crate::effects::{EffectError, Effects, Reach};
use crate::fence::Stage;
use crate::fingers::PictureSize;
use crate::refusals::effect_refusal;
use crate::tenancy;

/// The longest that a job may take, whatever control allows.
const DEADLINE_MAX: Duration = Duration::from_secs(120);
/// How long a release may take: control waits a little longer before it quarantines the device.
const RELEASE_DEADLINE: Duration = Duration::from_millis(RELEASE_DEADLINE_MS);

/// A job at work, with those who wait for it. Dropping it abandons the work.
pub(crate) struct Running {
    pub(crate) askers: Askers,
    task: AbortOnDropHandle<Outcome>,
}

/// Starts work on a device.
pub(crate) fn start(work: Work, askers: Askers, reach: Reach) -> Running {
    let (effects, told) = (Effects::new(reach, work.epoch()), askers.clone());
    let task = tokio::spawn(async move { carry_out(&effects, &work, &told).await });
    Running {
        askers,
        task: AbortOnDropHandle::new(task),
    }
}

impl Running {
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

fn prepared(size: PictureSize) -> Outcome {
    let PictureSize { width, height } = size;
    Outcome {
        stage: Some(Stage::Prepared),
        reply: Reply::Prepared { width, height },
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
                Ok(prepared(size))
            }
            Work::Resume(_) => Ok(prepared(effects.fresh_picture().await?)),
            Work::Return(request) => Ok(prepared(tenancy::return_to(effects, request).await?)),
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
