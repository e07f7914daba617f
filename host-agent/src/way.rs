//! The way to a device: how it is written in the configuration, and how it is gone.
//!
//! ```text
//!   HOST:PORT                        the device's own adb daemon over TCP
//!   HOST:PORT,key=FILE               the same, for a device that asks who we are: AUTH, or TLS with STLS, as it likes
//!   server:HOST:PORT/SERIAL          through an adb server, for a phone on USB or one that is shared with other users
//! ```
//!
//! An IPv6 address stands in brackets. The key is adb's own kind of file (`~/.android/adbkey`); one that is missing is
//! made at the first try, for nobody else to read, with its public half beside it for the device. An adb server has
//! keys of its own, so none can be given for it. Names are looked up at every try: containers move.
//!
//! It does not know what the device is used for, nor when to try again. The text has no other form, and what is not
//! understood is refused with the sentence that says what would be.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use adb::host::Options;
use adb::host_server::ServerError;
use adb::key_file::{self, KeyFileError, Missing};
use adb::{HandshakeError, Host, Server, Witness};

use crate::recorder::Packets;

/// Longest serial number in bytes; Android's own are up to 20, those of a network are an address.
const SERIAL_BYTES_MAX: usize = 128;
/// What stands in front of a way through an adb server.
const SERVER: &str = "server:";
/// Who the key belongs to, as a device's question to its owner shows it.
const KEY_OWNER: &str = "farglass@host-agent";

/// How a device is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Over TCP to its own adb daemon.
    Direct {
        /// Where it listens.
        address: Address,
        /// The file with our key; `None` = none is shown, and a device that asks for one cannot be used.
        key: Option<PathBuf>,
    },
    /// Through an adb server that has it.
    Server {
        /// Where the server listens.
        server: Address,
        /// Which of its devices, as `adb devices` lists it.
        serial: String,
    },
}

/// `HOST:PORT` with a port that is not 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

/// Why a text is no way to a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WayTextError {
    /// Neither of the forms.
    #[error(
        "{0:?} is not HOST:PORT (an IPv6 address in brackets, a port from 1 to 65535), nor server:HOST:PORT/SERIAL"
    )]
    Address(String),
    /// After the comma there is something else than a key.
    #[error("{0:?} is no option of a device: there is key=FILE, once, with a path without a comma")]
    Option(String),
    /// The device's serial number is missing or none.
    #[error(
        "behind an adb server a device needs the serial number that `adb devices` shows, as in server:HOST:PORT/SERIAL"
    )]
    Serial,
}

/// Why a device was not reached on its way. Each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WayError {
    /// Its daemon.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Our key's file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The adb server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server's name leads nowhere.
    #[error("the adb server {address} cannot be found: {error}")]
    Lookup {
        /// As it is configured.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The thread that makes a key was lost.
    #[error("the adb key's thread was lost")]
    Lost,
}

impl Way {
    /// Goes it. Makes the key if there is none yet; TLS is used if the device asks for it.
    ///
    /// # Errors
    /// [`WayError`].
    pub async fn connect(&self) -> Result<Host, WayError> {
        self.connect_with(Missing::Generate, None).await
    }

    /// As [`Self::connect`], and somebody sees what passes.
    pub(crate) async fn connect_seen_by(&self, witness: Option<Arc<dyn Witness>>) -> Result<Host, WayError> {
        self.connect_with(Missing::Generate, witness).await
    }

    /// Whether it has adb packets of ours.
    pub(crate) fn packets(&self) -> Packets {
        match self {
            Self::Direct { .. } => Packets::Ours,
            Self::Server { .. } => Packets::OfAServer,
        }
    }

    /// As [`Self::connect_seen_by`], with this done about a key that is not there.
    pub(crate) async fn connect_with(
        &self,
        missing: Missing,
        witness: Option<Arc<dyn Witness>>,
    ) -> Result<Host, WayError> {
        match self {
            Self::Direct { address, key } => {
                let keys = match key.clone() {
                    Some(path) => {
                        let load = move || key_file::load(&path, KEY_OWNER, missing);
                        let key = tokio::task::spawn_blocking(load).await;
                        vec![key.map_err(|_| WayError::Lost)??]
                    }
                    None => Vec::new(),
                };
                let options = Options {
                    keys,
                    witness,
                    ..Options::default()
                };
                Ok(options.connect(&*address.0).await?)
            }
            Self::Server { server, serial } => {
                let lookup = |error| WayError::Lookup {
                    address: server.0.clone(),
                    error,
                };
                let found = tokio::net::lookup_host(&*server.0).await.map_err(lookup)?.next();
                let found = found.ok_or_else(|| lookup(io::ErrorKind::NotFound.into()))?;
                let host = Server::at(found).host(serial).await?;
                Ok(match witness {
                    Some(witness) => host.watched(witness),
                    None => host,
                })
            }
        }
    }
}

impl Address {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { address, .. } => address.0.fmt(f),
            Self::Server { server, serial } => write!(f, "{SERVER}{}/{serial}", server.0),
        }
    }
}

impl FromStr for Way {
    type Err = WayTextError;

    fn from_str(text: &str) -> Result<Self, WayTextError> {
        if let Some(rest) = text.strip_prefix(SERVER)
            && let Some((server, serial)) = rest.split_once('/')
            // A device on a host of this name, whose key's path has the `/`.
            && !server.contains(',')
        {
            return Ok(Self::Server {
                server: server.parse()?,
                serial: serial_of(serial)?,
            });
        }
        let mut parts = text.split(',');
        let address = parts.next().unwrap_or_default().parse()?;
        let mut key = None;
        for part in parts {
            match part.strip_prefix("key=") {
                Some(path) if key.is_none() && !path.is_empty() => key = Some(PathBuf::from(path)),
                _ => return Err(WayTextError::Option(part.to_owned())),
            }
        }
        Ok(Self::Direct { address, key })
    }
}

impl FromStr for Address {
    type Err = WayTextError;

    fn from_str(text: &str) -> Result<Self, WayTextError> {
        let refused = || WayTextError::Address(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
            }
        };
        if is_host && port.parse::<u16>().is_ok_and(|port| port != 0) {
            Ok(Self(text.to_owned()))
        } else {
            Err(refused())
        }
    }
}

fn serial_of(text: &str) -> Result<String, WayTextError> {
    let good = |byte: u8| byte.is_ascii_graphic() && byte != b',' && byte != b'/';
    if text.is_empty() || text.len() > SERIAL_BYTES_MAX || !text.bytes().all(good) {
        return Err(WayTextError::Serial);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
#[path = "way_tests.rs"]
mod tests;
