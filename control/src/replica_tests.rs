//! Two controls on one database, and faults between them that no browser can make.

use std::time::Duration;

use protocol::agent::{CloseConnection, Role, WhepOffer};
use protocol::{CloseReason, ConnectionId, Epoch, LinkId, SessionId};
use signaling::link::call::{Answer, CallError};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Reach;
use crate::app::App;
use crate::domain::labels::Labels;
use crate::domain::lease::{Event, State};
use crate::domain::link::{self, Link, Target};
use crate::domain::policy::Policy;
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::others::GONE_AFTER;
use crate::rig::pair::{Half, Pair, until};
use crate::secret::Hash;
use crate::sight;
use crate::store::Store;
use crate::store::audit::Actor;
use crate::store::claims::{Claim, Claimed};
use crate::store::connections::Owner;
use crate::support::DEADLINE;
use crate::support::agent::{FakeAgent, Manner};

/// Somebody holds the agent's device, and watches it.
async fn held(at: &Half, agent: &FakeAgent) -> Session {
    let (store, now) = (&at.app.store, UnixMs::now());
    until(async || {
        let device = store.device(agent.device).await.unwrap();
        device.is_some_and(|device| device.health == crate::domain::device::Health::Healthy)
    })
    .await;
    let link = Link {
        id: LinkId::from_uuid(Uuid::now_v7()),
        name: String::new(),
        token_hint: String::new(),
        target: Target::Device(agent.device),
        app: None,
        state: link::State::Active,
        not_before: None,
        expires_at: None,
        max_uses: None,
        uses: 0,
        max_connections: 1,
        policy: Policy::default(),
        created_at: now,
    };
    let (token, cookie) = (Hash::of("t"), Hash::of("a"));
    let (admin, _) = store.user_by_login("admin").await.unwrap().unwrap();
    store
        .add_link(&link, token, admin.id, &Actor::SYSTEM)
        .await
        .unwrap();
    let claim = Claim {
        token,
        presented: Some(cookie),
        fresh: cookie,
        repeatable: false,
        actor: &Actor::SYSTEM,
    };
    let Claimed::Granted(session) = store.claim(claim, now).await.unwrap() else {
        panic!("the device is free")
    };
    App::set_about(&at.app, session.clone());
    at.lease_is(&session, |session| matches!(session.state, State::Grace { .. }))
        .await;
    let owner = Owner {
        lease: session.lease,
        hash: Hash(session.binding),
        role: Role::Controller,
        operator: None,
    };
    let opened = store.open_connection(owner, 1, &Actor::SYSTEM, now).await;
    let connection = opened.unwrap().unwrap().id;
    agent.negotiated(connection, session.epoch);
    agent.connected(connection);
    at.lease_is(&session, |session| session.state == State::Active)
        .await;
    session
}

/// As long after its last look as the others wait.
fn looks_long_after(at: &Half) {
    let later = at.app.now().steady.plus(GONE_AFTER + Duration::from_secs(5));
    sight::let_go(&at.app, later);
}

#[tokio::test]
async fn a_control_that_lost_its_database_gives_its_hosts_to_one_that_sees_it() {
    let pair = Pair::start().await;
    let mut agent = FakeAgent::join(pair.addresses(), pair.first.folder.path()).await;
    pair.first.has_links(1).await;
    let session = held(&pair.first, &agent).await;
    agent.unasked();

    pair.first.knows_others().await;
    pair.way.cut();
    looks_long_after(&pair.first);
    pair.second.has_links(1).await;
    let end = Event::End(CloseReason::LinkRevoked);
    let store = &pair.second.app.store;
    let over = store
        .step(session.lease, end, &Actor::SYSTEM, UnixMs::now())
        .await;
    App::changed(&pair.second.app, over.unwrap().unwrap());
    let release = agent.released().await;
    assert_eq!(release.reason, CloseReason::LinkRevoked);
    assert_eq!(agent.live(), [], "its holder sees and touches nothing any more");
}

