//! What links say about when they open, whom they take and how long their sessions last, from outside.

use std::time::{Duration, Instant};

use crate::support::browser::Answer;
use crate::support::{Base, DEADLINE, Link, TestApp, on_both};
use protocol::CloseReason;
use reqwest::Method;
use serde_json::{Value, json};

on_both![
    a_paused_link_lets_nobody_in_and_keeps_who_is_in,
    a_link_opens_at_its_time_and_says_when,
    a_session_is_warned_and_ends_after_its_greatest_length,
    a_session_that_nobody_touches_is_warned_and_given_back,
    a_link_that_lets_its_session_finish_only_closes_the_door,
    a_moved_end_moves_the_end_of_the_session_that_runs,
    a_link_for_any_device_takes_one_with_its_labels,
    what_is_out_of_bounds_is_refused,
    a_quarantined_device_says_why_and_since_when,
];

/// An end that is near, seconds: so long a machine may stand still between moving an end there and away again, and half as
/// long between a warning and its end.
const NEAR_S: u64 = 16;
const NEAR_MS: i64 = 16_000;
/// How long nobody touches the device until his session ends, seconds: half of it is left for taking a warning back.
const IDLE_S: u64 = 16;

async fn post(app: &mut TestApp, path: &str, body: Value) -> Answer {
    app.admin.post(&format!("/api/v1/{path}"), &body).await
}

fn in_ms(ms: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_millis(ms)).to_string()
}

async fn shows(app: &mut TestApp, link: &Link, state: &str) {
    let path = format!("/api/v1/links/{}", link.id);
    let shows = async { while app.admin.get(&path).await.json()["state"] != state {} };
    tokio::time::timeout(DEADLINE, shows)
        .await
        .unwrap_or_else(|_| panic!("never {state}"));
}

async fn a_paused_link_lets_nobody_in_and_keeps_who_is_in(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.streaming(&link).await;
    let paused = post(&mut app, &format!("links/{}/pause", link.id), json!({})).await;
    assert_eq!((paused.status, &paused.json()["state"]), (200, &json!("paused")));
    let other = app.browser().launch(&link.token).await;
    assert_eq!((other.status, other.code().as_str()), (409, "LINK_PAUSED"));
    let described = app
        .browser()
        .post("/api/v1/launch/describe", &json!({ "token": link.token }))
        .await;
    assert_eq!(described.code(), "LINK_PAUSED");
    let own = browser.launch(&link.token).await;
    assert_eq!((own.status, &own.json()["session_id"]), (200, &json!(session)));
    assert_eq!(app.agent.unasked(), [], "nobody is cut");

    let resumed = post(&mut app, &format!("links/{}/resume", link.id), json!({})).await;
    assert_eq!(resumed.json()["state"], "active");
    assert_eq!(
        app.browser().launch(&link.token).await.code(),
        "LINK_BOUND_ELSEWHERE"
    );
    app.revoke(&link).await;
    let again = post(&mut app, &format!("links/{}/resume", link.id), json!({})).await;
    assert_eq!(again.json()["state"], "revoked", "revoked is for good");
}

async fn a_link_opens_at_its_time_and_says_when(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "not_before": in_ms(3_600_000) })).await;
    assert_eq!(link.shown["state"], "scheduled");
    let early = app.browser().launch(&link.token).await;
    assert_eq!((early.status, early.code().as_str()), (409, "LINK_SCHEDULED"));
    let wait: u64 = early.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    let shown = app.admin.get(&format!("/api/v1/links/{}", link.id)).await.json();
    assert_eq!(shown["uses"], 0);
    let soon = app.link(json!({ "not_before": in_ms(1500) })).await;
    shows(&mut app, &soon, "active").await;
    assert_eq!(app.browser().launch(&soon.token).await.status, 202);
    let still = app.admin.get(&format!("/api/v1/links/{}", link.id)).await.json();
    assert_eq!(still["state"], "scheduled");
}

async fn a_session_is_warned_and_ends_after_its_greatest_length(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_duration_s": 3600 })).await;
    let (browser, session) = app.streaming(&link).await;
    let mut events = browser.events(&session).await;
    // It comes near only now that somebody listens: from the warning on there is half of it, however slow the machine is.
    let path = format!("links/{}/extend", link.id);
    let near = post(&mut app, &path, json!({ "max_duration_s": NEAR_S })).await;
    assert_eq!(near.status, 200, "{}", near.body);
    let mut warned = false;
    let ended = loop {
        let state = events.next().await.unwrap();
        if state["stage"] == "ended" {
            break state;
        }
        if state["warning"]["reason"] == "max_duration" {
            warned = true;
            assert!(
                state["warning"]["ends_in_ms"].as_u64().unwrap() <= NEAR_S * 1000 / 2,
                "at its half: {state}"
            );
            assert!(state["ends_at"].is_string());
        }
    };
    assert!(warned, "the holder hears of it before");
    assert_eq!(ended["end_reason"], "max_duration");
    assert_eq!(ended["warning"], Value::Null);
    assert_eq!(app.agent.released().await.reason, CloseReason::MaxDuration);
}

