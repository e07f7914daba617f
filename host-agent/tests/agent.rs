//! A whole agent between a control that does as the test says and a simulated device: join, Hello, requests,
//! restarts, the end. Over real QUIC and real adb on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use host_agent::{AgentError, CaptureConfig, Config, ControlConfig, MediaConfig};
use protocol::agent::{
    App, CloseConnection, ConnectionEvent, DeviceFact, DeviceHealth, Hello, Prepare, Refusal, RefusalCode,
    Release, Report, Reset, Role, WhepOffer,
};
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, HostId, LeaseId, SessionId};
use signaling::link::call::CallError;
use signaling::link::server::{Backend, Host, Join, Server};
use signaling::link::tls::Authority;
use signaling::link::token::JoinToken;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// The longest that any fact may take to become true.
const PATIENCE: Duration = Duration::from_secs(30);

/// What control knows of the one host.
#[derive(Default)]
struct Known {
    link: Option<Host>,
    hellos: usize,
    devices: Vec<DeviceFact>,
}

struct FakeControl {
    token: Mutex<Option<JoinToken>>,
    known: watch::Sender<Known>,
}

impl Backend for FakeControl {
    async fn join(&self, join: Join) -> Result<HostId, Refusal> {
        let taken = self
            .token
            .lock()
            .unwrap()
            .take_if(|token| token.secret() == join.secret);
        taken
            .map(|_| HostId::from_uuid(Uuid::from_u128(7)))
            .ok_or(Refusal {
                code: RefusalCode::Unauthorised,
                detail: "the token is unknown or used".to_owned(),
            })
    }

    async fn renew(&self, _: &Host, _: SystemTime) -> Result<(), Refusal> {
        Ok(())
    }

    async fn up(&self, host: Host, hello: Hello) -> Result<(), Refusal> {
        assert_eq!(hello.connections, []);
        self.known.send_modify(|known| {
            known.link = Some(host);
            known.hellos += 1;
            known.devices = hello.devices;
        });
        Ok(())
    }

    async fn report(&self, _: &Host, report: Report) {
        self.known.send_modify(|known| known.devices = report.devices);
    }

    async fn connection(&self, _: &Host, _: ConnectionEvent) {}

    async fn down(&self, _: &Host) {
        self.known.send_modify(|known| known.link = None);
    }
}

struct Control {
    address: SocketAddr,
    known: watch::Receiver<Known>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Control {
    fn start(authority: &Arc<Authority>, token: Option<JoinToken>, port: u16) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let address = socket.local_addr().unwrap();
        let server = Server::new(socket, authority.clone(), SystemTime::now()).unwrap();
        let (sender, known) = watch::channel(Known::default());
        let backend = FakeControl {
            token: Mutex::new(token),
            known: sender,
        };
        let stop = CancellationToken::new();
        let cancel = stop.clone();
        let task = tokio::spawn(async move { server.run(Arc::new(backend), cancel).await.unwrap() });
        Self {
            address,
            known,
            stop,
            task,
        }
    }

    async fn until(&mut self, wanted: impl FnMut(&Known) -> bool) {
        let there = tokio::time::timeout(PATIENCE, self.known.wait_for(wanted)).await;
        // A control that has stopped says nothing new; what it knew last is still there.
        drop(there.expect("in vain"));
    }

    /// Waits until the one device is as wanted; gives the link and the device.
    async fn device(&mut self, mut wanted: impl FnMut(&DeviceFact) -> bool) -> (Host, DeviceFact) {
        self.until(|known| known.link.is_some() && known.devices.first().is_some_and(&mut wanted))
            .await;
        let known = self.known.borrow();
        (known.link.clone().unwrap(), known.devices[0].clone())
    }

    async fn healthy(&mut self) -> (Host, DeviceFact) {
        self.device(|device| device.health == DeviceHealth::Healthy).await
    }
}

/// An agent with one simulated device, and the control that it joins.
struct Rig {
    authority: Arc<Authority>,
    control: Control,
    data: tempfile::TempDir,
    device: SocketAddr,
    agent: JoinHandle<Result<(), AgentError>>,
    stop_agent: CancellationToken,
    _stop_device: DropGuard,
}

