//! What the jobs ask an agent for, and what follows from each answer that it gives or does not give.

use protocol::agent::{Refusal, RefusalCode, Reset};
use protocol::{CloseReason, Epoch};
use signaling::link::call::CallError;

use crate::domain::device::{Occupancy, Soiled};
use crate::domain::lease::{Event, State};
use crate::domain::session::Session;
use crate::jobs::{prepare, release, reset};
use crate::rig::{Rig, after, on_both};
use crate::store::audit::Actor;

on_both![
    a_new_holder_gets_cleared_apps_and_whoever_comes_after_one_a_wiped_device,
    a_set_up_that_the_agent_refuses_gives_the_use_back_and_one_whose_link_broke_goes_on,
    a_quarantine_says_whether_the_agent_failed_or_was_silent,
    a_reset_by_hand_says_so_too_and_outlives_its_link,
    an_answer_to_a_release_that_the_lease_does_not_ask_for_changes_nothing,
];

fn refused() -> CallError {
    CallError::Refused(Refusal {
        code: RefusalCode::SetupFailed,
        detail: "2 files or folders".to_owned(),
    })
}

fn lost() -> CallError {
    CallError::Lost("cut".to_owned())
}

async fn a_new_holder_gets_cleared_apps_and_whoever_comes_after_one_a_wiped_device(rig: Rig) {
    let held = held(&rig).await;
    let prepare = prepare::request(&held);
    assert_eq!((prepare.reset, prepare.epoch), (Reset::WipeApp, held.epoch));
    assert_eq!(release::request(&held), None, "nobody is cut off");
    let over = ended(&rig, &held).await;
    let release = release::request(&over).unwrap();
    assert_eq!(release.reset, Reset::Full);
    assert_eq!(Some(release.epoch), over.release_epoch);
    assert_ne!(release.epoch, over.epoch);
    concluded(&rig, &over, Err(refused()), true).await;
    let order = rig
        .app
        .store
        .reset_device(rig.device, &Actor::SYSTEM, after(30))
        .await;
    let order = order.unwrap().unwrap();
    let reset = reset::request(&order);
    assert_eq!((reset.reset, reset.epoch), (Reset::Full, order.epoch));
}

async fn held(rig: &Rig) -> Session {
    rig.link("t", None, Some(1)).await;
    rig.granted("t", "a", after(10)).await
}

async fn ended(rig: &Rig, session: &Session) -> Session {
    let end = Event::End(CloseReason::LeaseEnded);
    let ended = rig
        .app
        .store
        .step(session.lease, end, &Actor::SYSTEM, after(20))
        .await;
    ended.unwrap().unwrap()
}

async fn concluded(rig: &Rig, over: &Session, answered: Result<(), CallError>, up: bool) -> Option<Session> {
    let concluded = release::conclude(&rig.app.store, over, answered, up, after(25)).await;
    concluded.unwrap()
}

/// Who has the device, and why nobody may.
async fn device(rig: &Rig) -> (Occupancy, Option<Soiled>) {
    let device = rig.app.store.device(rig.device).await.unwrap().unwrap();
    (device.occupancy, device.quarantine.map(|(why, _)| why))
}

async fn a_set_up_that_the_agent_refuses_gives_the_use_back_and_one_whose_link_broke_goes_on(rig: Rig) {
    let session = held(&rig).await;
    let store = &rig.app.store;
    let broke = prepare::conclude(store, &session, Err::<(), _>(lost()), false, after(11)).await;
    assert_eq!(broke.unwrap(), None);
    assert_eq!(rig.now(&session).await.state, session.state);
    let failed = prepare::conclude(store, &session, Err::<(), _>(refused()), true, after(12)).await;
    let failed = failed.unwrap().unwrap();
    assert_eq!(failed.state.reason(), Some(CloseReason::SetupFailed));
    assert_eq!((failed.own_state.as_str(), failed.link.uses), ("failed", 0));
}

async fn a_quarantine_says_whether_the_agent_failed_or_was_silent(rig: Rig) {
    let mut over = ended(&rig, &held(&rig).await).await;
    for (at, (answer, why)) in [
        (refused(), Soiled::NotCleaned),
        (CallError::TimedOut, Soiled::NoAnswer),
        (lost(), Soiled::NoAnswer),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(concluded(&rig, &over, Err(lost()), false).await, None);
        assert_eq!(
            device(&rig).await,
            (Occupancy::Wiping, None),
            "it is asked for again"
        );
        concluded(&rig, &over, Err(answer), true).await.unwrap();
        assert_eq!(device(&rig).await, (Occupancy::Quarantined, Some(why)));
        let order = rig
            .app
            .store
            .reset_device(rig.device, &Actor::SYSTEM, after(30))
            .await;
        let order = order.unwrap().unwrap();
        reset::conclude(&rig.app.store, &order, Ok(()), true, after(31))
            .await
            .unwrap();
        let token = at.to_string();
        rig.link(&token, None, None).await;
        let next = rig.granted(&token, "b", after(40)).await;
        assert!(matches!(next.state, State::Preparing { .. }));
        over = ended(&rig, &next).await;
    }
}

async fn a_reset_by_hand_says_so_too_and_outlives_its_link(rig: Rig) {
    let over = ended(&rig, &held(&rig).await).await;
    concluded(&rig, &over, Err(CallError::TimedOut), true)
        .await
        .unwrap();
    let store = &rig.app.store;
    for (answer, why) in [
        (refused(), Soiled::NotCleaned),
        (CallError::TimedOut, Soiled::NoAnswer),
    ] {
        let order = store.reset_device(rig.device, &Actor::SYSTEM, after(30)).await;
        let order = order.unwrap().unwrap();
        reset::conclude(store, &order, Err(lost()), false, after(31))
            .await
            .unwrap();
        assert_eq!(device(&rig).await, (Occupancy::Wiping, None), "the order stands");
        reset::conclude(store, &order, Err(answer), true, after(32))
            .await
            .unwrap();
        assert_eq!(device(&rig).await, (Occupancy::Quarantined, Some(why)));
    }
}

async fn an_answer_to_a_release_that_the_lease_does_not_ask_for_changes_nothing(rig: Rig) {
    let held = held(&rig).await;
    let over = ended(&rig, &held).await;
    // Somebody was answered whose database has been put back since.
    for asked in [
        None,
        Some(held.epoch),
        over.release_epoch.map(|epoch| Epoch(epoch.0 + 1)),
    ] {
        let before = Session {
            release_epoch: asked,
            ..over.clone()
        };
        assert_eq!(concluded(&rig, &before, Ok(()), true).await, None);
        assert_eq!(concluded(&rig, &before, Err(refused()), true).await, None);
        assert_eq!(device(&rig).await, (Occupancy::Wiping, None));
    }
    assert!(concluded(&rig, &over, Ok(()), true).await.is_some());
    assert_eq!(device(&rig).await, (Occupancy::Free, None));
}
