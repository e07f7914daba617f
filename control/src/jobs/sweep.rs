//! The clock's part: leases whose time is over, duties that nobody is at, and memory that may go.
//!
//! When something is over is `domain::deadlines`, by the clock that never jumps; here it is asked, and what is due
//! goes through the store like any other event. Whoever is to come to an end hears of it before (see `watch`).
//! One lease whose end cannot be written does not stop the others'.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use protocol::HostId;

use crate::app::{App, Shared};
use crate::domain::deadlines::{Deadlines, Look};
use crate::domain::device::Reset;
use crate::domain::session::{Presence, Session};
use crate::domain::time::{Moment, Steady, UnixMs};
use crate::jobs::duty::{Duties, Duty};
use crate::jobs::gone::Gone;
use crate::jobs::{cut_off, hang_up, reset};
use crate::replica;
use crate::store::audit::Actor;
use crate::store::feed::Word;
use crate::store::live::Owing;
use crate::store::retention::Pass;
use crate::store::{Store, StoreError};

/// How often leases are looked at: the promise is an end within a second.
const LEASES_EVERY: Duration = Duration::from_millis(500);
/// Ends that wait for their commit at the same time: as many as share one.
const ENDS_AT_ONCE: usize = 32;
/// How often memory and old sessions are looked at, and what leases have used is written down: a control that dies
/// forgets at most this much of it.
const MEMORY_EVERY: Duration = Duration::from_secs(30);

/// Runs until control stops.
pub(crate) async fn run(app: Shared) {
    let mut leases = tokio::time::interval(LEASES_EVERY);
    let mut memory = tokio::time::interval(MEMORY_EVERY);
    let mut looks = Looks::default();
    let mut pass = Pass::Over;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = leases.tick() => {
                if let Err(error) = look_at_leases(&app, &mut looks).await {
                    tracing::error!(%error, "leases could not be looked through");
                }
                match app.store.forget_a_batch(pass, UnixMs::now()).await {
                    Ok(further) => pass = further,
                    Err(error) => tracing::error!(%error, "what is long over could not be deleted; it is tried again"),
                }
            }
            _ = memory.tick() => {
                app.limits.prune(Instant::now());
                app.watches.prune();
                if pass == Pass::Over {
                    pass = Pass::default();
                }
                if let Err(error) = tidy(&app, app.now()).await {
                    tracing::error!(%error, "old rows could not be tidied");
                }
                if let Err(error) = looks.gone.look(&app).await {
                    tracing::error!(%error, "it could not be looked who does not come back");
                }
            }
        }
    }
}

/// What one look leaves for the next.
#[derive(Default)]
pub(crate) struct Looks {
    last: Option<Steady>,
    gone: Gone,
}

impl Looks {
    /// What the deadlines say of held leases that were read from `begun` until now. What control could not look at
    /// meanwhile is not counted.
    pub(crate) fn at(
        &mut self,
        held: &[Session],
        deadlines: &mut Deadlines,
        begun: Steady,
        now: Moment,
    ) -> Look {
        let last = self.last.replace(now.steady);
        let apart = last.map_or(Duration::ZERO, |last| now.steady.since(last));
        if deadlines.missed(apart, now.steady) {
            self.gone.missed(apart);
        }
        deadlines.look_since(held, begun, now)
    }
}

/// Ends every lease whose time is over, tells the holders of the others, and starts what is owed and nobody is at.
async fn look_at_leases(app: &Shared, looks: &mut Looks) -> Result<(), StoreError> {
    // Reading takes a while when they are many: what was not over before is not over by its row.
    let begun = app.now().steady;
    let held = app.store.held().await?;
    let now = app.now();
    let linked = replica::linked(app).await?;
    app.watches.observed(&held, |session| {
        let presence = if linked.contains(&session.host) {
            session.health.into()
        } else {
            Presence::Unlinked
        };
        (!app.hosts.is_online(session.host)).then_some(presence)
    });
    let look = looks.at(&held, &mut app.deadlines(), begun, now);
    for (session, outlook) in &look.outlooks {
        app.watches.expect(*session, *outlook);
    }
    for (session, left) in &look.idle {
        app.replica.tell(Word::Idle(*session, *left));
    }
    for ended in end_due(&app.store, &look, now.wall).await {
        match ended {
            Ok(changed) => App::changed(app, changed),
            Err(error) => {
                tracing::error!(%error, "a lease whose time is over could not be ended; it is tried again");
            }
        }
    }
    take_up_what_is_owed(app).await
}

