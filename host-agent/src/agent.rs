//! The agent of one host: one loop, one closed set of events, one match.
//!
//! ```text
//!   link: Up · Request · Down · Ended ──┐
//!   gateway: Input · KeyFrameWanted ·   ├──► match ──► device commands, orders of the hand
//!            Connected · Closed         │         └──► link: Report, ConnectionEvent
//!   devices: Fact · NotConnected ───────┤
//!   timer: report · cancelled ──────────┘
//! ```
//!
//! Nothing in the loop waits for a device, a disk or control: what cannot be taken at once is refused or
//! dropped, as each limit says. When control is away sessions go on, and the next Hello tells everything.
//! It does not know how a device is reached, prepared or filmed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use gateway::{Gateway, GatewayConfig, Timings};
use protocol::agent::{
    ConnectionEvent, ConnectionState, DeviceFact, FromAgent, Hello, LiveConnection, PROTOCOL, RefusalCode,
    Report, Request,
};
use protocol::input::InputOp;
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch};
use signaling::link::client::ClientError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::asker::Asker;
use crate::config::Config;
use crate::control_link::{ControlLink, LinkEvent};
use crate::custody;
use crate::device::{Command, Common, Device, DeviceEvent, Handle};
use crate::error::AgentError;
use crate::fingers::PictureSize;
use crate::hand::Order;
use crate::recorder::Recorder;
use crate::register;
use crate::start::Start;
use crate::touches::Touches;

/// How often control hears of everything, changed or not.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Events of devices that wait for the loop. At the limit a device waits; none waits for long.
const DEVICE_EVENTS_MAX: usize = 256;
/// Connections that the agent keeps count of: the gateway's viewers and as many offers again.
const CONNECTIONS_MAX: usize = 2 * gateway::limits::VIEWERS_MAX;
/// How long viewers may take to be told that the agent stops, and devices to be let go.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs an agent until `cancel`, then ends its sessions in an orderly way.
///
/// # Errors
/// [`AgentError`]: it could not start, or cannot go on.
pub async fn run(config: Config, cancel: CancellationToken) -> Result<(), AgentError> {
    let (agent, sources) = Agent::start(&config)?;
    agent.run(sources, cancel).await
}

/// One viewer connection, from its offer to its end.
#[derive(Debug, Clone, Copy)]
struct Viewer {
    device: DeviceId,
    epoch: Epoch,
    connected: bool,
}

enum Event {
    Link(LinkEvent),
    Gateway(gateway::Event),
    GatewayGone,
    Device(DeviceEvent),
    ReportDue,
    Cancelled,
}

/// Where events come from.
struct Sources {
    gateway: mpsc::Receiver<gateway::Event>,
    devices: mpsc::Receiver<DeviceEvent>,
}

struct Agent {
    name: String,
    gateway: Gateway,
    link: ControlLink,
    handles: HashMap<DeviceId, Handle>,
    facts: BTreeMap<DeviceId, DeviceFact>,
    viewers: HashMap<ConnectionId, Viewer>,
    touches: Touches,
    tasks: JoinSet<()>,
    stop_devices: CancellationToken,
    recorder: Option<Recorder>,
    /// Control gave this host up; it stays for the viewers that are left.
    given_up: Option<ClientError>,
}

impl Agent {
    fn start(config: &Config) -> Result<(Self, Sources), AgentError> {
        let Start {
            recipe,
            recorder,
            link,
        } = Start::of(config)?;
        let gateway_config = GatewayConfig {
            advertise: config.media.advertise.clone(),
            ..GatewayConfig::new(config.media.bind)
        };
        let (gateway, gateway_events) = gateway::start(&gateway_config)?;
        tracing::info!(media = %gateway.local_addr(), devices = config.devices.len(), "the agent starts");
        let (events, device_events) = mpsc::channel(DEVICE_EVENTS_MAX);
        let common = Common {
            recipe,
            gateway: gateway.clone(),
            events,
            recorder: recorder.clone(),
        };
        let stop_devices = CancellationToken::new();
        let mut agent = Self {
            name: config.control.name.clone(),
            gateway,
            link: ControlLink::start(link),
            handles: HashMap::new(),
            facts: BTreeMap::new(),
            viewers: HashMap::new(),
            touches: Touches::default(),
            tasks: JoinSet::new(),
            stop_devices: stop_devices.clone(),
            recorder,
            given_up: None,
        };
        for device in &config.devices {
            let entry = register::open(&config.data, &device.name)?;
            let id = entry.id;
            let (device, handle) = Device::new(device.clone(), entry, common.clone());
            agent.facts.insert(id, device.fact());
            agent.handles.insert(id, handle);
            agent.tasks.spawn(device.run(stop_devices.clone()));
        }
        Ok((
            agent,
            Sources {
                gateway: gateway_events,
                devices: device_events,
            },
        ))
    }

