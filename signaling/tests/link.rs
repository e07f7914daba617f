//! Both ends of the agent link in one process, over real QUIC on loopback.
//!
//! Long because all of it stands on one pair of ends, and each way in which they find and lose each other is short.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use protocol::agent::{
    CloseConnection, ConnectionEvent, DeviceFact, DeviceHealth, FromAgent, Hello, PROTOCOL, Prepare,
    Progress, Refusal, RefusalCode, Reply, Report, Request, Reset, Stage,
};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, HostId, LeaseId};
use signaling::link::IDLE_TIMEOUT;
use signaling::link::call::{CallError, Prepared};
use signaling::link::client::{self, ClientError, Event, Incoming, Link};
use signaling::link::server::{Backend, Host, Join, Server};
use signaling::link::tls::Authority;
use signaling::link::token::{Fingerprint, JoinToken};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Generous: everything here takes milliseconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum Seen {
    Up(Box<(Host, Hello)>),
    Report(Report),
    Down,
}

/// A control that knows one token and one host.
struct FakeControl {
    token: Mutex<Option<JoinToken>>,
    host: HostId,
    key: Mutex<Option<Fingerprint>>,
    welcome: bool,
    seen: mpsc::Sender<Seen>,
}

impl Backend for FakeControl {
    async fn join(&self, join: Join) -> Result<HostId, Refusal> {
        let mut token = self.token.lock().unwrap();
        if token.take_if(|token| token.secret() == join.secret).is_none() {
            let detail = "the token is unknown or used".to_owned();
            return Err(Refusal {
                code: RefusalCode::Unauthorised,
                detail,
            });
        }
        *self.key.lock().unwrap() = Some(join.key);
        Ok(self.host)
    }

    async fn renew(&self, _: &Host, _: SystemTime) -> Result<(), Refusal> {
        Ok(())
    }

    async fn up(&self, host: Host, hello: Hello) -> Result<(), Refusal> {
        if !self.welcome {
            let detail = "this host was retired".to_owned();
            return Err(Refusal {
                code: RefusalCode::Unauthorised,
                detail,
            });
        }
        assert_eq!(host.id(), self.host);
        if let Some(key) = *self.key.lock().unwrap() {
            assert_eq!(
                host.certificate.key, key,
                "the certificate is for the key that joined"
            );
        }
        self.seen.send(Seen::Up(Box::new((host, hello)))).await.unwrap();
        Ok(())
    }

    async fn report(&self, _: &Host, report: Report) {
        self.seen.send(Seen::Report(report)).await.unwrap();
    }

    async fn connection(&self, _: &Host, _: ConnectionEvent) {}

    async fn down(&self, _: &Host) {
        // The test may have ended already.
        let _ = self.seen.send(Seen::Down).await;
    }
}

/// Control and its socket, ready to be stopped and started again on the same port.
struct Control {
    address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Waits until QUIC's own tasks have let go of a stopped control's socket, some turns of the scheduler after it ended.
async fn left(address: SocketAddr) {
    let left = async {
        while UdpSocket::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, left)
        .await
        .expect("the port is never freed");
}

fn control(authority: &Arc<Authority>, token: Option<JoinToken>, port: u16, welcome: bool) -> Control {
    let socket = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let address = socket.local_addr().unwrap();
    let server = Server::new(socket, authority.clone(), SystemTime::now()).unwrap();
    let (send, seen) = mpsc::channel(64);
    let host = HostId::from_uuid(Uuid::from_u128(7));
    let backend = FakeControl {
        token: Mutex::new(token),
        host,
        key: Mutex::default(),
        welcome,
        seen: send,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { server.run(Arc::new(backend), stop).await.unwrap() }
    });
    Control {
        address,
        seen,
        stop,
        task,
    }
}

impl Control {
    async fn seen(&mut self) -> Seen {
        tokio::time::timeout(DEADLINE, self.seen.recv())
            .await
            .expect("in time")
            .expect("control runs")
    }

    async fn up(&mut self) -> (Host, Hello) {
        match self.seen().await {
            Seen::Up(up) => *up,
            other => panic!("expected the host to come up, saw {other:?}"),
        }
    }
}

struct Agent {
    link: Link,
    events: mpsc::Receiver<Event>,
    driver: JoinHandle<Result<(), ClientError>>,
    _stop: tokio_util::sync::DropGuard,
}

fn agent(control: SocketAddr, folder: &Path, join: Option<JoinToken>) -> Agent {
    let config = client::Config {
        control: control.to_string(),
        identity: folder.to_owned(),
        join,
        name: "test host".to_owned(),
    };
    let (link, events, driver) = client::link(config);
    let stop = CancellationToken::new();
    let driver = tokio::spawn(driver.run(stop.clone()));
    Agent {
        link,
        events,
        driver,
        _stop: stop.drop_guard(),
    }
}

