//! Strangers: who has no binding of a session, or no link at all, and tries. What they send is what an attacker has:
//! session ids, cookies of other links, guessed tokens.

use std::net::IpAddr;

use crate::support::browser::{Answer, Browser};
use crate::support::{Base, TestApp, on_both};
use serde_json::json;

on_both![
    a_session_is_ended_by_its_holder_and_by_nobody_else,
    whoever_guesses_tokens_is_held_back_and_another_address_is_not,
];

/// Tries after which a stranger is held back at the latest: many times what an address is given at once.
const TRIES_MAX: usize = 1000;

async fn a_session_is_ended_by_its_holder_and_by_nobody_else(on: Base) {
    let mut app = TestApp::start(on).await;
    let (link, other) = (app.link(json!({})).await, app.link(json!({})).await);
    // Two who were on the device before: through another link, and through this one.
    let mut before = Vec::new();
    for link in [&other, &link] {
        let (mut browser, session) = app.holder(link).await;
        assert_eq!(browser.end(&session).await.json()["stage"], "ended");
        app.device_shows("status", "idle").await;
        before.push(browser);
    }
    let (mut holder, session) = app.streaming(&link).await;
    let (name, value) = holder.cookies.first_key_value().unwrap();
    let (name, value) = (name.clone(), value.clone());

    let nobody = app.browser();
    let guess = with_cookie(&app, &name, "guess");
    let others_value = before[0].cookies.first_key_value().unwrap().1.clone();
    let others = with_cookie(&app, &name, &others_value);
    let misnamed = with_cookie(
        &app,
        &before[0].cookies.first_key_value().unwrap().0.clone(),
        &value,
    );
    let mut player = app.browser();
    player.bearer = Some(value.clone());
    for mut stranger in [nobody, guess, others, misnamed, player]
        .into_iter()
        .chain(before)
    {
        let tried = stranger.end(&session).await;
        let told = (tried.status, tried.code());
        assert_eq!(
            told,
            (404, "SESSION_NOT_FOUND".to_owned()),
            "{:?}",
            stranger.cookies
        );
    }
    let mut elsewhere = holder.clone();
    elsewhere.origin = Some("https://elsewhere.example".to_owned());
    assert_eq!(
        elsewhere.end(&session).await.code(),
        "FORBIDDEN",
        "another's page"
    );

    assert_eq!(app.agent.unasked(), [], "the agent heard of none of them");
    assert_eq!(app.agent.live().len(), 1);
    assert_eq!(holder.current(&session).await["lease_state"], "active");
    assert_eq!(holder.end(&session).await.json()["stage"], "ended");
}

fn with_cookie(app: &TestApp, name: &str, value: &str) -> Browser {
    let mut browser = app.browser();
    browser.cookies.insert(name.to_owned(), value.to_owned());
    browser
}

async fn whoever_guesses_tokens_is_held_back_and_another_address_is_not(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let paths = ["/api/v1/launch", "/api/v1/launch/describe"];
    for (at, path) in paths.into_iter().enumerate() {
        let from = IpAddr::from([127, 0, 1, at as u8 + 1]);
        let held_back = guesses(&mut Browser::from(app.address, from), path).await;
        assert_eq!(
            (held_back.status, held_back.code().as_str()),
            (429, "RATE_LIMITED")
        );
        let wait: u64 = held_back.header("retry-after").parse().unwrap();
        assert!((1..60).contains(&wait), "in {wait} s");
    }
    let mut person = Browser::from(app.address, [127, 0, 1, 3].into());
    let body = json!({ "token": link.token });
    assert_eq!(person.post("/api/v1/launch/describe", &body).await.status, 200);
    assert_eq!(person.launch(&link.token).await.status, 202);
}

/// Guesses until it is told something else than that there is no such link.
async fn guesses(stranger: &mut Browser, path: &str) -> Answer {
    for guess in 0..TRIES_MAX {
        let answer = stranger
            .post(path, &json!({ "token": format!("guess {guess}") }))
            .await;
        if answer.status != 404 {
            return answer;
        }
        assert_eq!(answer.code(), "LINK_NOT_FOUND");
    }
    panic!("nobody held it back from {path}");
}
