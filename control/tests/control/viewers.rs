//! The SDP exchange against a real control: who may, with which connection, under which ETag.

use crate::support::browser::{Answer, Browser, OFFER};
use crate::support::{Base, TestApp, on_both};
use protocol::CloseReason;
use protocol::agent::{PatchKind, Request, Role};
use reqwest::Method;
use serde_json::json;

on_both![
    an_offer_is_answered_while_the_device_is_still_prepared,
    candidates_follow_the_etag_and_a_restart_changes_it,
    only_the_holder_may_offer_and_only_from_our_own_page,
    a_reload_replaces_the_same_browsers_older_connection,
    a_viewer_token_watches_without_disturbing_the_holder,
    a_lost_connection_starts_the_grace_and_a_new_one_ends_it,
    a_connection_that_is_over_may_be_ended_again_by_its_owner_and_by_nobody_else,
];

const TRICKLE: &str = "m=video 9 X\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
const RESTART: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n";
const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

async fn ready(app: &mut TestApp, wish: serde_json::Value) -> (Browser, String) {
    let link = app.link(wish).await;
    let (browser, session) = app.holder(&link).await;
    app.agent.unasked();
    (browser, session)
}

async fn patch(browser: &mut Browser, path: &str, if_match: Option<&str>, body: &str) -> Answer {
    let mut headers = vec![FRAGMENT];
    headers.extend(if_match.map(|tag| ("if-match", tag)));
    browser
        .send(Method::PATCH, path, &headers, Some(body.to_owned()))
        .await
}

async fn an_offer_is_answered_while_the_device_is_still_prepared(on: Base) {
    let mut app = TestApp::start(on).await;
    app.agent.prepare(crate::support::agent::Manner::Held);
    let link = app.link(json!({})).await;
    let mut browser = app.browser();
    let session = browser.opens(&link.token).await;
    let answer = browser.offer(&session).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(
        answer
            .header("location")
            .starts_with(&format!("/whep/{session}/"))
    );
    let offer = app.agent.offered().await;
    assert_eq!(
        (offer.epoch.0, offer.role, offer.sdp.as_str()),
        (1, Role::Controller, OFFER)
    );
    app.agent.connected(offer.connection);
    app.agent.let_go();
    let mut events = browser.events(&session).await;
    let mut state = events.until("ready").await;
    // The connection's word and the answer to Prepare come over streams of their own, in any order; whoever waited
    // for a viewer who is there already would wait here for ever.
    while state["lease_state"] != "active" {
        state = events
            .next()
            .await
            .expect("the stream goes on until the viewer counts");
    }
}

async fn candidates_follow_the_etag_and_a_restart_changes_it(on: Base) {
    let mut app = TestApp::start(on).await;
    let (mut browser, session) = ready(&mut app, json!({})).await;
    let answer = browser.offer(&session).await;
    let (path, first) = (
        answer.header("location").to_owned(),
        answer.header("etag").to_owned(),
    );
    app.agent.offered().await;

    assert_eq!(
        patch(&mut browser, &path, None, TRICKLE).await.code(),
        "PRECONDITION_REQUIRED"
    );
    assert_eq!(
        patch(&mut browser, &path, Some("\"other\""), TRICKLE)
            .await
            .code(),
        "PRECONDITION_FAILED"
    );
    assert_eq!(
        app.agent.unasked(),
        [],
        "a refused patch does not reach the agent"
    );
    assert_eq!(
        patch(&mut browser, &path, Some(&first), TRICKLE).await.status,
        204
    );
    let Request::WhepPatch(trickle) = app.agent.asked().await else {
        panic!("a patch")
    };
    assert_eq!(
        (trickle.kind, trickle.fragment.as_str()),
        (PatchKind::Trickle, TRICKLE)
    );

    let restarted = patch(&mut browser, &path, Some("*"), RESTART).await;
    assert_eq!(restarted.status, 200);
    assert_eq!(restarted.body, "a=ice-ufrag:new1\r\n");
    let second = restarted.header("etag").to_owned();
    assert_ne!(second, first);
    assert_eq!(
        patch(&mut browser, &path, Some(&first), TRICKLE).await.code(),
        "PRECONDITION_FAILED"
    );
    assert_eq!(
        patch(&mut browser, &path, Some(&second), TRICKLE).await.status,
        204
    );

    assert_eq!(browser.send(Method::DELETE, &path, &[], None).await.status, 200);
    assert_eq!(app.agent.live(), []);
    let gone = patch(&mut browser, &path, Some(&second), TRICKLE).await;
    assert_eq!(gone.code(), "CONNECTION_NOT_FOUND");
}

async fn only_the_holder_may_offer_and_only_from_our_own_page(on: Base) {
    let mut app = TestApp::start(on).await;
    let (browser, session) = ready(&mut app, json!({})).await;
    assert_eq!(app.browser().offer(&session).await.code(), "AUTH_FAILED");
    let mut wrong = app.browser();
    wrong.bearer = Some("guess".to_owned());
    assert_eq!(wrong.offer(&session).await.code(), "AUTH_FAILED");
    for origin in [None, Some("https://evil.example"), Some("null")] {
        let mut elsewhere = browser.clone();
        elsewhere.origin = origin.map(str::to_owned);
        assert_eq!(elsewhere.offer(&session).await.code(), "FORBIDDEN", "{origin:?}");
    }
    assert_eq!(app.agent.unasked(), []);
}

