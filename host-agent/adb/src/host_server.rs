//! The host's role through an adb server (port 5037), for devices that are shared with other adb users, hang on USB, or
//! ask for a key that only the server has. It does not know the packet layer: the server speaks it.
//!
//! ```text
//!   Server::version()       host:version
//!   Server::devices()       host:devices-l
//!   Server::host(serial)    host-serial:SERIAL:features ─► Host
//!   Host::open(service)     a new connection:  host:transport:SERIAL → OKAY   SERVICE → OKAY, then the stream's bytes
//!                                                                                     FAIL closed: nobody listens
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::banner::{Banner, Kind};
use crate::connection::{End, OpenError};
use crate::host::Host;
use crate::server_reply::{self, FIELD_LEN, Listed, ReplyError, Status};
use crate::socket::{self, GONE_AFTER};
use crate::stream::Stream;

/// Where an adb server listens unless it is told otherwise.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5037);
/// How long a server may take for one answer; what adb allows a device. Reached: [`ServerError::Timeout`].
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The server is not there, or hung up. Start it (`adb start-server`).
    #[error("no adb server: {0}")]
    Io(#[from] io::Error),
    /// Nothing came in time.
    #[error("the adb server did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    /// The server says no, in its own words: no such device, device offline, device unauthorized.
    #[error("the adb server says: {0}")]
    Refused(String),
    /// Whoever listens there is no adb server.
    #[error("not an adb server: {0}")]
    Reply(#[from] ReplyError),
    /// A serial number or service that is too long to be asked for: a mistake of the caller.
    #[error("the request is longer than adb allows")]
    TooLong,
}

/// An adb server. Holds no connection: every request is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    address: SocketAddr,
}

impl Default for Server {
    fn default() -> Self {
        Self::at(DEFAULT_ADDRESS)
    }
}

impl Server {
    /// The server at this address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The version of the server's protocol.
    ///
    /// # Errors
    /// [`ServerError`]; also when there is no server.
    pub async fn version(&self) -> Result<u32, ServerError> {
        Ok(server_reply::version(&self.ask("host:version").await?)?)
    }

    /// The devices that the server knows, in whatever state.
    ///
    /// # Errors
    /// [`ServerError`]; also when there is no server.
    pub async fn devices(&self) -> Result<Vec<Listed>, ServerError> {
        Ok(server_reply::devices(&self.ask("host:devices-l").await?))
    }

    /// A device of the server.
    ///
    /// # Errors
    /// [`ServerError::Refused`] when there is no such device or it cannot be used.
    pub async fn host(&self, serial: &str) -> Result<Host, ServerError> {
        let features = self.ask(&format!("host-serial:{serial}:features")).await?;
        let devices = self.devices().await?;
        let listed = devices.iter().find(|listed| listed.serial == serial);
        let property = |name: &str| {
            Some((
                format!("ro.product.{}", of_property(name)),
                listed?.property(name)?.into(),
            ))
        };
        let banner = Banner {
            kind: Kind::Device,
            properties: ["product", "model", "device"]
                .into_iter()
                .filter_map(property)
                .collect(),
            features: features
                .split(',')
                .map(|feature| feature.trim().to_owned())
                .collect(),
        };
        let shared = Shared {
            server: *self,
            serial: serial.to_owned(),
            banner,
            end: OnceLock::new(),
        };
        Ok(Host::through(Link(Arc::new(shared))))
    }

    /// Asks for something that is answered by a text.
    async fn ask(&self, request: &str) -> Result<String, ServerError> {
        in_time(async {
            let mut socket = self.connect().await?;
            send(&mut socket, request).await?;
            text(&mut socket).await
        })
        .await
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(self.address).await?;
        socket::prepare(&socket, GONE_AFTER)?;
        Ok(socket)
    }
}

/// How `devices -l` names what a banner calls `ro.product.…`.
fn of_property(name: &str) -> &str {
    match name {
        "product" => "name",
        name => name,
    }
}

/// One device of a server; cheap to clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<Shared>);

struct Shared {
    server: Server,
    serial: String,
    banner: Banner,
    /// Set when the device was not to be had, or by [`Link::close`].
    end: OnceLock<End>,
}

impl Link {
    pub(crate) async fn open(self, service: String) -> Result<Stream, OpenError> {
        if let Some(end) = self.end() {
            return Err(end.into());
        }
        if service.contains('\0') {
            return Err(OpenError::BadService);
        }
        let mut socket = match in_time(self.transport()).await {
            Ok(socket) => socket,
            Err(ServerError::TooLong) => return Err(OpenError::BadService),
            Err(error) => return Err(self.ended(error).into()),
        };
        match in_time(send(&mut socket, &service)).await {
            Ok(()) => Ok(Stream::of_server(socket)),
            Err(ServerError::Refused(_)) => Err(OpenError::Refused),
            Err(ServerError::TooLong) => Err(OpenError::BadService),
            // Only this stream is lost; whether the device is, the next one tells.
            Err(error) => Err(OpenError::Ended(end_of(error))),
        }
    }

    pub(crate) fn banner(&self) -> &Banner {
        &self.0.banner
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.0.end.get().cloned()
    }

    pub(crate) fn close(self) {
        self.0.end.get_or_init(|| End::Closed);
    }

    /// A connection that the server has joined with the device.
    async fn transport(&self) -> Result<TcpStream, ServerError> {
        let mut socket = self.0.server.connect().await?;
        send(&mut socket, &format!("host:transport:{}", self.0.serial)).await?;
        Ok(socket)
    }

    fn ended(&self, error: ServerError) -> End {
        self.0.end.get_or_init(|| end_of(error)).clone()
    }
}

fn end_of(error: ServerError) -> End {
    match error {
        ServerError::Io(error) => error.into(),
        ServerError::Refused(text) => End::Server(text),
        error => End::Server(error.to_string()),
    }
}

async fn in_time<T>(asking: impl Future<Output = Result<T, ServerError>>) -> Result<T, ServerError> {
    timeout(ANSWER_TIMEOUT, asking)
        .await
        .map_err(|_| ServerError::Timeout)?
}

/// Sends a request and reads whether it is granted, and not a byte more.
async fn send(socket: &mut TcpStream, request: &str) -> Result<(), ServerError> {
    let request = server_reply::encode(request).ok_or(ServerError::TooLong)?;
    socket.write_all(&request).await?;
    match server_reply::status(field(socket).await?)? {
        Status::Okay => Ok(()),
        Status::Fail => Err(ServerError::Refused(text(socket).await?)),
    }
}

async fn text(socket: &mut TcpStream) -> Result<String, ServerError> {
    let length = server_reply::length(field(socket).await?)?;
    let mut text = vec![0; length];
    socket.read_exact(&mut text).await?;
    Ok(String::from_utf8(text).map_err(|_| ReplyError::Text)?)
}

async fn field(socket: &mut TcpStream) -> io::Result<[u8; FIELD_LEN]> {
    let mut field = [0; FIELD_LEN];
    socket.read_exact(&mut field).await?;
    Ok(field)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_socket_to_the_server_sends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::at(listener.local_addr().unwrap());
        assert!(server.connect().await.unwrap().nodelay().unwrap());
    }
}
