//! Has a quarantined device cleaned because an operator asked for it.

use protocol::agent::{Release, Reset};
use protocol::{CloseReason, DeviceId, Epoch};
use signaling::link::call::CallError;

use crate::app::Shared;
use crate::domain::device::Soiled;
use crate::domain::lease::RELEASE_TIMEOUT;
use crate::domain::time::UnixMs;
use crate::replica::Reach;

/// Starts the job.
pub(crate) fn spawn(app: &Shared, host: Reach, device: DeviceId, epoch: Epoch) {
    let shared = app.clone();
    app.jobs.spawn(async move {
        let cleaned = host.call(request(device, epoch), RELEASE_TIMEOUT).await;
        if let Err(error) = &cleaned {
            tracing::error!(device.id = %device, %error, "a quarantined device could not be cleaned");
        }
        if let Err(error) = shared
            .store
            .device_was_reset(device, epoch, outcome(&cleaned), UnixMs::now())
            .await
        {
            tracing::error!(device.id = %device, %error, "a cleaned device could not be noted");
        }
    });
}

/// What the answer means for the device.
pub(crate) fn outcome(cleaned: &Result<(), CallError>) -> Result<(), Soiled> {
    match cleaned {
        Ok(()) => Ok(()),
        Err(CallError::Refused(_)) => Err(Soiled::NotCleaned),
        Err(_) => Err(Soiled::NoAnswer),
    }
}

/// What the agent is asked for.
pub(crate) fn request(device: DeviceId, epoch: Epoch) -> Release {
    Release {
        lease: None,
        device,
        epoch,
        app: None,
        reset: Reset::Full,
        reason: CloseReason::LeaseEnded,
    }
}
