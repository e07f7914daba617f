//! The rig: an engine, browsers, a network and a device, in virtual time.
//!
//! Time jumps to whatever happens next; nothing sleeps. Dropping the rig asserts that the engine holds
//! nothing once everybody has been closed.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use gateway::engine::{Engine, EngineConfig, Input, Output};
use gateway::{AccessUnit, Event, Gate, Offer, OfferError, Role, SourceEvent};
use protocol::control::ToViewer;
use protocol::input::{Ack, InputOp};
use protocol::{Channel, CloseReason, ConnectionId, DeviceId, Epoch, Pts};
use rtc::sansio::Protocol;
use uuid::Uuid;

use crate::browser::{Browser, Received};
use crate::network::{Network, Packet};

pub const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0xb4, 0x0a, 0x1b, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
    0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x24, 0x80,
];
pub const PPS: &[u8] = &[0x68, 0xcb, 0x83, 0xcb, 0x20];
/// A patience that no test of virtual time needs.
const FOREVER: Duration = Duration::from_secs(60);

pub struct Rig {
    pub now: Instant,
    pub start: Instant,
    pub engine: Engine,
    pub network: Network,
    pub browsers: Vec<Browser>,
    pub events: Vec<(Instant, Event)>,
    /// Datagrams that the engine sent, with how many sends they took.
    pub sends: Vec<(Instant, usize)>,
    pub device: DeviceId,
    frames: u32,
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        let start = Instant::now();
        let config = EngineConfig {
            local: vec![gateway_address()],
            viewers_max: 4,
            unix: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        Self {
            now: start,
            start,
            engine: Engine::new(config, start).unwrap(),
            network: Network::new(seed),
            browsers: Vec::new(),
            events: Vec::new(),
            sends: Vec::new(),
            device: DeviceId::from_uuid(Uuid::from_u128(1)),
            frames: 0,
        }
    }

    /// A rig whose device is captured, whose fence is at epoch 1 and open.
    pub fn streaming(seed: u64) -> Self {
        let mut rig = Self::new(seed);
        rig.fence(1, Gate::Open);
        rig.start_source();
        rig
    }

    pub fn start_source(&mut self) {
        self.handle(Input::SourceStarted(self.device));
        self.source(SourceEvent::Picture {
            width: 720,
            height: 1280,
        });
        self.source(SourceEvent::Config(annex_b(&[SPS, PPS])));
    }

    pub fn fence(&mut self, epoch: u64, gate: Gate) {
        self.handle(Input::Fence(self.device, Epoch(epoch), gate));
    }

    pub fn source(&mut self, event: SourceEvent) {
        self.handle(Input::Source(self.device, event));
    }

    /// The device delivers a frame; returns its number, which is in its slice.
    pub fn frame(&mut self, key: bool, bytes: usize) -> u32 {
        let number = self.frames;
        self.frames += 1;
        let slice = slice(number, key, bytes);
        let pts = Pts(self.now.duration_since(self.start).as_micros() as u64 + 77_000_000);
        let unit = AccessUnit {
            pts,
            key,
            data: annex_b(&[&slice]),
            received: self.now,
        };
        self.source(SourceEvent::Unit(unit));
        number
    }

    /// `count` frames at 60 fps, the first of them a key frame.
    pub fn group(&mut self, count: usize, bytes: usize) {
        for n in 0..count {
            self.frame(n == 0, bytes);
            self.run(Duration::from_micros(16_667));
        }
    }

    /// A browser that has offered and got its answer.
    pub fn join(&mut self, epoch: u64, role: Role) -> usize {
        self.try_join(epoch, role, true).unwrap()
    }

    pub fn try_join(&mut self, epoch: u64, role: Role, data: bool) -> Result<usize, OfferError> {
        self.join_as(epoch, role, data, |sdp| sdp)
    }