impl Rig {
    async fn new() -> Self {
        let (authority, _) = Authority::create(SystemTime::now()).unwrap();
        let authority = Arc::new(authority);
        let token = JoinToken::generate(authority.fingerprint()).unwrap();
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("token"), token.reveal()).unwrap();
        std::fs::write(data.path().join("server"), device::stand_in_server("4.1")).unwrap();
        let control = Control::start(&authority, Some(token), 0);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = listener.local_addr().unwrap();
        let stop_device = CancellationToken::new();
        let config = device::Config {
            adb: device,
            name: "Trial".to_owned(),
            width: 360,
            height: 640,
            fps: 30,
            boot: device::Boot::default(),
        };
        tokio::spawn(device::serve(listener, config, stop_device.clone()));

        let stop_agent = CancellationToken::new();
        let config = config_of(&data, control.address, device);
        let agent = tokio::spawn(host_agent::run(config, stop_agent.clone()));
        let _stop_device = stop_device.drop_guard();
        Self {
            authority,
            control,
            data,
            device,
            agent,
            stop_agent,
            _stop_device,
        }
    }

    async fn stop_agent(&mut self) {
        self.stop_agent.cancel();
        tokio::time::timeout(PATIENCE, &mut self.agent)
            .await
            .expect("in time")
            .unwrap()
            .unwrap();
    }

    /// On the same port, which is free once the last connection of the old one is gone.
    async fn restart_control(&mut self) {
        self.control.stop.cancel();
        (&mut self.control.task).await.unwrap();
        self.control.until(|known| known.link.is_none()).await;
        let address = self.control.address;
        let free = async {
            while UdpSocket::bind(address).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, free)
            .await
            .expect("the port is never freed");
        self.control = Control::start(&self.authority, None, address.port());
    }

    async fn restart_agent(&mut self) {
        self.stop_agent().await;
        self.stop_agent = CancellationToken::new();
        let config = config_of(&self.data, self.control.address, self.device);
        self.agent = tokio::spawn(host_agent::run(config, self.stop_agent.clone()));
    }
}

fn config_of(data: &tempfile::TempDir, control: SocketAddr, device: SocketAddr) -> Config {
    Config {
        control: ControlConfig {
            address: control.to_string(),
            join_token_file: Some(data.path().join("token")),
            name: "trial host".to_owned(),
        },
        data: data.path().join("agent"),
        devices: vec![format!("trial={device}").parse().unwrap()],
        capture: CaptureConfig {
            server_file: data.path().join("server"),
            server_version: "4.1".parse().unwrap(),
            fps_max: Some(30),
            bit_rate: 2_000_000,
        },
        media: MediaConfig {
            bind: ([127, 0, 0, 1], 0).into(),
            advertise: vec![],
        },
        record: None,
    }
}

fn prepare(device: DeviceId, epoch: u64) -> Prepare {
    Prepare {
        lease: LeaseId::from_uuid(Uuid::from_u128(epoch.into())),
        device,
        epoch: Epoch(epoch),
        app: Some(App {
            package: "dev.farglass.paint".to_owned(),
            activity: None,
        }),
        reset: Reset::WipeApp,
        deadline_ms: 20_000,
    }
}

fn release(device: DeviceId, epoch: u64) -> Release {
    Release {
        lease: None,
        device,
        epoch: Epoch(epoch),
        app: None,
        reset: Reset::WipeApp,
        reason: CloseReason::LinkRevoked,
    }
}

