//! The device's abstract socket names: where a scrcpy server and the adb daemon meet.
//!
//! ```text
//!   forward:  server ── listen("scrcpy_0000abcd")          adbd on OPEN localabstract:… ── connect(name)
//!   reverse:  adbd on reverse:forward:localabstract:… ── listen(name)      server ── connect(name)
//! ```
//!
//! Both sides use the same two calls, as processes on Android do. A name has one listener; dropping it frees the
//! name and leaves accepted connections alone. It does not know adb, scrcpy, or what is sent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Bytes that one direction of a connection holds before the writer waits: Linux's default for a Unix socket.
pub const SOCKET_BUFFER_LEN: usize = 212_992;

/// Connections that may wait for an accept; one more is refused, as by a full backlog.
const BACKLOG: usize = 8;

/// One end of a connection.
pub type Socket = DuplexStream;

/// The names of one device. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct AbstractSockets {
    names: Arc<Mutex<HashMap<String, mpsc::Sender<Socket>>>>,
}

/// Takes connections to a name. Dropping it frees the name.
#[derive(Debug)]
pub struct Listener {
    name: String,
    sockets: AbstractSockets,
    backlog: mpsc::Receiver<Socket>,
}

/// The name has a listener already.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the abstract socket {0} is in use")]
pub struct InUse(pub String);

/// Nothing listens at the name, or its backlog is full.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("connection to the abstract socket {0} refused")]
pub struct Refused(pub String);

impl AbstractSockets {
    /// Listens at a name (without `localabstract:`).
    ///
    /// # Errors
    /// The name is taken.
    pub fn listen(&self, name: &str) -> Result<Listener, InUse> {
        let (sender, backlog) = mpsc::channel(BACKLOG);
        match self.lock().entry(name.to_owned()) {
            Entry::Occupied(_) => return Err(InUse(name.to_owned())),
            Entry::Vacant(vacant) => vacant.insert(sender),
        };
        Ok(Listener {
            name: name.to_owned(),
            sockets: self.clone(),
            backlog,
        })
    }

    /// Connects to the listener of a name. The connection may be written before it is accepted.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(&self, name: &str) -> Result<Socket, Refused> {
        let refused = || Refused(name.to_owned());
        let (ours, theirs) = tokio::io::duplex(SOCKET_BUFFER_LEN);
        let names = self.lock();
        let listener = names.get(name).ok_or_else(refused)?;
        listener.try_send(theirs).map_err(|_| refused())?;
        Ok(ours)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::Sender<Socket>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// The next connection. Safe to cancel.
    pub async fn accept(&mut self) -> Socket {
        match self.backlog.recv().await {
            Some(socket) => socket,
            // The sender lives in the map until this listener is dropped.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.sockets.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_connection_joins_its_two_ends() {
        let sockets = AbstractSockets::default();
        let mut listener = sockets.listen("scrcpy").unwrap();
        let mut client = sockets.connect("scrcpy").unwrap();
        client.write_all(b"hi").await.unwrap();
        let mut server = listener.accept().await;
        drop(listener);
        let mut bytes = [0; 2];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hi");
    }

    #[tokio::test]
    async fn a_name_is_free_again_when_its_listener_is_gone() {
        let sockets = AbstractSockets::default();
        let listener = sockets.listen("scrcpy").unwrap();
        assert_eq!(sockets.listen("scrcpy").unwrap_err(), InUse("scrcpy".into()));
        drop(listener);
        assert_eq!(sockets.connect("scrcpy").unwrap_err(), Refused("scrcpy".into()));
        assert!(sockets.listen("scrcpy").is_ok());
    }

    #[tokio::test]
    async fn a_full_backlog_refuses() {
        let sockets = AbstractSockets::default();
        let _listener = sockets.listen("scrcpy").unwrap();
        let waiting: Vec<_> = (0..BACKLOG).map(|_| sockets.connect("scrcpy").unwrap()).collect();
        assert!(sockets.connect("scrcpy").is_err());
        drop(waiting);
    }
}
