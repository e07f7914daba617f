//! What must not be written anywhere, and who is let in.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use crate::support::browser::Browser;
use crate::support::{Base, DEADLINE, PROXY, TestApp, data, on_both};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

on_both![
    no_secret_is_in_the_database_or_in_the_logs,
    what_control_keeps_is_for_its_owner_only,
    signing_in_and_out,
    guessing_passwords_is_held_back,
    whoever_could_not_sign_in_is_in_the_audit_log_without_what_was_typed,
    behind_a_proxy_one_guesser_holds_nobody_else_back,
    strangers_reach_no_admin_route,
    a_bad_wish_for_a_link_says_what_is_wrong,
    every_answer_carries_the_headers_that_protect_a_page,
];

/// Keeps every log line, at the most talkative level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What this process logs from now on.
    fn of_everything() -> Self {
        let log = Self::default();
        let everything = tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_max_level(tracing::Level::TRACE);
        tracing::subscriber::set_global_default(everything.finish()).unwrap();
        log
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

async fn no_secret_is_in_the_database_or_in_the_logs(on: Base) {
    let log = Log::of_everything();
    let mut app = TestApp::start(on).await;
    let join = std::fs::read_to_string(app.folder.path().join("join-token")).unwrap();
    let join = join.split('.').next().unwrap().to_owned();
    const KEYS: [&str; 3] = [
        "0c2bb0a2-71c5-4f1e-9a4d-444444444444",
        "0c2bb0a2-71c5-4f1e-9a4d-555555555555",
        "0c2bb0a2-71c5-4f1e-9a4d-666666666666",
    ];
    let link = app.link(json!({ "max_connections": 2 })).await;
    // Under keys, so that answers are kept.
    let mut browser = app.browser();
    let opened = json!({ "token": link.token });
    let launched = browser.post_as(KEYS[0], "/api/v1/launch", &opened).await.json();
    let session = launched["session_id"].as_str().unwrap().to_owned();
    browser.events(&session).await.until("ready").await;
    let of = json!({ "session_id": session });
    let viewer = browser.post_as(KEYS[1], "/api/v1/launch/viewer-token", &of).await;
    let path = format!("/api/v1/sessions/{session}/observe");
    let operator = app.admin.post_as(KEYS[2], &path, &json!({})).await.json();
    let operator = operator["token"].as_str().unwrap().to_owned();
    let second_join = app
        .admin
        .post_as(KEYS[2], "/api/v1/registration-tokens", &json!({}))
        .await
        .json();
    let second_join = second_join["token"]
        .as_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .to_owned();
    let mut player = app.browser();
    player.bearer = Some(operator.clone());
    assert_eq!(player.offer(&session).await.status, 201);
    // Damaged bodies are quoted by careless parsers.
    let body = format!("{{\"token\": \"{}\"", link.token);
    let json = [("content-type", "application/json")];
    let damaged = browser
        .send(reqwest::Method::POST, "/api/v1/launch", &json, Some(body))
        .await;
    assert_eq!(damaged.code(), "VALIDATION");
    assert!(!damaged.body.contains(&link.token));
    app.revoke(&link).await;
    app.device_shows("status", "idle").await;
    let bearer = app.admin.bearer.clone().unwrap();
    let binding = browser.cookies.values().next().unwrap().clone();
    let cookie = app.admin.cookies["__Host-fg_session"].clone();
    app.stop().await;

    let password: Value =
        serde_json::from_slice(&std::fs::read(data(app.folder.path()).join("admin.json")).unwrap()).unwrap();
    let password = password["password"].as_str().unwrap().to_owned();
    std::fs::remove_file(data(app.folder.path()).join("admin.json")).unwrap();
    let (written, logged) = (app.written(), log.0.lock().unwrap().clone());
    for known in [
        link.id.as_str(),
        "lease.grant",
        "link.revoke",
        "connection.observe",
        "viewer-tokens.create",
        "registration-tokens.create",
    ] {
        assert!(holds(&written, known), "the database is among what was read");
    }
    assert!(holds(&logged, "a host is up"), "the log is among what was read");
    let viewer = viewer.json()["token"].as_str().unwrap().to_owned();
    for (what, secret) in [
        ("link token", &link.token),
        ("join token", &join),
        ("session token", &bearer),
        ("session cookie", &cookie),
        ("binding", &binding),
        ("viewer token", &viewer),
        ("operator's viewer token", &operator),
        ("second join token", &second_join),
        ("password", &password),
    ] {
        assert!(secret.len() >= 43);
        assert!(!holds(&written, secret), "the {what} is in the data folder");
        assert!(!holds(&logged, secret), "the {what} is in the log");
    }
    for key in KEYS {
        assert!(
            !holds(&written, key) && !holds(&logged, key),
            "a key gives an answer away"
        );
    }
}

async fn what_control_keeps_is_for_its_owner_only(on: Base) {
    let app = TestApp::start(on).await;
    let mut names = vec!["admin.json", "authority.key", "authority.pem"];
    if on == Base::Sqlite {
        names.extend(["control.db", "control.db-wal"]);
    }
    for name in names {
        let mode = std::fs::metadata(data(app.folder.path()).join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let token = app.folder.path().join("join-token");
    assert_eq!(
        std::fs::metadata(token).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

async fn signing_in_and_out(on: Base) {
    let mut app = TestApp::start(on).await;
    let login: Value =
        serde_json::from_slice(&std::fs::read(data(app.folder.path()).join("admin.json")).unwrap()).unwrap();
    let mut browser = app.browser();
    assert_eq!(browser.get("/api/v1/auth/me").await.code(), "AUTH_FAILED");
    let wrong = json!({ "login": "admin", "password": "wrong" });
    assert_eq!(
        browser.post("/api/v1/auth/login", &wrong).await.code(),
        "AUTH_FAILED"
    );
    let nobody = json!({ "login": "nobody", "password": "wrong" });
    assert_eq!(
        browser.post("/api/v1/auth/login", &nobody).await.code(),
        "AUTH_FAILED"
    );

    let answer = browser.post("/api/v1/auth/login", &login).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["user"]["login"], "admin");
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-fg_session=") && cookie.contains("; HttpOnly; SameSite=Strict"));
    assert_eq!(browser.get("/api/v1/auth/me").await.json()["role"], "admin");

    let mut elsewhere = browser.clone();
    elsewhere.origin = Some("https://evil.example".to_owned());
    assert_eq!(
        elsewhere.post("/api/v1/auth/logout", &json!({})).await.code(),
        "FORBIDDEN"
    );
    let old = browser.cookies.clone();
    assert_eq!(browser.post("/api/v1/auth/logout", &json!({})).await.status, 204);
    browser.cookies = old;
    assert_eq!(
        browser.get("/api/v1/auth/me").await.code(),
        "AUTH_FAILED",
        "the old cookie is worth nothing"
    );
    assert_eq!(
        app.admin.get("/api/v1/auth/me").await.status,
        200,
        "another session goes on"
    );
}

async fn guessing_passwords_is_held_back(on: Base) {
    let app = TestApp::start(on).await;
    let mut browser = app.browser();
    let wrong = json!({ "login": "admin", "password": "wrong" });
    let mut last = browser.post("/api/v1/auth/login", &wrong).await;
    for _ in 0..12 {
        last = browser.post("/api/v1/auth/login", &wrong).await;
    }
    assert_eq!(last.code(), "RATE_LIMITED");
    assert!(last.header("retry-after").parse::<u32>().unwrap() > 0);
}

async fn whoever_could_not_sign_in_is_in_the_audit_log_without_what_was_typed(on: Base) {
    let mut app = TestApp::start(on).await;
    let me = app.admin.get("/api/v1/auth/me").await.json()["id"].clone();
    let mut browser = app.browser();
    for login in ["admin", "hunter2"] {
        let wrong = json!({ "login": login, "password": "hunter2" });
        let refused = browser.post("/api/v1/auth/login", &wrong).await;
        assert_eq!(refused.code(), "AUTH_FAILED");
    }
    let page = app.admin.get("/api/v1/audit?action=auth.login").await;
    assert!(!page.body.contains("hunter2"), "{}", page.body);
    let page = page.json();
    let rows = page["items"].as_array().unwrap().iter();
    let refused = rows.filter(|row| row["result"] == "refused");
    let whom: Vec<_> = refused.map(|row| row["resource_id"].clone()).collect();
    assert!(
        whom.len() == 2 && whom.contains(&me) && whom.contains(&json!("unknown")),
        "{whom:?}"
    );
}

async fn behind_a_proxy_one_guesser_holds_nobody_else_back(on: Base) {
    let app = TestApp::start(on).await;
    let mut proxy = Browser::from(app.address, PROXY);
    let login = async |proxy: &mut Browser, person: &str, name: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", person)];
        let wrong = json!({ "login": name, "password": "wrong" });
        let login = "/api/v1/auth/login";
        let answer = proxy.send(reqwest::Method::POST, login, &headers, Some(wrong.to_string()));
        answer.await.code()
    };
    // He says that he is somebody else each time, and tries another name.
    let mut guess = 0;
    let held_back = async {
        loop {
            guess += 1;
            let person = format!("198.51.100.{}, 203.0.113.7", guess % 250);
            if login(&mut proxy, &person, &format!("user{guess}")).await == "RATE_LIMITED" {
                break;
            }
        }
    };
    tokio::time::timeout(DEADLINE, held_back).await.unwrap();
    assert_eq!(login(&mut proxy, "203.0.113.8", "admin").await, "AUTH_FAILED");
}

async fn strangers_reach_no_admin_route(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let device = app.device().await["id"].as_str().unwrap().to_owned();
    let mut stranger = app.browser();
    stranger.launch(&link.token).await;
    for path in ["devices", "links", "auth/me"] {
        assert_eq!(
            stranger.get(&format!("/api/v1/{path}")).await.code(),
            "AUTH_FAILED",
            "{path}"
        );
    }
    for path in [
        "links".to_owned(),
        format!("links/{}/revoke", link.id),
        format!("devices/{device}/reset"),
        "registration-tokens".to_owned(),
        "auth/logout".to_owned(),
    ] {
        let answer = stranger
            .post(&format!("/api/v1/{path}"), &json!({ "device_id": device }))
            .await;
        assert_eq!(answer.code(), "AUTH_FAILED", "{path}");
    }
    let path = format!("/api/v1/links/{}", link.id);
    assert_eq!(stranger.get(&path).await.code(), "AUTH_FAILED");
    assert_eq!(
        stranger
            .send(reqwest::Method::DELETE, &path, &[], None)
            .await
            .code(),
        "AUTH_FAILED"
    );
}

async fn a_bad_wish_for_a_link_says_what_is_wrong(on: Base) {
    let mut app = TestApp::start(on).await;
    let device = app.device().await["id"].clone();
    for (wish, code) in [
        (json!({}), "VALIDATION"),
        (json!({ "device_id": "x" }), "VALIDATION"),
        (json!({ "device_id": uuid::Uuid::nil() }), "DEVICE_NOT_FOUND"),
        (json!({ "device_id": device, "max_uses": 0 }), "VALIDATION"),
        (
            json!({ "device_id": device, "max_connections": 11 }),
            "VALIDATION",
        ),
        (
            json!({ "device_id": device, "expires_at": "2001-01-01T00:00:00Z" }),
            "VALIDATION",
        ),
        (
            json!({ "device_id": device, "app": { "package": "a;reboot" } }),
            "VALIDATION",
        ),
        (json!({ "device_id": device, "surprise": true }), "VALIDATION"),
    ] {
        assert_eq!(
            app.admin.post("/api/v1/links", &wish).await.code(),
            code,
            "{wish}"
        );
    }
    let text = [("content-type", "text/plain")];
    let answer = app
        .admin
        .send(
            reqwest::Method::POST,
            "/api/v1/links",
            &text,
            Some("{}".to_owned()),
        )
        .await;
    assert_eq!(answer.code(), "UNSUPPORTED");
    let big = json!({ "name": "x".repeat(70_000) });
    assert_eq!(app.admin.post("/api/v1/links", &big).await.code(), "TOO_LARGE");
}

async fn every_answer_carries_the_headers_that_protect_a_page(on: Base) {
    let mut app = TestApp::start(on).await;
    let mut browser = app.browser();
    for path in [
        "/",
        "/l",
        "/s/x",
        "/nothing",
        "/api/v1/health",
        "/api/v1/nothing",
        "/api/v1/devices",
    ] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(!policy.contains("script-src 'self' 'unsafe"), "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
        if path.starts_with("/api") {
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        }
    }
    let unknown = app.admin.get("/api/v1/nothing").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "NOT_FOUND"));
    let posted = app.admin.post("/api/v1/nothing", &json!({})).await;
    assert_eq!((posted.status, posted.code().as_str()), (404, "NOT_FOUND"));
    assert_eq!(browser.get("/api/v1/launch/current").await.code(), "VALIDATION");
    let wrong = app
        .admin
        .send(reqwest::Method::PUT, "/api/v1/links", &[], None)
        .await;
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
}
