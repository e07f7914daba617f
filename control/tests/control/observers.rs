//! Those who only watch: operators who look into a session, and what they may not.

use crate::support::browser::{Browser, Events};
use crate::support::{Base, TestApp, on_both};
use protocol::agent::{Request, Role};
use protocol::{CloseReason, ConnectionId};
use reqwest::Method;
use serde_json::{Value, json};

on_both![
    an_operator_looks_in_beside_the_holder_and_is_counted_apart,
    only_an_operator_looks_in_and_only_while_the_session_lives,
    whoever_watches_never_takes_the_holders_place,
    a_session_has_a_bounded_number_of_viewer_tokens,
    a_holder_who_makes_token_after_token_is_held_back,
    the_holder_is_told_how_many_look_on_before_they_see_anything,
    who_made_a_token_and_every_look_is_in_the_audit_log,
    an_operators_look_is_over_when_he_signs_out,
    a_holder_takes_back_whom_he_let_watch,
];

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
    let holder = app.agent.offered().await;
    assert_eq!(holder.role, Role::Controller);
    for _ in 0..4 {
        let mut operator = observe(&mut app, &session).await;
        assert_eq!(operator.offer(&session).await.status, 201);
        assert_eq!(
            app.agent.offered().await.role,
            Role::Observer,
            "the gateway takes no input from it"
        );
    }
    let mut fifth = observe(&mut app, &session).await;
    assert_eq!(fifth.offer(&session).await.code(), "CONNECTION_LIMIT");
    // The link's one connection is the holder's all the same.
    assert_eq!(browser.offer(&session).await.status, 201);
    let path = "/api/v1/launch/viewer-token";
    let for_nobody = browser.post(path, &json!({ "session_id": session })).await;
    assert_eq!(for_nobody.code(), "CONNECTION_LIMIT");
}

async fn whoever_watches_never_takes_the_holders_place(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 2 })).await;
    let (mut browser, session) = app.streaming(&link).await;
    let (mut friend, mut another) = (
        friend(&mut app, &mut browser, &session).await,
        friend(&mut app, &mut browser, &session).await,
    );
    assert_eq!(friend.offer(&session).await.status, 201);
    let holders = app.agent.live()[0];
    app.agent.lost(holders);
    browser.lease_is(&session, "grace").await;
    assert_eq!(
        another.offer(&session).await.code(),
        "CONNECTION_LIMIT",
        "the holder's place stays free while he is away"
    );
    assert_eq!(browser.offer(&session).await.status, 201);
}

async fn a_session_has_a_bounded_number_of_viewer_tokens(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (_holder, session) = app.streaming(&link).await;
    let path = format!("/api/v1/sessions/{session}/observe");
    for _ in 0..64 {
        assert_eq!(app.admin.post(&path, &json!({})).await.status, 201);
    }
    assert_eq!(app.admin.post(&path, &json!({})).await.code(), "CONNECTION_LIMIT");
    assert_eq!(app.device().await["session_id"], json!(session));
}

async fn a_holder_who_makes_token_after_token_is_held_back(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 2 })).await;
    let (mut browser, session) = app.streaming(&link).await;
    let of = json!({ "session_id": session });
    let mut codes = Vec::new();
    while !codes.iter().any(|code| code == "RATE_LIMITED") {
        assert!(codes.len() < 200, "never held back");
        let answer = browser.post("/api/v1/launch/viewer-token", &of).await;
        codes.push(if answer.status == 201 {
            String::new()
        } else {
            answer.code()
        });
    }
}

/// Somebody whom the holder lets watch.
async fn friend(app: &mut TestApp, holder: &mut Browser, session: &str) -> Browser {
    let made = holder
        .post("/api/v1/launch/viewer-token", &json!({ "session_id": session }))
        .await;
    let mut friend = app.browser();
    friend.bearer = Some(made.json()["token"].as_str().unwrap().to_owned());
    friend
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
    browser.end(&session).await;
    for late in [
        operator.offer(&session).await,
        app.admin.post(&path, &json!({})).await,
    ] {
        assert_eq!((late.status, late.code().as_str()), (410, "LEASE_LOST"));
    }
    // While it is cleaned, the session that was on it is shown.
    app.device_shows("status", "idle").await;
    assert_eq!(app.device().await["session_id"], Value::Null);
}

/// The next state in which this many look on.
async fn looked_on_by(events: &mut Events, many: u64) -> Value {
    loop {
        let state = events.next().await.expect("the session goes on");
        if state["observers"] == many {
            return state;
        }
    }
}