#[tokio::test]
async fn a_session_goes_on_through_a_database_that_is_away_for_longer_than_controls_wait_for_one_another() {
    let mut pair = Pair::start().await;
    let mut agent = FakeAgent::join(pair.addresses(), pair.first.folder.path()).await;
    pair.first.has_links(1).await;
    let session = held(&pair.first, &agent).await;
    agent.unasked();
    for control in [&pair.first, &pair.second] {
        control.knows_others().await;
    }
    pair.server.kill();
    for control in [&pair.first, &pair.second] {
        looks_long_after(control);
    }
    until(async || pair.first.app.hosts.here().is_empty()).await;
    pair.server.start_again();
    let (first, second) = (&pair.first, &pair.second);
    until(async || first.app.hosts.here().len() + second.app.hosts.here().len() == 1).await;
    // Who has the link by now asks for what the rows ask for: nothing.
    second
        .lease_is(&session, |session| session.state == State::Active)
        .await;
    assert_eq!(agent.live().len(), 1);
    assert_eq!(agent.unasked(), []);
}

#[tokio::test]
async fn a_question_that_was_asked_while_the_one_with_the_link_heard_nothing_is_answered_all_the_same() {
    let pair = Pair::start().await;
    let agent = FakeAgent::join(&pair.first.address, pair.first.folder.path()).await;
    pair.first.has_links(1).await;
    let (device, host) = (agent.device, pair.first.app.hosts.here()[0]);
    let reach = Reach::to(&pair.second.app, host).await.unwrap().unwrap();
    pair.way.cut();
    let close = CloseConnection {
        connection: ConnectionId::from_uuid(Uuid::now_v7()),
        device,
        epoch: Epoch(0),
        reason: CloseReason::Replaced,
    };
    let asks = tokio::spawn(async move { reach.call(close, DEADLINE).await });
    let store = &pair.second.app.store;
    until(async || !store.rows("SELECT id FROM calls").await.unwrap().is_empty()).await;
    pair.way.mend();
    asks.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_host_said_is_written_again_to_a_database_that_may_have_been_put_back() {
    let pair = Pair::start().await;
    let agent = FakeAgent::join(&pair.first.address, pair.first.folder.path()).await;
    pair.first.has_links(1).await;
    let store = &pair.second.app.store;
    let model = async || Some(store.device(agent.device).await.unwrap()?.model);
    until(async || model().await.as_deref() == Some("Simulated")).await;
    // A report that is known to have been noted: nothing has changed since.
    agent.labels(&[("rack", "7")]);
    until(async || {
        let device = store.device(agent.device).await.unwrap();
        device.is_some_and(|device| device.told_labels != Labels::default())
    })
    .await;
    let older = "UPDATE devices SET model = 'as in the backup'";
    store.run(older.to_owned()).await.unwrap();
    pair.way.cut();
    pair.way.mend();
    until(async || {
        agent.touched(None);
        model().await.as_deref() == Some("Simulated")
    })
    .await;
}

#[tokio::test]
async fn a_question_is_answered_though_whoever_asked_it_heard_nothing_meanwhile() {
    let pair = Pair::start().await;
    let (mut agent, asks) = asks_a_slow_agent(&pair).await;
    pair.way.cut();
    let (asker, other) = (pair.first.app.replica.id, &pair.second.app.store);
    until(async || !other.is_connected(asker).await.unwrap()).await;
    agent.let_go();
    let answered = "SELECT id FROM calls WHERE reply IS NOT NULL";
    until(async || !other.rows(answered).await.unwrap().is_empty()).await;
    pair.way.mend();
    let answer = tokio::time::timeout(DEADLINE, asks).await;
    answer
        .expect("it need not wait until it gives up")
        .unwrap()
        .unwrap();
    agent.stop();
}

#[tokio::test]
async fn a_question_that_a_killed_server_forgot_is_not_waited_for() {
    let mut pair = Pair::start().await;
    let (mut agent, asks) = asks_a_slow_agent(&pair).await;
    pair.server.kill();
    pair.server.start_again();
    let answer = tokio::time::timeout(DEADLINE, asks).await;
    let answer = answer.expect("it need not wait until it gives up").unwrap();
    assert!(matches!(answer, Err(CallError::Lost(_))), "{answer:?}");
    agent.stop();
}

#[tokio::test]
async fn a_question_to_a_control_that_lost_the_host_to_another_is_not_waited_for() {
    let pair = Pair::start().await;
    let (mut agent, asks) = asks_a_slow_agent(&pair).await;
    let Half { app, .. } = &pair.second;
    // The one that asks was killed, and the host found a third one.
    let (host, third) = (app.hosts.here()[0], Uuid::now_v7());
    let linked = app.store.link_host(host, third, app.authority, UnixMs::now());
    linked.await.unwrap();
    let answer = tokio::time::timeout(DEADLINE, asks).await;
    let answer = answer.expect("it need not wait until it gives up").unwrap();
    assert!(matches!(answer, Err(CallError::Lost(_))), "{answer:?}");
    agent.stop();
}

/// An agent at the second control, and the first one that waits for its answer to an offer, for ever.
async fn asks_a_slow_agent(pair: &Pair) -> (FakeAgent, JoinHandle<Result<Answer, CallError>>) {
    let mut agent = FakeAgent::join(&pair.second.address, pair.first.folder.path()).await;
    pair.second.has_links(1).await;
    agent.offer(Manner::Held);
    let offer = WhepOffer {
        connection: ConnectionId::from_uuid(Uuid::now_v7()),
        session: SessionId::from_uuid(Uuid::now_v7()),
        lease: None,
        device: agent.device,
        epoch: Epoch(0),
        role: Role::Controller,
        sdp: String::new(),
    };
    let host = pair.second.app.hosts.here()[0];
    let reach = Reach::to(&pair.first.app, host).await.unwrap().unwrap();
    let asks = tokio::spawn(async move { reach.call(offer, 10 * DEADLINE).await });
    agent.offered().await;
    // The agent may have been asked before this is known where the question came from.
    until(async || {
        pair.first
            .app
            .replica
            .asked
            .iter()
            .any(|asked| asked.of.is_some())
    })
    .await;
    (agent, asks)
}

/// What every epoch is above.
async fn generation(store: &Store) -> Option<u64> {
    number(store, "SELECT since FROM generation", "since").await
}

/// How often every control has looked around at least.
async fn looks(store: &Store) -> Option<u64> {
    number(store, "SELECT MIN(looks) AS looks FROM replicas", "looks").await
}

async fn number(store: &Store, sql: &'static str, name: &'static str) -> Option<u64> {
    let rows = store.rows(sql).await.ok()?;
    rows.first().and_then(|row| row.number(name).ok())
}

#[tokio::test]
async fn a_database_that_is_put_back_while_it_runs_begins_a_new_generation_of_epochs() {
    let pair = Pair::start().await;
    let _agent = FakeAgent::join(&pair.first.address, pair.first.folder.path()).await;
    pair.first.has_links(1).await;
    let store = &pair.second.app.store;
    until(async || looks(store).await >= Some(1)).await;
    let (backup, then) = (pair.server.dump(), looks(store).await);
    // Both have written since.
    until(async || looks(store).await > then).await;
    let before = generation(store).await;
    pair.server.restore(&backup);
    until(async || generation(store).await > before).await;
}

#[tokio::test]
async fn neither_hosts_that_dial_nor_connections_that_break_look_like_a_database_that_was_put_back() {
    let pair = Pair::start().await;
    let mut agent = FakeAgent::join(&pair.first.address, pair.first.folder.path()).await;
    pair.first.has_links(1).await;
    let store = &pair.second.app.store;
    let look_again = async || {
        let then = looks(store).await;
        until(async || looks(store).await > then).await;
    };
    look_again().await;
    let before = generation(store).await;
    agent.cut();
    agent.up().await;
    look_again().await;
    pair.way.cut();
    pair.way.mend();
    look_again().await;
    look_again().await;
    assert_eq!(generation(store).await, before);
}

#[tokio::test]
async fn a_stolen_certificate_takes_no_host_from_another_control_while_the_hosts_own_link_answers() {
    let pair = Pair::start().await;
    let mut agent = FakeAgent::join(&pair.first.address, pair.first.folder.path()).await;
    pair.first.has_links(1).await;
    let host = pair.first.app.hosts.here()[0];
    let thiefs = tempfile::tempdir().unwrap();
    std::fs::create_dir(thiefs.path().join("agent")).unwrap();
    for stolen in std::fs::read_dir(pair.first.folder.path().join("agent")).unwrap() {
        let stolen = stolen.unwrap();
        std::fs::copy(
            stolen.path(),
            thiefs.path().join("agent").join(stolen.file_name()),
        )
        .unwrap();
    }
    let token = pair.first.folder.path().join("join-token");
    std::fs::copy(token, thiefs.path().join("join-token")).unwrap();
    let mut thief = FakeAgent::join(&pair.second.address, thiefs.path()).await;
    // It greets again, so it was refused.
    thief.up().await;
    let first = &pair.first.app;
    assert!(
        first
            .store
            .links_of(first.replica.id)
            .await
            .unwrap()
            .contains(&host)
    );
    assert!(pair.second.app.hosts.here().is_empty());
    // Once nothing answers over the link of old there is nobody to doubt.
    agent.stop();
    pair.second.has_links(1).await;
}