    /// A browser whose offer reaches the gateway as something else.
    pub fn join_as(
        &mut self,
        epoch: u64,
        role: Role,
        data: bool,
        edit: impl FnOnce(String) -> String,
    ) -> Result<usize, OfferError> {
        let index = self.browsers.len();
        let address = ([192, 0, 2, 10], 40_000 + index as u16).into();
        let connection = ConnectionId::from_uuid(Uuid::from_u128(100 + index as u128));
        let mut browser = Browser::new(connection, address, data, self.now);
        let sdp = edit(browser.offer(self.now));
        let offer = Offer {
            connection,
            device: self.device,
            epoch: Epoch(epoch),
            role,
            sdp,
        };
        let answer = self.engine.offer(&offer, self.now);
        self.drain_engine();
        browser.accept(&answer?.sdp, self.now);
        self.browsers.push(browser);
        self.pump_browser(index);
        Ok(index)
    }

    /// A browser whose channels are open.
    pub fn connect(&mut self, epoch: u64, role: Role) -> usize {
        let index = self.join(epoch, role);
        self.until("channels are open", |rig| {
            rig.browsers[index].open.len() == Channel::ALL.len() && rig.connected(index).is_some()
        });
        index
    }

    pub fn connected(&self, index: usize) -> Option<gateway::Timings> {
        let connection = self.browsers[index].connection;
        self.events.iter().find_map(|(_, event)| match event {
            Event::Connected {
                connection: of,
                timings,
                ..
            } if *of == connection => Some(*timings),
            _ => None,
        })
    }

    pub fn closed(&self, index: usize) -> Option<CloseReason> {
        let connection = self.browsers[index].connection;
        self.events.iter().find_map(|(_, event)| match event {
            Event::Closed {
                connection: of,
                reason,
                ..
            } if *of == connection => Some(*reason),
            _ => None,
        })
    }

