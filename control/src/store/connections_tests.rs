//! What an agent's words make of connections, and what is written of it.

use protocol::agent::{ConnectionState, LiveConnection};

use super::*;
use crate::domain::session;
use crate::rig::{Rig, after, on_both};
use crate::secret::Hash;

on_both![
    a_connection_has_every_state_that_it_goes_through,
    a_session_is_idle_while_nobody_is_there,
];

async fn opened(rig: &Rig, session: &Session, seconds: u64) -> ConnectionId {
    let owner = Owner {
        lease: session.lease,
        hash: Hash(session.binding),
        role: Role::Controller,
        operator: None,
    };
    let opened = rig
        .app
        .store
        .open_connection(owner, 1, &Actor::SYSTEM, after(seconds));
    opened.await.unwrap().unwrap().id
}

/// How the one connection stands, and when it came up.
async fn stands(rig: &Rig) -> (String, bool) {
    let rows = "SELECT state, connected_at FROM connections WHERE state <> 'closed'";
    let rows = rig.app.store.rows(rows).await.unwrap();
    let connected = rows[0].maybe_time("connected_at").unwrap();
    (rows[0].text("state").unwrap(), connected.is_some())
}

async fn a_connection_has_every_state_that_it_goes_through(rig: Rig) {
    rig.link("t", None, None).await;
    let session = rig.granted("t", "a", after(1)).await;
    let store = &rig.app.store;
    store.prepared(session.lease, after(2)).await.unwrap();
    let id = opened(&rig, &session, 3).await;
    assert_eq!(stands(&rig).await, ("new".to_owned(), false));
    assert_eq!(store.answered(id, "ice", after(4)).await.unwrap(), Ok(()));
    assert_eq!(stands(&rig).await, ("negotiating".to_owned(), false));
    let told = |state| {
        let (device, epoch) = (session.device, session.epoch);
        let event = ConnectionEvent {
            connection: id,
            device,
            epoch,
            state,
        };
        async move {
            store
                .connection_changed(rig.host, &event, after(5))
                .await
                .unwrap()
        }
    };
    told(ConnectionState::Connected).await;
    assert_eq!(stands(&rig).await, ("connected".to_owned(), true));

    store.host_lost(rig.host, Uuid::nil()).await.unwrap();
    assert_eq!(stands(&rig).await, ("reconnecting".to_owned(), true));
    assert_eq!(
        rig.now(&session).await.state,
        State::Active,
        "what goes on without control is no absence"
    );
    let live = LiveConnection {
        connection: id,
        device: session.device,
        epoch: session.epoch,
        connected: true,
    };
    rig.hello_with(session.epoch, vec![live], after(6)).await;
    assert_eq!(stands(&rig).await, ("connected".to_owned(), true));

    let reason = CloseReason::IceFailed;
    told(ConnectionState::Closed { reason }).await;
    let late = told(ConnectionState::Connected).await;
    assert!(matches!(late, Noted::Stray(CloseReason::IceFailed)), "{late:?}");
    assert_eq!(
        store.answered(id, "ice", after(7)).await.unwrap(),
        Err(CloseReason::IceFailed)
    );
}

async fn a_session_is_idle_while_nobody_is_there(rig: Rig) {
    rig.link("t", None, None).await;
    let granted = rig.granted("t", "a", after(1)).await;
    let own = async |rig: &Rig| rig.now(&granted).await.own_state;
    assert_eq!(own(&rig).await, session::State::Preparing);
    rig.app.store.prepared(granted.lease, after(2)).await.unwrap();
    assert_eq!(own(&rig).await, session::State::Idle);
    rig.view(&granted, false, after(3)).await;
    assert_eq!(own(&rig).await, session::State::Running);
    for (event, then) in [
        (Event::End(CloseReason::LeaseEnded), session::State::Terminating),
        (Event::Cleaned, session::State::Terminated),
    ] {
        let step = rig.app.store.step(granted.lease, event, &Actor::SYSTEM, after(4));
        step.await.unwrap();
        assert_eq!(own(&rig).await, then);
    }
}
