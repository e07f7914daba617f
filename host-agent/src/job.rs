//! One long piece of work on a device, as a task with askers.
//!
//! ```text
//!   Work ── start ──► Running ── ended ──► { stage that the fence has reached, reply }, the boot that was launched on
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
use crate::probe::Boot;
use crate::refusals::effect_refusal;
use crate::tenancy::{self, Shown};

/// The longest that a job may take, whatever control allows.
const DEADLINE_MAX: Duration = Duration::from_secs(120);
/// How long a release may take: control waits a little longer before it quarantines the device.
const RELEASE_DEADLINE: Duration = Duration::from_millis(RELEASE_DEADLINE_MS);

/// A job at work, with those who wait for it. Dropping it abandons the work.
pub(crate) struct Running {
    pub(crate) askers: Askers,
    task: AbortOnDropHandle<Ended>,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// The boot of the device that shows its holder what he was given; none if nobody was given anything.
    pub(crate) boot: Option<Boot>,
}

/// Starts work on a device. `prepared` is the boot that it was prepared under for its holder, if that is known.
pub(crate) fn start(work: Work, prepared: Option<Boot>, askers: Askers, reach: Reach) -> Running {
    let (effects, told) = (Effects::new(reach, work.epoch()), askers.clone());
    let task = tokio::spawn(async move { carry_out(&effects, &work, prepared.as_ref(), &told).await });
    Running {
        askers,
        task: AbortOnDropHandle::new(task),
    }
}

impl Running {
    /// Waits for the end. Safe to cancel; once it has come, not to be called again.
    pub(crate) async fn ended(&mut self) -> Ended {
        match (&mut self.task).await {
            Ok(ended) => ended,
            Err(error) => refused(refusal(RefusalCode::Internal, &error)),
        }
    }
}

async fn carry_out(effects: &Effects, work: &Work, prepared: Option<&Boot>, askers: &Askers) -> Ended {
    let (what, deadline) = match work {
        Work::Prepare(request) | Work::Resume(request) | Work::Return(request) => {
            let deadline = Duration::from_millis(request.deadline_ms);
            ("preparing the device", deadline.min(DEADLINE_MAX))
        }
        Work::Release(_) => ("cleaning the device", RELEASE_DEADLINE),
    };
    let done = tokio::time::timeout(deadline, async {
        match work {
            Work::Prepare(request) => {
                let shown = tenancy::prepare(effects, request, |progress| askers.tell(progress)).await?;
                Ok(ready(shown))
            }
            Work::Resume(request) => Ok(ready(tenancy::resume(effects, request, prepared).await?)),
            Work::Return(request) => Ok(ready(tenancy::return_to(effects, request).await?)),
            Work::Release(request) => {
                tenancy::release(effects, request, |progress| askers.tell(progress)).await?;
                Ok(Ended {
                    outcome: Outcome {
                        stage: Some(Stage::Clean),
                        reply: Reply::Released,
                    },
                    boot: None,
                })
            }
        }
    });
    match done.await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => failed(&error),
        Err(_) => failed(&EffectError::Late(what.to_owned())),
    }
}

fn ready(shown: Shown) -> Ended {
    let PictureSize { width, height } = shown.size;
    Ended {
        outcome: Outcome {
            stage: Some(Stage::Prepared),
            reply: Reply::Prepared { width, height },
        },
        boot: Some(shown.boot),
    }
}

fn failed(error: &EffectError) -> Ended {
    refused(refusal(effect_refusal(error), error))
}

fn refused(reply: Reply) -> Ended {
    Ended {
        outcome: Outcome { stage: None, reply },
        boot: None,
    }
}
