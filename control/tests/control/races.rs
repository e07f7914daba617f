//! Many at once, while the database is killed or control is stopped: nobody is ever given what another one has. Control
//! itself is killed in the middle of a race by storms (`farglass bench storm`), where it is a process.
//!
//! A claim whose answer was lost may have been granted. So a round of a race ends with every link revoked: whoever
//! holds the device without knowing it loses it there, and the next round begins on a free one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::browser::Browser;
use crate::support::postgres::Postgres;
use crate::support::{Base, DEADLINE, TestApp, on_both};
use protocol::agent::Request;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

on_both![
    of_thirty_two_clients_who_race_while_the_database_dies_or_control_stops_none_gets_what_another_has,
    a_claim_that_the_database_could_not_keep_is_put_off_and_the_next_one_works,
];

/// Clients who want the one device.
const CLIENTS: usize = 32;
/// Rounds; something dies in each.
const ROUNDS: usize = 5;
/// Grants that one client takes in a round, so that what the agent heard fits into its queue.
const GRANTS_MAX: usize = 3;

/// A client of the race: opens its link until the round is over, and ends what it gets. It has an address of its own,
/// as people have, and takes every failure for bad luck.
async fn races(
    at: SocketAddr,
    from: IpAddr,
    token: String,
    over: Arc<AtomicBool>,
    granted: mpsc::Sender<u64>,
) -> usize {
    let mut browser = Browser::from(at, from);
    let mut grants = 0;
    while grants < GRANTS_MAX && !over.load(Ordering::SeqCst) {
        let Some(answer) = browser.try_launch(&token).await else {
            // Nobody listens right now.
            tokio::task::yield_now().await;
            continue;
        };
        match answer.status {
            202 => {}
            // It asked too often: enough for this round.
            429 => break,
            _ => continue,
        }
        grants += 1;
        let state = answer.json();
        granted.send(state["epoch"].as_u64().unwrap()).await.unwrap();
        let end = json!({ "session_id": state["session_id"] });
        // It ends at the latest when its link is revoked.
        browser.try_post("/api/v1/launch/end", &end).await;
    }
    grants
}

async fn of_thirty_two_clients_who_race_while_the_database_dies_or_control_stops_none_gets_what_another_has(
    on: Base,
) {
    let mut app = TestApp::start(on).await;
    let mut epochs = BTreeSet::new();
    let mut holder = None;
    for round in 0..ROUNDS {
        let mut links = Vec::new();
        for _ in 0..CLIENTS {
            links.push(app.link(json!({})).await);
        }
        let over = Arc::new(AtomicBool::new(false));
        let (granted, mut grants) = mpsc::channel(CLIENTS * GRANTS_MAX);
        let mut clients = JoinSet::new();
        for (at, link) in links.iter().enumerate() {
            let from = Ipv4Addr::new(127, 0, round as u8 + 1, at as u8 + 1);
            clients.spawn(races(
                app.address,
                from.into(),
                link.token.clone(),
                over.clone(),
                granted.clone(),
            ));
        }
        drop(granted);
        // In the middle of it: after another number of grants in each round.
        for _ in 0..=round {
            let epoch = tokio::time::timeout(DEADLINE, grants.recv())
                .await
                .unwrap()
                .unwrap();
            assert!(epochs.insert(epoch), "epoch {epoch} was granted twice");
        }
        match &mut app.postgres {
            Some(server) if round % 2 == 0 => {
                server.kill();
                server.start_again();
                app.ready().await;
            }
            _ => app.restart().await,
        }
        over.store(true, Ordering::SeqCst);
        while clients.join_next().await.is_some_and(|client| client.is_ok()) {}
        assert!(clients.is_empty(), "a client saw what must not be");
        while let Some(epoch) = grants.recv().await {
            assert!(epochs.insert(epoch), "epoch {epoch} was granted twice");
        }
        for link in &links {
            assert_eq!(app.revoke(link).await.status, 200);
        }
        app.device_shows("status", "idle").await;
        one_after_the_other(&mut holder, &app.agent.unasked());
        assert_eq!(holder, None, "a free device has no holder");
    }
    assert!(epochs.len() >= ROUNDS, "{epochs:?}");
}

/// What the agent was asked for: no lease is prepared before the one before it was released.
fn one_after_the_other(holder: &mut Option<protocol::LeaseId>, asked: &[Request]) {
    for request in asked {
        match request {
            Request::Prepare(prepare) => {
                let other = holder.filter(|holder| *holder != prepare.lease);
                assert_eq!(other, None, "{} is prepared on top", prepare.lease);
                *holder = Some(prepare.lease);
            }
            Request::Release(_) => *holder = None,
            other => panic!("nobody asked for {other:?}"),
        }
    }
}

async fn a_claim_that_the_database_could_not_keep_is_put_off_and_the_next_one_works(on: Base) {
    let mut app = TestApp::start(on).await;
    let link = app.link(json!({})).await;
    let other = app.link(json!({})).await;
    let (mut holder, session) = app.holder(&link).await;
    app.agent.unasked();
    let mut stranger = app.browser();
    match &mut app.postgres {
        Some(server) => {
            server.kill();
            // Connections outlive the server's first process by a moment.
            let put_off = async {
                loop {
                    let answer = stranger.launch(&other.token).await;
                    if answer.status != 409 {
                        return answer;
                    }
                }
            };
            let failed = tokio::time::timeout(DEADLINE, put_off).await.unwrap();
            assert_eq!((failed.status, failed.code().as_str()), (503, "UNAVAILABLE"));
            assert_eq!(failed.header("retry-after"), "1");
            server.start_again();
        }
        None => app.restart().await,
    }
    app.ready().await;
    assert_eq!(stranger.launch(&other.token).await.code(), "DEVICE_IN_USE");
    assert_eq!(holder.current(&session).await["stage"], "ready");
    assert_eq!(app.agent.unasked(), [], "its holder noticed nothing");
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Postgres::start();
    let url = server.url().replace("farglass@", "farglass:geheim@");
    server.kill();
    let said = crate::support::refused(folder.path(), url).await;
    assert!(said.contains("the server cannot be reached"), "{said}");
    assert!(said.contains("PostgreSQL postgres at "), "{said}");
    assert!(!said.contains("geheim"), "{said}");

    let said = crate::support::refused(folder.path(), "mysql://me:geheim@host/db".to_owned()).await;
    assert!(
        said.contains("starts with sqlite:") && !said.contains("geheim"),
        "{said}"
    );
}