/// Starts what the rows ask of a host whose link is here. What is being done already is left alone.
pub(crate) async fn take_up_what_is_owed(app: &Shared) -> Result<(), StoreError> {
    let hosts = &app.hosts;
    let is_below = |order: &Reset| hosts.is_below(order.host, order.device, order.epoch);
    let owed = Undone::read(&app.store, &app.duties, |host| hosts.is_online(host), is_below).await?;
    for session in owed.leases {
        App::set_about(app, session);
    }
    for order in owed.resets {
        reset::spawn(app, order);
    }
    for order in owed.cuts {
        cut_off::spawn(app, order);
    }
    Ok(())
}

/// What the rows ask of one control.
#[derive(Debug)]
pub(crate) struct Undone {
    /// Devices to be made ready or taken back, by their leases.
    pub leases: Vec<Session>,
    /// Devices that an operator wants cleaned.
    pub resets: Vec<Reset>,
    /// Quarantined devices on which somebody may still be.
    pub cuts: Vec<Reset>,
}

impl Undone {
    /// What nobody is at yet. `is_linked`: whether a host's link is here; `is_below`: whether such a host said that its
    /// fence is below an order.
    pub(crate) async fn read(
        store: &Store,
        duties: &Duties,
        is_linked: impl Fn(HostId) -> bool,
        is_below: impl Fn(&Reset) -> bool,
    ) -> Result<Self, StoreError> {
        let not_at_it = |owing: &Owing| is_linked(owing.host) && !duties.is_at(Duty::of(owing));
        let leases = store.owed(not_at_it).await?;
        let mut resets = store.resetting().await?;
        resets.retain(|order| is_linked(order.host));
        let mut cuts = store.quarantined().await?;
        cuts.retain(is_below);
        Ok(Self { leases, resets, cuts })
    }
}

/// Ends what a look found to be due, all at once: they share their commits. Each comes to its own result.
pub(crate) async fn end_due(store: &Store, look: &Look, now: UnixMs) -> Vec<Result<Session, StoreError>> {
    let due = look.due.iter();
    let ends: Vec<_> = due
        .map(|(lease, event)| store.step(*lease, *event, &Actor::SYSTEM, now))
        .collect();
    let ended: Vec<_> = stream::iter(ends).buffer_unordered(ENDS_AT_ONCE).collect().await;
    ended.into_iter().filter_map(Result::transpose).collect()
}

