//! Connections that one side has and the other has not: an agent's Hello and its late words against control's rows.

use protocol::agent::{CloseConnection, Request};
use protocol::{CloseReason, ConnectionId};
use serde_json::json;
use uuid::Uuid;

use crate::support::agent::Manner;
use crate::support::{Base, TestApp, on_both};

on_both![
    a_viewer_who_was_still_connecting_when_the_link_rose_is_there_as_soon_as_he_is_through,
    a_connection_that_its_host_did_not_list_is_over,
    an_offer_that_was_answered_after_it_was_replaced_is_closed_once_the_agent_has_it,
    a_connection_that_comes_up_and_that_control_does_not_know_is_closed,
    a_connection_that_a_hello_lists_and_that_control_does_not_know_is_closed,
];

/// The next connection that control wants closed.
async fn closed(app: &mut TestApp) -> CloseConnection {
    loop {
        if let Request::CloseConnection(close) = app.agent.asked().await {
            return close;
        }
    }
}

/// Lets the agent's link fall and rise.
async fn link_again(app: &mut TestApp) {
    app.agent.cut();
    app.agent.up().await;
    app.ready().await;
}

async fn a_viewer_who_was_still_connecting_when_the_link_rose_is_there_as_soon_as_he_is_through(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.holder(&link).await;
    assert_eq!(browser.offer(&session).await.status, 201);
    let connection = app.agent.offered().await.connection;
    link_again(&mut app).await;
    assert_eq!(
        browser.current(&session).await["lease_state"],
        "grace",
        "he is not through"
    );
    app.agent.connected(connection);
    browser.lease_is(&session, "active").await;
    assert_eq!(app.agent.live(), [connection]);
}

async fn a_connection_that_its_host_did_not_list_is_over(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.streaming(&link).await;
    app.agent.forget();
    link_again(&mut app).await;
    browser.lease_is(&session, "grace").await;
}

/// An offer that the agent holds back, answered once another one has taken its place.
async fn an_offer_that_was_answered_after_it_was_replaced_is_closed_once_the_agent_has_it(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (browser, session) = app.holder(&link).await;
    app.agent.offer(Manner::Held);
    let offer = || {
        let (mut browser, session) = (browser.clone(), session.clone());
        tokio::spawn(async move { browser.offer(&session).await })
    };
    let first = offer();
    let old = app.agent.offered().await.connection;
    let second = offer();
    assert_eq!(closed(&mut app).await.connection, old, "it is not there yet");
    app.agent.let_go();
    let again = closed(&mut app).await;
    assert_eq!((again.connection, again.reason), (old, CloseReason::Replaced));
    assert_eq!(first.await.unwrap().code(), "CONNECTION_NOT_FOUND");
    app.agent.let_go();
    assert_eq!(second.await.unwrap().status, 201);
    let live = app.agent.live();
    assert!(live.len() == 1 && live[0] != old, "{live:?}");
}

async fn unknown(on: Base, tell: impl AsyncFnOnce(&mut TestApp, ConnectionId)) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let _streaming = app.streaming(&link).await;
    let known = app.agent.live();
    let stranger = ConnectionId::from_uuid(Uuid::now_v7());
    let epoch = app.agent.fence();
    app.agent.negotiated(stranger, epoch);
    tell(&mut app, stranger).await;
    let close = closed(&mut app).await;
    assert_eq!(
        (close.connection, close.epoch, close.reason),
        (stranger, epoch, CloseReason::LeaseEnded)
    );
    assert_eq!(app.agent.live(), known, "and nobody else is");
}

async fn a_connection_that_comes_up_and_that_control_does_not_know_is_closed(on: Base) {
    unknown(on, async |app, stranger| app.agent.connected(stranger)).await;
}

async fn a_connection_that_a_hello_lists_and_that_control_does_not_know_is_closed(on: Base) {
    unknown(on, async |app, _| link_again(app).await).await;
}