    async fn run(mut self, mut sources: Sources, cancel: CancellationToken) -> Result<(), AgentError> {
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                biased;
                // Input first: it is what a person waits for.
                event = sources.gateway.recv() => event.map_or(Event::GatewayGone, Event::Gateway),
                () = cancel.cancelled() => Event::Cancelled,
                event = self.link.next() => Event::Link(event),
                Some(event) = sources.devices.recv() => Event::Device(event),
                _ = report.tick() => Event::ReportDue,
            };
            match event {
                Event::Gateway(event) => self.on_gateway(event),
                Event::GatewayGone => return Err(AgentError::GatewayGone),
                Event::Link(event) => self.on_link(event),
                Event::Device(DeviceEvent::Fact(fact)) => {
                    self.facts.insert(fact.id, fact);
                    self.report();
                }
                Event::Device(DeviceEvent::NotConnected(connection)) => self.not_connected(connection),
                Event::ReportDue => self.report(),
                Event::Cancelled => {
                    self.stop(sources).await;
                    return Ok(());
                }
            }
            if self.viewers.is_empty()
                && let Some(error) = self.given_up.take()
            {
                return Err(error.into());
            }
        }
    }

    fn on_gateway(&mut self, event: gateway::Event) {
        match event {
            gateway::Event::Input {
                device,
                connection,
                epoch,
                picture,
                op,
            } => {
                let aimed_at = picture.map(|picture| PictureSize {
                    width: picture.width,
                    height: picture.height,
                });
                self.on_input(device, connection, epoch, aimed_at, op);
            }
            gateway::Event::KeyFrameWanted { device } => {
                if let Some(handle) = self.handles.get(&device) {
                    handle.key_frame_wanted.notify_one();
                }
            }
            gateway::Event::Connected {
                connection,
                device,
                timings,
            } => self.on_connected(connection, device, timings),
            gateway::Event::Closed {
                connection,
                device,
                reason,
            } => self.on_closed(connection, device, reason),
            _ => tracing::warn!("the gateway tells something that this agent does not know"),
        }
    }

    fn on_input(
        &mut self,
        device: DeviceId,
        connection: ConnectionId,
        epoch: Epoch,
        aimed_at: Option<PictureSize>,
        op: InputOp,
    ) {
        let awoke = self
            .touches
            .note(device, epoch, &op, REPORT_EVERY, Instant::now());
        let order = Order::Op {
            connection,
            epoch,
            aimed_at,
            op,
        };
        self.order(device, order);
        if awoke {
            self.report();
        }
    }

    fn on_connected(&mut self, connection: ConnectionId, device: DeviceId, timings: Timings) {
        tracing::info!(
            %connection, device.id = %device,
            ice_us = timings.ice.as_micros() as u64,
            dtls_us = timings.dtls.as_micros() as u64,
            channels_us = timings.channels.as_micros() as u64,
            "connected"
        );
        if let Some(viewer) = self.viewers.get_mut(&connection) {
            viewer.connected = true;
            let epoch = viewer.epoch;
            self.tell(ConnectionEvent {
                connection,
                device,
                epoch,
                state: ConnectionState::Connected,
            });
        }
    }

    fn on_closed(&mut self, connection: ConnectionId, device: DeviceId, reason: CloseReason) {
        tracing::info!(%connection, device.id = %device, reason = reason.as_str(), "closed");
        self.order(device, Order::Left { connection });
        if let Some(Viewer { epoch, .. }) = self.viewers.remove(&connection) {
            self.tell(ConnectionEvent {
                connection,
                device,
                epoch,
                state: ConnectionState::Closed { reason },
            });
        }
    }

    /// There will be no such connection. Whoever asked hears it from the refusal, unless it was a control that is gone.
    fn not_connected(&mut self, connection: ConnectionId) {
        if let Some(Viewer { device, epoch, .. }) = self.viewers.remove(&connection) {
            let reason = CloseReason::Error;
            self.tell(ConnectionEvent {
                connection,
                device,
                epoch,
                state: ConnectionState::Closed { reason },
            });
        }
    }

    fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up(greeting) => greeting.hello(self.hello()),
            LinkEvent::Request(request, asker) => self.on_request(request, asker),
            LinkEvent::Down => tracing::warn!("control is away; sessions go on"),
            LinkEvent::Ended(Ok(())) => {
                self.given_up = Some(ClientError::Network("the link ended".to_owned()));
            }
            LinkEvent::Ended(Err(error)) => {
                tracing::error!(%error, viewers = self.viewers.len(), "control has given this host up");
                self.given_up = Some(error);
            }
        }
    }

    fn on_request(&mut self, request: Request, asker: Asker) {
        let device = device_of(&request);
        let Some(handle) = self.handles.get(&device) else {
            return asker.refuse(
                RefusalCode::DeviceNotFound,
                &format_args!("no device {device} on this host"),
            );
        };
        let mut offered = None;
        let command = match request {
            Request::Prepare(prepare) => Command::Prepare(prepare, asker),
            Request::Release(release) => {
                let here = self.viewers.iter().filter(|(_, viewer)| viewer.device == device);
                let told = custody::told(&release, here.map(|(id, viewer)| (*id, viewer.epoch)));
                Command::Release(release, told, asker)
            }
            Request::WhepOffer(offer) => {
                if self.viewers.len() >= CONNECTIONS_MAX {
                    return asker.refuse(RefusalCode::Busy, &"too many connections on this host");
                }
                if self.viewers.contains_key(&offer.connection) {
                    return asker.refuse(RefusalCode::Internal, &"the connection exists already");
                }
                offered = Some((
                    offer.connection,
                    Viewer {
                        device,
                        epoch: offer.epoch,
                        connected: false,
                    },
                ));
                Command::Offer(offer, asker)
            }
            Request::WhepPatch(patch) => Command::Patch(patch, asker),
            Request::CloseConnection(close) => Command::Close(close, asker),
        };
        match handle.commands.try_send(command) {
            Ok(()) => self.viewers.extend(offered),
            Err(error) => {
                let refused = error.into_inner().into_asker();
                refused.refuse(RefusalCode::Busy, &"the device has too much to do");
            }
        }
    }

    /// Gives an order to the hand, if the device has one now. Without a capture nothing can be down.
    fn order(&self, device: DeviceId, order: Order) {
        let Some(handle) = self.handles.get(&device) else {
            return;
        };
        let orders = handle.orders.borrow();
        let Some(orders) = orders.as_ref() else { return };
        if let Err(mpsc::error::TrySendError::Full(order)) = orders.try_send(order) {
            // The next move says more than the one that is lost; of anything else the device must hear.
            if !matches!(
                order,
                Order::Op {
                    op: InputOp::Move { .. },
                    ..
                }
            ) {
                tracing::warn!(device.id = %device, "the device does not take its input");
                handle.restart.notify_one();
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: vec![PROTOCOL],
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            name: self.name.clone(),
            devices: self.facts.values().cloned().collect(),
            connections: self
                .viewers
                .iter()
                .map(|(connection, viewer)| LiveConnection {
                    connection: *connection,
                    device: viewer.device,
                    epoch: viewer.epoch,
                    connected: viewer.connected,
                })
                .collect(),
        }
    }

    fn report(&self) {
        let devices = self.facts.values().cloned().collect();
        let touched = self.touches.told(Instant::now());
        self.link.tell(FromAgent::Report(Report { devices, touched }));
    }

    fn tell(&self, event: ConnectionEvent) {
        self.link.tell(FromAgent::Connection(event));
    }

    /// Tells every viewer, lets the devices go, closes the link.
    async fn stop(mut self, mut sources: Sources) {
        let deadline = Instant::now() + FAREWELL;
        for connection in self.viewers.keys() {
            self.gateway.close(*connection, CloseReason::ServerShutdown);
        }
        while !self.viewers.is_empty() {
            let event = tokio::time::timeout_at(deadline, sources.gateway.recv()).await;
            let Ok(Some(event)) = event else { break };
            self.on_gateway(event);
        }
        self.stop_devices.cancel();
        // Devices may be telling something.
        drop(sources.devices);
        let gone = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline + FAREWELL, gone).await.is_err() {
            tracing::warn!("a device did not stop in time");
        }
        if let Some(recorder) = &self.recorder
            && tokio::time::timeout(FAREWELL, recorder.finished()).await.is_err()
        {
            tracing::warn!("a recording is not whole: its file ends in .part");
        }
        self.link.close().await;
        tracing::info!("the agent has stopped");
    }
}

impl Command {
    fn into_asker(self) -> Asker {
        match self {
            Self::Prepare(_, asker)
            | Self::Release(_, _, asker)
            | Self::Offer(_, asker)
            | Self::Patch(_, asker)
            | Self::Close(_, asker) => asker,
        }
    }
}

fn device_of(request: &Request) -> DeviceId {
    match request {
        Request::Prepare(request) => request.device,
        Request::Release(request) => request.device,
        Request::WhepOffer(request) => request.device,
        Request::WhepPatch(request) => request.device,
        Request::CloseConnection(request) => request.device,
    }
}