async fn tidy(app: &Shared, now: Moment) -> Result<(), StoreError> {
    let held = app.store.held().await?;
    let Moment { steady, wall } = now;
    let spent = app.deadlines().spent(&held, steady);
    if !spent.is_empty() {
        app.store.note_spent(&spent).await?;
    }
    app.store.forget_old_sessions(wall).await?;
    hang_up::all(app, app.store.end_unsigned_looks(wall).await?);
    app.store.forget_viewer_tokens(wall).await?;
    app.store.forget_old_answers(wall).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::Occupancy;
    use crate::domain::lease::Event;
    use crate::domain::lease::State;
    use crate::domain::link::Standing;
    use crate::rig::{Rig, START, after, on_both};
    use crate::secret::Hash;
    use crate::store::claims::{Claimed, Refused};
    use crate::store::connections::Owner;
    use protocol::agent::Role;
    use protocol::{CloseReason, Epoch};

    on_both![
        a_holder_who_is_away_while_control_could_not_look_still_comes_back,
        what_a_lease_used_of_its_length_is_kept_for_the_next_control,
        a_lost_holder_keeps_the_device_for_half_a_minute,
        a_holder_whose_next_offer_fails_is_gone,
        coming_back_within_the_grace_starts_it_anew,
        no_lease_runs_out_while_agents_are_still_coming_back,
        a_link_that_expires_cuts_its_holder_even_while_agents_are_coming_back,
        a_set_up_that_takes_too_long_fails_and_gives_the_use_back,
        a_device_that_was_cleaned_for_an_older_epoch_is_not_free,
        a_lease_that_the_agents_fence_has_passed_is_over,
    ];

    async fn a_lost_holder_keeps_the_device_for_half_a_minute(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", after(100)).await;
        rig.app.store.prepared(session.lease, after(101)).await.unwrap();
        rig.view(&session, true, after(110)).await;
        rig.sweep(after(110)).await;
        rig.sweep(UnixMs(after(140).0 - 1)).await;
        assert_eq!(rig.now(&session).await.state, State::Grace { until: after(140) });
        assert!(matches!(
            rig.claim("t", "b", after(139)).await,
            Claimed::Refused(Refused::BoundElsewhere)
        ));
        rig.sweep(after(140)).await;
        let over = rig.now(&session).await;
        assert_eq!(
            over.state,
            State::Releasing {
                reason: CloseReason::LeaseEnded
            }
        );
        assert_eq!((over.epoch, over.release_epoch), (Epoch(1), Some(Epoch(2))));
        let device = rig.app.store.device(rig.device).await.unwrap().unwrap();
        assert_eq!((device.occupancy, device.epoch), (Occupancy::Wiping, Epoch(2)));
        // Its own browser comes too late as well: the device is being cleaned.
        assert!(matches!(
            rig.claim("t", "a", after(141)).await,
            Claimed::Refused(Refused::DeviceInUse)
        ));
    }

    async fn a_holder_who_is_away_while_control_could_not_look_still_comes_back(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", after(100)).await;
        rig.app.store.prepared(session.lease, after(101)).await.unwrap();
        let mut looks = Looks::default();
        let mut due = async |seconds: u64| {
            let held = rig.app.store.held().await.unwrap();
            let (steady, wall) = (Steady(Duration::from_secs(seconds)), after(seconds));
            let look = looks.at(&held, &mut rig.app.deadlines(), steady, Moment { steady, wall });
            !look.due.is_empty()
        };
        for seconds in 101..=105 {
            assert!(!due(seconds).await);
        }
        // The database is away, or this process is stopped.
        for seconds in 140..=165 {
            assert!(!due(seconds).await, "{seconds}");
        }
        assert!(due(166).await, "its thirty seconds are over");
    }

    async fn what_a_lease_used_of_its_length_is_kept_for_the_next_control(rig: Rig) {
        rig.link("t", None, None).await;
        let limit = "UPDATE links SET max_duration_s = 100";
        rig.app.store.run(limit.to_owned()).await.unwrap();
        let session = rig.granted("t", "a", after(100)).await;
        rig.app.store.prepared(session.lease, after(101)).await.unwrap();
        rig.view(&session, false, after(110)).await;
        rig.sweep(after(110)).await;
        let (steady, wall) = (Steady(Duration::from_secs(125)), after(125));
        tidy(&rig.app, Moment { steady, wall }).await.unwrap();
        assert_eq!(rig.now(&session).await.spent, Duration::from_secs(15));
    }

    async fn a_holder_whose_next_offer_fails_is_gone(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", after(100)).await;
        rig.app.store.prepared(session.lease, after(101)).await.unwrap();
        rig.view(&session, false, after(110)).await;
        assert_eq!(rig.now(&session).await.state, State::Active);
        let owner = Owner {
            lease: session.lease,
            hash: Hash(session.binding),
            role: Role::Controller,
            operator: None,
        };
        let store = &rig.app.store;
        let opened = store
            .open_connection(owner, 1, &Actor::SYSTEM, after(120))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(opened.replaced.len(), 1);
        store
            .drop_connection(opened.id, session.lease, after(121))
            .await
            .unwrap();
        assert_eq!(rig.now(&session).await.state, State::Grace { until: after(151) });
    }

    async fn coming_back_within_the_grace_starts_it_anew(rig: Rig) {
        rig.link("t", None, Some(1)).await;
        let session = rig.granted("t", "a", after(100)).await;
        rig.app.store.prepared(session.lease, after(101)).await.unwrap();
        let Claimed::Resumed(again) = rig.claim("t", "a", after(120)).await else {
            panic!("its own lease")
        };
        assert_eq!((again.id, again.epoch), (session.id, session.epoch));
        rig.sweep(after(120)).await;
        rig.sweep(after(140)).await;
        assert_eq!(rig.now(&session).await.state, State::Grace { until: after(150) });
        rig.view(&session, false, after(145)).await;
        rig.sweep(after(1000)).await;
        assert_eq!(rig.now(&session).await.state, State::Active);
    }

    async fn no_lease_runs_out_while_agents_are_still_coming_back(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", START).await;
        rig.app.store.prepared(session.lease, after(1)).await.unwrap();
        rig.sweep(after(1)).await;
        rig.sweep(after(59)).await;
        assert!(
            rig.now(&session).await.state.is_held(),
            "its grace is over, the reconnect window is not"
        );
        rig.sweep(after(60)).await;
        assert!(!rig.now(&session).await.state.is_held());
    }

    async fn a_link_that_expires_cuts_its_holder_even_while_agents_are_coming_back(rig: Rig) {
        rig.link("t", Some(after(10)), None).await;
        let session = rig.granted("t", "a", after(9)).await;
        rig.sweep(after(9)).await;
        rig.sweep(after(10)).await;
        assert_eq!(
            rig.now(&session).await.state.reason(),
            Some(CloseReason::LinkExpired)
        );
        let claimed = rig.claim("t", "a", after(10)).await;
        assert!(matches!(
            claimed,
            Claimed::Refused(Refused::Over(Standing::Expired))
        ));
    }

    async fn a_set_up_that_takes_too_long_fails_and_gives_the_use_back(rig: Rig) {
        let link = rig.link("t", None, Some(1)).await;
        let session = rig.granted("t", "a", after(100)).await;
        rig.sweep(after(100)).await;
        rig.sweep(after(160)).await;
        assert_eq!(
            rig.now(&session).await.state.reason(),
            Some(CloseReason::SetupFailed)
        );
        assert_eq!(rig.app.store.link(link.id).await.unwrap().unwrap().0.uses, 0);
        let late = rig.app.store.prepared(session.lease, after(161)).await.unwrap();
        assert_eq!(late, None, "a late success changes nothing");
    }

    async fn a_device_that_was_cleaned_for_an_older_epoch_is_not_free(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", after(1)).await;
        let end = Event::End(CloseReason::LeaseEnded);
        rig.app
            .store
            .step(session.lease, end, &Actor::SYSTEM, after(2))
            .await
            .unwrap();
        // The agent's fence is above everything that control remembers.
        rig.hello(Epoch(9), after(3)).await;
        rig.app
            .store
            .step(session.lease, Event::Cleaned, &Actor::SYSTEM, after(4))
            .await
            .unwrap();
        let device = rig.app.store.device(rig.device).await.unwrap().unwrap();
        assert_eq!(
            (device.occupancy, device.epoch),
            (Occupancy::Quarantined, Epoch(10)),
            "above the fence: whoever is on it is cut off"
        );
    }

    async fn a_lease_that_the_agents_fence_has_passed_is_over(rig: Rig) {
        rig.link("t", None, None).await;
        let session = rig.granted("t", "a", after(1)).await;
        let live = rig.hello(Epoch(5), after(2)).await;
        assert_eq!(live[0].id, session.id);
        assert_eq!(
            live[0].state,
            State::Releasing {
                reason: CloseReason::HostLost
            }
        );
        assert_eq!(
            live[0].release_epoch,
            Some(Epoch(6)),
            "above the fence, so that the agent obeys"
        );
    }
}
