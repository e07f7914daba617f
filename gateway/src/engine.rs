//! The media engine: everything that decides, and nothing that touches a socket or a clock.
//!
//! The contract: call [`Engine::handle`] (or [`Engine::offer`], [`Engine::patch`]) once, then
//! [`Engine::poll`] until it says `Timeout`, and [`Engine::poll_event`] until it says nothing. Call
//! `handle(Input::Timeout)` at that time. `now` never goes back.
//!
//! ```text
//!  Datagram ─► mux ─► viewer ─► stack ─► says ─► hand ─► Event::Input
//!                                  └──► PLI, FIR ─► replay the cached group, else ─► Event::KeyFrameWanted
//!  Source ──► stream ─► frame ─► every viewer whose fence is open ─► Output::Send
//!  Fence ───► viewers below it: goodbye, close; at it: gate
//! ```
//!
//! It knows no users, leases or tokens: only devices, epochs and connections.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use protocol::{CloseReason, ConnectionId, DeviceId, Epoch};
use rtc::peer_connection::certificate::RTCCertificate;

use crate::burst::{self, Datagram, FrameTag};
use crate::clock::Clock;
use crate::error::{OfferError, PatchError, StartError};
use crate::event::{Answer, Event, Gate, Offer, Role, SourceEvent};
use crate::events::Events;
use crate::fence::{Fence, Passage};
use crate::keyframe::KeyFrames;
use crate::latest::Lost;
use crate::limits::{BAD_MESSAGES_MAX, VIEWERS_MAX};
use crate::media::Flow;
use crate::mux::Mux;
use crate::peer::{self, Credentials, Peer};
use crate::sdp;
use crate::source::Stream;
use crate::stats::{Snapshot, Stats, record};
use crate::viewer::{Happening, Spec, Viewer};

/// How to set an engine up.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Our addresses as browsers see them, the port included; the first also names the socket. Not empty.
    pub local: Vec<SocketAddr>,
    /// Most viewers; above [`VIEWERS_MAX`] it counts as that.
    pub viewers_max: usize,
    /// The wall clock at the start.
    pub unix: SystemTime,
}

/// One thing that happens to the engine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The time of the last `Output::Timeout` has come.
    Timeout,
    /// A datagram arrived.
    Datagram {
        /// From where.
        from: SocketAddr,
        /// What.
        data: &'a [u8],
        /// When; not after `now`.
        received: Instant,
    },
    /// The last packet of a frame was handed to the socket.
    Left(FrameTag),
    /// A device's fence was set.
    Fence(DeviceId, Epoch, Gate),
    /// A connection is to be closed.
    Close(ConnectionId, CloseReason),
    /// A capture begins.
    SourceStarted(DeviceId),
    /// A capture delivered something.
    Source(DeviceId, SourceEvent),
    /// Pictures of a capture were dropped before they came here.
    SourceLost(DeviceId, Lost),
    /// A capture has ended.
    SourceEnded(DeviceId),
    /// Everybody is to be told and closed.
    Shutdown,
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Output {
    /// Send these together, each but the last `segment` bytes long, then say `Input::Left` for every tag.
    Send {
        /// Where to.
        to: SocketAddr,
        /// Bytes of each datagram but the last, which may be shorter.
        segment: usize,
        /// At least one.
        datagrams: Vec<Datagram>,
    },
    /// Nothing is left to do until then. `None`: until something happens.
    Timeout(Option<Instant>, Reason),
}

/// Why the engine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing waits.
    Idle,
    /// A stack retransmits, checks or reports, or a start takes too long.
    Stack,
    /// A pointer may have fallen silent.
    PointerSilent,
    /// A viewer that holds keys may be gone.
    KeysSilent,
    /// The picture's size is to be said again.
    Picture,
    /// A key frame may be asked for again.
    KeyFrame,
}

/// The engine.
pub struct Engine {
    pub(crate) clock: Clock,
    pub(crate) viewers: HashMap<ConnectionId, Viewer>,
    pub(crate) devices: HashMap<DeviceId, Device>,
    pub(crate) events: Events,
    pub(crate) stats: Stats,
    config: EngineConfig,
    certificate: RTCCertificate,
    mux: Mux<ConnectionId>,
    out: VecDeque<Datagram>,
}

/// One device as the engine sees it.
#[derive(Default)]
pub(crate) struct Device {
    pub(crate) stream: Stream,
    pub(crate) fence: Fence,
    pub(crate) keys: KeyFrames,
    /// When the last frame came, to bridge a change of the device's clock.
    pub(crate) last_frame: Option<Instant>,
    /// The device's clock has begun anew.
    pub(crate) rebase: bool,
}

