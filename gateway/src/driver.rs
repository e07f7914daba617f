//! The one file that owns the socket and reads the clock: a plain thread around the engine.
//!
//! ```text
//!   loop:  mail (commands, fences, one picture per source) ─► engine ─► sends
//!          datagrams in batches (recvmmsg)                 ─► engine ─► sends
//!          events ─► the agent's channel
//!          sleep until the engine's time │ a datagram │ the bell
//! ```
//!
//! What the engine wants sent is sent before anything else is taken in, so a picture's residence is its
//! own work and nobody's queue. A run of equal datagrams is one `sendmsg` with UDP_SEGMENT, or many
//! where the kernel or the interface refuses that. When the socket is full the thread waits for
//! it, and pictures meanwhile overtake one another in their mailbox. The only lock is that mailbox's,
//! taken once per turn of the loop; no packet waits for it. There is no `unsafe` here.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, mpsc as ready};
use std::time::{Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg, sendmsg,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use crate::burst::Datagram;
use crate::engine::{Engine, EngineConfig, Input, Output};
use crate::error::StartError;
use crate::event::{Event, GatewayConfig};
use crate::handle::Shared;
use crate::limits::{
    DATAGRAM_BYTES_MAX, EVENT_RETRY, RECEIVE_BATCH, RECEIVE_ROUNDS_MAX, SEND_WAIT, SOCKET_RECEIVE_BYTES,
    SOCKET_SEND_BYTES,
};
use crate::mailbox::{Command, Delivery, Mail};

/// Wakes the media thread from another one.
pub(crate) struct Bell(EventFd);

impl Bell {
    pub(crate) fn new() -> Result<Self, StartError> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self(
            EventFd::from_value_and_flags(0, flags).map_err(std::io::Error::from)?,
        ))
    }

    pub(crate) fn ring(&self) {
        // Fails only when its counter is full, and then it is ringing already.
        let _ = self.0.write(1);
    }

    fn hush(&self) {
        // Fails only when it is not ringing.
        let _ = self.0.read();
    }
}

/// Starts the media thread; returns where its socket listens.
pub(crate) fn spawn(
    config: &GatewayConfig,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
) -> Result<SocketAddr, StartError> {
    let socket = open(config.bind)?;
    let local_addr = socket.local_addr()?;
    let local = advertised(local_addr, &config.advertise)?;
    let config = EngineConfig {
        local,
        viewers_max: config.viewers_max,
        unix: SystemTime::now(),
    };
    // The engine is made on its own thread, where it stays.
    let (ready, started) = ready::sync_channel(1);
    std::thread::Builder::new().name("media".into()).spawn(move || {
        let engine = match Engine::new(config, Instant::now()) {
            Ok(engine) => engine,
            Err(error) => return drop(ready.send(Err(error))),
        };
        // The caller waits for this; if it has gone, its handle has rung for the end.
        drop(ready.send(Ok(())));
        Driver {
            engine,
            socket,
            shared,
            events,
            gso: true,
        }
        .run();
    })?;
    started
        .recv()
        .map_err(|_| std::io::Error::other("the media thread ended at once"))??;
    Ok(local_addr)
}

fn open(bind: SocketAddr) -> Result<UdpSocket, StartError> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel grants less where its own limit is lower; smaller buffers only drop earlier.
    socket.set_send_buffer_size(SOCKET_SEND_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_RECEIVE_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&bind.into())?;
    Ok(socket.into())
}

fn advertised(local: SocketAddr, advertise: &[IpAddr]) -> Result<Vec<SocketAddr>, StartError> {
    let of_family = advertise.iter().filter(|ip| ip.is_ipv4() == local.is_ipv4());
    let mut addresses: Vec<SocketAddr> = of_family.map(|ip| SocketAddr::new(*ip, local.port())).collect();
    if addresses.is_empty() {
        if local.ip().is_unspecified() {
            return Err(StartError::NothingToAdvertise(local));
        }
        addresses.push(local);
    }
    Ok(addresses)
}

