//! When people last acted on each device, for control, which ends sessions that nobody uses.
//!
//! ```text
//!   gateway: Input ──► note ──► the first after a silence: report now
//!   report ──────────► told: how long ago, under which epoch
//! ```
//!
//! Only what a hand does counts: lifts also come from the gateway, when a viewer is silent. It does not know
//! what idle means or whether an operation got past the fence: one of an older epoch is told under that epoch.

use std::collections::HashMap;
use std::time::Duration;

use protocol::agent::Touched;
use protocol::input::InputOp;
use protocol::{DeviceId, Epoch};
use tokio::time::Instant;

/// The last touch of each device: one entry per device of the host.
#[derive(Debug, Default)]
pub(crate) struct Touches(HashMap<DeviceId, (Epoch, Instant)>);

impl Touches {
    /// Notes an operation. True if it ends a silence of at least `silence`, so that a warning can be taken back.
    pub(crate) fn note(
        &mut self,
        device: DeviceId,
        epoch: Epoch,
        op: &InputOp,
        silence: Duration,
        now: Instant,
    ) -> bool {
        if matches!(op, InputOp::Up { .. } | InputOp::LiftAll) {
            return false;
        }
        let before = self.0.insert(device, (epoch, now));
        before.is_none_or(|(under, at)| under != epoch || now.duration_since(at) >= silence)
    }

    /// What control is told.
    pub(crate) fn told(&self, now: Instant) -> Vec<Touched> {
        let touched = |(&device, &(epoch, at)): (&DeviceId, &(Epoch, Instant))| Touched {
            device,
            epoch,
            ago_ms: u64::try_from(now.duration_since(at).as_millis()).unwrap_or(u64::MAX),
        };
        self.0.iter().map(touched).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::control::System;
    use uuid::Uuid;

    const SILENCE: Duration = Duration::from_secs(5);

    #[test]
    fn the_first_touch_after_a_silence_is_told_at_once_and_lifts_are_no_touches() {
        let (device, start) = (DeviceId::from_uuid(Uuid::nil()), Instant::now());
        let mut touches = Touches::default();
        let mut note = |epoch, op, after| {
            touches.note(
                device,
                Epoch(epoch),
                op,
                SILENCE,
                start + Duration::from_secs(after),
            )
        };
        let press = InputOp::System(System::Home);
        assert!(note(1, &press, 0));
        assert!(!note(1, &press, 4));
        assert!(note(1, &press, 9));
        assert!(note(2, &press, 10), "another holder's first");
        assert!(!note(2, &InputOp::LiftAll, 60), "the gateway lifts by itself");
        let told = touches.told(start + Duration::from_secs(12));
        let expected = Touched {
            device,
            epoch: Epoch(2),
            ago_ms: 2000,
        };
        assert_eq!(told, [expected]);
    }
}