impl Engine {
    /// An engine at `now`.
    ///
    /// # Errors
    /// [`StartError::Certificate`].
    pub fn new(config: EngineConfig, now: Instant) -> Result<Self, StartError> {
        Ok(Self {
            clock: Clock::new(now, config.unix),
            viewers: HashMap::new(),
            devices: HashMap::new(),
            events: Events::default(),
            stats: Stats::default(),
            certificate: peer::certificate()?,
            config,
            mux: Mux::default(),
            out: VecDeque::new(),
        })
    }

    /// One thing happens.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Timeout => self.tick(now),
            Input::Datagram { from, data, received } => self.receive(from, data, received, now),
            Input::Left(tag) => self.left(tag, now),
            Input::Fence(device, epoch, gate) => self.set_fence(device, epoch, gate, now),
            Input::Close(connection, reason) => self.close(connection, reason, now),
            Input::SourceStarted(device) => {
                let device = self.devices.entry(device).or_default();
                device.stream.start();
                device.keys.coming(now);
                device.rebase = true;
            }
            Input::Source(device, event) => self.source(device, &event, now),
            Input::SourceLost(device, lost) => self.source_lost(device, lost),
            Input::SourceEnded(device) => {
                self.devices.entry(device).or_default().stream.end();
            }
            Input::Shutdown => {
                let all: Vec<ConnectionId> = self.viewers.keys().copied().collect();
                all.into_iter()
                    .for_each(|viewer| self.close(viewer, CloseReason::ServerShutdown, now));
            }
        }
        self.ask_for_key_frames(now);
    }

    /// Answers an offer.
    ///
    /// # Errors
    /// [`OfferError`]; nothing is left behind.
    pub fn offer(&mut self, offer: &Offer, now: Instant) -> Result<Answer, OfferError> {
        let limit = self.config.viewers_max.min(VIEWERS_MAX);
        let fence = self
            .devices
            .get(&offer.device)
            .map(|device| device.fence)
            .unwrap_or_default();
        if fence.passage(offer.epoch) == Passage::Ended {
            return Err(OfferError::Fenced { fence: fence.epoch() });
        }
        if self.viewers.contains_key(&offer.connection) {
            return Err(OfferError::DuplicateConnection(offer.connection));
        }
        if self.viewers.len() >= limit {
            return Err(OfferError::TooManyViewers { limit });
        }
        let facts = sdp::check(&offer.sdp)?;
        let credentials = Credentials::random()?;
        let ufrag = credentials.ufrag.clone();
        let local = *self
            .config
            .local
            .first()
            .ok_or(OfferError::Malformed("no address"))?;
        let peer = Peer::answer(&facts, credentials, self.certificate.clone(), local, now)?;
        let answer = sdp::finish_answer(&peer.answer, &self.config.local[1..]);
        let Offer {
            connection,
            device,
            epoch,
            role,
            ..
        } = *offer;
        let spec = Spec {
            connection,
            device,
            epoch,
            role,
            remote_ufrag: facts.ufrag,
        };
        self.mux.expect(ufrag.clone(), connection);
        self.viewers
            .insert(connection, Viewer::new(spec, peer, local, now));
        self.devices.entry(device).or_default();
        self.pump(connection, now);
        Ok(Answer {
            sdp: answer,
            etag: format!("\"{ufrag}\""),
        })
    }

    /// Applies a trickle fragment.
    ///
    /// # Errors
    /// [`PatchError`]; the connection goes on.
    pub fn patch(
        &mut self,
        connection: ConnectionId,
        fragment: &str,
        now: Instant,
    ) -> Result<(), PatchError> {
        let viewer = self
            .viewers
            .get_mut(&connection)
            .ok_or(PatchError::UnknownConnection(connection))?;
        let (ufrag, candidates) = sdp::fragment(fragment);
        if !viewer.add_candidates(ufrag, candidates) {
            return Err(PatchError::OtherSession);
        }
        self.pump(connection, now);
        Ok(())
    }

    /// What to do next; `Timeout` comes last.
    pub fn poll(&mut self) -> Output {
        let (count, segment) = burst::run(&self.out);
        match self.out.front() {
            Some(first) => {
                let to = first.to;
                self.stats.counters.sends += 1;
                Output::Send {
                    to,
                    segment,
                    datagrams: self.out.drain(..count).collect(),
                }
            }
            None => {
                let (at, reason) = self.wake();
                Output::Timeout(at, reason)
            }
        }
    }

    /// What to tell the agent next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Whether events wait, for a driver that has no room for them.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Connections, whatever their state.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.viewers.len()
    }

    /// Addresses, user fragments and datagrams that are still held: zero when nobody is connected.
    #[must_use]
    pub fn left_behind(&self) -> usize {
        self.viewers.len() + self.mux.len() + self.out.len()
    }

    /// The numbers so far.
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        self.stats.snapshot(self.viewers.len())
    }

    fn receive(&mut self, from: SocketAddr, data: &[u8], received: Instant, now: Instant) {
        let owner = self.mux.route(from, data);
        match owner.and_then(|owner| self.viewers.get_mut(&owner)) {
            Some(viewer) => {
                let connection = viewer.connection;
                viewer.receive(from, data, received);
                self.pump(connection, now);
            }
            None => self.stats.counters.strays += 1,
        }
    }

    /// Moves everything of a viewer that can move, until nothing does.
    pub(crate) fn pump(&mut self, connection: ConnectionId, now: Instant) {
        loop {
            let Some(viewer) = self.viewers.get_mut(&connection) else {
                return;
            };
            let mut happenings = Vec::new();
            let queued = self.out.len();
            viewer.pump(now, &mut self.out, &mut happenings);
            let mut learned = None;
            for datagram in self.out.range(queued..) {
                self.stats.counters.packets += 1;
                if learned != Some(datagram.to) {
                    self.mux.learn(datagram.to, connection);
                    learned = Some(datagram.to);
                }
            }
            if happenings.is_empty() {
                return;
            }
            self.happened(connection, happenings, now);
        }
    }

    pub(crate) fn happened(&mut self, connection: ConnectionId, happenings: Vec<Happening>, now: Instant) {
        for happening in happenings {
            match happening {
                Happening::Secured => self.open_gate(connection, now),
                Happening::Connected(timings) => self.connected(connection, timings, now),
                Happening::Away(away) => self.away(connection, away, now),
                Happening::KeyFrameAsked => self.refresh(connection, now),
                Happening::Said(channel, bytes, received) => {
                    self.said(connection, channel, &bytes, received, now);
                }
                Happening::Misbehaved => self.misbehaved(connection, now),
                Happening::Gone(reason) => self.close(connection, reason, now),
            }
        }
    }

    fn connected(&mut self, connection: ConnectionId, timings: crate::event::Timings, now: Instant) {
        let Some(viewer) = self.viewers.get(&connection) else {
            return;
        };
        let device = viewer.device;
        record(&mut self.stats.connecting, timings.channels);
        self.events.push(Event::Connected {
            connection,
            device,
            timings,
        });
        self.tell_picture(connection, now);
        self.tell_gate(connection, now);
    }

    /// A viewer broke the protocol; too often is the end.
    pub(crate) fn misbehaved(&mut self, connection: ConnectionId, now: Instant) {
        self.stats.counters.bad_messages += 1;
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        viewer.bad_messages += 1;
        if viewer.bad_messages > BAD_MESSAGES_MAX {
            self.close(connection, CloseReason::Protocol, now);
        }
    }

    fn set_fence(&mut self, id: DeviceId, epoch: Epoch, gate: Gate, now: Instant) {
        let device = self.devices.entry(id).or_default();
        if !device.fence.set(epoch, gate) {
            return;
        }
        let fence = device.fence;
        let of_device = |viewer: &&Viewer| viewer.device == id;
        let viewers: Vec<_> = self
            .viewers
            .values()
            .filter(of_device)
            .map(|v| (v.connection, v.epoch))
            .collect();
        for (connection, epoch) in viewers {
            match fence.passage(epoch) {
                Passage::Ended => self.close(connection, CloseReason::LeaseEnded, now),
                Passage::Flow => self.open_gate(connection, now),
                Passage::Wait => self.close_gate(connection),
            }
            self.tell_gate(connection, now);
            self.pump(connection, now);
        }
    }

    /// The end of a connection: its fingers lift, it is told, and nothing follows.
    pub(crate) fn close(&mut self, connection: ConnectionId, reason: CloseReason, now: Instant) {
        let Some(mut viewer) = self.viewers.remove(&connection) else {
            return;
        };
        let device = viewer.device;
        let mut ops = Vec::new();
        viewer.hand.lift_all(&mut ops);
        for op in ops {
            self.events.push_input(device, connection, viewer.epoch, None, op);
        }
        viewer.close(reason, now, &mut self.out);
        self.mux.forget(connection);
        self.events.push(Event::Closed {
            connection,
            device,
            reason,
        });
        let waiting = |viewer: &Viewer| viewer.device == device && viewer.flow() == Flow::AwaitKey;
        if !self.viewers.values().any(waiting)
            && let Some(device) = self.devices.get_mut(&device)
        {
            device.keys.satisfied();
        }
    }
}

/// Whether somebody is touching the device.
pub(crate) fn finger_down(viewers: &HashMap<ConnectionId, Viewer>, id: DeviceId) -> bool {
    viewers
        .values()
        .any(|viewer| viewer.device == id && viewer.role == Role::Controller && viewer.hand.is_down())
}
