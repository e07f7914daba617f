//! Opening links: who gets the device, who does not, and what they are told.

use crate::support::agent::Manner;
use crate::support::browser::{Answer, Browser};
use crate::support::{Base, DEADLINE, Link, TestApp, on_both};
use protocol::agent::{DeviceHealth, Request};
use serde_json::json;
use tokio::task::JoinSet;

on_both![
    a_link_opens_its_device_and_shows_true_progress,
    of_sixty_four_people_who_open_a_one_use_link_at_once_exactly_one_gets_it,
    of_fifty_people_with_a_link_each_to_one_free_device_exactly_one_gets_it,
    a_second_person_is_refused_and_the_first_notices_nothing,
    the_same_browser_comes_back_by_its_cookie_with_link_or_session,
    a_session_that_its_holder_ends_gives_the_device_to_the_next,
    unknown_expired_revoked_and_used_up_links_are_told_apart,
    a_device_that_cannot_be_reached_is_told_and_costs_no_use,
    a_failed_set_up_gives_the_use_back_and_cleans_up,
    an_agent_that_breaks_off_a_release_leaves_its_device_quarantined,
    a_device_that_could_not_be_cleaned_is_quarantined_until_an_operator_resets_it,
    a_reset_while_the_host_is_away_is_put_off_and_says_until_when,
];

async fn a_link_opens_its_device_and_shows_true_progress(on: Base) {
    let mut app = TestApp::start(on).await;
    app.agent.prepare(Manner::Held);
    let link = app.link(json!({ "name": "demo" })).await;
    assert_eq!(link.token.len(), 43);
    assert!(link.token.ends_with(link.shown["token_hint"].as_str().unwrap()));

    let mut browser = app.browser();
    let described = browser
        .post("/api/v1/launch/describe", &json!({ "token": link.token }))
        .await;
    assert_eq!(described.status, 200);
    assert_eq!(described.json()["link"]["name"], "demo");
    assert_eq!(described.json()["device"]["name"], "one");

    let launched = browser.launch(&link.token).await;
    assert_eq!(launched.status, 202, "{}", launched.body);
    let cookie = launched.header("set-cookie");
    let name = cookie.split('=').next().unwrap();
    assert!(
        link.id
            .replace('-', "")
            .ends_with(name.strip_prefix("__Host-fg_").unwrap())
    );
    for flag in [
        "; Path=/",
        "; Max-Age=2592000",
        "; Secure",
        "; HttpOnly",
        "; SameSite=Strict",
    ] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    let state = launched.json();
    assert_eq!(state["epoch"], 1);
    assert_eq!(state["lease_state"], "preparing");
    let session = state["session_id"].as_str().unwrap();

    let Request::Prepare(prepare) = app.agent.asked().await else {
        panic!("control prepares first")
    };
    assert_eq!(prepare.epoch.0, 1);
    assert_eq!(prepare.app.unwrap().package, "dev.farglass.paint");
    let mut events = browser.events(session).await;
    let connect = events.until("connect").await;
    assert!((60..100).contains(&connect["progress"].as_u64().unwrap()));
    app.agent.let_go();
    let ready = events.until("ready").await;
    let expected = json!({
        "session_id": session,
        "epoch": 1,
        "state": "grace",
        "link_state": "active",
        "lease_state": "grace",
        "session_state": "idle",
        "stage": "ready",
        "progress": 100,
        "device": { "name": "one", "width": 720, "height": 1280, "state": "ready" },
        "app": { "package": "dev.farglass.paint" },
        "observers": 0,
    });
    assert_eq!(ready, expected);
    app.device_shows("status", "busy").await;
}

/// Leases that hold their device.
const LIVE: &str = "SELECT COUNT(*) FROM leases WHERE state <> 'released' AND state <> 'releasing'";
/// Leases that were ever given.
const GIVEN: &str = "SELECT COUNT(*) FROM leases";

/// Everybody opens his link at the same time, from this address: who, and what he was told.
async fn all_at_once(app: &TestApp, from: [u8; 4], tokens: Vec<String>) -> Vec<(Browser, Answer)> {
    let mut everybody = JoinSet::new();
    for token in tokens {
        let mut browser = Browser::from(app.address, from.into());
        everybody.spawn(async move {
            let answer = browser.launch(&token).await;
            (browser, answer)
        });
    }
    everybody.join_all().await
}

/// The one who was let in, and his session. All others were refused with this code.
fn only_one(answers: Vec<(Browser, Answer)>, code: &str) -> (Browser, String) {
    let (mut let_in, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, answer)| answer.status < 300);
    for (_, answer) in &refused {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (409, code),
            "{}",
            answer.body
        );
    }
    let (browser, answer) = let_in.pop().expect("somebody gets it");
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert!(let_in.is_empty(), "{} more were let in", let_in.len());
    (browser, answer.json()["session_id"].as_str().unwrap().to_owned())
}

