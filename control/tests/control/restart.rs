//! Control dies and comes back: what was promised still holds.

use crate::support::agent::Manner;
use crate::support::{Base, TestApp, on_both};
use protocol::agent::Request;
use serde_json::json;

on_both![
    a_session_goes_on_through_a_restart_of_control,
    a_preparation_that_a_restart_cut_short_is_asked_for_again,
    a_release_that_a_restart_cut_short_is_asked_for_again,
    an_epoch_is_never_below_the_agents_fence_even_with_an_older_database,
    an_enrolled_host_gets_no_second_token,
];

async fn a_session_goes_on_through_a_restart_of_control(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.streaming(&link).await;
    let connection = app.agent.live()[0];
    app.restart().await;
    assert_eq!(app.agent.live(), [connection]);
    assert_eq!(
        app.agent.unasked(),
        [],
        "nothing is asked of an agent whose session goes on"
    );
    let current = browser.current(&session).await;
    assert_eq!(
        (&current["stage"], &current["lease_state"]),
        (&json!("ready"), &json!("active"))
    );
    assert_eq!(app.device().await["epoch"], 1);
    assert_eq!(browser.offer(&session).await.status, 201, "and a reload works");
    assert_eq!(
        app.browser().launch(&link.token).await.code(),
        "LINK_BOUND_ELSEWHERE"
    );
}

async fn a_preparation_that_a_restart_cut_short_is_asked_for_again(on: Base) {
    let mut app = TestApp::start(on).await;
    app.agent.prepare(Manner::Held);
    let link = app.link(json!({})).await;
    let mut browser = app.browser();
    let session = browser.opens(&link.token).await;
    let Request::Prepare(first) = app.agent.asked().await else {
        panic!("control prepares")
    };
    app.agent.prepare(Manner::Well);
    app.restart().await;
    let Request::Prepare(second) = app.agent.asked().await else {
        panic!("control prepares again")
    };
    assert_eq!((second.lease, second.epoch), (first.lease, first.epoch));
    browser.events(&session).await.until("ready").await;
}

async fn a_release_that_a_restart_cut_short_is_asked_for_again(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let _held = app.holder(&link).await;
    app.agent.unasked();
    app.agent.release(Manner::Held);
    app.revoke(&link).await;
    let Request::Release(first) = app.agent.asked().await else {
        panic!("control releases")
    };
    app.agent.release(Manner::Well);
    app.restart().await;
    let Request::Release(second) = app.agent.asked().await else {
        panic!("control releases again")
    };
    assert_eq!(second, first);
    app.device_shows("occupancy", "free").await;
}

async fn an_epoch_is_never_below_the_agents_fence_even_with_an_older_database(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let mut browser = app.browser();
    let session = browser.ready(&link.token).await;
    browser.end(&session).await;
    app.device_shows("status", "idle").await;
    let backup = app.backup();
    for _ in 0..2 {
        let session = browser.ready(&link.token).await;
        browser.end(&session).await;
        app.device_shows("status", "idle").await;
    }
    let fence = app.agent.fence();
    app.stop().await;
    app.restore(&backup);
    app.start_again().await;
    let whole = app.count("SELECT COUNT(*) FROM leases");
    assert_eq!(whole, 1, "what was only in the log yet is in the backup");
    // Somebody whom the database forgot may have been on it.
    app.device_shows("occupancy", "quarantined").await;
    assert_eq!(browser.launch(&link.token).await.status, 409);
    let device = app.device().await["id"].clone();
    let path = format!("/api/v1/devices/{}/reset", device.as_str().unwrap());
    let reset = app.admin.post(&path, &json!({})).await;
    assert_eq!(reset.status, 202, "{}", reset.body);
    app.device_shows("status", "idle").await;
    let launched = browser.launch(&link.token).await;
    assert_eq!(launched.status, 202, "{}", launched.body);
    assert!(launched.json()["epoch"].as_u64().unwrap() > fence.0);
    browser
        .events(launched.json()["session_id"].as_str().unwrap())
        .await
        .until("ready")
        .await;
}

async fn an_enrolled_host_gets_no_second_token(on: Base) {
    let mut app = TestApp::start(on).await;
    let file = app.folder.path().join("join-token");
    std::fs::remove_file(&file).unwrap();
    app.restart().await;
    assert!(!file.exists());
}
