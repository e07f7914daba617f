//! Revoking: the holder is cut within a second, whatever else is going on.

use std::time::{Duration, Instant};

use crate::support::agent::Manner;
use crate::support::browser::Browser;
use crate::support::{Base, TestApp, on_both};
use protocol::CloseReason;
use protocol::agent::{Release, Request};
use serde_json::{Value, json};

on_both![
    a_revoked_link_cuts_its_holder_within_a_second_and_says_why,
    a_link_that_is_revoked_while_its_device_is_prepared_never_becomes_ready,
    a_deleted_link_cuts_its_holder_too,
    revoking_one_link_leaves_another_alone,
    an_expired_link_cuts_its_holder,
];

/// The promise.
const WITHIN: Duration = Duration::from_secs(1);

/// A browser that is connected to a ready session of a new link.
async fn streaming(app: &mut TestApp) -> (crate::support::Link, Browser, Value) {
    let link = app.link(json!({})).await;
    let mut browser = app.browser();
    let session = browser.launch(&link.token).await.json()["session_id"].clone();
    assert_eq!(browser.offer(session.as_str().unwrap()).await.status, 201);
    browser
        .events(session.as_str().unwrap())
        .await
        .until("ready")
        .await;
    let connection = app.agent.live()[0];
    app.agent.connected(connection);
    app.device_shows("occupancy", "leased").await;
    app.agent.unasked();
    (link, browser, session)
}

async fn released(app: &mut TestApp) -> Release {
    loop {
        if let Request::Release(release) = app.agent.asked().await {
            return release;
        }
    }
}

async fn a_revoked_link_cuts_its_holder_within_a_second_and_says_why(on: Base) {
    let mut app = TestApp::start(on).await;
    let (link, mut browser, session) = streaming(&mut app).await;
    let session = session.as_str().unwrap();
    let mut events = browser.events(session).await;

    let since = Instant::now();
    assert_eq!(app.revoke(&link).await.status, 200);
    let release = released(&mut app).await;
    assert!(since.elapsed() < WITHIN, "released after {:?}", since.elapsed());
    assert_eq!(release.epoch.0, 2);
    assert_eq!(release.reason, CloseReason::LinkRevoked);
    let ended = events.until("ended").await;
    assert!(since.elapsed() < WITHIN, "told after {:?}", since.elapsed());
    assert_eq!(ended["end_reason"], "link_revoked");
    assert_eq!(ended["link_state"], "revoked");
    assert_eq!(events.next().await, None, "the stream ends with the session");

    app.device_shows("status", "idle").await;
    assert_eq!(app.agent.live(), []);
    assert_eq!(app.agent.fence().0, 2);
    assert_eq!(browser.offer(session).await.code(), "LEASE_LOST");
    let reload = browser
        .post("/api/v1/launch", &json!({ "session_id": session }))
        .await;
    assert_eq!(reload.json()["end_reason"], "link_revoked", "a reload shows why");
    assert_eq!(browser.launch(&link.token).await.code(), "LINK_REVOKED");
}

async fn a_link_that_is_revoked_while_its_device_is_prepared_never_becomes_ready(on: Base) {
    let mut app = TestApp::start(on).await;
    app.agent.prepare(Manner::Held);
    let link = app.link(json!({})).await;
    let mut browser = app.browser();
    let session = browser.launch(&link.token).await.json()["session_id"].clone();
    assert!(matches!(app.agent.asked().await, Request::Prepare(_)));
    let mut events = browser.events(session.as_str().unwrap()).await;
    app.revoke(&link).await;
    assert_eq!(released(&mut app).await.reason, CloseReason::LinkRevoked);
    app.agent.let_go();
    let ended = events.until("ended").await;
    assert_eq!(ended["end_reason"], "link_revoked");
    app.device_shows("status", "idle").await;
    let current = browser
        .get(&format!(
            "/api/v1/launch/current?session={}",
            session.as_str().unwrap()
        ))
        .await;
    assert_eq!(current.json()["lease_state"], "released");
}

async fn a_deleted_link_cuts_its_holder_too(on: Base) {
    let mut app = TestApp::start(on).await;
    let (link, ..) = streaming(&mut app).await;
    let path = format!("/api/v1/links/{}", link.id);
    assert_eq!(
        app.admin
            .send(reqwest::Method::DELETE, &path, &[], None)
            .await
            .status,
        204
    );
    assert_eq!(released(&mut app).await.reason, CloseReason::LinkRevoked);
    app.device_shows("status", "idle").await;
}

async fn revoking_one_link_leaves_another_alone(on: Base) {
    let mut app = TestApp::start(on).await;
    let other = app.link(json!({})).await;
    let (_, mut browser, session) = streaming(&mut app).await;
    app.revoke(&other).await;
    assert_eq!(app.revoke(&other).await.status, 200, "twice is as good as once");
    let path = format!("/api/v1/launch/current?session={}", session.as_str().unwrap());
    assert_eq!(browser.get(&path).await.json()["lease_state"], "active");
    assert_eq!(app.agent.unasked(), []);
    assert_eq!(app.device().await["epoch"], 1);
}

async fn an_expired_link_cuts_its_holder(on: Base) {
    let mut app = TestApp::start(on).await;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1500);
    let link = app.link(json!({ "expires_at": soon.to_string() })).await;
    let mut browser = app.browser();
    let session = browser.launch(&link.token).await.json()["session_id"].clone();
    let ended = browser
        .events(session.as_str().unwrap())
        .await
        .until("ended")
        .await;
    assert_eq!(ended["end_reason"], "link_expired");
    assert_eq!(released(&mut app).await.reason, CloseReason::LinkExpired);
}
