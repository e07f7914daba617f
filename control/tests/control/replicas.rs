//! Several controls on one PostgreSQL: whichever a browser or an agent reaches, it is the same house.

use crate::support::browser::Browser;
use crate::support::{Base, TestApp};
use protocol::CloseReason;
use protocol::agent::{DeviceHealth, Request};
use serde_json::{Value, json};

#[tokio::test]
async fn a_session_that_one_replica_began_is_watched_and_revoked_at_another() {
    let mut app = TestApp::start(Base::Postgres).await;
    let other = app.beside().await;
    let link = app.link(json!({})).await;
    let (here, session) = app.streaming(&link).await;

    let mut there = here.at(other.address);
    let mut events = there.events(&session).await;
    events.until("ready").await;
    let mut admin = app.admin.at(other.address);
    let path = format!("/api/v1/links/{}/revoke", link.id);
    assert_eq!(admin.post(&path, &json!({})).await.status, 200);
    let Request::Release(release) = app.agent.asked().await else {
        panic!("the replica with the link releases")
    };
    assert_eq!(release.reason, CloseReason::LinkRevoked);
    assert_eq!(events.until("ended").await["end_reason"], "link_revoked");
    let mut at_first = here.events(&session).await;
    assert_eq!(at_first.until("ended").await["end_reason"], "link_revoked");
    app.device_shows("status", "idle").await;
    assert_eq!(app.agent.live(), []);
    assert_eq!(there.launch(&link.token).await.code(), "LINK_REVOKED");
}

#[tokio::test]
async fn a_link_opens_at_a_replica_that_no_agent_is_linked_to() {
    let mut app = TestApp::start(Base::Postgres).await;
    let other = app.beside().await;
    let link = app.link(json!({})).await;
    let mut there = Browser::new(other.address);
    let session = there.ready(&link.token).await;
    let offered = there.offer(&session).await;
    assert_eq!(offered.status, 201, "{}", offered.body);
    let path = offered.header("location").to_owned();
    let connection = app.agent.live()[0];
    assert!(path.ends_with(&connection.to_string()));
    app.agent.connected(connection);

    // The next request of the same browser goes to the other one.
    let mut here = there.at(app.address);
    here.lease_is(&session, "active").await;
    assert_eq!(
        here.launch(&link.token).await.status,
        200,
        "its cookie counts everywhere"
    );
    let left = there.send(reqwest::Method::DELETE, &path, &[], None).await;
    assert_eq!(left.status, 200, "{}", left.body);
    assert_eq!(app.agent.live(), []);
    let health = there.get("/api/v1/health").await;
    assert_eq!(
        health.json()["devices"],
        json!({ "ready": 1, "total": 1 }),
        "{}",
        health.body
    );
}

#[tokio::test]
async fn of_clients_at_two_replicas_one_gets_the_device() {
    let mut app = TestApp::start(Base::Postgres).await;
    let other = app.beside().await;
    let link = app.link(json!({ "max_uses": 1 })).await;
    let mut everybody = tokio::task::JoinSet::new();
    for at in 0..32 {
        let address = if at % 2 == 0 { app.address } else { other.address };
        let (mut browser, token) = (Browser::new(address), link.token.clone());
        everybody.spawn(async move { browser.launch(&token).await.status });
    }
    let mut answers = everybody.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers[0], 202, "{answers:?}");
    assert!(answers[1..].iter().all(|status| *status == 409), "{answers:?}");
    let shown = app.admin.get(&format!("/api/v1/links/{}", link.id)).await.json();
    assert_eq!(shown["uses"], 1);
}

#[tokio::test]
async fn a_replica_goes_on_hearing_after_the_database_was_restarted() {
    let mut app = TestApp::start(Base::Postgres).await;
    let other = app.beside().await;
    let link = app.link(json!({})).await;
    let (browser, session) = app.holder(&link).await;
    let there = browser.at(other.address);
    let mut events = there.events(&session).await;
    events.until("ready").await;
    let server = app.postgres.as_mut().unwrap();
    server.kill();
    server.start_again();
    app.ready().await;
    assert_eq!(app.revoke(&link).await.status, 200);
    assert_eq!(events.until("ended").await["end_reason"], "link_revoked");
}

#[tokio::test]
async fn a_replica_with_another_authority_is_refused() {
    let app = TestApp::start(Base::Postgres).await;
    let folder = tempfile::tempdir().unwrap();
    let said = crate::support::refused(folder.path(), app.postgres.as_ref().unwrap().url()).await;
    assert!(said.contains("authority.pem"), "{said}");
}

#[tokio::test]
async fn an_idle_end_is_warned_of_by_a_replica_that_hears_no_agent_and_a_touch_takes_it_back() {
    let mut app = TestApp::start(Base::Postgres).await;
    let other = app.beside().await;
    let link = app.link(json!({ "idle_timeout_s": 16 })).await;
    let (here, session) = app.streaming(&link).await;
    let mut there = here.at(other.address);
    let is_idle = |state: &Value| state["warning"]["reason"] == "idle";
    let warned = app.quiet_until(&mut there, &session, is_idle).await;
    assert!(
        warned["warning"]["ends_in_ms"].as_u64().unwrap() <= 8000,
        "{warned}"
    );
    app.quiet_until(&mut there, &session, |state| state["warning"].is_null())
        .await;
    let ended = app
        .quiet_until(&mut there, &session, |state| state["stage"] == "ended")
        .await;
    assert_eq!(ended["end_reason"], "idle");
}

#[tokio::test]
async fn who_looks_on_by_one_replica_is_shown_to_the_holder_at_another() {
    let mut app = TestApp::start(Base::Postgres).await;
    let other = app.beside().await;
    let link = app.link(json!({})).await;
    let (here, session) = app.streaming(&link).await;
    let mut events = here.events(&session).await;
    let mut admin = app.admin.at(other.address);
    let path = format!("/api/v1/sessions/{session}/observe");
    let made = admin.post(&path, &json!({})).await;
    let mut operator = Browser::new(other.address);
    operator.bearer = Some(made.json()["token"].as_str().unwrap().to_owned());
    assert_eq!(operator.offer(&session).await.status, 201);
    while events.next().await.expect("the session goes on")["observers"] != 1 {}
}

#[tokio::test]
async fn a_device_that_goes_away_is_told_of_by_a_replica_without_its_agent() {
    let mut app = TestApp::start(Base::Postgres).await;
    let other = app.beside().await;
    let link = app.link(json!({})).await;
    let (here, session) = app.streaming(&link).await;
    let mut events = here.at(other.address).events(&session).await;
    for (health, shown) in [
        (DeviceHealth::Offline, "lost"),
        (DeviceHealth::Degraded, "returning"),
        (DeviceHealth::Healthy, "ready"),
    ] {
        app.agent.health(health);
        while events.next().await.expect("the session goes on")["device"]["state"] != shown {}
    }
}