async fn the_holder_is_told_how_many_look_on_before_they_see_anything(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 2 })).await;
    let (mut browser, session) = app.streaming(&link).await;
    let mut events = browser.events(&session).await;
    assert_eq!(looked_on_by(&mut events, 0).await["lease_state"], "active");

    let mut operator = observe(&mut app, &session).await;
    assert_eq!(
        browser.current(&session).await["observers"],
        0,
        "a token sees nothing"
    );
    let watching = operator.offer(&session).await;
    assert_eq!(browser.current(&session).await["observers"], 1);
    looked_on_by(&mut events, 1).await;
    let mut friend = friend(&mut app, &mut browser, &session).await;
    friend.offer(&session).await;
    looked_on_by(&mut events, 2).await;

    // One leaves, of the other one's connection the agent says that it broke.
    let path = watching.header("location");
    assert_eq!(operator.send(Method::DELETE, path, &[], None).await.status, 200);
    let state = looked_on_by(&mut events, 1).await;
    assert_eq!(state["lease_state"], "active", "the holder is who holds it");
    let broken = *app.agent.live().last().unwrap();
    app.agent.lost(broken);
    looked_on_by(&mut events, 0).await;
}

async fn who_made_a_token_and_every_look_is_in_the_audit_log(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 2 })).await;
    let (_holder, session) = app.streaming(&link).await;
    let me = app.admin.get("/api/v1/auth/me").await.json()["id"].clone();
    let mut operator = observe(&mut app, &session).await;
    for _ in 0..2 {
        assert_eq!(operator.offer(&session).await.status, 201);
    }
    for (action, times) in [("viewer_token.create", 1), ("connection.observe", 2)] {
        let page = app
            .admin
            .get(&format!("/api/v1/audit?action={action}"))
            .await
            .json();
        let rows = page["items"].as_array().unwrap();
        assert_eq!(rows.len(), times, "{action}");
        for row in rows {
            assert_eq!(
                (
                    &row["actor_kind"],
                    &row["actor_id"],
                    &row["ip_address"],
                    &row["result"]
                ),
                (&json!("user"), &me, &json!("127.0.0.1"), &json!("ok"))
            );
        }
    }
}

/// Which connection control has put out, and nobody else.
async fn put_out(app: &mut TestApp) -> ConnectionId {
    match app.agent.asked().await {
        Request::CloseConnection(close) => {
            assert_eq!(close.reason, CloseReason::Kicked);
            close.connection
        }
        other => panic!("control asked for {other:?}"),
    }
}

async fn an_operators_look_is_over_when_he_signs_out(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 2 })).await;
    let (mut browser, session) = app.streaming(&link).await;
    let mut friend = friend(&mut app, &mut browser, &session).await;
    assert_eq!(friend.offer(&session).await.status, 201);
    app.agent.offered().await;
    let mut operator = observe(&mut app, &session).await;
    assert_eq!(operator.offer(&session).await.status, 201);
    let looking = app.agent.offered().await.connection;
    let out = app.admin.post("/api/v1/auth/logout", &json!({})).await;
    assert_eq!(out.status, 204, "{}", out.body);
    assert_eq!(put_out(&mut app).await, looking);
    assert_eq!(operator.offer(&session).await.code(), "AUTH_FAILED");
    assert_eq!(
        app.agent.live().len(),
        2,
        "the holder and his friend are not the operator's"
    );
}

async fn a_holder_takes_back_whom_he_let_watch(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 2 })).await;
    let (mut browser, session) = app.streaming(&link).await;
    let mut friend = friend(&mut app, &mut browser, &session).await;
    assert_eq!(friend.offer(&session).await.status, 201);
    let watching = app.agent.offered().await.connection;
    let path = "/api/v1/launch/viewer-token";
    let json = [("content-type", "application/json")];
    let of = json!({ "session_id": session }).to_string();
    let mut stranger = app.browser();
    let tried = stranger.send(Method::DELETE, path, &json, Some(of.clone())).await;
    assert_eq!(tried.code(), "SESSION_NOT_FOUND");
    let taken = browser.send(Method::DELETE, path, &json, Some(of)).await;
    assert_eq!(taken.status, 204, "{}", taken.body);
    assert_eq!(put_out(&mut app).await, watching);
    assert_eq!(friend.offer(&session).await.code(), "AUTH_FAILED");
    browser.lease_is(&session, "active").await;
}
