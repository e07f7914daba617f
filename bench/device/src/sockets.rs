//! The sockets inside the device, by their adb names (`localabstract:scrcpy_0000abcd`, `tcp:7000`): programs listen and
//! connect, hosts come in through adb, `reverse:forward` lets a host listen. It does not know what is spoken on them.
//!
//! ```text
//!   host ── OPEN name ──► offer() ──────────► Listener ──► program     (adb forward; scrcpy's tunnel_forward)
//!   program ── connect(name) ──► Reverse ──► OPEN remote ──► host      (adb reverse; scrcpy's default)
//!                           └──► Program ──► refused: two programs of this device never talk to each other
//! ```
//!
//! A socket is the adb stream itself: nothing is copied in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adb::{Connection, IncomingOpen, Stream};
use tokio::sync::mpsc;

/// Connections that wait to be accepted by a program. Reached: the next one is refused.
const BACKLOG: usize = 8;
/// Names in use at once. Reached: the next one cannot be bound.
const MAX_NAMES: usize = 256;
/// First port that is given out for `tcp:0`, where Linux's own range starts.
const FIRST_FREE_PORT: u16 = 32768;

/// One host's connection, so that what it registered goes when it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostId(pub u64);

/// The device's sockets; cheap to clone, all clones are one.
#[derive(Clone, Default)]
pub struct Sockets {
    names: Arc<Mutex<HashMap<String, Bound>>>,
}

enum Bound {
    Program(mpsc::Sender<Stream>),
    Reverse(Reverse),
}

/// A name on which a host listens.
#[derive(Clone)]
pub struct Reverse {
    /// The host that registered it.
    pub host: HostId,
    /// What to open there.
    pub remote: String,
    /// The way there.
    pub connection: Connection,
}

/// Why a name was not bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody listens there.
    #[error("Address already in use")]
    InUse,
    /// Too many names, or no free port.
    #[error("Too many open files")]
    Full,
}

/// Nobody listens there, or it does not take more connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Connection refused")]
pub struct Refused;

impl Sockets {
    /// Lets a program listen. The name is free again when the listener is dropped.
    ///
    /// # Errors
    /// [`BindError`] when the name is taken or there are too many.
    pub fn listen(&self, name: &str) -> Result<Listener, BindError> {
        let (sender, streams) = mpsc::channel(BACKLOG);
        self.bind(name, Bound::Program(sender))?;
        Ok(Listener { sockets: self.clone(), name: name.to_owned(), streams })
    }

    /// Registers a host's `reverse:forward`; the host's own older one for the same name is replaced. `tcp:0` gets a
    /// free port. Returns the name that was bound.
    ///
    /// # Errors
    /// [`BindError`] when somebody else listens there or there are too many.
    pub fn reverse(&self, name: &str, reverse: Reverse, rebind: Rebind) -> Result<String, BindError> {
        let mut names = self.names();
        let name = if name == "tcp:0" {
            let free = |port: &u16| !names.contains_key(&format!("tcp:{port}"));
            let port = (FIRST_FREE_PORT..=u16::MAX).find(free).ok_or(BindError::Full)?;
            format!("tcp:{port}")
        } else {
            name.to_owned()
        };
        match names.get(&name) {
            Some(Bound::Reverse(old)) if old.host == reverse.host && rebind == Rebind::Allowed => {}
            Some(_) => return Err(BindError::InUse),
            None if names.len() >= MAX_NAMES => return Err(BindError::Full),
            None => {}
        }
        names.insert(name.clone(), Bound::Reverse(reverse));
        Ok(name)
    }

    /// Ends one `reverse:forward` of a host; false when there is none. Streams that are open stay open.
    pub fn end_reverse(&self, host: HostId, name: &str) -> bool {
        let mut names = self.names();
        let found = matches!(names.get(name), Some(Bound::Reverse(reverse)) if reverse.host == host);
        if found {
            names.remove(name);
        }
        found
    }

    /// Ends every `reverse:forward` of a host.
    pub fn end_all_reverses(&self, host: HostId) {
        self.names().retain(|_, bound| !matches!(bound, Bound::Reverse(reverse) if reverse.host == host));
    }

    /// The names that a host listens on and what each opens there, sorted.
    #[must_use]
    pub fn reverses(&self, host: HostId) -> Vec<(String, String)> {
        let mut reverses: Vec<_> = self
            .names()
            .iter()
            .filter_map(|(name, bound)| match bound {
                Bound::Reverse(reverse) if reverse.host == host => Some((name.clone(), reverse.remote.clone())),
                Bound::Reverse(_) | Bound::Program(_) => None,
            })
            .collect();
        reverses.sort();
        reverses
    }

    /// Connects a program of the device to a host that listens through `reverse:forward`.
    ///
    /// # Errors
    /// [`Refused`] when no host listens there, or the host refuses.
    pub async fn connect(&self, name: &str) -> Result<Stream, Refused> {
        let reverse = match self.names().get(name) {
            Some(Bound::Reverse(reverse)) => reverse.clone(),
            Some(Bound::Program(_)) | None => return Err(Refused),
        };
        reverse.connection.open(&reverse.remote).await.map_err(|_| Refused)
    }

    /// Hands a host's OPEN to the program that listens on its name; refuses it when nobody does.
    pub fn offer(&self, open: IncomingOpen) {
        let sender = match self.names().get(open.service()) {
            Some(Bound::Program(sender)) => sender.clone(),
            Some(Bound::Reverse(_)) | None => return open.refuse(),
        };
        let Ok(place) = sender.try_reserve() else { return open.refuse() };
        // The host may have given up meanwhile; then there is nobody to accept.
        if let Ok(stream) = open.accept() {
            place.send(stream);
        }
    }

    fn bind(&self, name: &str, bound: Bound) -> Result<(), BindError> {
        let mut names = self.names();
        if names.contains_key(name) {
            return Err(BindError::InUse);
        }
        if names.len() >= MAX_NAMES {
            return Err(BindError::Full);
        }
        names.insert(name.to_owned(), bound);
        Ok(())
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Bound>> {
        // A panic elsewhere leaves the table as it was between two changes.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a host may replace its own registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebind {
    /// Yes.
    Allowed,
    /// No (`norebind`).
    Refused,
}

/// A name on which a program listens.
pub struct Listener {
    sockets: Sockets,
    name: String,
    streams: mpsc::Receiver<Stream>,
}

impl Listener {
    /// Waits for the next connection of a host. Safe to cancel. `None` never comes while the listener lives.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.streams.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.sockets.names().remove(&self.name);
    }
}
