//! A device under a lease, and those who look at it.

use protocol::agent::{DeviceFact, DeviceHealth, Role, WhepOffer};
use protocol::{ConnectionId, DeviceId, Epoch, SessionId};
use signaling::link::server::Host;
use uuid::Uuid;

use crate::chromium::{Chromium, View};
use crate::rig::{PATIENCE, Rig, prepare};
use crate::viewer::{Memory, Viewer};

pub struct Show {
    pub rig: Rig,
    link: Host,
    device: DeviceId,
    epoch: u64,
    connections: u128,
}

impl Show {
    /// Of `trial`, once it can be shown.
    pub async fn on(mut rig: Rig) -> Self {
        let (link, device) = rig
            .control
            .named("trial", |fact| fact.health == DeviceHealth::Healthy)
            .await;
        Self {
            rig,
            link,
            device: device.id,
            epoch: 0,
            connections: 0,
        }
    }

    /// A new lease, with this app.
    pub async fn prepare(&mut self, package: &str) {
        self.epoch += 1;
        let prepare = prepare(self.device, self.epoch, package);
        self.link.call(prepare, PATIENCE, drop).await.unwrap();
    }

    pub async fn browser(&mut self, chromium: &mut Chromium) -> View {
        let (view, sdp) = chromium.offer().await;
        let connection = self.connection();
        let answer = self.answer(connection, sdp).await;
        chromium.accept(view, &answer).await;
        view
    }

    pub async fn viewer(&mut self) -> Viewer {
        let connection = self.connection();
        let (viewer, sdp) = Viewer::offer(connection, Memory::Keeps).await;
        viewer.accept(&self.answer(connection, sdp).await);
        viewer
    }

    /// One of another device, once that is healthy and under a lease of its own; it counts what it is sent.
    pub async fn viewer_of(&mut self, name: &str) -> Viewer {
        let healthy = |fact: &DeviceFact| fact.health == DeviceHealth::Healthy;
        let (link, device) = self.rig.control.named(name, healthy).await;
        let lease = prepare(device.id, self.epoch, "dev.farglass.paint");
        link.call(lease, PATIENCE, drop).await.unwrap();
        let connection = self.connection();
        let (viewer, sdp) = Viewer::offer(connection, Memory::Counts).await;
        viewer.accept(&self.answer_of(device.id, connection, sdp).await);
        viewer
    }

    fn connection(&mut self) -> ConnectionId {
        self.connections += 1;
        ConnectionId::from_uuid(Uuid::from_u128(self.connections))
    }

    async fn answer(&self, connection: ConnectionId, sdp: String) -> String {
        self.answer_of(self.device, connection, sdp).await
    }

    async fn answer_of(&self, device: DeviceId, connection: ConnectionId, sdp: String) -> String {
        let offer = WhepOffer {
            connection,
            session: SessionId::from_uuid(Uuid::from_u128(2)),
            lease: None,
            device,
            epoch: Epoch(self.epoch),
            role: Role::Controller,
            sdp,
        };
        self.link.call(offer, PATIENCE, drop).await.unwrap().sdp
    }
}
