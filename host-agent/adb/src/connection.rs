//! One connection between a host and a device: the handshake, and the one task that owns the socket.
//!
//! It does not know what services mean. The task reads packets into the machine and writes what the machine has to
//! send; handles ([`Connection`], [`Incoming`], streams) reach the machine through a lock that is held for a few
//! instructions and never across an await.
//!
//! ```text
//!   handles ──► Machine (lock) ──out──► driver task ──► socket
//!      ▲            ▲                      │
//!      └── wakers ──┴──── packets ◄────────┘
//! ```
//!
//! The task ends when the peer hangs up, breaks the protocol, [`Connection::close`] is called, or the last handle
//! is dropped.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use crate::banner::{self, Banner, BannerError, DELAYED_ACK};
use crate::machine::{Agreement, Machine, PeerOpens};
use crate::packet::{self, Command, MAX_PAYLOAD, Packet, PacketError, Sum, VERSION, VERSION_WITH_SUM};
use crate::slot::{LocalId, RemoteId};
use crate::stream::Stream;

/// How long the peer may take for its side of the handshake; what `adb connect` waits. Reached: [`HandshakeError::Timeout`].
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
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

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The socket could not be opened, or broke. Trying again may help.
    #[error("no adb connection: {0}")]
    Io(#[from] io::Error),
    /// Nothing came in time: not adb, or a device that waits for something.
    #[error("the peer did not finish the adb handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    Timeout,
    /// The device wants a key (AUTH), which this host does not have.
    #[error(
        "the device asks for an adb key: start it with ro.adb.secure=0 (most emulator and redroid images do), \
         or turn authorisation off in its developer options"
    )]
    AuthRequired,
    /// The device wants TLS (STLS), as Android's wireless debugging does.
    #[error(
        "the device asks for TLS (wireless debugging): use plain adb over TCP, as `adb tcpip 5555` turns on"
    )]
    TlsRequired,
    /// The peer speaks, but not adb.
    #[error("the peer does not speak adb: {0}")]
    Protocol(#[from] ProtocolError),
    /// The peer's banner cannot be read.
    #[error("the peer's banner cannot be read: {0}")]
    Banner(#[from] BannerError),
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

    /// Who the peer says it is.
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

/// Says hello as a host and starts the connection's task.
pub(crate) async fn spawn_host<S>(mut socket: S, ours: &Banner) -> Result<Connection, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let hello = async {
        send_hello(&mut socket, ours).await?;
        read_hello(&mut socket, &mut buffer).await
    };
    let hello = tokio::time::timeout(HANDSHAKE_TIMEOUT, hello)
        .await
        .map_err(|_| HandshakeError::Timeout)??;
    Ok(spawn(socket, buffer, hello, ours))
}

/// Waits for a host's hello, answers it and starts the connection's task.
pub(crate) async fn spawn_daemon<S>(mut socket: S, ours: &Banner) -> Result<Connection, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let hello = async {
        let hello = read_hello(&mut socket, &mut buffer).await?;
        send_hello(&mut socket, ours).await?;
        Ok::<_, HandshakeError>(hello)
    };
    let hello = tokio::time::timeout(HANDSHAKE_TIMEOUT, hello)
        .await
        .map_err(|_| HandshakeError::Timeout)??;
    Ok(spawn(socket, buffer, hello, ours))
}

struct Hello {
    version: u32,
    max_payload: usize,
    banner: Banner,
}

async fn send_hello(socket: &mut (impl AsyncWrite + Unpin), ours: &Banner) -> io::Result<()> {
    let mut out = BytesMut::new();
    let max_payload = u32::try_from(MAX_PAYLOAD).expect("1 MiB fits");
    // The peer's version is not known yet, so this one always carries its sum.
    packet::encode(
        &mut out,
        Command::Cnxn,
        (VERSION, max_payload),
        ours.to_string().as_bytes(),
        Sum::Written,
    );
    socket.write_all(&out).await?;
    socket.flush().await
}

async fn read_hello(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Hello, HandshakeError> {
    let packet = loop {
        if let Some(packet) = Packet::decode(buffer).map_err(ProtocolError::from)? {
            break packet;
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    match packet.command {
        Command::Cnxn => Ok(Hello {
            version: packet.arg0,
            max_payload: usize::try_from(packet.arg1)
                .unwrap_or(MAX_PAYLOAD)
                .clamp(1, MAX_PAYLOAD),
            banner: banner::parse(&packet.payload)?,
        }),
        Command::Auth => Err(HandshakeError::AuthRequired),
        Command::Stls => Err(HandshakeError::TlsRequired),
        other => Err(ProtocolError::Unexpected(other).into()),
    }
}

/// Starts the task that owns the socket. It ends with the connection.
fn spawn<S>(socket: S, buffer: BytesMut, hello: Hello, ours: &Banner) -> Connection
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let agreement = Agreement {
        max_payload: hello.max_payload,
        delayed_ack: ours.has(DELAYED_ACK) && hello.banner.has(DELAYED_ACK),
        sum: if hello.version.min(VERSION) == VERSION_WITH_SUM {
            Sum::Written
        } else {
            Sum::Zero
        },
    };
    let machine = Machine::new(agreement, PeerOpens::Refused);
    let shared = Arc::new(Shared {
        machine: Mutex::new(machine),
        output: Notify::new(),
    });
    tokio::spawn(drive(socket, buffer, Arc::clone(&shared)));
    Connection {
        anchor: Arc::new(Anchor {
            shared,
            banner: hello.banner,
        }),
    }
}

async fn drive<S: AsyncRead + AsyncWrite + Unpin>(socket: S, mut inbox: BytesMut, shared: Arc<Shared>) {
    let (mut reader, mut writer) = tokio::io::split(socket);
    let mut unsent = BytesMut::new();
    let end = loop {
        if let Err(error) = feed(&shared, &mut inbox) {
            break End::Protocol(error);
        }
        let full = {
            let mut machine = shared.machine();
            let full = machine.is_full();
            if unsent.is_empty() {
                unsent = machine.take_output();
            }
            match machine.end() {
                Some(end) if unsent.is_empty() => break end.clone(),
                _ => full,
            }
        };
        inbox.reserve(READ_BYTES);
        tokio::select! {
            sent = writer.write_buf(&mut unsent), if unsent.has_remaining() => match sent {
                Ok(_) => {}
                Err(error) => break error.into(),
            },
            read = reader.read_buf(&mut inbox), if !full => match read {
                Ok(0) => break End::PeerClosed,
                Ok(_) => {}
                Err(error) => break error.into(),
            },
            () = shared.output.notified() => {}
        }
    };
    tracing::debug!(%end, "adb connection ended");
    shared.machine().finish(end);
    // The peer may be gone already; there is nobody left to tell.
    let _ = writer.shutdown().await;
}

/// Gives every whole packet in `inbox` to the machine.
fn feed(shared: &Shared, inbox: &mut BytesMut) -> Result<(), ProtocolError> {
    while let Some(packet) = Packet::decode(inbox)? {
        shared.machine().handle(packet)?;
    }
    Ok(())
}
