//! Revoking: the holder is cut, whatever else is going on. How fast is measured by `farglass bench revoke`.

use crate::support::agent::Manner;
use crate::support::{Base, TestApp, on_both};
use protocol::CloseReason;
use protocol::agent::Request;
use serde_json::json;

on_both![
    a_revoked_link_cuts_its_holder_and_says_why,
    a_link_that_is_revoked_while_its_device_is_prepared_never_becomes_ready,
    a_deleted_link_cuts_its_holder_too,
    revoking_one_link_leaves_another_alone,
    an_expired_link_cuts_its_holder,
];

async fn a_revoked_link_cuts_its_holder_and_says_why(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.streaming(&link).await;
    let session = session.as_str();
    let mut events = browser.events(session).await;

    assert_eq!(app.revoke(&link).await.status, 200);
    let release = app.agent.released().await;
    assert_eq!(release.epoch.0, 2);
    assert_eq!(release.reason, CloseReason::LinkRevoked);
    let ended = events.until("ended").await;
    assert_eq!(ended["end_reason"], "link_revoked");
    assert_eq!(ended["link_state"], "revoked");
    assert_eq!(events.next().await, None, "the stream ends with the session");

    app.device_shows("status", "idle").await;
    assert_eq!(app.agent.live(), []);
    assert_eq!(app.agent.fence().0, 2);
    let late = browser.offer(session).await;
    assert_eq!((late.status, late.code().as_str()), (410, "LEASE_LOST"));
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
    let session = browser.opens(&link.token).await;
    assert!(matches!(app.agent.asked().await, Request::Prepare(_)));
    let mut events = browser.events(&session).await;
    app.revoke(&link).await;
    assert_eq!(app.agent.released().await.reason, CloseReason::LinkRevoked);
    app.agent.let_go();
    let ended = events.until("ended").await;
    assert_eq!(ended["end_reason"], "link_revoked");
    app.device_shows("status", "idle").await;
    assert_eq!(browser.current(&session).await["lease_state"], "released");
}

async fn a_deleted_link_cuts_its_holder_too(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let _holder = app.streaming(&link).await;
    let path = format!("/api/v1/links/{}", link.id);
    assert_eq!(
        app.admin
            .send(reqwest::Method::DELETE, &path, &[], None)
            .await
            .status,
        204
    );
    assert_eq!(app.agent.released().await.reason, CloseReason::LinkRevoked);
    app.device_shows("status", "idle").await;
}

async fn revoking_one_link_leaves_another_alone(on: Base) {
    let mut app = TestApp::start(on).await;
    let other = app.link(json!({})).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.streaming(&link).await;
    app.revoke(&other).await;
    assert_eq!(app.revoke(&other).await.status, 200, "twice is as good as once");
    assert_eq!(browser.current(&session).await["lease_state"], "active");
    assert_eq!(app.agent.unasked(), []);
    assert_eq!(app.device().await["epoch"], 1);
}

async fn an_expired_link_cuts_its_holder(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let mut browser = app.browser();
    let session = browser.opens(&link.token).await;
    app.expires_soon(&link).await;
    let ended = browser.events(&session).await.until("ended").await;
    assert_eq!(ended["end_reason"], "link_expired");
    assert_eq!(app.agent.released().await.reason, CloseReason::LinkExpired);
}
