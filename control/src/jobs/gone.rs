//! Gives up what waits for a host or a device that does not come back.
//!
//! ```text
//!   held, device out of reach ──────► End(HostLost) ──► releasing, host not linked ──► CleanFailed(NoAnswer): quarantined
//!   reset by an operator, host not linked ─────────────────────────────────────────► quarantined again
//!                                     each after `domain::absence::GONE_AFTER`
//! ```
//!
//! Nobody is endangered by it: the epoch has risen, and a late return finds a fence above its own. It does not measure.

use std::collections::HashSet;
use std::time::Duration;

use protocol::{CloseReason, DeviceId, Epoch, HostId, LeaseId};

use crate::app::{App, Shared};
use crate::domain::absence::Absences;
use crate::domain::device::{Health, Soiled};
use crate::domain::lease::Event;
use crate::domain::session::Session;
use crate::domain::time::Moment;
use crate::replica;
use crate::store::StoreError;
use crate::store::audit::Actor;
use crate::store::live::Owing;

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Waiting {
    /// A holder, for the device.
    Holder(LeaseId),
    /// A lease that is over, for a wipe.
    Lease(LeaseId),
    /// A reset, for a wipe.
    Reset(DeviceId, Epoch),
}

/// Who is waited for, as one control saw it.
#[derive(Debug, Default)]
pub(crate) struct Gone(Absences<Waiting>);

impl Gone {
    /// Nobody could look for so long.
    pub(crate) fn missed(&mut self, pause: Duration) {
        self.0.missed(pause);
    }

    /// Looks at everything that waits.
    pub(crate) async fn look(&mut self, app: &Shared) -> Result<(), StoreError> {
        let (held, linked) = (app.store.held().await?, replica::linked(app).await?);
        self.give_up(app, &held, &linked, app.now()).await
    }

    /// Ends what waited for too long.
    async fn give_up(
        &mut self,
        app: &Shared,
        held: &[Session],
        linked: &HashSet<HostId>,
        now: Moment,
    ) -> Result<(), StoreError> {
        let store = &app.store;
        let holders = held.iter().filter(|session| session.health == Health::Offline);
        let mut waiting: Vec<_> = holders.map(|session| Waiting::Holder(session.lease)).collect();
        let alone = |owing: &Owing| owing.is_releasing && !linked.contains(&owing.host);
        let owed = store.owed(alone).await?;
        waiting.extend(owed.iter().map(|session| Waiting::Lease(session.lease)));
        for order in store.resetting().await? {
            if !linked.contains(&order.host) {
                waiting.push(Waiting::Reset(order.device, order.epoch));
            }
        }
        for gone in self.0.look(waiting, now.steady) {
            tracing::error!(
                ?gone,
                "a host or a device did not come back; it is not waited for any more"
            );
            let (lease, event) = match gone {
                Waiting::Holder(lease) => (lease, Event::End(CloseReason::HostLost)),
                Waiting::Lease(lease) => (lease, Event::CleanFailed(Soiled::NoAnswer)),
                Waiting::Reset(device, epoch) => {
                    let failed = Err(Soiled::NoAnswer);
                    store.device_was_reset(device, epoch, failed, now.wall).await?;
                    continue;
                }
            };
            if let Some(changed) = store.step(lease, event, &Actor::SYSTEM, now.wall).await? {
                App::changed(app, changed);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::Occupancy;
    use crate::domain::lease::State;
    use crate::domain::time::{Steady, UnixMs};
    use crate::rig::{Rig, after, on_both};

    on_both![
        a_lease_whose_host_never_comes_back_ends_and_its_device_is_quarantined,
        a_reset_whose_host_never_comes_back_is_over_too,
    ];

    /// One look, at this minute; no host is linked.
    async fn look(rig: &Rig, gone: &mut Gone, minute: u64) {
        let store = &rig.app.store;
        store.unlinked_are_offline().await.unwrap();
        let held = store.held().await.unwrap();
        let now = Moment {
            steady: Steady(Duration::from_secs(60 * minute)),
            wall: after(60 * minute),
        };
        gone.give_up(&rig.app, &held, &HashSet::new(), now).await.unwrap();
    }

    /// Who has the device, and why nobody may.
    async fn device(rig: &Rig) -> (Occupancy, Option<Soiled>) {
        let device = rig.app.store.device(rig.device).await.unwrap().unwrap();
        (device.occupancy, device.quarantine.map(|(why, _)| why))
    }

    async fn a_lease_whose_host_never_comes_back_ends_and_its_device_is_quarantined(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", after(1)).await;
        rig.app.store.prepared(session.lease, after(2)).await.unwrap();
        rig.view(&session, false, after(3)).await;
        let mut gone = Gone::default();
        for minute in [0, 14] {
            look(&rig, &mut gone, minute).await;
            assert!(rig.now(&session).await.state.is_held(), "{minute}");
        }
        look(&rig, &mut gone, 15).await;
        let reason = CloseReason::HostLost;
        assert_eq!(rig.now(&session).await.state, State::Releasing { reason });
        look(&rig, &mut gone, 16).await;
        look(&rig, &mut gone, 30).await;
        assert_eq!(device(&rig).await, (Occupancy::Wiping, None));
        look(&rig, &mut gone, 31).await;
        assert_eq!(rig.now(&session).await.state.reason(), Some(reason));
        assert_eq!(
            device(&rig).await,
            (Occupancy::Quarantined, Some(Soiled::NoAnswer))
        );
    }

    async fn a_reset_whose_host_never_comes_back_is_over_too(rig: Rig) {
        rig.link("t", None, None).await;
        let store = &rig.app.store;
        let session = rig.granted("t", "a", after(1)).await;
        for event in [Event::Failed, Event::CleanFailed(Soiled::NotCleaned)] {
            let stepped = store.step(session.lease, event, &Actor::SYSTEM, UnixMs(2));
            stepped.await.unwrap().unwrap();
        }
        let order = store.reset_device(rig.device, &Actor::SYSTEM, after(3)).await;
        order.unwrap().unwrap();
        let mut gone = Gone::default();
        look(&rig, &mut gone, 0).await;
        look(&rig, &mut gone, 14).await;
        assert_eq!(device(&rig).await, (Occupancy::Wiping, None));
        look(&rig, &mut gone, 15).await;
        assert_eq!(
            device(&rig).await,
            (Occupancy::Quarantined, Some(Soiled::NoAnswer))
        );
    }
}
