//! Requests whose answer was lost and that are sent again: nothing happens twice, and secrets are the same.

use crate::support::browser::{Answer, Browser};
use crate::support::{Base, TestApp, on_both};
use serde_json::{Value, json};
use tokio::task::JoinSet;

on_both![
    a_link_that_is_asked_for_twice_under_one_key_is_made_once,
    a_key_is_for_one_body_and_one_person_only,
    a_launch_whose_answer_was_lost_finds_its_lease_again,
    a_launch_that_is_repeated_after_its_end_is_granted_nothing,
    many_repetitions_at_once_get_one_lease,
    what_changes_a_link_or_a_device_answers_the_same_again,
    an_end_that_is_moved_twice_under_one_key_is_moved_once,
    tokens_that_are_shown_once_are_shown_again_to_whoever_asks_the_same_again,
];

const KEY: &str = "0c2bb0a2-71c5-4f1e-9a4d-111111111111";
const OTHER: &str = "0c2bb0a2-71c5-4f1e-9a4d-222222222222";

async fn launch(browser: &mut Browser, key: &str, token: &str) -> Answer {
    browser
        .post_as(key, "/api/v1/launch", &json!({ "token": token }))
        .await
}

fn contains(all: &[u8], part: &str) -> bool {
    all.windows(part.len()).any(|window| window == part.as_bytes())
}

async fn a_link_that_is_asked_for_twice_under_one_key_is_made_once(on: Base) {
    let mut app = TestApp::start(on).await;
    let wish = json!({ "device_id": app.device().await["id"], "name": "demo" });
    let first = app.admin.post_as(KEY, "/api/v1/links", &wish).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let second = app.admin.post_as(KEY, "/api/v1/links", &wish).await;
    assert_eq!((second.status, second.json()), (201, first.json()));
    assert_eq!(second.header("location"), first.header("location"));
    app.restart().await;
    let third = app.admin.post_as(KEY, "/api/v1/links", &wish).await;
    assert_eq!(third.json(), first.json(), "also after a restart");
    let listed = app.admin.get("/api/v1/links").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    let url = first.json()["url"].as_str().unwrap().to_owned();
    let (_, token) = url.split_once("/l#").unwrap();
    assert_eq!(
        app.browser().launch(token).await.status,
        202,
        "and the address opens"
    );
    app.stop().await;
    let written = app.written();
    assert!(contains(&written, "\"name\":\"demo\""), "the answer is kept");
    assert!(!contains(&written, token), "without its secret");
    assert!(!contains(&written, KEY), "and without the key");
}

async fn a_key_is_for_one_body_and_one_person_only(on: Base) {
    let mut app = TestApp::start(on).await;
    let device = app.device().await["id"].clone();
    let wish = json!({ "device_id": device, "name": "one" });
    let first = app.admin.post_as(KEY, "/api/v1/links", &wish).await.json();
    let misused = app
        .admin
        .post_as(
            KEY,
            "/api/v1/links",
            &json!({ "device_id": device, "name": "two" }),
        )
        .await;
    assert_eq!((misused.status, misused.code().as_str()), (422, "VALIDATION"));
    let other = app.admin.post_as(OTHER, "/api/v1/links", &wish).await.json();
    assert_ne!((&other["id"], &other["url"]), (&first["id"], &first["url"]));
    // What was refused is not kept: it may be asked again, put right.
    let key = "0c2bb0a2-71c5-4f1e-9a4d-333333333333";
    let wrong = app
        .admin
        .post_as(key, "/api/v1/links", &json!({ "device_id": "none" }))
        .await;
    assert_eq!(wrong.code(), "VALIDATION");
    assert_eq!(app.admin.post_as(key, "/api/v1/links", &wish).await.status, 201);
    for bad in ["short", "with a blank in it, which is bad"] {
        assert_eq!(
            app.admin.post_as(bad, "/api/v1/links", &wish).await.code(),
            "VALIDATION",
            "{bad}"
        );
    }
    let stranger = app.browser().post_as(KEY, "/api/v1/links", &wish).await;
    assert_eq!(stranger.code(), "AUTH_FAILED", "an answer is for whoever asked");
}

