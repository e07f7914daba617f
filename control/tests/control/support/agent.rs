//! An agent with one device that does what `protocol::agent` says and panics when control breaks it.
//!
//! It answers by itself, unless a test holds an answer back or has it fail. What control asked arrives
//! in [`FakeAgent::asked`], in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use protocol::agent::{
    ConnectionEvent, ConnectionState, DeviceFact, DeviceHealth, FromAgent, Hello, LiveConnection, PROTOCOL,
    PatchKind, Progress, Refusal, RefusalCode, Release, Reply, Report, Request, Stage, Touched, WhepOffer,
};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch};
use signaling::link::client::{self, Config, Event, Incoming, Link};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::DEADLINE;

/// How it answers a kind of request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    Well,
    /// Waits for [`FakeAgent::let_go`].
    Held,
    Fails,
    /// Cannot now.
    Busy,
    /// Ends the call without a reply.
    BreaksOff,
}

/// A viewer's connection, from its offer on.
#[derive(Clone, Copy)]
struct Viewer {
    epoch: Epoch,
    connected: bool,
}

struct State {
    fact: DeviceFact,
    live: BTreeMap<ConnectionId, Viewer>,
    prepare: Manner,
    release: Manner,
    offer: Manner,
}

pub struct FakeAgent {
    pub link: Link,
    pub device: DeviceId,
    asked: mpsc::Receiver<Request>,
    state: Arc<Mutex<State>>,
    go: Arc<Notify>,
    ups: mpsc::Receiver<()>,
    worker: Worker,
    stop: Option<DropGuard>,
}

impl FakeAgent {
    /// Joins with the token that control wrote. Of several controls all addresses are given, separated by commas.
    pub async fn join(control: impl std::fmt::Display, folder: &Path) -> Self {
        let token = std::fs::read_to_string(folder.join("join-token")).unwrap();
        let config = Config {
            control: control.to_string(),
            identity: folder.join("agent"),
            join: Some(token.parse().unwrap()),
            name: "test host".to_owned(),
        };
        let (link, mut events, driver) = client::link(config);
        let stop = CancellationToken::new();
        tokio::spawn(driver.run(stop.clone()));
        let device = DeviceId::from_uuid(Uuid::now_v7());
        let state = Arc::new(Mutex::new(State {
            fact: fact(device),
            live: BTreeMap::new(),
            prepare: Manner::Well,
            release: Manner::Well,
            offer: Manner::Well,
        }));
        let (tell, asked) = mpsc::channel(256);
        let (up, ups) = mpsc::channel(16);
        let go = Arc::new(Notify::new());
        let worker = Worker {
            link: link.clone(),
            state: state.clone(),
            go: go.clone(),
            tell,
        };
        let heeds = worker.clone();
        tokio::spawn(async move {
            let worker = heeds;
            while let Some(event) = events.recv().await {
                match event {
                    Event::Up(greeting) => {
                        greeting.hello(worker.hello());
                        // Nobody may be waiting for it.
                        let _ = up.try_send(());
                    }
                    Event::Request(incoming) => drop(tokio::spawn(worker.clone().serve(incoming))),
                    Event::Down => {}
                }
            }
        });
        let mut agent = Self {
            link,
            device,
            asked,
            state,
            go,
            ups,
            worker,
            stop: Some(stop.drop_guard()),
        };
        agent.up().await;
        agent
    }

    /// Waits for the next time that control asks for a Hello.
    pub async fn up(&mut self) {
        tokio::time::timeout(DEADLINE, self.ups.recv())
            .await
            .expect("the link comes up")
            .unwrap();
    }

    /// Takes the link down, and lets it come up again: by telling more than it holds.
    pub fn cut(&self) {
        let report = Report {
            devices: vec![self.state.lock().unwrap().fact.clone()],
            touched: vec![],
        };
        for _ in 0..=client::OUTBOX_MAX {
            self.link.tell(FromAgent::Report(report.clone()));
        }
    }

    /// The next request of control.
    pub async fn asked(&mut self) -> Request {
        tokio::time::timeout(DEADLINE, self.asked.recv())
            .await
            .expect("control asks")
            .unwrap()
    }

    /// The next offer among what control asks.
    pub async fn offered(&mut self) -> WhepOffer {
        loop {
            if let Request::WhepOffer(offer) = self.asked().await {
                return offer;
            }
        }
    }

    /// The next release among what control asks.
    pub async fn released(&mut self) -> Release {
        loop {
            if let Request::Release(release) = self.asked().await {
                return release;
            }
        }
    }

    /// Requests that arrived and were not looked at.
    pub fn unasked(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }

