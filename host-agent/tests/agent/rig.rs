//! An agent with simulated devices, and the control that it joins.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use host_agent::{AgentError, CaptureConfig, Config, ControlConfig, MediaConfig, RecordConfig};
use protocol::agent::{App, Prepare, Release, Reset};
use protocol::{CloseReason, DeviceId, Epoch, LeaseId};
use signaling::link::tls::Authority;
use signaling::link::token::JoinToken;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::control::Control;
use crate::phone::Phone;

/// The longest that any fact may take to become true.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// A device that is frozen to hold its screen still is not given up in the meantime.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// How devices are filmed.
pub struct Filming {
    /// Of scrcpy's server.
    pub version: &'static str,
    pub fps_max: u16,
    /// Bits per second.
    pub bit_rate: u32,
    /// Whether the wire is written down, below [`Rig::recording`].
    pub recorded: bool,
}

impl Default for Filming {
    fn default() -> Self {
        Self {
            version: "4.1",
            fps_max: 30,
            bit_rate: 2_000_000,
            recorded: false,
        }
    }
}

pub struct Rig {
    pub control: Control,
    pub phone: Phone,
    authority: Arc<Authority>,
    data: tempfile::TempDir,
    config: Config,
    agent: JoinHandle<Result<(), AgentError>>,
    /// Where the agent is no part of this process.
    pub agent_pid: Option<u32>,
    stop_agent: CancellationToken,
}

/// Where the agent runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Here,
    /// In a process of its own.
    Apart,
}

impl Rig {
    /// One device, as usual.
    pub async fn new() -> Self {
        Self::with(Phone::start().await, &Filming::default()).await
    }

    /// One device, called `trial`.
    pub async fn with(phone: Phone, filming: &Filming) -> Self {
        Self::beside(phone, &[], filming).await
    }

    /// One device, called `trial`, and others at these addresses.
    pub async fn beside(phone: Phone, others: &[(&str, SocketAddr)], filming: &Filming) -> Self {
        Self::at(Home::Here, phone, others, filming).await
    }

    /// The same with the agent in a process of its own, whose memory is nobody else's.
    pub async fn apart(phone: Phone, others: &[(&str, SocketAddr)]) -> Self {
        Self::at(Home::Apart, phone, others, &Filming::default()).await
    }

    async fn at(home: Home, phone: Phone, others: &[(&str, SocketAddr)], filming: &Filming) -> Self {
        let (authority, _) = Authority::create(SystemTime::now()).unwrap();
        let authority = Arc::new(authority);
        let token = JoinToken::generate(authority.fingerprint()).unwrap();
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("token"), token.reveal()).unwrap();
        let server = device::stand_in_server(filming.version);
        std::fs::write(data.path().join("server"), server).unwrap();
        let control = Control::start(&authority, Some(token), 0);
        let mut config = config_of(&data, control.address, phone.address, filming);
        let others: Vec<String> = others
            .iter()
            .map(|(name, address)| format!("{name}={address}"))
            .collect();
        let stop_agent = CancellationToken::new();
        let (agent, agent_pid) = match home {
            Home::Here => {
                let others = others.iter().map(|device| device.parse().unwrap());
                config.devices.extend(others);
                let agent = host_agent::run(config.clone(), stop_agent.clone());
                (tokio::spawn(agent), None)
            }
            Home::Apart => {
                let devices = [vec![format!("trial={}", phone.address)], others].concat();
                let (agent, pid) = apart(&config, filming.version, &devices, stop_agent.clone());
                (agent, Some(pid))
            }
        };
        Self {
            control,
            phone,
            authority,
            data,
            config,
            agent,
            agent_pid,
            stop_agent,
        }
    }

    pub async fn stop_agent(&mut self) {
        self.stop_agent.cancel();
        tokio::time::timeout(PATIENCE, &mut self.agent)
            .await
            .expect("in time")
            .unwrap()
            .unwrap();
    }

    /// On the same port, which is free once the last connection of the old one is gone.
    pub async fn restart_control(&mut self) {
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

    pub async fn restart_agent(&mut self) {
        self.stop_agent().await;
        self.stop_agent = CancellationToken::new();
        self.agent = tokio::spawn(host_agent::run(self.config.clone(), self.stop_agent.clone()));
    }

    /// The one recording of `trial`'s wire, whole once the agent has stopped.
    pub fn recording(&self) -> PathBuf {
        let folder = self.data.path().join("record/trial");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert_eq!(files.len(), 1, "the device was connected to again");
        files[0].as_ref().unwrap().path()
    }
}

/// Starts `examples/agent_alone.rs`, which cargo builds beside the tests; it ends when it is told, or with this process.
fn apart(
    config: &Config,
    version: &str,
    devices: &[String],
    stop: CancellationToken,
) -> (JoinHandle<Result<(), AgentError>>, u32) {
    let here = std::env::current_exe().unwrap();
    let program = here.ancestors().nth(2).unwrap().join("examples/agent_alone");
    let mut child = std::process::Command::new(&program)
        .arg(&config.control.address)
        .arg(config.control.join_token_file.as_ref().unwrap())
        .args([&config.data, &config.capture.server_file])
        .arg(version)
        .args(devices)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let pid = child.id();
    let ending = tokio::spawn(async move {
        stop.cancelled().await;
        drop(child.stdin.take());
        let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap();
        assert!(ended.unwrap().success(), "the agent failed");
        Ok(())
    });
    (ending, pid)
}

pub fn config_of(
    data: &tempfile::TempDir,
    control: SocketAddr,
    device: SocketAddr,
    filming: &Filming,
) -> Config {
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
            server_version: filming.version.parse().unwrap(),
            fps_max: Some(filming.fps_max),
            bit_rate: filming.bit_rate,
            silence_max: SILENCE_MAX,
        },
        media: MediaConfig {
            bind: ([127, 0, 0, 1], 0).into(),
            advertise: vec![],
        },
        record: filming.recorded.then(|| RecordConfig {
            folder: data.path().join("record"),
            text: host_agent::Text::Redacted,
        }),
    }
}

pub fn prepare(device: DeviceId, epoch: u64, package: &str) -> Prepare {
    Prepare {
        lease: LeaseId::from_uuid(Uuid::from_u128(epoch.into())),
        device,
        epoch: Epoch(epoch),
        app: Some(App {
            package: package.to_owned(),
            activity: None,
        }),
        reset: Reset::WipeApp,
        deadline_ms: 20_000,
    }
}

pub fn release(device: DeviceId, epoch: u64) -> Release {
    Release {
        lease: None,
        device,
        epoch: Epoch(epoch),
        app: None,
        reset: Reset::WipeApp,
        reason: CloseReason::LinkRevoked,
    }
}