struct Driver {
    engine: Engine,
    socket: UdpSocket,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    /// Whether the kernel takes runs of datagrams.
    gso: bool,
}

impl Driver {
    fn run(mut self) {
        let mut mail = Mail::default();
        let mut inbox = Inbox::new();
        loop {
            self.shared.mailbox.take(&mut mail);
            self.deliver(&mut mail);
            if mail.stop || self.events.is_closed() {
                break;
            }
            let flooded = self.receive(&mut inbox);
            let wake = self.flush();
            self.report();
            if !mail.more && !flooded {
                self.sleep(wake);
            }
        }
        self.shared.mailbox.stop();
        self.engine.handle(Input::Shutdown, Instant::now());
        self.flush();
        while let Some(event) = self.engine.poll_event() {
            // A full channel at the end belongs to an agent that no longer listens.
            let _ = self.events.try_send(event);
        }
    }

    fn deliver(&mut self, mail: &mut Mail) {
        // Commands first: a close that came with the fence names the reason that the viewer is told.
        for command in mail.commands.drain(..) {
            self.obey(command);
        }
        for (device, epoch, gate) in mail.fences.drain(..) {
            self.handle(Input::Fence(device, epoch, gate));
        }
        for (device, delivery) in mail.deliveries.drain(..) {
            self.handle(match delivery {
                Delivery::Started => Input::SourceStarted(device),
                Delivery::Lost(lost) => Input::SourceLost(device, lost),
                Delivery::Event(event) => Input::Source(device, event),
                Delivery::Ended => Input::SourceEnded(device),
            });
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        // Whoever asked may have gone; the answer is then nobody's.
        match command {
            Command::Offer(offer, reply) => {
                let connection = offer.connection;
                if let Err(Ok(_)) = reply.send(self.engine.offer(&offer, now)) {
                    self.engine
                        .handle(Input::Close(connection, protocol::CloseReason::ClientLeft), now);
                }
            }
            Command::Patch {
                connection,
                fragment,
                reply,
            } => {
                let _ = reply.send(self.engine.patch(connection, &fragment, now));
            }
            Command::Close(connection, reason) => self.engine.handle(Input::Close(connection, reason), now),
            Command::Stats(reply) => {
                let _ = reply.send(self.engine.stats());
            }
        }
        self.flush();
    }

    fn handle(&mut self, input: Input<'_>) {
        self.engine.handle(input, Instant::now());
        self.flush();
    }

    /// Takes datagrams in; true when there may be more.
    fn receive(&mut self, inbox: &mut Inbox) -> bool {
        for _ in 0..RECEIVE_ROUNDS_MAX {
            inbox.fill(&self.socket);
            let received = Instant::now();
            for (index, (from, length)) in inbox.arrived.iter().enumerate() {
                let data = &inbox.buffers[index][..*length];
                self.engine.handle(
                    Input::Datagram {
                        from: *from,
                        data,
                        received,
                    },
                    Instant::now(),
                );
                self.flush();
            }
            if inbox.arrived.len() < RECEIVE_BATCH {
                return false;
            }
        }
        true
    }

    /// Sends everything that the engine has; returns when it wants to be woken. Time that has come is
    /// handled here too.
    fn flush(&mut self) -> Option<Instant> {
        loop {
            match self.engine.poll() {
                Output::Send {
                    to,
                    segment,
                    datagrams,
                } => self.send(to, segment, &datagrams),
                Output::Timeout(Some(at), _) if at <= Instant::now() => {
                    self.engine.handle(Input::Timeout, Instant::now());
                }
                Output::Timeout(at, _) => return at,
            }
        }
    }

    fn send(&mut self, to: SocketAddr, segment: usize, datagrams: &[Datagram]) {
        let to = SockaddrStorage::from(to);
        if self.gso && datagrams.len() > 1 {
            let parts: Vec<IoSlice<'_>> = datagrams
                .iter()
                .map(|datagram| IoSlice::new(&datagram.data))
                .collect();
            // A segment is at most as long as a datagram, which is far below 64 KiB.
            match self.send_parts(&parts, Some(segment as u16), &to) {
                Err(Errno::EIO | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT) => self.gso = false,
                _ => return self.tell_left(datagrams),
            }
        }
        for datagram in datagrams {
            // Lost as on any network: unreachable, filtered, or too large for the way.
            let _ = self.send_parts(&[IoSlice::new(&datagram.data)], None, &to);
        }
        self.tell_left(datagrams);
    }

    fn send_parts(
        &self,
        parts: &[IoSlice<'_>],
        segment: Option<u16>,
        to: &SockaddrStorage,
    ) -> nix::Result<()> {
        let segments = segment.as_ref().map(ControlMessage::UdpGsoSegments);
        let deadline = Instant::now() + SEND_WAIT;
        loop {
            match sendmsg(
                self.socket.as_raw_fd(),
                parts,
                segments.as_slice(),
                MsgFlags::empty(),
                Some(to),
            ) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if Instant::now() < deadline => self.await_room(deadline),
                other => return other.map(drop),
            }
        }
    }

    fn await_room(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis() as u16;
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        // Whatever it says, the next send decides.
        let _ = poll(&mut fds, PollTimeout::from(left.max(1)));
    }

    fn tell_left(&mut self, datagrams: &[Datagram]) {
        let mut tags = datagrams.iter().filter_map(|datagram| datagram.frame).peekable();
        if tags.peek().is_some() {
            let now = Instant::now();
            tags.for_each(|tag| self.engine.handle(Input::Left(tag), now));
        }
    }

    /// Hands events to the agent as long as it has room.
    fn report(&mut self) {
        while self.engine.has_events()
            && let Ok(room) = self.events.try_reserve()
            && let Some(event) = self.engine.poll_event()
        {
            room.send(event);
        }
    }

    fn sleep(&self, wake: Option<Instant>) {
        let now = Instant::now();
        let retry = self.engine.has_events().then(|| now + EVENT_RETRY);
        let wake = wake.into_iter().chain(retry).min();
        let time = wake.map(|at| TimeSpec::from_duration(at.saturating_duration_since(now)));
        let mut fds = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.shared.bell.0.as_fd(), PollFlags::POLLIN),
        ];
        // An interrupted sleep is a short one.
        let _ = ppoll(&mut fds, time, None);
        if fds[1].any().unwrap_or(false) {
            self.shared.bell.hush();
        }
    }
}

