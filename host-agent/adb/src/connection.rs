//! One connection between a host and a device, and the one task that owns the socket.
//!
//! It does not know what services mean, or how a connection begins (`handshake`). The task reads packets into the
//! machine and writes what the machine has to send; handles ([`Connection`], [`Incoming`], streams) reach the machine
//! through a lock that is held for a few instructions and never across an await.
//!
//! ```text
//!   handles ──► Machine (lock) ──out──► driver task ──► socket
//!      ▲            ▲                      │
//!      └── wakers ──┴──── packets ◄────────┘
//! ```
//!
//! The task ends when the peer hangs up, breaks the protocol, [`Connection::close`] is called, or the last handle
//! is dropped. A second CNXN does not end it: all streams end, the handshake is done again, and it goes on.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::banner::{Banner, DELAYED_ACK};
use crate::daemon::{self, Guard};
use crate::handshake::{self, Begun, HANDSHAKE_TIMEOUT, HandshakeError, Hello};
use crate::host;
use crate::machine::{Agreement, Machine, PeerOpens};
use crate::packet::{Command, Packet, PacketError, Sum, VERSION, VERSION_WITH_SUM};
use crate::slot::{LocalId, RemoteId};
use crate::stream::Stream;
use crate::tap::Tap;
use crate::window::Window;

/// Bytes that one read of the socket makes room for: a few video frames.
const READ_BYTES: usize = 64 * 1024;

/// Why a connection is no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// We closed it. Normal.
    #[error("the connection was closed here")]
    Closed,
    /// The peer hung up. Connect again.
    #[error("the peer closed the connection")]
    PeerClosed,
    /// The socket failed. Connect again.
    #[error("the adb socket failed: {1}")]
    Io(io::ErrorKind, String),
    /// The adb server in between does not reach the device, in its own words. Connect again.
    #[error("the adb server says: {0}")]
    Server(String),
    /// The peer began anew and did not come through. Connecting again may help.
    #[error("the connection was begun anew in vain: {0}")]
    NotAgain(String),
    /// The peer does not follow the protocol. Connecting again will hardly help.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind(), error.to_string())
    }
}

/// What a peer did that adb does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The bytes are not a packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A packet that has no place after the handshake.
    #[error("{0:?} has no place here")]
    Unexpected(Command),
    /// An OPEN with stream id 0.
    #[error("a stream was opened with id 0")]
    ZeroId,
    /// An OKAY whose payload does not fit the agreed flow control.
    #[error("OKAY with {0} bytes of payload")]
    OkayPayload(usize),
    /// More data than the announced window.
    #[error("the peer sent more than the announced window")]
    WindowOverrun,
}

/// Why no stream was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer does not offer this service (now). Another one may work, the same one may work later.
    #[error("the service was refused")]
    Refused,
    /// Too many streams are open on this connection: close one first.
    #[error("too many streams are open on this connection")]
    TooManyStreams,
    /// The name is too long or holds a NUL: a mistake of the caller.
    #[error("not a service name")]
    BadService,
    /// The peer gave up its OPEN before it was answered. Nothing to do.
    #[error("the peer withdrew the stream")]
    Withdrawn,
    /// The connection is gone: connect again.
    #[error(transparent)]
    Ended(#[from] End),
}

/// The machine, and the bell that tells the driver that there is something to send.
struct Shared {
    machine: Mutex<Machine>,
    output: Notify,
}

impl Shared {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        // The machine never panics half way through a change; if it did, the connection still has to end.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every handle holds; when the last one goes, the connection closes.
pub(crate) struct Anchor {
    shared: Arc<Shared>,
    banner: Banner,
}

impl Anchor {
    /// Lets `change` work on the machine, then rings for the driver.
    fn with<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let done = change(&mut self.shared.machine());
        self.shared.output.notify_one();
        done
    }

