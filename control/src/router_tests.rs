//! Every address of the table asked as a stranger, and each that changes something looked up in the audit log.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use protocol::Epoch;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::*;
use crate::domain::device::Occupancy;
use crate::domain::time::UnixMs;
use crate::rig::linked::{Linked, on_both_linked};
use crate::routes::request::Peer;
use crate::secret::Hash;
use crate::store::audit::Actor;
use crate::store::row::Row;

on_both_linked![
    a_stranger_reaches_no_route_of_those_who_sign_in,
    whoever_signed_in_changes_nothing_without_one_row_in_the_audit_log,
    whoever_has_a_link_changes_nothing_without_one_row_in_the_audit_log,
    a_token_that_opens_nothing_is_answered_the_same_whatever_it_looks_like,
];

/// What a route answers, and its body.
async fn ask(on: &Linked, route: &Route, id: &str, body: &Value, token: Option<&str>) -> (StatusCode, Value) {
    let path = format!("/api/v1{}", route.path.replace("{id}", id));
    let mut request = Request::builder().method(&route.method).uri(path);
    request = request
        .header("content-type", "application/json")
        .extension(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let answer = router(&on.rig.app).oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn a_stranger_reaches_no_route_of_those_who_sign_in(on: Linked) {
    let nobody = Uuid::nil().to_string();
    for route in API.iter().filter(|route| route.who == Who::Admin) {
        for token in [None, Some("guessed")] {
            let (status, problem) = ask(&on, route, &nobody, &json!({}), token).await;
            let asked = format!("{} {}", route.method, route.path);
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{asked}: {problem}");
            assert_eq!(problem["code"], "AUTH_FAILED", "{asked}");
        }
    }
}

/// An admin's session token.
async fn signed_in(on: &Linked) -> String {
    let store = &on.rig.app.store;
    let (admin, _) = store.user_by_login("admin").await.unwrap().unwrap();
    let (token, now) = (Uuid::now_v7().to_string(), UnixMs::now());
    store
        .sign_in(&admin, Hash::of(&token), &Actor::SYSTEM, now)
        .await
        .unwrap();
    token
}

/// Rows of people who signed in, beside those about leases: an end that somebody orders is his row as well.
async fn rows(on: &Linked) -> usize {
    let rows = "SELECT id FROM audit_log WHERE actor_kind = 'user' AND resource_type <> 'lease'";
    on.rig.app.store.rows(rows).await.unwrap().len()
}

/// Whom a route is about, and what is said to it.
async fn example(on: &Linked, route: &Route) -> (String, Value) {
    let (device, nothing) = (on.rig.device.to_string(), json!({}));
    let token = Uuid::now_v7().to_string();
    match route.path {
        "/devices/{id}/labels" => (device, json!({ "labels": { "room": "one" } })),
        "/devices/{id}/reset" => {
            // A fence that control never gave.
            on.rig.hello(Epoch(1 << 50), UnixMs::now()).await;
            (device, nothing)
        }
        "/links" => (String::new(), json!({ "device_id": device })),
        "/links/{id}/extend" => {
            let link = on.rig.link(&token, None, None).await;
            (link.id.to_string(), json!({ "max_duration_s": 60 }))
        }
        path if path.starts_with("/links/{id}") => {
            (on.rig.link(&token, None, None).await.id.to_string(), nothing)
        }
        "/sessions/{id}/observe" => {
            // An operator may have had it cleaned.
            on.device_is(|device| device.occupancy == Occupancy::Free).await;
            on.rig.link(&token, None, None).await;
            let session = on.rig.granted(&token, "cookie", UnixMs::now()).await;
            (session.id.to_string(), nothing)
        }
        "/registration-tokens" | "/auth/logout" => (String::new(), nothing),
        other => panic!("{other} changes something, and has no example here"),
    }
}

async fn whoever_signed_in_changes_nothing_without_one_row_in_the_audit_log(on: Linked) {
    let changing = |route: &&Route| route.who == Who::Admin && route.method != Method::GET;
    for route in API.iter().filter(changing) {
        let token = signed_in(&on).await;
        let (id, body) = example(&on, route).await;
        let before = rows(&on).await;
        let (status, answer) = ask(&on, route, &id, &body, Some(&token)).await;
        let asked = format!("{} {}", route.method, route.path);
        assert!(status.is_success(), "{asked}: {status} {answer}");
        assert_eq!(rows(&on).await, before + 1, "{asked}");
    }
}

/// What a person with a link says to a route, and what came of it.
struct Said {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Said {
    /// Rows of the audit log that were written for this request.
    async fn rows(&self, on: &Linked) -> usize {
        let id = self.headers["x-request-id"].to_str().unwrap();
        let rows = on
            .rig
            .app
            .store
            .rows("SELECT request_id FROM audit_log")
            .await
            .unwrap();
        let of_this = |row: &&Row| row.maybe_text("request_id").unwrap().as_deref() == Some(id);
        rows.iter().filter(of_this).count()
    }

    /// The cookie that it set.
    fn cookie(&self) -> String {
        let set = self.headers["set-cookie"].to_str().unwrap();
        set.split(';').next().unwrap().to_owned()
    }
}

/// As a browser on our own page asks.
async fn say(on: &Linked, method: &Method, path: &str, body: &Value, cookie: &str) -> Said {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1{path}"))
        .header("content-type", "application/json")
        .header("origin", on.rig.app.origins[0].to_string())
        .header("cookie", cookie)
        .extension(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let request = request.body(Body::from(body.to_string())).unwrap();
    let answer = router(&on.rig.app).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    Said {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn whoever_has_a_link_changes_nothing_without_one_row_in_the_audit_log(on: Linked) {
    let watched = "UPDATE links SET max_connections = 2";
    on.rig.app.store.run(watched.to_owned()).await.unwrap();
    let changing = |route: &&Route| route.who == Who::Anybody && route.method != Method::GET;
    let (mut cookie, mut session) = (String::new(), String::new());
    for route in API.iter().filter(changing) {
        let (body, rows) = match route.path {
            "/auth/login" => (json!({ "login": "admin", "password": "wrong" }), 1),
            // It looks, and has a body for the token's sake.
            "/launch/describe" => (json!({ "token": "t" }), 0),
            "/launch" => (json!({ "token": "t" }), 1),
            "/launch/viewer-token" => (json!({ "session_id": session }), 1),
            // After the others, which need the session.
            "/launch/end" => continue,
            other => panic!("{other} changes something, and has no example here"),
        };
        let said = say(&on, &route.method, route.path, &body, &cookie).await;
        let asked = format!("{} {}: {} {}", route.method, route.path, said.status, said.body);
        assert!(said.status.is_success() || route.path == "/auth/login", "{asked}");
        assert_eq!(said.rows(&on).await, rows, "{asked}");
        if route.path == "/launch" {
            cookie = said.cookie();
            let told: Value = serde_json::from_str(&said.body).unwrap();
            session = told["session_id"].as_str().unwrap().to_owned();
        }
    }
    let of = json!({ "session_id": session });
    let end = say(&on, &Method::POST, "/launch/end", &of, &cookie).await;
    assert!(end.status.is_success(), "{} {}", end.status, end.body);
    assert_eq!(end.rows(&on).await, 1);
}

/// Guesses and what was deleted are told nothing, not even that they were near: every token is hashed first, and what
/// is looked for is the hash. Only whoever has the whole token of a link that is over is told that it is.
async fn a_token_that_opens_nothing_is_answered_the_same_whatever_it_looks_like(on: Linked) {
    let (store, now) = (&on.rig.app.store, UnixMs::now());
    let deleted = "deleted-deleted-deleted-deleted-deleted-dele";
    let link = on.rig.link(deleted, None, None).await;
    let delete = store.change_link(link.id, Event::Delete, &Actor::SYSTEM, now);
    delete.await.unwrap().unwrap();
    let near = format!("{}x", &deleted[1..]);
    let over = "expired-expired-expired-expired-expired-expi";
    on.rig.link(over, Some(UnixMs(now.0 - 1)), None).await;
    for path in ["/launch/describe", "/launch"] {
        let mut all = Vec::new();
        for token in [deleted, &near, "", "t ", &"x".repeat(4000)] {
            let mut said = say(&on, &Method::POST, path, &json!({ "token": token }), "").await;
            assert_eq!(said.status, StatusCode::NOT_FOUND, "{}", said.body);
            let id = said.headers.remove("x-request-id").unwrap();
            all.push((said.headers, said.body.replace(id.to_str().unwrap(), "")));
        }
        let (first, rest) = all.split_first().unwrap();
        assert!(rest.iter().all(|said| said == first), "{all:?}");
        let mut said = say(&on, &Method::POST, path, &json!({ "token": over }), "").await;
        assert_eq!(said.status, StatusCode::GONE, "{}", said.body);
        said.headers.remove("x-request-id");
        let names = |headers: &HeaderMap| headers.keys().cloned().collect::<HashSet<_>>();
        assert_eq!(names(&said.headers), names(&first.0), "no header tells more");
        for told in [link.id.to_string(), on.rig.device.to_string()] {
            assert!(!said.body.contains(&told), "{}", said.body);
        }
    }
}
