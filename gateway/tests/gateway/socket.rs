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
/// A press that has not landed by then was void for its age, and never lands.
const PRESS_ANEW: Duration = Duration::from_secs(1);

struct Desk {
    gateway: Gateway,
    events: mpsc::Receiver<Event>,
    seen: Vec<Event>,
    source: SourceHandle,
    browser: Browser,
    /// His hand on the picture: what it holds is repeated.
    person: Person,
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
            person: Person::new(Instant::now()),
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
            if self.person.due(Instant::now()) {
                self.say();
            }
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

    fn say(&mut self) {
        let now = Instant::now();
        let mut bytes = Vec::new();
        Message::Touch(self.person.packet(now)).encode(&mut bytes);
        self.browser.send(Channel::Input, &bytes, now);
    }

    /// A finger goes down and stays there, as the agent sees it.
    fn press(&mut self) {
        let down = InputOp::Down {
            pointer: 0,
            x: Fraction(7),
            y: Fraction(8),
            pressure: 30_000,
            generation: Generation(1),
        };
        let deadline = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < deadline, "no press lands");
            let until = Instant::now() + PRESS_ANEW;
            self.person.press(0, 7, 8, Instant::now());
            self.until("the press arrives or is void", |desk| {
                desk.newest_edge() == Some(&down) || Instant::now() >= until
            });
            if self.newest_edge() == Some(&down) {
                return;
            }
            self.person.lift(0, Instant::now());
        }
    }

    /// The newest press or lift.
    fn newest_edge(&self) -> Option<&InputOp> {
        let mut newest = self.seen.iter().rev();
        newest.find_map(|event| match event {
            Event::Input {
                op: InputOp::Move { .. },
                ..
            } => None,
            Event::Input { op, .. } => Some(op),
            _ => None,
        })
    }

    /// Raises the fence above the connection, until both ends are told.
    fn revoke(&mut self) {
        self.gateway.set_fence(self.source.device(), Epoch(2), Gate::Open);
        self.person = Person::new(Instant::now());
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

#[tokio::test]
async fn a_picture_a_tap_and_a_revoke_go_all_the_way_over_a_socket() {
    let mut desk = Desk::new().await;
    desk.push(0, true, 40_000);
    desk.until_connected();
    desk.push(1, false, 5_000);
    desk.until("both frames are seen", |desk| {
        desk.browser.frames().iter().map(number_of).collect::<Vec<_>>() == [0, 1]
    });
    desk.press();
    desk.revoke();
    let [.., lift, closed] = &desk.seen[..] else {
        panic!("{:?}", desk.seen)
    };
    assert!(
        matches!(
            lift,
            Event::Input {
                op: InputOp::LiftAll,
                ..
            }
        ),
        "{lift:?}"
    );
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
