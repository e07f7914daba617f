//! One long piece of work on a device, as a task with askers.
//!
//! ```text
//!   Work ── start ──► Running ── ended ──► { stage that the fence has reached, reply }, the boot that was launched on
//! ```
//!
//! It is over within its deadline, and while a device is cleaned its askers are told so as long as the device answers: how
//! long that takes is the device's matter. It does not know the fence's file or the gateway, nor when which work is due:
//! custody.rs decides that, and what follows from the outcome.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use protocol::agent::{Progress, RELEASE_SILENCE_MS, RefusalCode, Reply};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::asker::{Askers, refusal};
use crate::custody::{Boot, Outcome, Work};
use crate::effects::{EffectError, Effects, Reach, STEP_MAX};
use crate::refusals::effect_refusal;
use crate::tenancy::{self, Shown};

/// How often at most askers hear that a device is still being cleaned.
const TOLD_EVERY: Duration = Duration::from_secs(5);
const _: () = assert!(
    (TOLD_EVERY.as_millis() + STEP_MAX.as_millis()) as u64 <= RELEASE_SILENCE_MS,
    "control gives up an agent that is still at work"
);

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
    let what = match work {
        Work::Prepare(_) | Work::Fresh(_) | Work::Resume(_) | Work::Return(_) => "preparing the device",
        Work::Release(_) => "cleaning the device",
    };
    let done = tokio::time::timeout(work.allowed(), async {
        match work {
            Work::Prepare(request) => {
                let reset = work.reset(false);
                let shown =
                    tenancy::prepare(effects, request, reset, |progress| askers.tell(progress)).await?;
                Ok(ready(shown))
            }
            Work::Fresh(request) => {
                let shown =
                    tenancy::receive(effects, work, request, |progress| askers.tell(progress)).await?;
                Ok(ready(shown))
            }
            Work::Resume(request) => Ok(ready(tenancy::resume(effects, request, prepared).await?)),
            Work::Return(request) => Ok(ready(tenancy::return_to(effects, request).await?)),
            Work::Release(_) => {
                let percent = AtomicU8::new(0);
                let clean = tenancy::release(effects, work.reset(false), |progress| {
                    percent.store(progress.percent, Ordering::Relaxed);
                    askers.tell(progress);
                });
                let tell = || {
                    askers.tell(Progress {
                        stage: protocol::agent::Stage::Reset,
                        percent: percent.load(Ordering::Relaxed),
                    });
                };
                while_telling(clean, effects.life(), Instant::now, tell).await?;
                Ok(Ended {
                    outcome: Outcome::released(),
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

/// Does the work, and tells of it as long as there are signs of life.
async fn while_telling<T>(
    work: impl Future<Output = T>,
    life: &Notify,
    now: impl Fn() -> Instant,
    tell: impl Fn(),
) -> T {
    tokio::pin!(work);
    let mut told = now();
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = life.notified() => {}
        }
        if now() - told >= TOLD_EVERY {
            told = now();
            tell();
        }
    }
}

fn ready(shown: Shown) -> Ended {
    Ended {
        outcome: Outcome::shown(shown.size),
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_device_that_is_cleaned_slowly_is_told_of_as_long_as_it_answers() {
        let (life, told) = (Notify::new(), Mutex::new(vec![Duration::ZERO]));
        let (begin, passed) = (Instant::now(), Mutex::new(Duration::ZERO));
        let work = async {
            for step in 0..60 {
                // Some steps are quick, some as long as any may be.
                let takes = if step % 3 == 0 {
                    STEP_MAX
                } else {
                    Duration::from_millis(700)
                };
                *passed.lock().unwrap() += takes;
                life.notify_one();
                tokio::task::yield_now().await;
            }
        };
        let now = || begin + *passed.lock().unwrap();
        while_telling(work, &life, now, || {
            told.lock().unwrap().push(*passed.lock().unwrap());
        })
        .await;
        let told = told.into_inner().unwrap();
        let silence = told.windows(2).map(|two| two[1] - two[0]).max();
        assert!(
            silence.is_some_and(|longest| longest <= Duration::from_millis(RELEASE_SILENCE_MS)),
            "{silence:?}"
        );
        assert_eq!(
            told.len(),
            1 + 20,
            "once for each step that took long, and not once more"
        );
    }
}
