//! The device's role: answers a host's hello and takes its OPENs. It does not know what a service does.
//!
//! ```text
//!   Options::accept(socket) ─► Daemon ── next_open() ──► IncomingOpen{service} ── accept() ──► Stream
//!                               └── connection().open("tcp:27183") ──► Stream towards the host (`reverse:`)
//! ```
//!
//! A device may open only what the host registered through `reverse:forward`: recent adb servers abort otherwise.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::banner::Banner;
use crate::connection::{self, Connection, Incoming, IncomingOpen};
use crate::handshake::HandshakeError;
use crate::key::Key;
use crate::known_keys::KnownKeys;
use crate::socket::{self, GONE_AFTER};
use crate::window::Window;

/// How a device takes hosts.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it says of itself.
    pub banner: Banner,
    /// Who may come in.
    pub guard: Guard,
    /// What it lets a host send on each stream, with delayed ack.
    pub window: Window,
}

/// Who may come in.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Anyone, as with ro.adb.secure=0.
    Open,
    /// Hosts whose key is known, proven by a signature (AUTH).
    Keys(KnownKeys),
    /// Hosts whose key is known, proven in TLS (STLS), as with wireless debugging.
    Tls {
        /// The device's own key.
        key: Key,
        /// The hosts'.
        known: KnownKeys,
    },
}

impl Options {
    /// A device for anyone.
    #[must_use]
    pub fn open(banner: Banner) -> Self {
        Self {
            banner,
            guard: Guard::Open,
            window: Window::default(),
        }
    }

    /// Takes a host's TCP connection: sets the [socket](crate::socket) up, waits for its hello, lets it in or not, and
    /// starts the task that owns it.
    ///
    /// # Errors
    /// [`HandshakeError`] when the peer is no host that we can talk to, or none that may come in.
    pub async fn accept(&self, socket: TcpStream) -> Result<Daemon, HandshakeError> {
        socket::prepare(&socket, GONE_AFTER)?;
        self.accept_over(socket).await
    }

    /// As [`Self::accept`], over any byte stream.
    ///
    /// # Errors
    /// [`HandshakeError`] when the peer is no host that we can talk to, or none that may come in.
    pub async fn accept_over<S>(&self, socket: S) -> Result<Daemon, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = connection::spawn_daemon(socket, self).await?;
        let incoming = Incoming::new(&connection);
        Ok(Daemon { connection, incoming })
    }
}

/// One host's connection to this device.
pub struct Daemon {
    connection: Connection,
    incoming: Incoming,
}

impl Daemon {
    /// [`Options::accept`] for anyone.
    ///
    /// # Errors
    /// [`HandshakeError`] when the peer is no host that we can talk to.
    pub async fn accept(socket: TcpStream, banner: &Banner) -> Result<Self, HandshakeError> {
        Options::open(banner.clone()).accept(socket).await
    }

    /// [`Options::accept_over`] for anyone.
    ///
    /// # Errors
    /// [`HandshakeError`] when the peer is no host that we can talk to.
    pub async fn accept_over<S>(socket: S, banner: &Banner) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Options::open(banner.clone()).accept_over(socket).await
    }

    /// Waits for the host's next OPEN; `None` when the connection ended. Safe to cancel. A host may begin anew on its
    /// connection, which ends all streams and goes on here: see [`Connection::resets`].
    pub async fn next_open(&mut self) -> Option<IncomingOpen> {
        self.incoming.next().await
    }

    /// The connection, to open streams towards the host and to read its banner.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}