    pub(crate) fn poll_chunk(&self, id: LocalId, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, End>> {
        self.with(|machine| machine.poll_chunk(id, cx))
    }

    pub(crate) fn poll_write(
        &self,
        id: LocalId,
        data: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<usize>, End>> {
        self.with(|machine| machine.poll_write(id, data, cx))
    }

    pub(crate) fn poll_settled(&self, id: LocalId, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|machine| machine.poll_settled(id, cx))
    }

    pub(crate) fn close(&self, id: LocalId) {
        self.with(|machine| machine.close(id));
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.with(|machine| machine.finish(End::Closed));
    }
}

/// A handle to a connection; cheap to clone. The connection lives as long as any handle or stream of it.
#[derive(Clone)]
pub struct Connection {
    anchor: Arc<Anchor>,
}

impl Connection {
    /// Opens a stream to a service of the peer, e.g. `sync:` or `localabstract:scrcpy_00000001`. The OPEN is sent by the
    /// call itself, so that calls one after the other arrive in their order; the future waits for the answer.
    ///
    /// # Errors
    /// [`OpenError`]: refused by the peer, no room, or the connection ended.
    pub fn open(&self, service: &str) -> impl Future<Output = Result<Stream, OpenError>> + Send + use<> {
        let anchor = Arc::clone(&self.anchor);
        let id = anchor.with(|machine| machine.open(service));
        // Made before the wait, so that giving up the wait closes the stream.
        let stream = id.map(|id| (id, Stream::new(Arc::clone(&anchor), id)));
        async move {
            let (id, stream) = stream?;
            poll_fn(|cx| anchor.with(|machine| machine.poll_opened(id, cx))).await?;
            Ok(stream)
        }
    }

    /// How often the peer has begun anew on this connection. Whatever it had set up before a rise is void.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.anchor.shared.machine().resets()
    }

    /// Who the peer said it is, when it first said hello.
    #[must_use]
    pub fn banner(&self) -> &Banner {
        &self.anchor.banner
    }

    /// Why the connection ended; `None` while it lives.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.anchor.shared.machine().end().cloned()
    }

    /// Closes the connection: what is queued is sent, all streams end.
    pub fn close(self) {
        self.anchor.with(|machine| machine.finish(End::Closed));
    }
}

/// The peer's OPENs, in their order.
pub struct Incoming {
    anchor: Arc<Anchor>,
}

impl Incoming {
    pub(crate) fn new(connection: &Connection) -> Self {
        connection
            .anchor
            .with(|machine| machine.peer_opens = PeerOpens::Queued);
        Self {
            anchor: Arc::clone(&connection.anchor),
        }
    }

    /// Waits for the next OPEN of the peer; `None` when the connection ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<IncomingOpen> {
        let open = poll_fn(|cx| self.anchor.with(|machine| machine.poll_pending(cx))).await?;
        let service = String::from_utf8_lossy(&open.service).into_owned();
        Some(IncomingOpen {
            anchor: Arc::clone(&self.anchor),
            remote: open.remote,
            service,
        })
    }
}

/// An OPEN of the peer, to be answered. Dropping it refuses it.
pub struct IncomingOpen {
    anchor: Arc<Anchor>,
    remote: RemoteId,
    service: String,
}

impl IncomingOpen {
    /// The service's name without trailing NULs. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Confirms the OPEN.
    ///
    /// # Errors
    /// [`OpenError`] when the peer gave it up meanwhile, or there is no room.
    pub fn accept(self) -> Result<Stream, OpenError> {
        let id = self.anchor.with(|machine| machine.accept(self.remote))?;
        Ok(Stream::new(Arc::clone(&self.anchor), id))
    }

    /// Refuses the OPEN, as adbd does with a service that it does not have.
    pub fn refuse(self) {
        drop(self);
    }
}

impl Drop for IncomingOpen {
    fn drop(&mut self) {
        // After `accept` the machine no longer knows it as open to an answer, and this changes nothing.
        self.anchor.with(|machine| machine.refuse(self.remote));
    }
}

/// Begins a connection as a host and starts its task.
pub(crate) async fn spawn_host<S>(socket: S, options: &host::Options) -> Result<Connection, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let side = Side {
        banner: options.banner(),
        window: options.window,
        again: Again::Host,
    };
    let socket = Tap::new(socket, options.witness.clone());
    Ok(match handshake::as_host(socket, options).await? {
        Begun::Plain(socket, hello) => spawn(socket, hello, side),
        Begun::Tls(socket, hello) => spawn(*socket, hello, side),
    })
}

/// Waits for a host, begins the connection and starts its task.
pub(crate) async fn spawn_daemon<S>(
    socket: S,
    options: &daemon::Options,
) -> Result<Connection, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let side = |options: daemon::Options| Side {
        banner: options.banner.clone(),
        window: options.window,
        again: Again::Device(Box::new(options)),
    };
    Ok(match handshake::as_device(socket, options).await? {
        Begun::Plain(socket, hello) => spawn(socket, hello, side(options.clone())),
        Begun::Tls(socket, hello) => {
            // Who is inside has shown its key.
            let inside = daemon::Options {
                guard: Guard::Open,
                ..options.clone()
            };
            spawn(*socket, hello, side(inside))
        }
    })
}

