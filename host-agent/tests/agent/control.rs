//! A control that knows one host, and does with it what a test says.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use protocol::HostId;
use protocol::agent::{ConnectionEvent, DeviceFact, DeviceHealth, Hello, Refusal, RefusalCode, Report};
use signaling::link::server::{Backend, Host, Join, Server};
use signaling::link::tls::Authority;
use signaling::link::token::JoinToken;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::rig::PATIENCE;

/// What control knows of the one host.
#[derive(Default)]
pub struct Known {
    pub link: Option<Host>,
    pub hellos: usize,
    pub devices: Vec<DeviceFact>,
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
        // A link that was lost may be made again with people on the devices.
        let is_first = self.known.borrow().hellos == 0;
        assert!(!is_first || hello.connections.is_empty(), "{hello:?}");
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

pub struct Control {
    pub address: SocketAddr,
    pub known: watch::Receiver<Known>,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Control {
    pub fn start(authority: &Arc<Authority>, token: Option<JoinToken>, port: u16) -> Self {
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

    pub async fn until(&mut self, wanted: impl FnMut(&Known) -> bool) {
        let there = tokio::time::timeout(PATIENCE, self.known.wait_for(wanted)).await;
        // A control that has stopped says nothing new; what it knew last is still there.
        drop(there.expect("in vain"));
    }

    /// Waits until the one device is as wanted; gives the link and the device.
    pub async fn device(&mut self, mut wanted: impl FnMut(&DeviceFact) -> bool) -> (Host, DeviceFact) {
        self.until(|known| known.link.is_some() && known.devices.first().is_some_and(&mut wanted))
            .await;
        let known = self.known.borrow();
        (known.link.clone().unwrap(), known.devices[0].clone())
    }

    /// As [`Self::device`], for the one with this name.
    pub async fn named(
        &mut self,
        name: &str,
        mut wanted: impl FnMut(&DeviceFact) -> bool,
    ) -> (Host, DeviceFact) {
        let find = |known: &Known| known.devices.iter().find(|device| device.name == name).cloned();
        self.until(|known| known.link.is_some() && find(known).is_some_and(|device| wanted(&device)))
            .await;
        let known = self.known.borrow();
        (known.link.clone().unwrap(), find(&known).unwrap())
    }

    pub async fn healthy(&mut self) -> (Host, DeviceFact) {
        self.device(|device| device.health == DeviceHealth::Healthy).await
    }
}