async fn a_reload_replaces_the_same_browsers_older_connection(on: Base) {
    let mut app = TestApp::start(on).await;
    let (mut browser, session) = ready(&mut app, json!({})).await;
    browser.offer(&session).await;
    let old = app.agent.offered().await.connection;
    app.agent.connected(old);
    assert_eq!(browser.offer(&session).await.status, 201);
    let mut closed = None;
    let mut new = None;
    while closed.is_none() || new.is_none() {
        match app.agent.asked().await {
            Request::CloseConnection(close) => closed = Some((close.connection, close.reason)),
            Request::WhepOffer(offer) => new = Some(offer.connection),
            other => panic!("control asked for {other:?}"),
        }
    }
    assert_eq!(closed, Some((old, CloseReason::Replaced)));
    app.agent.connected(new.unwrap());
    browser.lease_is(&session, "active").await;
}

async fn a_viewer_token_watches_without_disturbing_the_holder(on: Base) {
    let mut app = TestApp::start(on).await;
    let (mut browser, session) = ready(&mut app, json!({ "max_connections": 2 })).await;
    browser.offer(&session).await;
    let holder = app.agent.offered().await.connection;
    let made = browser
        .post("/api/v1/launch/viewer-token", &json!({ "session_id": session }))
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    let mut player = app.browser();
    player.origin = Some("https://player.example".to_owned());
    player.bearer = Some(made.json()["token"].as_str().unwrap().to_owned());
    let watching = player.offer(&session).await;
    assert_eq!(watching.status, 201, "{}", watching.body);
    let offer = app.agent.offered().await;
    assert_eq!(offer.role, Role::Observer);
    assert_eq!(app.agent.live(), [holder, offer.connection]);
    // The holder's connection is not the player's to end.
    let path = format!("/whep/{session}/{holder}");
    assert_eq!(
        player.send(Method::DELETE, &path, &[], None).await.code(),
        "CONNECTION_NOT_FOUND"
    );

    let made = browser
        .post("/api/v1/launch/viewer-token", &json!({ "session_id": session }))
        .await;
    let mut third = app.browser();
    third.bearer = Some(made.json()["token"].as_str().unwrap().to_owned());
    assert_eq!(third.offer(&session).await.code(), "CONNECTION_LIMIT");
}

async fn a_lost_connection_starts_the_grace_and_a_new_one_ends_it(on: Base) {
    let mut app = TestApp::start(on).await;
    let (mut browser, session) = ready(&mut app, json!({})).await;
    let mut events = browser.events(&session).await;
    assert_eq!(
        events.next().await.unwrap()["lease_state"],
        "grace",
        "ready, and nobody is there yet"
    );
    browser.offer(&session).await;
    let first = app.agent.offered().await.connection;
    app.agent.connected(first);
    let state = events.next().await.unwrap();
    assert_eq!(
        (&state["lease_state"], &state["session_state"]),
        (&json!("active"), &json!("running"))
    );
    app.agent.lost(first);
    let state = events.next().await.unwrap();
    assert_eq!(
        (&state["lease_state"], &state["session_state"], &state["stage"]),
        (&json!("grace"), &json!("idle"), &json!("ready"))
    );
    browser.offer(&session).await;
    let second = app.agent.offered().await.connection;
    app.agent.connected(second);
    assert_eq!(events.next().await.unwrap()["lease_state"], "active");
}

async fn a_connection_that_is_over_may_be_ended_again_by_its_owner_and_by_nobody_else(on: Base) {
    let mut app = TestApp::start(on).await;
    let (mut browser, session) = ready(&mut app, json!({})).await;
    let first = browser.offer(&session).await.header("location").to_owned();
    let end = async |browser: &mut Browser, path: &str| browser.send(Method::DELETE, path, &[], None).await;
    for _ in 0..2 {
        assert_eq!(
            end(&mut browser, &first).await.status,
            200,
            "as often as it likes"
        );
    }
    assert_eq!(
        end(&mut app.browser(), &first).await.code(),
        "AUTH_FAILED",
        "a stranger learns nothing"
    );
    let never = format!("/whep/{session}/{}", uuid::Uuid::now_v7());
    assert_eq!(end(&mut browser, &never).await.code(), "CONNECTION_NOT_FOUND");

    let second = browser.offer(&session).await.header("location").to_owned();
    let broken = app.agent.live()[0];
    app.agent.lost(broken);
    assert_eq!(
        end(&mut browser, &second).await.status,
        200,
        "the agent has forgotten it"
    );
    let third = browser.offer(&session).await.header("location").to_owned();
    browser.end(&session).await;
    app.device_shows("status", "idle").await;
    app.agent.unasked();
    assert_eq!(
        end(&mut browser, &third).await.status,
        200,
        "it ended with the session"
    );
    assert_eq!(app.agent.unasked(), [], "nobody is asked for what is over");
    let late = browser.offer(&session).await;
    assert_eq!((late.status, late.code().as_str()), (410, "LEASE_LOST"));
}
