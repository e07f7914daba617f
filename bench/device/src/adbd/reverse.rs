//! `reverse:`: a host lets the device listen for it. Programs of the device connect to the name, and each connection is
//! opened towards that host.
//!
//! ```text
//!   forward:[norebind:]LOCAL;REMOTE → OKAY (+ hex4 + port for tcp:0) | FAIL hex4 text
//!   killforward:LOCAL               → OKAY | FAIL hex4 text
//!   killforward-all                 → OKAY
//!   list-forward                    → hex4 + lines "host LOCAL REMOTE"      (no OKAY)
//! ```
//!
//! Every host has its own table. Ending an entry leaves its open streams alone, as adbd does.

use std::collections::BTreeMap;

use adb::{Connection, Stream};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::bridge;
use crate::abstract_sockets::{AbstractSockets, Listener};
use crate::userland::Userland;

/// Names that one host may have. Reached: FAIL.
pub(super) const MAX_REVERSES: usize = 64;
/// Streams that wait or run through one name. Reached: the next program's connection is dropped.
const MAX_STREAMS: usize = 32;
/// Given out for `tcp:0`: where Linux's own range starts.
const FIRST_FREE_PORT: u16 = 32768;

/// What a host has registered.
pub(super) struct Reverses {
    connection: Connection,
    entries: BTreeMap<String, Entry>,
    /// Outlives the entries, so that what they have let in goes on when they end.
    tasks: JoinSet<()>,
}

struct Entry {
    remote: String,
    /// Ends the listening when it is dropped.
    _listening: tokio_util::sync::DropGuard,
}

impl Reverses {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            entries: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Names that are registered.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Does what is asked and returns the bytes of the answer.
    pub(super) fn request(&mut self, request: &str, userland: &Userland) -> String {
        while self.tasks.try_join_next().is_some() {}
        if let Some(rest) = request.strip_prefix("forward:") {
            let (rebind, pair) = match rest.strip_prefix("norebind:") {
                Some(pair) => (false, pair),
                None => (true, rest),
            };
            let result = self.forward(pair, rebind, userland);
            return result.unwrap_or_else(|text| fail(&text));
        }
        if let Some(local) = request.strip_prefix("killforward:") {
            return match self.entries.remove(local) {
                Some(_) => "OKAY".to_owned(),
                None => fail(&format!("listener '{local}' not found")),
            };
        }
        match request {
            "killforward-all" => {
                self.entries.clear();
                "OKAY".to_owned()
            }
            "list-forward" => {
                let line = |(local, entry): (&String, &Entry)| format!("host {local} {}\n", entry.remote);
                prefixed(&self.entries.iter().map(line).collect::<String>())
            }
            _ => fail(&format!("not a reverse service: '{request}'")),
        }
    }

    fn forward(&mut self, pair: &str, rebind: bool, userland: &Userland) -> Result<String, String> {
        let (local, remote) = pair.split_once(';').ok_or("bad forward: no ';'")?;
        if self.entries.contains_key(local) && !rebind {
            return Err(format!("cannot rebind existing socket: {local}"));
        }
        if self.entries.len() >= MAX_REVERSES {
            return Err("too many reverse sockets".to_owned());
        }
        self.entries.remove(local);
        let (local, listener) = bind(local, userland)?;
        let stop = tokio_util::sync::CancellationToken::new();
        let target = (self.connection.clone(), remote.to_owned());
        self.tasks.spawn(listen(listener, target, stop.clone()));
        let reply = match local.strip_prefix("tcp:").filter(|_| pair.starts_with("tcp:0;")) {
            Some(port) => format!("OKAY{}", prefixed(port)),
            None => "OKAY".to_owned(),
        };
        self.entries.insert(
            local,
            Entry {
                remote: remote.to_owned(),
                _listening: stop.drop_guard(),
            },
        );
        Ok(reply)
    }
}

/// Sends the answer and closes the stream.
pub(super) async fn answer(mut stream: Stream, reply: String) {
    // A host that does not wait for the answer does not want it.
    if stream.send(reply.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

fn bind(local: &str, userland: &Userland) -> Result<(String, Listener), String> {
    let listen = |sockets: &AbstractSockets, name: &str| {
        sockets
            .listen(name)
            .map_err(|_| format!("cannot bind '{local}': Address already in use"))
    };
    match local.split_once(':') {
        Some(("localabstract", name)) => Ok((local.to_owned(), listen(&userland.sockets, name)?)),
        Some(("tcp", "0")) => {
            let free = |port| {
                Some((
                    format!("tcp:{port}"),
                    userland.ports.listen(&u16::to_string(&port)).ok()?,
                ))
            };
            (FIRST_FREE_PORT..=u16::MAX)
                .find_map(free)
                .ok_or_else(|| "no free port".to_owned())
        }
        Some(("tcp", port)) if port.parse::<u16>().is_ok() => {
            Ok((local.to_owned(), listen(&userland.ports, port)?))
        }
        _ => Err(format!("unknown socket specification '{local}'")),
    }
}

/// Takes programs' connections until stopped; the streams that are open then end by themselves.
async fn listen(
    mut listener: Listener,
    (connection, remote): (Connection, String),
    stop: tokio_util::sync::CancellationToken,
) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
            socket = listener.accept() => {
                if streams.len() >= MAX_STREAMS {
                    tracing::debug!(remote, "too many connections through one reverse socket");
                    continue;
                }
                // The OPEN goes out here and not in the task: a host takes several sockets in their order.
                let opening = connection.open(&remote);
                streams.spawn(async move {
                    match opening.await {
                        Ok(stream) => bridge::join(stream, socket).await,
                        Err(error) => tracing::debug!(%error, "the host refused a reverse connection"),
                    }
                });
            }
        }
    }
    drop(listener);
    while streams.join_next().await.is_some() {}
}

fn fail(text: &str) -> String {
    format!("FAIL{}", prefixed(text))
}

/// A text behind its length in four hexadecimal digits, cut to what they can say.
fn prefixed(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(0xffff)];
    format!("{:04x}{text}", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_four_hexadecimal_digits() {
        assert_eq!(fail("no"), "FAIL0002no");
        assert_eq!(prefixed(""), "0000");
        assert_eq!(prefixed(&"x".repeat(70_000)).len(), 4 + 0xffff);
    }
}