    pub fn inputs(&self) -> Vec<InputOp> {
        self.events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Input { op, .. } => Some(op.clone()),
                _ => None,
            })
            .collect()
    }

    pub fn key_frames_wanted(&self) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| matches!(event, Event::KeyFrameWanted { .. }))
            .count()
    }

    pub fn say(&mut self, index: usize, channel: Channel, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        self.browsers[index].send(channel, &bytes, self.now);
        self.pump_browser(index);
    }

    pub fn told(&self, index: usize) -> Vec<ToViewer> {
        let control = self.browsers[index]
            .messages
            .iter()
            .filter(|(_, channel, _)| *channel == Channel::Control);
        control
            .map(|(.., bytes)| ToViewer::decode(bytes).unwrap())
            .collect()
    }

    pub fn acks(&self, index: usize) -> Vec<(Instant, Ack)> {
        let input = self.browsers[index]
            .messages
            .iter()
            .filter(|(_, channel, _)| *channel == Channel::Input);
        input
            .map(|(at, _, bytes)| (*at, Ack::decode(bytes).unwrap()))
            .collect()
    }

    /// Numbers of the frames that a browser got whole.
    pub fn seen(&self, index: usize) -> Vec<u32> {
        self.browsers[index].frames().iter().map(number_of).collect()
    }

    pub fn ask_for_key_frame(&mut self, index: usize) {
        self.browsers[index].ask_for_key_frame(self.now);
        self.pump_browser(index);
    }

    pub fn handle(&mut self, input: Input<'_>) {
        self.engine.handle(input, self.now);
        self.drain_engine();
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next_at().filter(|at| *at <= end) {
            self.step(at);
        }
        self.now = end;
    }

    /// Lets time pass until something is so.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = self.now + FOREVER;
        while !is_so(self) {
            let at = self
                .next_at()
                .filter(|at| *at <= end)
                .unwrap_or_else(|| panic!("never: {what}"));
            self.step(at);
        }
    }

    fn next_at(&mut self) -> Option<Instant> {
        let engine = match self.engine.poll() {
            Output::Timeout(at, _) => at,
            Output::Send { .. } => unreachable!("everything was drained"),
        };
        let browsers = self
            .browsers
            .iter_mut()
            .filter(|browser| !browser.refused)
            .filter_map(|browser| browser.pc.poll_timeout());
        browsers
            .chain(engine)
            .chain(self.network.next_at())
            .min()
            .map(|at| at.max(self.now))
    }

    fn step(&mut self, at: Instant) {
        self.now = at;
        while let Some(packet) = self.network.arrived(self.now) {
            if packet.to == gateway_address() {
                self.handle(Input::Datagram {
                    from: packet.from,
                    data: &packet.data,
                    received: self.now,
                });
            } else if let Some(index) = self
                .browsers
                .iter()
                .position(|browser| browser.address == packet.to)
            {
                self.browsers[index].receive(packet.from, &packet.data, self.now);
                self.pump_browser(index);
            }
        }
        if matches!(self.engine.poll(), Output::Timeout(Some(due), _) if due <= self.now) {
            self.handle(Input::Timeout);
        }
        for index in 0..self.browsers.len() {
            let browser = &mut self.browsers[index];
            if !browser.refused && browser.pc.poll_timeout().is_some_and(|due| due <= self.now) {
                let told = browser.pc.handle_timeout(self.now);
                browser.refused = told.is_err();
                assert!(
                    told.is_ok() || self.connected(index).is_none(),
                    "a viewer that was let in: {told:?}"
                );
                self.pump_browser(index);
            }
        }
    }

    fn drain_engine(&mut self) {
        while let Output::Send {
            to,
            segment,
            datagrams,
        } = self.engine.poll()
        {
            let last = datagrams.len() - 1;
            assert!(
                datagrams[..last]
                    .iter()
                    .all(|datagram| datagram.data.len() == segment)
            );
            assert!(datagrams[last].data.len() <= segment);
            self.sends.push((self.now, datagrams.len()));
            for datagram in datagrams {
                assert!(
                    datagram.data.len() <= 1_200,
                    "a datagram of {} bytes",
                    datagram.data.len()
                );
                let packet = Packet {
                    from: gateway_address(),
                    to,
                    data: datagram.data.to_vec(),
                };
                self.network.send(packet, self.now);
                if let Some(tag) = datagram.frame {
                    self.engine.handle(Input::Left(tag), self.now);
                }
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.events.push((self.now, event));
        }
    }

    pub fn pump_browser(&mut self, index: usize) {
        let from = self.browsers[index].address;
        for (to, data) in self.browsers[index].pump(self.now) {
            self.network.send(Packet { from, to, data }, self.now);
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.handle(Input::Shutdown);
        assert_eq!(
            self.engine.left_behind(),
            0,
            "viewers, addresses or datagrams are left behind"
        );
        for (index, browser) in self.browsers.iter().enumerate() {
            let connection = browser.connection;
            let closed = |event: &&(Instant, Event)| matches!(event.1, Event::Closed { connection: of, .. } if of == connection);
            assert_eq!(
                self.events.iter().filter(closed).count(),
                1,
                "browser {index} was not closed once"
            );
        }
    }
}

pub fn gateway_address() -> SocketAddr {
    ([198, 51, 100, 1], 5_000).into()
}

pub fn annex_b(nals: &[&[u8]]) -> Bytes {
    nals.iter()
        .flat_map(|nal| [&[0, 0, 0, 1], *nal].concat())
        .collect()
}

/// A slice that carries its number, seven bits a byte, so that no start code can arise.
pub fn slice(number: u32, key: bool, bytes: usize) -> Vec<u8> {
    let digits = (0..5).map(|at| 0x80 | (number >> (7 * at)) as u8);
    let header = if key { 0x65 } else { 0x41 };
    std::iter::once(header)
        .chain(digits)
        .chain((6..bytes.max(6)).map(|n| 0x80 | n as u8))
        .collect()
}

pub fn number_of(frame: &Received) -> u32 {
    let slice = frame.nals.last().unwrap();
    (0..5).map(|at| u32::from(slice[1 + at] & 0x7f) << (7 * at)).sum()
}