/// What our side of a connection has said and does.
struct Side {
    banner: Banner,
    window: Window,
    again: Again,
}

/// What we do when the peer says hello a second time.
enum Again {
    /// A device that starts over has said all with its hello.
    Host,
    Device(Box<daemon::Options>),
}

impl Side {
    fn agree(&self, hello: &Hello) -> Agreement {
        Agreement {
            max_payload: hello.max_payload,
            delayed_ack: self.banner.has(DELAYED_ACK) && hello.banner.has(DELAYED_ACK),
            window: self.window,
            sum: if hello.version.min(VERSION) == VERSION_WITH_SUM {
                Sum::Written
            } else {
                Sum::Zero
            },
        }
    }

    /// Answers a second CNXN.
    async fn begin_again<S>(
        &self,
        socket: &mut S,
        inbox: &mut BytesMut,
        packet: Packet,
    ) -> Result<Hello, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match &self.again {
            Again::Host => Ok(Hello::parse(&packet)?),
            Again::Device(options) => handshake::begin_again(socket, inbox, packet, options).await,
        }
    }
}

/// Starts the task that owns the socket. It ends with the connection.
fn spawn<S>(socket: S, hello: Hello, side: Side) -> Connection
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let machine = Machine::new(side.agree(&hello), PeerOpens::Refused);
    let shared = Arc::new(Shared {
        machine: Mutex::new(machine),
        output: Notify::new(),
    });
    tokio::spawn(drive(socket, side, Arc::clone(&shared)));
    Connection {
        anchor: Arc::new(Anchor {
            shared,
            banner: hello.banner,
        }),
    }
}

async fn drive<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, side: Side, shared: Arc<Shared>) {
    let mut inbox = BytesMut::with_capacity(READ_BYTES);
    let end = loop {
        let packet = match run(&mut socket, &mut inbox, &shared).await {
            Ok(packet) => packet,
            Err(end) => break end,
        };
        shared.machine().reset();
        match side.begin_again(&mut socket, &mut inbox, packet).await {
            Ok(hello) => shared.machine().agree(side.agree(&hello)),
            Err(error) => break End::NotAgain(error.to_string()),
        }
    };
    tracing::debug!(%end, "adb connection ended");
    shared.machine().finish(end);
    // The peer may be gone already; there is nobody left to tell.
    let _ = socket.shutdown().await;
}

/// Moves packets both ways until the connection ends or the peer says hello again; gives that packet.
async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    inbox: &mut BytesMut,
    shared: &Shared,
) -> Result<Packet, End> {
    let (mut reader, mut writer) = tokio::io::split(socket);
    let mut unsent = BytesMut::new();
    loop {
        if let Some(hello) = feed(shared, inbox)? {
            // What was begun on the socket has to be whole before the answer.
            let rest = timeout(HANDSHAKE_TIMEOUT, writer.write_all(&unsent)).await;
            rest.map_err(|_| End::NotAgain(HandshakeError::Timeout.to_string()))??;
            return Ok(hello);
        }
        let full = {
            let mut machine = shared.machine();
            let full = machine.is_full();
            if unsent.is_empty() {
                unsent = machine.take_output();
            }
            match machine.end() {
                Some(end) if unsent.is_empty() => return Err(end.clone()),
                _ => full,
            }
        };
        inbox.reserve(READ_BYTES);
        tokio::select! {
            sent = writer.write_buf(&mut unsent), if unsent.has_remaining() => {
                sent?;
            }
            read = reader.read_buf(inbox), if !full => {
                if read? == 0 {
                    return Err(End::PeerClosed);
                }
            }
            () = shared.output.notified() => {}
        }
    }
}

/// Gives every whole packet in `inbox` to the machine, up to a hello, which is for the caller.
fn feed(shared: &Shared, inbox: &mut BytesMut) -> Result<Option<Packet>, ProtocolError> {
    while let Some(packet) = Packet::decode(inbox)? {
        if packet.command == Command::Cnxn {
            return Ok(Some(packet));
        }
        shared.machine().handle(packet)?;
    }
    Ok(None)
}
