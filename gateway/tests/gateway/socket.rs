//! The driver on a real socket: the whole way once, on the loopback interface.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use gateway::{AccessUnit, Event, Gate, Gateway, GatewayConfig, Offer, Role, SourceEvent, SourceHandle};
use protocol::control::ToViewer;
use protocol::input::{InputOp, Message};
use protocol::{Channel, CloseReason, ConnectionId, DeviceId, Epoch, Fraction, Generation, Pts};
use rtc::sansio::Protocol;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::browser::Browser;
use crate::person::Person;
use crate::rig::{PPS, SPS, annex_b, number_of, slice};

/// Far beyond what a loaded machine needs.
const DEADLINE: Duration = Duration::from_secs(30);

struct Desk {
    gateway: Gateway,
    events: mpsc::Receiver<Event>,
    seen: Vec<Event>,
    source: SourceHandle,
    browser: Browser,
    socket: UdpSocket,
    start: Instant,
}

impl Desk {
    async fn new() -> Self {
        let (gateway, events) = gateway::start(&GatewayConfig::new(([127, 0, 0, 1], 0).into())).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let device = DeviceId::from_uuid(Uuid::from_u128(1));
        let connection = ConnectionId::from_uuid(Uuid::from_u128(2));
        let mut browser = Browser::new(connection, socket.local_addr().unwrap(), true, Instant::now());
        gateway.set_fence(device, Epoch(1), Gate::Open);
        let source = gateway.source(device);
        source.push(SourceEvent::Picture {
            width: 720,
            height: 1280,
        });
        source.push(SourceEvent::Config(annex_b(&[SPS, PPS])));
        let sdp = browser.offer(Instant::now());
        let offer = Offer {
            connection,
            device,
            epoch: Epoch(1),
            role: Role::Controller,
            sdp,
        };
        let answer = gateway.offer(offer).await.unwrap();
        assert!(answer.etag.starts_with('"') && answer.etag.ends_with('"'));
        browser.accept(&answer.sdp, Instant::now());
        Self {
            gateway,
            events,
            seen: Vec::new(),
            source,
            browser,
            socket,
            start: Instant::now(),
        }
    }

    fn push(&self, number: u32, key: bool, bytes: usize) {
        let pts = Pts(self.start.elapsed().as_micros() as u64);
        let data = annex_b(&[&slice(number, key, bytes)]);
        self.source.push(SourceEvent::Unit(AccessUnit {
            pts,
            key,
            data,
            received: Instant::now(),
        }));
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "never: {what}");
            for (to, data) in self.browser.pump(Instant::now()) {
                self.socket.send_to(&data, to).unwrap();
            }
            let mut buffer = [0; 2_048];
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                self.browser.receive(from, &buffer[..length], Instant::now());
            }
            if self
                .browser
                .pc
                .poll_timeout()
                .is_some_and(|at| at <= Instant::now())
            {
                self.browser.pc.handle_timeout(Instant::now()).unwrap();
            }
            while let Ok(event) = self.events.try_recv() {
                self.seen.push(event);
            }
        }
    }

    fn until_connected(&mut self) {
        self.until("connected", |desk| {
            desk.seen
                .iter()
                .any(|event| matches!(event, Event::Connected { .. }))
        });
    }

    /// A finger goes down; what the agent shall see of it.
    fn press(&mut self) -> InputOp {
        let now = Instant::now();
        let mut person = Person::new(now);
        person.press(0, 7, 8, now);
        let touch = person.packet(now);
        let down = InputOp::Down {
            pointer: 0,
            x: Fraction(7),
            y: Fraction(8),
            pressure: touch.pointers[0].pressure,
            generation: Generation(1),
        };
        let mut bytes = Vec::new();
        Message::Touch(touch).encode(&mut bytes);
        self.browser.send(Channel::Input, &bytes, now);
        down
    }

    /// Raises the fence above the connection, until both ends are told.
    fn revoke(&mut self) {
        self.gateway.set_fence(self.source.device(), Epoch(2), Gate::Open);
        let mut bye = Vec::new();
        ToViewer::Bye(CloseReason::LeaseEnded).encode(&mut bye);
        self.until("the viewer is told", |desk| {
            desk.browser
                .messages
                .iter()
                .any(|(_, channel, bytes)| *channel == Channel::Control && *bytes == bye)
        });
        self.until("the agent is told", |desk| {
            desk.seen
                .iter()
                .any(|event| matches!(event, Event::Closed { .. }))
        });
    }
}

fn is(event: &Event, wanted: &InputOp) -> bool {
    matches!(event, Event::Input { op, .. } if op == wanted)
}

#[tokio::test]
async fn a_picture_a_tap_and_a_revoke_go_all_the_way_over_a_socket() {
    let mut desk = Desk::new().await;
    desk.push(0, true, 40_000);
    desk.until_connected();
    desk.push(1, false, 5_000);
    desk.until("both frames are seen", |desk| {
        desk.browser.frames().iter().map(number_of).collect::<Vec<_>>() == [0, 1]
    });
    let down = desk.press();
    desk.until("the press arrives", |desk| {
        desk.seen.iter().any(|event| is(event, &down))
    });
    desk.revoke();
    let [.., lift, closed] = &desk.seen[..] else {
        panic!("{:?}", desk.seen)
    };
    assert!(is(lift, &InputOp::LiftAll), "{lift:?}");
    assert!(
        matches!(
            closed,
            Event::Closed {
                reason: CloseReason::LeaseEnded,
                ..
            }
        ),
        "{closed:?}"
    );
    let stats = desk.gateway.stats().await.unwrap();
    assert_eq!(
        (stats.residence.count, stats.counters.pictures, stats.connections),
        (2, 2, 0)
    );
    assert!(
        stats.counters.sends < stats.counters.packets,
        "runs of datagrams share a send: {stats:?}"
    );
}

#[tokio::test]
async fn the_media_thread_ends_with_its_last_handle_and_says_goodbye() {
    let mut desk = Desk::new().await;
    desk.until_connected();
    let Desk {
        gateway,
        mut events,
        source,
        ..
    } = desk;
    drop((gateway, source));
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    assert!(
        matches!(
            last,
            Some(Event::Closed {
                reason: CloseReason::ServerShutdown,
                ..
            })
        ),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_gateway_that_nobody_can_reach_does_not_start() {
    let error = gateway::start(&GatewayConfig::new(([0, 0, 0, 0], 0).into())).unwrap_err();
    assert!(
        matches!(error, gateway::StartError::NothingToAdvertise(_)),
        "{error}"
    );
}