async fn of_sixty_four_people_who_open_a_one_use_link_at_once_exactly_one_gets_it(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_uses": 1 })).await;
    let tokens = vec![link.token.clone(); 64];
    let answers = all_at_once(&app, [127, 0, 0, 1], tokens.clone()).await;
    let (mut holder, session) = only_one(answers, "LINK_BOUND_ELSEWHERE");
    assert_eq!(app.device().await["epoch"], 1);
    assert_eq!((app.count(LIVE), app.count(GIVEN)), (1, 1));

    holder.end(&session).await;
    app.device_shows("status", "idle").await;
    for (_, answer) in all_at_once(&app, [127, 0, 0, 2], tokens).await {
        assert_eq!((answer.status, answer.code().as_str()), (410, "LINK_EXHAUSTED"));
    }
    assert_eq!((app.count(LIVE), app.count(GIVEN)), (0, 1));
    let shown = app.admin.get(&format!("/api/v1/links/{}", link.id)).await.json();
    assert_eq!(shown["uses"], 1);
}

async fn of_fifty_people_with_a_link_each_to_one_free_device_exactly_one_gets_it(on: Base) {
    let mut app = TestApp::start(on).await;
    let mut tokens = Vec::new();
    for _ in 0..50 {
        tokens.push(app.link(json!({})).await.token);
    }
    let answers = all_at_once(&app, [127, 0, 0, 1], tokens).await;
    assert_eq!(answers.len(), 50);
    let (mut holder, session) = only_one(answers, "DEVICE_IN_USE");
    assert_eq!((app.count(LIVE), app.count(GIVEN)), (1, 1));
    assert_eq!(app.device().await["epoch"], 1);
    assert_eq!(holder.current(&session).await["epoch"], 1);
    assert_eq!(app.count("SELECT COUNT(*) FROM links WHERE uses > 0"), 1);
}

async fn a_second_person_is_refused_and_the_first_notices_nothing(on: Base) {
    let mut app = TestApp::start(on).await;
    let (link, other) = (app.link(json!({})).await, app.link(json!({})).await);
    let (mut first, session) = app.streaming(&link).await;
    let before = first.current(&session).await;

    let mut second = app.browser();
    let refused = second.launch(&link.token).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (409, "LINK_BOUND_ELSEWHERE")
    );
    let refused = second.launch(&other.token).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "DEVICE_IN_USE"));
    // A cookie of the right name and the wrong value opens nothing.
    let name = first.cookies.keys().next().unwrap().clone();
    second.cookies.insert(name, "guess".to_owned());
    assert_eq!(second.launch(&link.token).await.status, 409);
    assert_eq!(
        second
            .get(&format!("/api/v1/launch/current?session={session}"))
            .await
            .status,
        404
    );

    let after = first.current(&session).await;
    assert_eq!(after, before);
    assert_eq!(app.agent.unasked(), []);
    let shown = app.admin.get(&format!("/api/v1/links/{}", other.id)).await.json();
    assert_eq!(shown["uses"], 0, "a refused claim costs no use");
}

async fn the_same_browser_comes_back_by_its_cookie_with_link_or_session(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_uses": 1 })).await;
    let mut browser = app.browser();
    let session = browser.ready(&link.token).await;

    let again = browser.launch(&link.token).await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(again.json()["session_id"], session.as_str());
    assert_eq!(again.json()["epoch"], 1);
    let reload = browser
        .post("/api/v1/launch", &json!({ "session_id": session }))
        .await;
    assert_eq!(reload.status, 200);
    assert_eq!(reload.json()["stage"], "ready");

    let stranger = app
        .browser()
        .post("/api/v1/launch", &json!({ "session_id": session }))
        .await;
    assert_eq!(
        (stranger.status, stranger.code().as_str()),
        (404, "SESSION_NOT_FOUND")
    );
    let shown = app.admin.get(&format!("/api/v1/links/{}", link.id)).await.json();
    assert_eq!(shown["uses"], 1);
}

async fn a_session_that_its_holder_ends_gives_the_device_to_the_next(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_uses": 2 })).await;
    let mut first = app.browser();
    let session = first.ready(&link.token).await;
    app.agent.unasked();
    let ended = first.end(&session).await;
    assert_eq!(ended.json()["stage"], "ended");
    assert_eq!(ended.json()["end_reason"], "lease_ended");
    let Request::Release(release) = app.agent.asked().await else {
        panic!("control releases")
    };
    assert_eq!(release.epoch.0, 2, "the release is above the lease's epoch");
    app.device_shows("status", "idle").await;

    let next = app.browser().launch(&link.token).await;
    assert_eq!(next.status, 202);
    assert_eq!(next.json()["epoch"], 3);
    // Both uses are taken, the second is running: who comes now is told to wait, not to go.
    assert_eq!(
        app.browser().launch(&link.token).await.code(),
        "LINK_BOUND_ELSEWHERE"
    );
}