async fn a_session_that_nobody_touches_is_warned_and_given_back(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "idle_timeout_s": IDLE_S })).await;
    let (mut browser, session) = app.streaming(&link).await;
    let is_idle = |state: &Value| state["warning"]["reason"] == "idle";
    app.quiet_until(&mut browser, &session, is_idle).await;
    // A touch takes the warning back, and the time begins anew.
    let touched = Instant::now();
    app.quiet_until(&mut browser, &session, |state| {
        state["stage"] != "ended" && state["warning"].is_null()
    })
    .await;
    let ended = app
        .quiet_until(&mut browser, &session, |state| state["stage"] == "ended")
        .await;
    assert!(
        touched.elapsed() > Duration::from_secs(IDLE_S),
        "{:?}",
        touched.elapsed()
    );
    assert_eq!(ended["end_reason"], "idle");
    assert_eq!(app.agent.released().await.reason, CloseReason::Idle);
    app.device_shows("status", "idle").await;
}

async fn a_link_that_lets_its_session_finish_only_closes_the_door(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app
        .link(json!({ "expires_at": in_ms(3_600_000), "on_expiry": "finish" }))
        .await;
    let (mut browser, session) = app.streaming(&link).await;
    app.expires_soon(&link).await;
    shows(&mut app, &link, "expired").await;
    assert_eq!(app.browser().launch(&link.token).await.code(), "LINK_EXPIRED");
    let own = browser.launch(&link.token).await;
    assert_eq!((own.status, &own.json()["session_id"]), (200, &json!(session)));
    assert_eq!(own.json()["lease_state"], "active");
    let ended = browser.end(&session).await;
    assert_eq!(ended.json()["end_reason"], "lease_ended");
    app.device_shows("status", "idle").await;
    assert_eq!(browser.launch(&link.token).await.code(), "LINK_EXPIRED");
}

async fn a_moved_end_moves_the_end_of_the_session_that_runs(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.streaming(&link).await;
    let path = format!("links/{}/extend", link.id);
    let near = json!({ "expires_at": in_ms(NEAR_MS), "max_duration_s": NEAR_S });
    assert_eq!(post(&mut app, &path, near).await.status, 200);
    let near_since = Instant::now();
    let later = json!({ "expires_at": in_ms(3_600_000), "max_duration_s": 600 });
    let extended = post(&mut app, &path, later).await;
    assert_eq!(
        (extended.status, &extended.json()["max_duration_s"]),
        (200, &json!(600))
    );
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    // A second more for whoever would have ended it.
    while near_since.elapsed() < Duration::from_secs(NEAR_S + 1) {
        looks.tick().await;
        assert_eq!(browser.current(&session).await["lease_state"], "active");
    }
    let left = browser.current(&session).await["ends_in_ms"].as_u64().unwrap();
    assert!((500_000..=600_000).contains(&left), "{left}");
    assert_eq!(post(&mut app, &path, json!({})).await.code(), "VALIDATION");
    // What is not named stays as it is.
    let shown = post(&mut app, &path, json!({ "max_duration_s": 700 }))
        .await
        .json();
    assert!(
        shown["expires_at"].as_str().unwrap() > in_ms(3_000_000).as_str(),
        "{shown}"
    );
    let begins = app.link(json!({ "not_before": in_ms(60_000) })).await;
    let early = json!({ "expires_at": in_ms(30_000) });
    let before = post(&mut app, &format!("links/{}/extend", begins.id), early).await;
    assert_eq!(before.code(), "VALIDATION", "it would end before it begins");
    app.revoke(&link).await;
    let late = post(&mut app, &path, json!({ "max_duration_s": 60 })).await;
    assert_eq!((late.status, late.code().as_str()), (410, "LINK_REVOKED"));
}