async fn a_launch_whose_answer_was_lost_finds_its_lease_again(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_uses": 1 })).await;
    let mut lost = app.browser();
    let first = launch(&mut lost, KEY, &link.token).await;
    assert_eq!(first.status, 202, "{}", first.body);
    // The same page again, and the cookie never came.
    let mut browser = app.browser();
    let second = launch(&mut browser, KEY, &link.token).await;
    assert_eq!(second.status, 202, "{}", second.body);
    assert_eq!(second.json()["session_id"], first.json()["session_id"]);
    assert_eq!(browser.cookies, lost.cookies);
    let session = second.json()["session_id"].as_str().unwrap().to_owned();
    browser.events(&session).await.until("ready").await;
    let shown = app.admin.get(&format!("/api/v1/links/{}", link.id)).await.json();
    assert_eq!(shown["uses"], 1);
    assert_eq!(app.device().await["epoch"], 1);
    let other = launch(&mut app.browser(), OTHER, &link.token).await;
    assert_eq!(
        other.code(),
        "LINK_BOUND_ELSEWHERE",
        "another key is another browser"
    );
}

async fn a_launch_that_is_repeated_after_its_end_is_granted_nothing(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let mut browser = app.browser();
    let launched = launch(&mut browser, KEY, &link.token).await.json();
    let session = launched["session_id"].as_str().unwrap();
    browser.events(session).await.until("ready").await;
    browser.end(session).await;
    app.device_shows("status", "idle").await;
    let late = launch(&mut app.browser(), KEY, &link.token).await;
    assert_eq!(
        (&late.json()["session_id"], &late.json()["stage"]),
        (&json!(session), &json!("ended"))
    );
    app.device_shows("status", "idle").await;
    assert_eq!(
        app.device().await["epoch"],
        2,
        "a grant and its release, and no more"
    );
}

async fn many_repetitions_at_once_get_one_lease(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_uses": 1 })).await;
    let mut all = JoinSet::new();
    for _ in 0..16 {
        let (mut browser, token) = (app.browser(), link.token.clone());
        all.spawn(async move { launch(&mut browser, KEY, &token).await });
    }
    let answers = all.join_all().await;
    let session = answers[0].json()["session_id"].clone();
    for answer in &answers {
        assert_eq!(
            (answer.status, &answer.json()["session_id"]),
            (202, &session),
            "{}",
            answer.body
        );
    }
    assert_eq!(app.device().await["epoch"], 1);
}

async fn what_changes_a_link_or_a_device_answers_the_same_again(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let path = format!("/api/v1/links/{}/revoke", link.id);
    let first = app.admin.post_as(KEY, &path, &json!({})).await;
    let second = app.admin.post_as(KEY, &path, &json!({})).await;
    assert_eq!((second.status, second.json()), (200, first.json()));
    let pause = format!("/api/v1/links/{}/pause", link.id);
    let misused = app.admin.post_as(KEY, &pause, &json!({})).await;
    assert_eq!(misused.code(), "VALIDATION", "the key was used to revoke");

    let link = app.link(json!({})).await;
    let (mut browser, session) = app.holder(&link).await;
    app.agent.release(crate::support::agent::Manner::Fails);
    browser.end(&session).await;
    app.device_shows("occupancy", "quarantined").await;
    app.agent.release(crate::support::agent::Manner::Well);
    let device = app.device().await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/devices/{device}/reset");
    let first = app.admin.post_as(OTHER, &path, &json!({})).await;
    assert_eq!(first.status, 202, "{}", first.body);
    app.device_shows("occupancy", "free").await;
    let second = app.admin.post_as(OTHER, &path, &json!({})).await;
    assert_eq!(
        (second.status, second.json()),
        (202, first.json()),
        "a device that is free is not reset again"
    );
}

