//! Reading the audit log: what is in it, page after page, and who may.

use crate::support::{Base, TestApp, on_both};
use serde_json::{Value, json};

on_both![
    what_was_done_is_read_back_page_after_page,
    rows_are_found_by_what_was_done_and_to_what,
    only_an_admin_reads_it_and_only_in_pages,
];

async fn page(app: &mut TestApp, query: &str) -> Value {
    let answer = app.admin.get(&format!("/api/v1/audit{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn actions(page: &Value) -> Vec<&str> {
    let rows = page["items"].as_array().unwrap().iter();
    rows.map(|row| row["action"].as_str().unwrap()).collect()
}

async fn what_was_done_is_read_back_page_after_page(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut holder, session) = app.streaming(&link).await;
    holder.end(&session).await;
    app.device_shows("status", "idle").await;

    let whole = page(&mut app, "").await;
    assert_eq!(whole["next_cursor"], Value::Null, "one page holds it all");
    let newest = [
        "lease.release",
        "lease.end",
        "lease.activate",
        "lease.grace",
        "lease.grant",
        "link.create",
    ];
    assert_eq!(actions(&whole)[..newest.len()], newest);
    let (mut read, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let part = page(&mut app, &query).await;
        let rows = part["items"].as_array().unwrap();
        assert!((1..=2).contains(&rows.len()));
        read.extend(rows.clone());
        // What is written meanwhile moves no page.
        app.link(json!({})).await;
        let Some(cursor) = part["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(json!(read), whole["items"]);
    let granted = read.iter().find(|row| row["action"] == "lease.grant").unwrap();
    assert_eq!(
        (
            &granted["actor_kind"],
            &granted["actor_id"],
            &granted["resource_type"]
        ),
        (&json!("link"), &json!(link.id), &json!("lease"))
    );
    assert!(granted["timestamp"].as_str().unwrap().ends_with('Z'));
}

async fn rows_are_found_by_what_was_done_and_to_what(on: Base) {
    let mut app = TestApp::start(on).await;
    let (one, two) = (app.link(json!({})).await, app.link(json!({})).await);
    app.revoke(&one).await;
    app.revoke(&two).await;
    let revoked = app.revoke(&one).await;
    let of_one = page(&mut app, &format!("?resource_id={}", one.id)).await;
    assert_eq!(actions(&of_one), ["link.revoke", "link.revoke", "link.create"]);
    let both = page(&mut app, &format!("?resource_id={}&action=link.create", two.id)).await;
    assert_eq!(actions(&both), ["link.create"]);
    assert_eq!(actions(&page(&mut app, "?action=link.revoke").await).len(), 3);
    assert_eq!(
        of_one["items"][0]["request_id"],
        revoked.header("x-request-id"),
        "the request that did it"
    );
    assert_eq!(page(&mut app, "?action=none").await["items"], json!([]));
}

async fn only_an_admin_reads_it_and_only_in_pages(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (holder, _) = app.holder(&link).await;
    for mut stranger in [app.browser(), holder] {
        assert_eq!(stranger.get("/api/v1/audit").await.code(), "AUTH_FAILED");
    }
    for bad in ["?limit=0", "?limit=501", "?limit=-1", "?cursor=x", "?before=1"] {
        let answer = app.admin.get(&format!("/api/v1/audit{bad}")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (422, "VALIDATION"),
            "{bad}"
        );
    }
    assert_eq!(page(&mut app, "?limit=500").await["next_cursor"], Value::Null);
    let changed = app.admin.post("/api/v1/audit", &json!({})).await;
    assert_eq!(changed.code(), "METHOD_NOT_ALLOWED", "nobody writes into it");
}