async fn a_link_for_any_device_takes_one_with_its_labels(on: Base) {
    let mut app = TestApp::start(on).await;
    let any = json!({ "device_id": null, "selector": { "labels": { "pool": "demo" } } });
    let (link, other) = (app.link(any.clone()).await, app.link(any).await);
    assert_eq!(link.shown["selector"]["labels"]["pool"], "demo");
    assert_eq!(link.shown["device_id"], Value::Null);
    let none = app.browser().launch(&link.token).await;
    assert_eq!(
        (none.status, none.code().as_str()),
        (503, "DEVICE_OFFLINE"),
        "no device has such labels"
    );

    app.agent.labels(&[("pool", "demo"), ("android", "14")]);
    let labelled = async { while app.device().await["labels"]["pool"] != "demo" {} };
    tokio::time::timeout(DEADLINE, labelled).await.unwrap();
    let device = app.device().await["id"].as_str().unwrap().to_owned();
    let labels = format!("/api/v1/devices/{device}/labels");
    let json = [("content-type", "application/json")];
    let body = json!({ "labels": { "pool": "tests" } }).to_string();
    let set = app.admin.send(Method::PUT, &labels, &json, Some(body)).await;
    let expected = json!({ "pool": "tests", "android": "14" });
    assert_eq!(
        (set.status, &set.json()["labels"]),
        (200, &expected),
        "an admin's word wins"
    );
    assert_eq!(app.browser().launch(&link.token).await.code(), "DEVICE_OFFLINE");
    let body = json!({ "labels": {} }).to_string();
    assert_eq!(
        app.admin
            .send(Method::PUT, &labels, &json, Some(body))
            .await
            .status,
        200
    );

    let mut browser = app.browser();
    let launched = browser.launch(&link.token).await;
    assert_eq!(launched.status, 202, "{}", launched.body);
    assert_eq!(launched.json()["device"]["name"], "one");
    let second = app.browser().launch(&other.token).await;
    assert_eq!((second.status, second.code().as_str()), (409, "DEVICE_IN_USE"));
    let shown = app.admin.get(&format!("/api/v1/links/{}", other.id)).await.json();
    assert_eq!(shown["uses"], 0, "a refused claim costs no use");
}

async fn what_is_out_of_bounds_is_refused(on: Base) {
    let mut app = TestApp::start(on).await;
    let device = app.device().await["id"].clone();
    let long = "x".repeat(64);
    let wishes = [
        json!({}),
        json!({ "device_id": device, "selector": { "labels": {} } }),
        json!({ "selector": { "labels": { "a b": "c" } } }),
        json!({ "selector": { "labels": { "a": long } } }),
        json!({ "selector": { "names": [] } }),
        json!({ "device_id": device, "idle_timeout_s": 1 }),
        json!({ "device_id": device, "idle_timeout_s": 86_401 }),
        json!({ "device_id": device, "max_duration_s": 0 }),
        json!({ "device_id": device, "max_duration_s": 604_801 }),
        json!({ "device_id": device, "max_duration_s": -1 }),
        json!({ "device_id": device, "on_expiry": "maybe" }),
        json!({ "device_id": device, "not_before": "tomorrow" }),
        json!({ "device_id": device, "not_before": in_ms(20_000), "expires_at": in_ms(10_000) }),
        json!({ "device_id": device, "expires_at": in_ms(-1000) }),
        json!({ "device_id": device, "permissions": {} }),
    ];
    for wish in wishes {
        let answer = app.admin.post("/api/v1/links", &wish).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (422, "VALIDATION"),
            "{wish}"
        );
    }
    let listed = app.admin.get("/api/v1/links").await.json();
    assert_eq!(listed["items"], json!([]));
    let defaults = app.link(json!({})).await.shown;
    assert_eq!(
        (
            &defaults["idle_timeout_s"],
            &defaults["max_duration_s"],
            &defaults["on_expiry"]
        ),
        (&json!(300), &Value::Null, &json!("cut"))
    );
}

async fn a_quarantined_device_says_why_and_since_when(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    app.agent.release(crate::support::agent::Manner::Fails);
    let (mut browser, session) = app.holder(&link).await;
    browser.end(&session).await;
    app.device_shows("occupancy", "quarantined").await;
    let device = app.device().await;
    assert_eq!(device["quarantine"]["reason"], "not_cleaned");
    assert!(device["quarantine"]["since"].is_string());
    // An operator's release cleans again; what fails again says so again.
    let path = format!("devices/{}/reset", device["id"].as_str().unwrap());
    assert_eq!(post(&mut app, &path, json!({})).await.status, 202);
    let once_more = async {
        loop {
            let now = app.device().await;
            if now["quarantine"]["since"].is_string()
                && now["quarantine"]["since"] != device["quarantine"]["since"]
            {
                return now;
            }
        }
    };
    let again = tokio::time::timeout(DEADLINE, once_more).await.unwrap();
    assert_eq!(again["quarantine"]["reason"], "not_cleaned");
    app.agent.release(crate::support::agent::Manner::Well);
    assert_eq!(post(&mut app, &path, json!({})).await.status, 202);
    app.device_shows("occupancy", "free").await;
    assert_eq!(app.device().await["quarantine"], Value::Null);
}