fn offer(device: DeviceId, epoch: u64) -> WhepOffer {
    WhepOffer {
        connection: ConnectionId::from_uuid(Uuid::from_u128(1)),
        session: SessionId::from_uuid(Uuid::from_u128(2)),
        device,
        epoch: Epoch(epoch),
        role: Role::Controller,
        sdp: "this is no offer".to_owned(),
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, CallError>) -> RefusalCode {
    match result {
        Err(CallError::Refused(refusal)) => refusal.code,
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test]
async fn an_agent_joins_reports_its_device_and_prepares_and_releases_it() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    assert_eq!((device.name.as_str(), device.model.as_str()), ("trial", "Trial"));

    let mut stages = Vec::new();
    let prepared = link
        .call(prepare(device.id, 1), PATIENCE, |progress| {
            stages.push(progress.stage);
        })
        .await;
    let prepared = prepared.unwrap();
    assert_eq!((prepared.width, prepared.height), (360, 640));
    assert!(stages.len() >= 3 && stages.is_sorted(), "{stages:?}");
    link.call(release(device.id, 2), PATIENCE, drop).await.unwrap();
    rig.control.device(|device| device.fence == Epoch(2)).await;
    assert_eq!(
        code(link.call(prepare(device.id, 1), PATIENCE, drop).await),
        RefusalCode::StaleEpoch
    );
    rig.stop_agent().await;
}

#[tokio::test]
async fn what_an_agent_does_not_have_is_refused_by_name() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    let nobody = DeviceId::from_uuid(Uuid::from_u128(99));
    assert_eq!(
        code(link.call(prepare(nobody, 1), PATIENCE, drop).await),
        RefusalCode::DeviceNotFound
    );
    let close = CloseConnection {
        connection: ConnectionId::from_uuid(Uuid::from_u128(3)),
        device: device.id,
        epoch: Epoch(0),
        reason: CloseReason::Kicked,
    };
    link.call(close, PATIENCE, drop).await.unwrap();
}

#[tokio::test]
async fn an_offer_ahead_of_its_preparation_raises_the_fence_first() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    link.call(prepare(device.id, 1), PATIENCE, drop).await.unwrap();
    for _ in 0..2 {
        // The second under the same id shows that nothing was left of the first.
        assert_eq!(
            code(link.call(offer(device.id, 2), PATIENCE, drop).await),
            RefusalCode::BadSdp
        );
    }
    rig.control.device(|device| device.fence == Epoch(2)).await;
    assert_eq!(
        code(link.call(offer(device.id, 1), PATIENCE, drop).await),
        RefusalCode::StaleEpoch
    );
    link.call(prepare(device.id, 2), PATIENCE, drop).await.unwrap();
}

#[tokio::test]
async fn control_may_restart_and_hears_everything_again() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    link.call(prepare(device.id, 4), PATIENCE, drop).await.unwrap();
    drop(link);
    rig.restart_control().await;
    let (link, again) = rig.control.device(|device| device.fence == Epoch(4)).await;
    assert_eq!(again.id, device.id);
    link.call(prepare(device.id, 4), PATIENCE, drop).await.unwrap();
}

#[tokio::test]
async fn an_agent_may_restart_and_keeps_its_certificate_its_devices_and_their_fences() {
    let mut rig = Rig::new().await;
    let (link, device) = rig.control.healthy().await;
    link.call(prepare(device.id, 4), PATIENCE, drop).await.unwrap();
    rig.restart_agent().await;
    rig.control.until(|known| known.hellos == 2).await;
    let (_, again) = rig.control.healthy().await;
    assert_eq!((again.id, again.fence), (device.id, Epoch(4)));
}

#[tokio::test]
async fn an_agent_that_cannot_start_says_what_is_missing() {
    let data = tempfile::tempdir().unwrap();
    let nowhere: SocketAddr = ([127, 0, 0, 1], 9).into();
    let start = |config: Config| host_agent::run(config, CancellationToken::new());

    let config = config_of(&data, nowhere, nowhere);
    let error = start(config.clone()).await.unwrap_err();
    assert!(
        matches!(
            &error,
            AgentError::File {
                what: "the scrcpy server",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("server"), "{error}");

    let mut twice = config.clone();
    twice.devices.push(config.devices[0].clone());
    assert!(matches!(start(twice).await, Err(AgentError::DeviceTwice(_))));

    std::fs::write(data.path().join("server"), device::stand_in_server("4.1")).unwrap();
    std::fs::write(data.path().join("token"), "no token").unwrap();
    assert!(matches!(
        start(config.clone()).await,
        Err(AgentError::Token { .. })
    ));

    let mut unenrolled = config;
    unenrolled.control.join_token_file = Some(PathBuf::from("/nonexistent"));
    let error = start(unenrolled).await.unwrap_err();
    assert!(error.to_string().contains("join token"), "{error}");
}
