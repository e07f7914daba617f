//! People who go away in the middle of what they asked for: it comes to its end without them.

use crate::support::agent::Manner;
use crate::support::{Base, TestApp, on_both};
use serde_json::json;

on_both![an_offer_that_fails_after_its_viewer_went_away_leaves_the_session_to_its_grace];

async fn an_offer_that_fails_after_its_viewer_went_away_leaves_the_session_to_its_grace(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let (mut browser, session) = app.streaming(&link).await;
    app.agent.offer(Manner::Held);
    let (mut page, watched) = (browser.clone(), session.clone());
    let reload = tokio::spawn(async move { page.offer(&watched).await });
    app.agent.offered().await;
    reload.abort();
    assert!(reload.await.unwrap_err().is_cancelled());
    // A request of the same client is answered once its server has seen the other one go.
    browser.lease_is(&session, "active").await;
    app.agent.offer(Manner::Fails);
    app.agent.let_go();
    browser.lease_is(&session, "grace").await;
}