/// Room for one batch of datagrams.
struct Inbox {
    buffers: Vec<[u8; DATAGRAM_BYTES_MAX]>,
    headers: MultiHeaders<SockaddrStorage>,
    /// Sender and length of what is in the first buffers.
    arrived: Vec<(SocketAddr, usize)>,
}

impl Inbox {
    fn new() -> Self {
        Self {
            buffers: vec![[0; DATAGRAM_BYTES_MAX]; RECEIVE_BATCH],
            headers: MultiHeaders::preallocate(RECEIVE_BATCH, None),
            arrived: Vec::with_capacity(RECEIVE_BATCH),
        }
    }

    fn fill(&mut self, socket: &UdpSocket) {
        self.arrived.clear();
        let mut parts: Vec<[IoSliceMut<'_>; 1]> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        // EAGAIN: nothing is there. Other errors report what an earlier send met, and are gone when read.
        let Ok(messages) = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            parts.iter_mut(),
            flags,
            None,
        ) else {
            return;
        };
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let arrived = messages.map(|message| {
            (
                message.address.and_then(socket_addr).unwrap_or(unknown),
                message.bytes,
            )
        });
        self.arrived.extend(arrived);
    }
}

fn socket_addr(address: SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => {
            address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()))
        }
        nix::sys::socket::AddressFamily::Inet6 => {
            address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
        }
        _ => None,
    }
}