/// How often something was done, by the audit log.
async fn done(app: &mut TestApp, action: &str) -> usize {
    let page = app
        .admin
        .get(&format!("/api/v1/audit?action={action}"))
        .await
        .json();
    page["items"].as_array().unwrap().len()
}

async fn an_end_that_is_moved_twice_under_one_key_is_moved_once(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let path = format!("/api/v1/links/{}/extend", link.id);
    let wish = |seconds| json!({ "max_duration_s": seconds });
    let first = app.admin.post_as(KEY, &path, &wish(60)).await;
    assert_eq!((first.status, &first.json()["max_duration_s"]), (200, &json!(60)));
    // Somebody else moves it before the first request is repeated.
    app.admin.post(&path, &wish(90)).await;
    let second = app.admin.post_as(KEY, &path, &wish(60)).await;
    assert_eq!((second.status, second.json()), (200, first.json()));
    let shown = app.admin.get(&format!("/api/v1/links/{}", link.id)).await.json();
    assert_eq!(shown["max_duration_s"], 90, "what came after it stays");
    assert_eq!(done(&mut app, "link.extend").await, 2);
    let other = app.link(json!({})).await;
    let path = format!("/api/v1/links/{}/extend", other.id);
    let same = app.admin.post_as(KEY, &path, &wish(60)).await;
    assert_eq!(
        (same.status, &same.json()["id"]),
        (200, &json!(other.id)),
        "a key is for one link"
    );
}

/// The same request three times, with a restart before the third: the answer, which shows a token.
async fn thrice(app: &mut TestApp, who: Option<&mut Browser>, path: &str, body: &Value) -> (Answer, String) {
    let mut asker = who.map_or_else(|| app.admin.clone(), |browser| browser.clone());
    let first = asker.post_as(KEY, path, body).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let second = asker.post_as(KEY, path, body).await;
    assert_eq!((second.status, second.json()), (201, first.json()));
    app.restart().await;
    let third = asker.post_as(KEY, path, body).await;
    assert_eq!((third.status, third.json()), (201, first.json()));
    let other = asker.post_as(OTHER, path, body).await;
    assert_ne!(
        other.json()["token"],
        first.json()["token"],
        "another key, another token"
    );
    let token = first.json()["token"].as_str().unwrap().to_owned();
    (first, token)
}

async fn tokens_that_are_shown_once_are_shown_again_to_whoever_asks_the_same_again(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({ "max_connections": 3 })).await;
    let (mut browser, session) = app.streaming(&link).await;
    let of = json!({ "session_id": session });
    let path = "/api/v1/launch/viewer-token";
    let (_, friend) = thrice(&mut app, Some(&mut browser), path, &of).await;
    assert_eq!(done(&mut app, "viewer_token.create").await, 2);
    let path = format!("/api/v1/sessions/{session}/observe");
    let (_, operator) = thrice(&mut app, None, &path, &json!({})).await;
    assert_eq!(done(&mut app, "viewer_token.create").await, 4);
    assert_ne!(friend, operator, "the same key of another person");
    for token in [&friend, &operator] {
        let mut player = app.browser();
        player.bearer = Some(token.clone());
        assert_eq!(player.offer(&session).await.status, 201);
    }
    let made = done(&mut app, "join_token.create").await;
    let (_, join) = thrice(&mut app, None, "/api/v1/registration-tokens", &json!({})).await;
    assert_eq!(done(&mut app, "join_token.create").await, made + 2);
    assert!(
        join.parse::<signaling::link::token::JoinToken>().is_ok(),
        "{join}"
    );

    app.stop().await;
    let written = app.written();
    for token in [&friend, &operator, &join] {
        let secret = token.split('.').next().unwrap();
        assert!(!contains(&written, secret), "an answer is kept without its token");
    }
}
