//! Has whoever may still be on a quarantined device cut off.
//!
//! ```text
//!   the agent did not answer a release ──► quarantined, and its fence below the device's epoch
//!                                                │ as soon as it is heard again, over this link or the next
//!                                                ▼
//!                       Release { Keep } ──► its fence rises, every connection of before ends: told by its next report
//! ```
//!
//! A release that was given up may never have reached the agent: then its holder watches and touches on. What matters is
//! the fence; cleaning is an operator's order. One job per device and epoch at a time, and the sweep starts it again as
//! long as the agent's fence is said to be lower. It does not know why the device is quarantined.

use std::time::Duration;

use protocol::CloseReason;
use protocol::agent::{Release, Reset as Kind};

use crate::app::Shared;
use crate::domain::device::Reset;
use crate::jobs::duty::Duty;

/// An agent answers within this: a fence is written, and nothing is cleaned.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts the job, unless it runs.
pub(crate) fn spawn(app: &Shared, order: Reset) {
    let duty = Duty::CutOff(order.device, order.epoch);
    super::spawn(app, duty, |app| async move {
        let Some(host) = app.hosts.get(order.host) else {
            return;
        };
        let answered = host.call(request(&order), ANSWER_TIMEOUT, |_| {}).await;
        app.hosts
            .answered(order.host, order.device, order.epoch, &answered);
        match answered {
            Ok(()) => {
                tracing::info!(device.id = %order.device, epoch = %order.epoch, "a quarantined device is cut off");
            }
            Err(error) => {
                tracing::warn!(device.id = %order.device, %error, "a quarantined device is not cut off yet");
            }
        }
    });
}

/// What the agent is asked for.
pub(crate) const fn request(order: &Reset) -> Release {
    Release {
        lease: None,
        device: order.device,
        epoch: order.epoch,
        app: None,
        reset: Kind::Keep,
        reason: CloseReason::LeaseEnded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::{Occupancy, Soiled};
    use crate::domain::lease::Event;
    use crate::domain::time::UnixMs;
    use crate::jobs::{duty, release};
    use crate::rig::linked::{Linked, on_both_linked};
    use crate::store::audit::Actor;

    on_both_linked![a_device_that_was_given_up_without_an_answer_is_cut_off_over_the_same_link];

    async fn a_device_that_was_given_up_without_an_answer_is_cut_off_over_the_same_link(mut on: Linked) {
        let session = on.claim_and_hang_up().await;
        on.lease_is(&session, |state| {
            !matches!(state, crate::domain::lease::State::Preparing { .. })
        })
        .await;
        let store = &on.rig.app.store;
        // Nobody is told of the end: the request is lost on its way, and its time runs out.
        let _ours = on.rig.app.take_up(duty::Duty::Release(session.lease)).unwrap();
        let end = Event::End(CloseReason::LinkRevoked);
        let over = store
            .step(session.lease, end, &Actor::SYSTEM, UnixMs::now())
            .await;
        let asked = release::request(&over.unwrap().unwrap()).unwrap();
        assert!(on.agent.fence() < asked.epoch);
        let silent = Event::CleanFailed(Soiled::NoAnswer);
        let given_up = store
            .step(session.lease, silent, &Actor::SYSTEM, UnixMs::now())
            .await;
        given_up.unwrap().unwrap();
        let cut = on.agent.released().await;
        assert_eq!((cut.epoch, cut.reset, cut.lease), (asked.epoch, Kind::Keep, None));
        assert_eq!(on.agent.fence(), asked.epoch);
        on.agent.touched(None);
        // Its report says so: then nobody asks again.
        let device = on
            .device_is(|device| device.occupancy == Occupancy::Quarantined)
            .await;
        assert_eq!(device.epoch, asked.epoch);
    }
}