impl Agent {
    async fn event(&mut self) -> Event {
        tokio::time::timeout(DEADLINE, self.events.recv())
            .await
            .expect("in time")
            .expect("the driver runs")
    }

    async fn greet(&mut self) {
        loop {
            match self.event().await {
                Event::Up(greeting) => return greeting.hello(hello()),
                Event::Down => {}
                Event::Request(_) => panic!("a request before the Hello"),
            }
        }
    }

    async fn request(&mut self) -> Incoming {
        match self.event().await {
            Event::Request(incoming) => incoming,
            other => panic!("expected a request, got {other:?}"),
        }
    }
}

fn fact() -> DeviceFact {
    DeviceFact {
        id: DeviceId::from_uuid(Uuid::from_u128(1)),
        name: "one".to_owned(),
        serial: "127.0.0.1:5555".to_owned(),
        model: "Simulated".to_owned(),
        width: 720,
        height: 1280,
        health: DeviceHealth::Healthy,
        fence: Epoch(3),
        labels: std::collections::BTreeMap::new(),
    }
}

fn hello() -> Hello {
    Hello {
        protocol: vec![PROTOCOL],
        agent_version: "0".to_owned(),
        name: "test host".to_owned(),
        devices: vec![fact()],
        connections: vec![],
    }
}

fn prepare() -> Prepare {
    Prepare {
        lease: LeaseId::from_uuid(Uuid::from_u128(2)),
        device: fact().id,
        epoch: Epoch(4),
        app: None,
        reset: Reset::WipeApp,
        deadline_ms: 1000,
    }
}

fn authority() -> (Arc<Authority>, JoinToken) {
    let (authority, _) = Authority::create(SystemTime::now()).unwrap();
    let token = JoinToken::generate(authority.fingerprint()).unwrap();
    (Arc::new(authority), token)
}

#[tokio::test]
async fn a_host_joins_once_and_is_asked_and_answers() {
    let (authority, token) = authority();
    let mut control = control(&authority, Some(token.clone()), 0, true);
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(control.address, folder.path(), Some(token));
    agent.greet().await;
    let (host, said) = control.up().await;
    assert_eq!(said, hello());

    let asked = tokio::spawn(async move {
        let mut steps = Vec::new();
        let done = host.call(prepare(), DEADLINE, |step| steps.push(step)).await;
        (done, steps)
    });
    let mut incoming = agent.request().await;
    assert_eq!(incoming.request, Request::Prepare(prepare()));
    let step = Progress {
        stage: Stage::Launch,
        percent: 50,
    };
    incoming.responder.progress(step).await.unwrap();
    incoming
        .responder
        .reply(Reply::Prepared {
            width: 720,
            height: 1280,
        })
        .await
        .unwrap();
    let (done, steps) = asked.await.unwrap();
    assert_eq!(
        done.unwrap(),
        Prepared {
            width: 720,
            height: 1280
        }
    );
    assert_eq!(steps, [step]);

    agent.link.tell(FromAgent::Report(Report {
        devices: vec![fact()],
        touched: vec![],
    }));
    assert!(matches!(control.seen().await, Seen::Report(report) if report.devices == [fact()]));
}

#[tokio::test]
async fn a_refusal_a_broken_call_and_a_wrong_answer_are_told_apart() {
    let (authority, token) = authority();
    let mut control = control(&authority, Some(token.clone()), 0, true);
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(control.address, folder.path(), Some(token));
    agent.greet().await;
    let (host, _) = control.up().await;
    let call = || {
        let host = host.clone();
        tokio::spawn(async move { host.call(prepare(), DEADLINE, |_| {}).await })
    };

    let asked = call();
    let refusal = Refusal {
        code: RefusalCode::StaleEpoch,
        detail: "fence 9".to_owned(),
    };
    agent
        .request()
        .await
        .responder
        .reply(Reply::Refused(refusal.clone()))
        .await
        .unwrap();
    assert!(matches!(asked.await.unwrap(), Err(CallError::Refused(said)) if said == refusal));

    let asked = call();
    drop(agent.request().await);
    assert!(matches!(asked.await.unwrap(), Err(CallError::Lost(_))));

    let asked = call();
    agent
        .request()
        .await
        .responder
        .reply(Reply::Released)
        .await
        .unwrap();
    assert!(matches!(asked.await.unwrap(), Err(CallError::Protocol)));

    let close = CloseConnection {
        connection: ConnectionId::from_uuid(Uuid::nil()),
        device: fact().id,
        epoch: Epoch(4),
        reason: CloseReason::Kicked,
    };
    let unanswered = host.call(close, Duration::from_millis(1), |_| {}).await;
    assert!(matches!(unanswered, Err(CallError::TimedOut)));
}

