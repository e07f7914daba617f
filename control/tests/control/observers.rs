//! Those who only watch: operators who look into a session, and what they may not.

use crate::support::browser::Browser;
use crate::support::{Base, TestApp, on_both};
use protocol::agent::{Request, Role, WhepOffer};
use serde_json::{Value, json};

on_both![
    an_operator_looks_in_beside_the_holder_and_is_counted_apart,
    only_an_operator_looks_in_and_only_while_the_session_lives,
];

async fn offered(app: &mut TestApp) -> WhepOffer {
    loop {
        if let Request::WhepOffer(offer) = app.agent.asked().await {
            return offer;
        }
    }
}

async fn observe(app: &mut TestApp, session: &str) -> Browser {
    let path = format!("/api/v1/sessions/{session}/observe");
    let made = app.admin.post(&path, &json!({})).await;
    assert_eq!(
        (made.status, &made.json()["role"]),
        (201, &json!("observer")),
        "{}",
        made.body
    );
    let mut player = app.browser();
    player.bearer = Some(made.json()["token"].as_str().unwrap().to_owned());
    player
}

async fn an_operator_looks_in_beside_the_holder_and_is_counted_apart(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 1 })).await;
    let (mut browser, session) = app.holder(&link).await;
    assert_eq!(app.device().await["session_id"], json!(session));
    browser.offer(&session).await;
    let holder = offered(&mut app).await;
    assert_eq!(holder.role, Role::Controller);
    for _ in 0..4 {
        let mut operator = observe(&mut app, &session).await;
        assert_eq!(operator.offer(&session).await.status, 201);
        assert_eq!(
            offered(&mut app).await.role,
            Role::Observer,
            "the gateway takes no input from it"
        );
    }
    let mut fifth = observe(&mut app, &session).await;
    assert_eq!(fifth.offer(&session).await.code(), "CONNECTION_LIMIT");
    // The link's one connection is the holder's all the same.
    assert_eq!(browser.offer(&session).await.status, 201);
    let mut friend = app.browser();
    let made = browser
        .post("/api/v1/launch/viewer-token", &json!({ "session_id": session }))
        .await;
    friend.bearer = Some(made.json()["token"].as_str().unwrap().to_owned());
    assert_eq!(friend.offer(&session).await.code(), "CONNECTION_LIMIT");
}

async fn only_an_operator_looks_in_and_only_while_the_session_lives(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.holder(&link).await;
    let path = format!("/api/v1/sessions/{session}/observe");
    assert_eq!(browser.post(&path, &json!({})).await.code(), "AUTH_FAILED");
    let mut operator = observe(&mut app, &session).await;
    let unknown = app.admin.post("/api/v1/sessions/none/observe", &json!({})).await;
    assert_eq!(unknown.code(), "SESSION_NOT_FOUND");
    browser
        .post("/api/v1/launch/end", &json!({ "session_id": session }))
        .await;
    assert_eq!(operator.offer(&session).await.code(), "LEASE_LOST");
    assert_eq!(app.admin.post(&path, &json!({})).await.code(), "LEASE_LOST");
    // While it is cleaned, the session that was on it is shown.
    app.device_shows("status", "idle").await;
    assert_eq!(app.device().await["session_id"], Value::Null);
}
