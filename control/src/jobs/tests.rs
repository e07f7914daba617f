//! What the rows ask for is done, whoever was told of it and whatever became of that.

use protocol::CloseReason;
use protocol::agent::{Request, Role};

use super::sweep;
use crate::domain::device::Occupancy;
use crate::domain::lease::{Event, State};
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::rig::linked::{Linked, on_both_linked};
use crate::rig::{Rig, after};
use crate::secret::Hash;
use crate::store::audit::Actor;
use crate::store::connections::Owner;
use crate::support::agent::Manner;

use super::duty::Duty;
use crate::app::App;

on_both_linked![
    a_claim_whose_browser_hung_up_is_prepared_all_the_same,
    a_preparation_whose_end_could_not_be_written_is_asked_for_again,
    a_release_that_is_not_possible_now_is_asked_for_again_and_quarantines_nothing,
    an_operators_reset_whose_control_died_is_done_by_the_next,
    a_reset_whose_end_could_not_be_written_is_asked_for_again,
    a_connection_that_comes_up_while_nothing_can_be_written_counts_afterwards,
];

fn prepares(request: &Request) -> bool {
    matches!(request, Request::Prepare(_))
}

async fn a_claim_whose_browser_hung_up_is_prepared_all_the_same(mut on: Linked) {
    let session = on.claim_and_hang_up().await;
    assert!(prepares(&on.agent.asked().await));
    on.lease_is(&session, |state| matches!(state, State::Grace { .. }))
        .await;
    sweep::take_up_what_is_owed(&on.rig.app).await.unwrap();
    assert_eq!(on.agent.unasked(), [], "once it is done nobody is asked again");
}

async fn a_preparation_whose_end_could_not_be_written_is_asked_for_again(mut on: Linked) {
    on.agent.prepare(Manner::Held);
    let session = on.claim_and_hang_up().await;
    assert!(prepares(&on.agent.asked().await));
    on.database_takes(false).await;
    on.agent.prepare(Manner::Well);
    on.agent.let_go();
    assert!(prepares(&on.agent.asked().await), "the row still asks for it");
    on.database_takes(true).await;
    on.lease_is(&session, |state| matches!(state, State::Grace { .. }))
        .await;
}

/// A device that its agent could not clean.
async fn quarantined(on: &mut Linked) {
    on.agent.release(Manner::Fails);
    let session = on.claim_and_hang_up().await;
    App::set_about(&on.rig.app, session.clone());
    on.lease_is(&session, |state| matches!(state, State::Grace { .. }))
        .await;
    let end = Event::End(CloseReason::LeaseEnded);
    let store = &on.rig.app.store;
    store
        .step(session.lease, end, &Actor::SYSTEM, UnixMs::now())
        .await
        .unwrap();
    on.device_is(|device| device.occupancy == Occupancy::Quarantined)
        .await;
    on.agent.unasked();
}

async fn a_release_that_is_not_possible_now_is_asked_for_again_and_quarantines_nothing(mut on: Linked) {
    let session = on.claim_and_hang_up().await;
    App::set_about(&on.rig.app, session.clone());
    on.lease_is(&session, |state| matches!(state, State::Grace { .. }))
        .await;
    on.agent.release(Manner::Busy);
    let end = Event::End(CloseReason::LeaseEnded);
    let store = &on.rig.app.store;
    let ended = store
        .step(session.lease, end, &Actor::SYSTEM, UnixMs::now())
        .await;
    ended.unwrap().unwrap();
    let first = on.agent.released().await;
    on.agent.release(Manner::Well);
    assert_eq!(on.agent.released().await, first);
    let device = on.device_is(|device| device.occupancy != Occupancy::Wiping).await;
    assert_eq!(device.occupancy, Occupancy::Free);
}

async fn an_operators_reset_whose_control_died_is_done_by_the_next(mut on: Linked) {
    quarantined(&mut on).await;
    on.agent.release(Manner::Well);
    // Committed, and whoever would have asked the agent is gone.
    let order = on
        .rig
        .app
        .store
        .reset_device(on.rig.device, &Actor::SYSTEM, UnixMs::now());
    let order = order.await.unwrap().unwrap();
    let release = on.agent.released().await;
    assert_eq!((release.lease, release.epoch), (None, order.epoch));
    on.device_is(|device| device.occupancy == Occupancy::Free).await;
}

async fn a_reset_whose_end_could_not_be_written_is_asked_for_again(mut on: Linked) {
    quarantined(&mut on).await;
    on.agent.release(Manner::Held);
    let order = on
        .rig
        .app
        .store
        .reset_device(on.rig.device, &Actor::SYSTEM, UnixMs::now());
    order.await.unwrap().unwrap();
    let first = on.agent.released().await;
    on.database_takes(false).await;
    on.agent.release(Manner::Well);
    on.agent.let_go();
    assert_eq!(on.agent.released().await, first, "the row still asks for it");
    on.database_takes(true).await;
    on.device_is(|device| device.occupancy == Occupancy::Free).await;
}

/// The lease's holder makes an offer; the agent negotiates.
async fn offers(on: &Linked, session: &Session) -> protocol::ConnectionId {
    let owner = Owner {
        lease: session.lease,
        hash: Hash(session.binding),
        role: Role::Controller,
        operator: None,
    };
    let opened = on
        .rig
        .app
        .store
        .open_connection(owner, 1, &Actor::SYSTEM, UnixMs::now())
        .await;
    let id = opened.unwrap().unwrap().id;
    on.agent.negotiated(id, session.epoch);
    id
}

async fn a_connection_that_comes_up_while_nothing_can_be_written_counts_afterwards(mut on: Linked) {
    let session = on.claim_and_hang_up().await;
    App::set_about(&on.rig.app, session.clone());
    on.lease_is(&session, |state| matches!(state, State::Grace { .. }))
        .await;
    let connection = offers(&on, &session).await;
    if on.server().is_some() {
        on.server().unwrap().kill();
        on.agent.connected(connection);
        // Whoever writes after it gave up: so did it, once.
        on.rig.app.store.begin().await.unwrap_err();
        on.server().unwrap().start_again();
    } else {
        on.database_takes(false).await;
        on.agent.connected(connection);
        // Its host is asked for all of them again.
        on.agent.up().await;
        on.database_takes(true).await;
    }
    on.lease_is(&session, |state| state == State::Active).await;
}

#[tokio::test]
async fn a_duty_is_taken_up_once_and_laid_down_however_its_job_ends() {
    let rig = Rig::new().await;
    rig.link("t", None, None).await;
    let duty = Duty::Prepare(rig.granted("t", "a", after(1)).await.lease);
    let taken = App::take_up(&rig.app, duty).unwrap();
    assert!(App::take_up(&rig.app, duty).is_none(), "somebody is at it");
    drop(taken);
    super::spawn(&rig.app, duty, |_| async { panic!("the job is broken") });
    rig.app.jobs.close();
    rig.app.jobs.wait().await;
    assert!(App::take_up(&rig.app, duty).is_some());
}