    pub fn prepare(&self, manner: Manner) {
        self.state.lock().unwrap().prepare = manner;
    }

    pub fn release(&self, manner: Manner) {
        self.state.lock().unwrap().release = manner;
    }

    /// An offer that was held is answered in the manner of when it was let go.
    pub fn offer(&self, manner: Manner) {
        self.state.lock().unwrap().offer = manner;
    }

    /// Lets one held request go on.
    pub fn let_go(&self) {
        self.go.notify_one();
    }

    pub fn fence(&self) -> Epoch {
        self.state.lock().unwrap().fact.fence
    }

    pub fn live(&self) -> Vec<ConnectionId> {
        self.state.lock().unwrap().live.keys().copied().collect()
    }

    /// Ends for good, as a host does that loses its power.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// What it would say when its link comes up now.
    pub fn hello(&self) -> Hello {
        self.worker.hello()
    }

    /// Has a connection that control did not ask for.
    pub fn negotiated(&self, connection: ConnectionId, epoch: Epoch) {
        let connected = false;
        let viewer = Viewer { epoch, connected };
        self.state.lock().unwrap().live.insert(connection, viewer);
    }

    /// Has none of its connections any more, and tells nobody, as an agent that was restarted.
    pub fn forget(&self) {
        self.state.lock().unwrap().live.clear();
    }

    /// ICE and DTLS are through.
    pub fn connected(&self, connection: ConnectionId) {
        let mut state = self.state.lock().unwrap();
        state.live.get_mut(&connection).unwrap().connected = true;
        drop(state);
        self.connection(connection, ConnectionState::Connected);
    }

    /// The connection broke.
    pub fn lost(&self, connection: ConnectionId) {
        self.connection(
            connection,
            ConnectionState::Closed {
                reason: CloseReason::IceFailed,
            },
        );
        self.state.lock().unwrap().live.remove(&connection);
    }

    /// The device's health changes.
    pub fn health(&self, health: DeviceHealth) {
        let mut state = self.state.lock().unwrap();
        state.fact.health = health;
        self.link.tell(FromAgent::Report(Report {
            devices: vec![state.fact.clone()],
            touched: vec![],
        }));
    }

    /// Tells that a person acted this long ago, or never.
    pub fn touched(&self, ago_ms: Option<u64>) {
        let state = self.state.lock().unwrap();
        let (device, epoch) = (state.fact.id, state.fact.fence);
        let touched = ago_ms.map(|ago_ms| Touched {
            device,
            epoch,
            ago_ms,
        });
        self.link.tell(FromAgent::Report(Report {
            devices: vec![state.fact.clone()],
            touched: touched.into_iter().collect(),
        }));
    }

    /// The device's labels change.
    pub fn labels(&self, labels: &[(&str, &str)]) {
        let mut state = self.state.lock().unwrap();
        let pairs = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        state.fact.labels = pairs.collect();
        self.link.tell(FromAgent::Report(Report {
            devices: vec![state.fact.clone()],
            touched: vec![],
        }));
    }

    fn connection(&self, connection: ConnectionId, event: ConnectionState) {
        let epoch = self.state.lock().unwrap().live[&connection].epoch;
        let event = ConnectionEvent {
            connection,
            device: self.device,
            epoch,
            state: event,
        };
        self.link.tell(FromAgent::Connection(event));
    }
}

#[derive(Clone)]
struct Worker {
    link: Link,
    state: Arc<Mutex<State>>,
    go: Arc<Notify>,
    tell: mpsc::Sender<Request>,
}

impl Worker {
    fn hello(&self) -> Hello {
        let state = self.state.lock().unwrap();
        let live = |(&connection, viewer): (&ConnectionId, &Viewer)| LiveConnection {
            connection,
            device: state.fact.id,
            epoch: viewer.epoch,
            connected: viewer.connected,
        };
        Hello {
            protocol: vec![PROTOCOL],
            agent_version: "test".to_owned(),
            name: "test host".to_owned(),
            devices: vec![state.fact.clone()],
            connections: state.live.iter().map(live).collect(),
        }
    }

    async fn serve(self, incoming: Incoming) {
        let Incoming {
            request,
            mut responder,
        } = incoming;
        let reply = match self.fence(&request) {
            Err(refusal) => Some(Reply::Refused(refusal)),
            Ok(()) => {
                if let Request::Prepare(_) = request {
                    for stage in [Stage::Reset, Stage::Launch, Stage::FirstFrame] {
                        // Control may be gone; the reply will show it.
                        let _ = responder.progress(Progress { stage, percent: 50 }).await;
                    }
                }
                self.tell.send(request.clone()).await.unwrap();
                self.act(request).await
            }
        };
        if let Some(reply) = reply {
            // Control may be gone; then nobody wants the reply.
            let _ = responder.reply(reply).await;
        }
    }