async fn unknown_expired_revoked_and_used_up_links_are_told_apart(on: Base) {
    let mut app = TestApp::start(on).await;
    let mut browser = app.browser();
    let unknown = browser.launch("nonsense").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "LINK_NOT_FOUND"));

    let revoked = app.link(json!({})).await;
    assert_eq!(app.revoke(&revoked).await.json()["state"], "revoked");
    let answer = browser.launch(&revoked.token).await;
    assert_eq!((answer.status, answer.code().as_str()), (410, "LINK_REVOKED"));

    let deleted = app.link(json!({})).await;
    let path = format!("/api/v1/links/{}", deleted.id);
    assert_eq!(
        app.admin
            .send(reqwest::Method::DELETE, &path, &[], None)
            .await
            .status,
        204
    );
    assert_eq!(browser.launch(&deleted.token).await.code(), "LINK_NOT_FOUND");
    assert_eq!(app.admin.get(&path).await.status, 404);

    let short = app.link(json!({})).await;
    app.expires_soon(&short).await;
    let path = format!("/api/v1/links/{}", short.id);
    let expired = async { while app.admin.get(&path).await.json()["state"] != "expired" {} };
    tokio::time::timeout(DEADLINE, expired).await.unwrap();
    let answer = browser
        .post("/api/v1/launch/describe", &json!({ "token": short.token }))
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (410, "LINK_EXPIRED"));
    assert_eq!(browser.launch(&short.token).await.code(), "LINK_EXPIRED");

    let once = app.link(json!({ "max_uses": 1 })).await;
    let session = browser.opens(&once.token).await;
    browser.end(&session).await;
    app.device_shows("status", "idle").await;
    let answer = browser.launch(&once.token).await;
    assert_eq!((answer.status, answer.code().as_str()), (410, "LINK_EXHAUSTED"));
    let described = browser
        .post("/api/v1/launch/describe", &json!({ "token": once.token }))
        .await;
    assert_eq!(described.code(), "LINK_EXHAUSTED");
}

async fn a_device_that_cannot_be_reached_is_told_and_costs_no_use(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_uses": 1 })).await;
    app.agent.health(DeviceHealth::Offline);
    app.device_shows("status", "offline").await;
    assert_eq!(app.admin.get("/api/v1/health").await.status, 503);
    let mut browser = app.browser();
    let answer = browser.launch(&link.token).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "DEVICE_OFFLINE"));
    assert_eq!(answer.header("retry-after"), "5");
    app.agent.health(DeviceHealth::Healthy);
    app.device_shows("status", "idle").await;
    assert_eq!(browser.launch(&link.token).await.status, 202);
}

async fn a_failed_set_up_gives_the_use_back_and_cleans_up(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_uses": 1 })).await;
    app.agent.prepare(Manner::Fails);
    let mut browser = app.browser();
    let session = browser.opens(&link.token).await;
    let ended = browser.events(&session).await.until("ended").await;
    assert_eq!(ended["end_reason"], "setup_failed");
    assert_eq!(ended["session_state"], "failed");
    app.device_shows("status", "idle").await;
    app.agent.prepare(Manner::Well);
    let again = browser.launch(&link.token).await;
    assert_eq!(again.status, 202, "{}", again.body);
    browser
        .events(again.json()["session_id"].as_str().unwrap())
        .await
        .until("ready")
        .await;
}

async fn an_agent_that_breaks_off_a_release_leaves_its_device_quarantined(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.holder(&link).await;
    app.agent.release(Manner::BreaksOff);
    browser.end(&session).await;
    app.device_shows("occupancy", "quarantined").await;
}

/// A device whose agent could not clean it, with a link to it and the browser that had it.
async fn soiled(on: Base) -> (TestApp, Link, Browser) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    app.agent.release(Manner::Fails);
    let mut browser = app.browser();
    let session = browser.opens(&link.token).await;
    browser.end(&session).await;
    app.device_shows("occupancy", "quarantined").await;
    (app, link, browser)
}

/// An operator asks for a reset of the only device.
async fn reset(app: &mut TestApp) -> Answer {
    let device = app.device().await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/devices/{device}/reset");
    app.admin.post(&path, &json!({})).await
}

async fn a_reset_while_the_host_is_away_is_put_off_and_says_until_when(on: Base) {
    let (mut app, _link, _browser) = soiled(on).await;
    app.agent.stop();
    app.device_shows("status", "offline").await;
    let reset = reset(&mut app).await;
    assert_eq!((reset.status, reset.code().as_str()), (503, "DEVICE_OFFLINE"));
    assert_eq!(reset.header("retry-after"), "5");
}

async fn a_device_that_could_not_be_cleaned_is_quarantined_until_an_operator_resets_it(on: Base) {
    let (mut app, link, mut browser) = soiled(on).await;
    assert_eq!(browser.launch(&link.token).await.code(), "DEVICE_IN_USE");

    app.agent.release(Manner::Well);
    let begun = reset(&mut app).await;
    assert_eq!(begun.status, 202, "{}", begun.body);
    app.device_shows("occupancy", "free").await;
    let again = reset(&mut app).await;
    assert_eq!(again.code(), "CONFLICT");
    assert_eq!(browser.launch(&link.token).await.status, 202);
}
