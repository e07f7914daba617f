//! Has a quarantined device cleaned because an operator asked for it.
//!
//! A device that is wiping and that no lease holds is the order; it stands until the device is free or quarantined
//! again. One job per device and epoch at a time. What a job leaves undone the sweep starts again, at whichever control
//! has the host's link then.

use protocol::CloseReason;
use protocol::agent::{Release, Reset as Kind};
use signaling::link::call::CallError;

use crate::app::Shared;
use crate::domain::device::{Reset, Soiled};
use crate::domain::time::UnixMs;
use crate::jobs::cleaning;
use crate::jobs::duty::Duty;
use crate::store::{Store, StoreError};

/// Starts the job, unless it runs.
pub(crate) fn spawn(app: &Shared, reset: Reset) {
    let duty = Duty::Reset(reset.device, reset.epoch);
    super::spawn(app, duty, |app| async move {
        // Without a link it is left to the control that has it, or that will.
        let Some(host) = app.hosts.get(reset.host) else {
            return;
        };
        let answered = cleaning::ask(&host, request(&reset)).await;
        app.hosts
            .answered(reset.host, reset.device, reset.epoch, &answered);
        if let Err(error) = conclude(&app.store, &reset, answered, host.is_up(), UnixMs::now()).await {
            tracing::error!(device.id = %reset.device, %error, "a cleaned device could not be noted");
        }
    });
}

/// What the agent is asked for.
pub(crate) fn request(reset: &Reset) -> Release {
    Release {
        lease: None,
        device: reset.device,
        epoch: reset.epoch,
        app: None,
        reset: Kind::Full,
        reason: CloseReason::LeaseEnded,
    }
}

/// What follows from the answer; `up`: whether the link over which it was asked for still stands.
pub(crate) async fn conclude(
    store: &Store,
    reset: &Reset,
    answered: Result<(), CallError>,
    up: bool,
    now: UnixMs,
) -> Result<(), StoreError> {
    let cleaned = match answered {
        Ok(()) => Ok(()),
        Err(CallError::Lost(why)) if !up => {
            tracing::info!(device.id = %reset.device, %why, "the link broke while a device was reset");
            return Ok(());
        }
        Err(error) => {
            tracing::error!(device.id = %reset.device, %error, "a quarantined device could not be cleaned");
            Err(match error {
                CallError::Refused(_) => Soiled::NotCleaned,
                _ => Soiled::NoAnswer,
            })
        }
    };
    store
        .device_was_reset(reset.device, reset.epoch, cleaned, now)
        .await
}
