//! The device's role: answers a host's hello and takes its OPENs. It does not know what a service does.
//!
//! ```text
//!   accept(socket, banner) ─► Daemon ── next_open() ──► IncomingOpen{service} ── accept() ──► Stream
//!                               └── connection().open("tcp:27183") ──► Stream towards the host (`reverse:`)
//! ```
//!
//! A device may open only what the host registered through `reverse:forward`: recent adb servers abort otherwise.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::banner::Banner;
use crate::connection::{self, Connection, HandshakeError, Incoming, IncomingOpen};

/// One host's connection to this device.
pub struct Daemon {
    connection: Connection,
    incoming: Incoming,
}

impl Daemon {
    /// Takes a host's TCP connection: sets `TCP_NODELAY`, waits for its hello, answers with `banner`, and starts the
    /// task that owns the socket.
    ///
    /// # Errors
    /// [`HandshakeError`] when the peer is no host that we can talk to.
    pub async fn accept(socket: TcpStream, banner: &Banner) -> Result<Self, HandshakeError> {
        socket.set_nodelay(true)?;
        Self::accept_over(socket, banner).await
    }

    /// As [`Self::accept`], over any byte stream.
    ///
    /// # Errors
    /// [`HandshakeError`] when the peer is no host that we can talk to.
    pub async fn accept_over<S>(socket: S, banner: &Banner) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = connection::spawn_daemon(socket, banner).await?;
        let incoming = Incoming::new(&connection);
        Ok(Self { connection, incoming })
    }

    /// Waits for the host's next OPEN; `None` when the connection ended. Safe to cancel.
    pub async fn next_open(&mut self) -> Option<IncomingOpen> {
        self.incoming.next().await
    }

    /// The connection, to open streams towards the host and to read its banner.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}
