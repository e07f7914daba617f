//! What a holder is told while looking: that the device went away and came back, that its host did, and every
//! stage on the way to the first picture.

use crate::support::browser::Events;
use crate::support::{Base, DEADLINE, TestApp, on_both};
use protocol::agent::DeviceHealth;
use serde_json::{Value, json};

on_both![
    a_device_that_goes_away_and_comes_back_is_told_of_at_once,
    a_host_whose_link_is_gone_is_told_of_and_its_return_too,
    no_stage_on_the_way_to_the_picture_is_left_out,
];

/// The next state whose device is `wanted`.
async fn device_is(events: &mut Events, wanted: &str) -> Value {
    let told = async {
        loop {
            let state = events.next().await.expect("the session goes on");
            if state["device"]["state"] == wanted {
                return state;
            }
        }
    };
    tokio::time::timeout(DEADLINE, told).await.expect(wanted)
}

async fn a_device_that_goes_away_and_comes_back_is_told_of_at_once(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (browser, session) = app.holder(&link).await;
    let mut events = browser.events(&session).await;
    device_is(&mut events, "ready").await;
    for (health, state) in [
        (DeviceHealth::Booting, "returning"),
        (DeviceHealth::Offline, "lost"),
        (DeviceHealth::Degraded, "returning"),
        (DeviceHealth::Healthy, "ready"),
    ] {
        app.agent.health(health);
        let told = device_is(&mut events, state).await;
        assert_eq!(told["stage"], "ready", "the lease is still the holder's");
        assert_eq!(told["epoch"], 1);
    }
}

async fn a_host_whose_link_is_gone_is_told_of_and_its_return_too(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (browser, session) = app.holder(&link).await;
    let mut events = browser.events(&session).await;
    device_is(&mut events, "ready").await;
    app.agent.cut();
    device_is(&mut events, "unlinked").await;
    app.agent.up().await;
    device_is(&mut events, "ready").await;
}

async fn no_stage_on_the_way_to_the_picture_is_left_out(on: Base) {
    const STAGES: [&str; 4] = ["reset", "launch", "connect", "ready"];
    let mut app = TestApp::start(on).await;
    for _ in 0..4 {
        let link = app.link(json!({})).await;
        let mut browser = app.browser();
        let session = browser.opens(&link.token).await;
        let mut events = browser.events(&session).await;
        let (mut at, mut progress) = (None, 0);
        while at != Some(STAGES.len() - 1) {
            let state = events.next().await.unwrap();
            let stage = STAGES.iter().position(|stage| state["stage"] == *stage).unwrap();
            let before = at.unwrap_or(stage);
            assert!(stage == before || stage == before + 1, "{state} after {before}");
            assert!(state["progress"].as_u64().unwrap() >= progress, "{state}");
            progress = state["progress"].as_u64().unwrap();
            at = Some(stage);
        }
        browser.end(&session).await;
        app.device_shows("status", "idle").await;
    }
}