#[tokio::test]
async fn a_used_token_enrols_nobody_else() {
    let (authority, token) = authority();
    let mut control = control(&authority, Some(token.clone()), 0, true);
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut winner = agent(control.address, first.path(), Some(token.clone()));
    winner.greet().await;
    control.up().await;

    let loser = agent(control.address, second.path(), Some(token));
    let ended = tokio::time::timeout(DEADLINE, loser.driver)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(ended, Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::Unauthorised));
}

#[tokio::test]
async fn a_host_without_certificate_or_token_says_so() {
    let (authority, _) = authority();
    let control = control(&authority, None, 0, true);
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(control.address, folder.path(), None);
    let ended = tokio::time::timeout(DEADLINE, agent.driver)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(ended, Err(ClientError::NotEnrolled { .. })));
}

#[tokio::test]
async fn a_host_comes_back_with_its_certificate_after_control_restarts() {
    let (authority, token) = authority();
    let mut first = control(&authority, Some(token.clone()), 0, true);
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(first.address, folder.path(), Some(token));
    agent.greet().await;
    first.up().await;

    first.stop.cancel();
    first.task.await.unwrap();
    assert!(matches!(agent.event().await, Event::Down));
    left(first.address).await;
    // The second control has no token left: only the certificate speaks for the host.
    let mut second = control(&authority, None, first.address.port(), true);
    agent.greet().await;
    second.up().await;
}

#[tokio::test]
async fn a_host_notices_a_killed_control_before_its_idle_timeout() {
    let (authority, token) = authority();
    let mut killed = control(&authority, Some(token.clone()), 0, true);
    let mut next = control(&authority, None, 0, true);
    // The address at which control lives; what stands behind it changes without a goodbye.
    let front = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = front.local_addr().unwrap();
    let (switch, behind) = watch::channel(killed.address);
    tokio::spawn(relay(front, behind));
    let (_folder, mut agent) = linked(&mut killed, address, token).await;

    switch.send(next.address).unwrap();
    let since = Instant::now();
    agent.link.tell(FromAgent::Report(Report {
        devices: vec![],
        touched: vec![],
    }));
    assert!(matches!(agent.event().await, Event::Down));
    assert!(
        since.elapsed() < IDLE_TIMEOUT,
        "noticed only after {:?}",
        since.elapsed()
    );
    agent.greet().await;
    next.up().await;
}

#[tokio::test]
async fn a_host_hears_that_nobody_listens_at_control_before_its_idle_timeout() {
    let (authority, token) = authority();
    let mut killed = control(&authority, Some(token.clone()), 0, true);
    let front = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = front.local_addr().unwrap();
    let (_switch, behind) = watch::channel(killed.address);
    let relay = tokio::spawn(relay(front, behind));
    let (_folder, mut agent) = linked(&mut killed, address, token).await;

    relay.abort();
    assert!(relay.await.unwrap_err().is_cancelled());
    let since = Instant::now();
    assert!(matches!(agent.event().await, Event::Down));
    assert!(
        since.elapsed() < IDLE_TIMEOUT,
        "noticed only after {:?}",
        since.elapsed()
    );
    // It is called as long as it takes, and whoever listens there then is found.
    let mut next = control(&authority, None, address.port(), true);
    agent.greet().await;
    next.up().await;
}

/// An agent that joined this control at `address` and has its welcome.
async fn linked(control: &mut Control, address: SocketAddr, token: JoinToken) -> (tempfile::TempDir, Agent) {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(address, folder.path(), Some(token));
    agent.greet().await;
    let (host, _) = control.up().await;
    // A served request is the proof that the agent has its welcome.
    let asked = tokio::spawn(async move { host.call(prepare(), DEADLINE, |_| {}).await });
    agent
        .request()
        .await
        .responder
        .reply(Reply::Prepared { width: 1, height: 1 })
        .await
        .unwrap();
    asked.await.unwrap().unwrap();
    (folder, agent)
}

/// Carries datagrams between one agent and whichever control `behind` names.
async fn relay(front: tokio::net::UdpSocket, mut behind: watch::Receiver<SocketAddr>) {
    let mut agent = None;
    let (mut out, mut back) = (vec![0; 2048], vec![0; 2048]);
    loop {
        let upstream = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let control = *behind.borrow_and_update();
        loop {
            tokio::select! {
                changed = behind.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Ok((n, from)) = front.recv_from(&mut out) => {
                    agent = Some(from);
                    upstream.send_to(&out[..n], control).await.unwrap();
                }
                Ok((n, _)) = upstream.recv_from(&mut back) => {
                    if let Some(agent) = agent {
                        front.send_to(&back[..n], agent).await.unwrap();
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_retired_host_is_refused_for_good() {
    let (authority, token) = authority();
    let control = control(&authority, Some(token.clone()), 0, false);
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(control.address, folder.path(), Some(token));
    agent.greet().await;
    let ended = tokio::time::timeout(DEADLINE, &mut agent.driver)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(ended, Err(ClientError::Refused(_))), "{ended:?}");
}
