//! Every address of the table asked as a stranger, and each that changes something looked up in the audit log.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
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

on_both_linked![
    a_stranger_reaches_no_route_of_those_who_sign_in,
    whoever_signed_in_changes_nothing_without_one_row_in_the_audit_log,
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