    /// Raises the fence, or refuses what is older.
    fn fence(&self, request: &Request) -> Result<(), Refusal> {
        let (device, epoch) = match request {
            Request::Prepare(it) => (it.device, it.epoch),
            Request::Release(it) => (it.device, it.epoch),
            Request::WhepOffer(it) => (it.device, it.epoch),
            Request::WhepPatch(it) => (it.device, it.epoch),
            Request::CloseConnection(it) => (it.device, it.epoch),
        };
        let mut state = self.state.lock().unwrap();
        assert_eq!(
            device, state.fact.id,
            "control asks for a device that we do not have"
        );
        if epoch < state.fact.fence {
            let detail = format!("fence {} is above {epoch}", state.fact.fence);
            return Err(Refusal {
                code: RefusalCode::StaleEpoch,
                detail,
            });
        }
        if epoch > state.fact.fence {
            state.fact.fence = epoch;
            let reason = match request {
                Request::Release(release) => release.reason,
                _ => CloseReason::LeaseEnded,
            };
            for (connection, Viewer { epoch, .. }) in std::mem::take(&mut state.live) {
                let closed = ConnectionState::Closed { reason };
                self.link.tell(FromAgent::Connection(ConnectionEvent {
                    connection,
                    device,
                    epoch,
                    state: closed,
                }));
            }
        }
        Ok(())
    }

    /// The reply, or none to break the call off.
    async fn act(&self, request: Request) -> Option<Reply> {
        let prepared = Reply::Prepared {
            width: 720,
            height: 1280,
        };
        match request {
            Request::Prepare(_) => self.in_manner(|state| state.prepare, prepared).await,
            Request::Release(_) => self.in_manner(|state| state.release, Reply::Released).await,
            Request::WhepOffer(offer) => {
                if self.state.lock().unwrap().offer == Manner::Held {
                    self.go.notified().await;
                }
                self.negotiate(&offer)
            }
            Request::WhepPatch(patch) => Some(match patch.kind {
                PatchKind::Trickle => Reply::Patched {
                    fragment: None,
                    etag: None,
                },
                PatchKind::Restart => {
                    let fragment = Some("a=ice-ufrag:new1\r\n".to_owned());
                    Reply::Patched {
                        fragment,
                        etag: Some("restarted".to_owned()),
                    }
                }
            }),
            Request::CloseConnection(close) => {
                let closed = self.state.lock().unwrap().live.remove(&close.connection);
                if let Some(Viewer { epoch, .. }) = closed {
                    let state = ConnectionState::Closed { reason: close.reason };
                    let (connection, device) = (close.connection, close.device);
                    self.link.tell(FromAgent::Connection(ConnectionEvent {
                        connection,
                        device,
                        epoch,
                        state,
                    }));
                }
                Some(Reply::Closed)
            }
        }
    }

    fn negotiate(&self, offer: &WhepOffer) -> Option<Reply> {
        let mut state = self.state.lock().unwrap();
        if state.offer == Manner::Fails {
            let detail = "the test wants it to fail".to_owned();
            let code = RefusalCode::BadSdp;
            return Some(Reply::Refused(Refusal { code, detail }));
        }
        let (epoch, connected) = (offer.epoch, false);
        state.live.insert(offer.connection, Viewer { epoch, connected });
        Some(Reply::Answer {
            sdp: "v=0\r\n".to_owned(),
            etag: format!("ice-{}", offer.connection),
        })
    }

    async fn in_manner(&self, manner: impl Fn(&State) -> Manner, well: Reply) -> Option<Reply> {
        let manner = manner(&self.state.lock().unwrap());
        match manner {
            Manner::Well => Some(well),
            Manner::Held => {
                self.go.notified().await;
                Some(well)
            }
            Manner::Fails | Manner::Busy => {
                let detail = "the test wants it to fail".to_owned();
                let code = match manner {
                    Manner::Busy => RefusalCode::Busy,
                    _ => RefusalCode::SetupFailed,
                };
                Some(Reply::Refused(Refusal { code, detail }))
            }
            Manner::BreaksOff => None,
        }
    }
}

fn fact(id: DeviceId) -> DeviceFact {
    DeviceFact {
        id,
        name: "one".to_owned(),
        serial: "127.0.0.1:5555".to_owned(),
        model: "Simulated".to_owned(),
        width: 720,
        height: 1280,
        health: DeviceHealth::Healthy,
        fence: Epoch(0),
        labels: std::collections::BTreeMap::new(),
    }
}
