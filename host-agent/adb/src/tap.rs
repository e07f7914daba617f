//! The packets of a connection as they pass its socket, told to a witness: a byte stream around a byte stream.
//!
//! ```text
//!   handshake, driver ──► Tap ──► socket, or TLS
//!                          │      a packet's last byte was read, or was taken by the socket
//!                          └────► Witness::packet(direction, header, what it says itself)
//! ```
//!
//! What a packet says itself is what belongs to no stream: a banner, a token, a service's name, a window. What streams
//! carry is seen where they are read and written ([`crate::witness`]) and is only counted here.
//!
//! It changes nothing and holds nothing back. Bytes that are no packet end the view of their direction; the connection
//! does not outlive them either. It does not know what packets mean.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::packet::{Command, HEADER_LEN, Header, Packet};
use crate::recording::{Direction, Passed, SAID_MAX};
use crate::witness::Witness;

/// A byte stream whose packets somebody may see.
pub(crate) struct Tap<S> {
    socket: S,
    view: Option<View>,
}

/// Who sees them, and where both directions are.
struct View {
    witness: Arc<dyn Witness>,
    read: Follower,
    written: Follower,
}

impl<S> Tap<S> {
    pub(crate) fn new(socket: S, witness: Option<Arc<dyn Witness>>) -> Self {
        let view = witness.map(|witness| View {
            witness,
            read: Follower::default(),
            written: Follower::default(),
        });
        Self { socket, view }
    }

    /// What is inside, and who saw it.
    pub(crate) fn into_parts(self) -> (S, Option<Arc<dyn Witness>>) {
        (self.socket, self.view.map(|view| view.witness))
    }
}

impl View {
    fn pass(&mut self, direction: Direction, bytes: &[u8]) {
        let follower = match direction {
            Direction::FromDevice => &mut self.read,
            Direction::ToDevice => &mut self.written,
        };
        follower.pass(bytes, |header, said| {
            self.witness.packet(Passed {
                direction,
                header,
                said,
            });
        });
    }
}

/// Follows the packets of one direction.
#[derive(Default)]
struct Follower {
    at: At,
}

/// Where in the packets it is.
enum At {
    /// So many bytes of a header have passed.
    Header([u8; HEADER_LEN], usize),
    /// This packet's payload passes; so many bytes of it are to come.
    Payload {
        header: Header,
        left: usize,
        said: BytesMut,
    },
    /// What passes is no packet.
    Lost,
}

impl Default for At {
    fn default() -> Self {
        Self::Header([0; HEADER_LEN], 0)
    }
}

impl Follower {
    /// Takes the next bytes; tells of each packet that ends in them.
    fn pass(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Header, Bytes)) {
        while !bytes.is_empty() {
            match &mut self.at {
                At::Lost => return,
                At::Header(header, passed) => {
                    let part = take(&mut bytes, HEADER_LEN - *passed);
                    header[*passed..*passed + part.len()].copy_from_slice(part);
                    *passed += part.len();
                    if *passed == HEADER_LEN {
                        self.at = match Header::parse(header) {
                            Ok(header) => At::Payload {
                                header,
                                left: header.length,
                                said: BytesMut::new(),
                            },
                            Err(_) => At::Lost,
                        };
                    }
                }
                At::Payload { header, left, said } => {
                    let part = take(&mut bytes, *left);
                    *left -= part.len();
                    if says_it_itself(header.command) {
                        let room = SAID_MAX - said.len();
                        said.extend_from_slice(&part[..part.len().min(room)]);
                    }
                }
            }
            // Here and not above, for many packets have no payload.
            if let At::Payload {
                header,
                left: 0,
                said,
            } = &mut self.at
            {
                seen(*header, std::mem::take(said).freeze());
                self.at = At::default();
            }
        }
    }
}

/// Whether a packet's payload belongs to no stream.
fn says_it_itself(command: Command) -> bool {
    match command {
        Command::Cnxn | Command::Auth | Command::Open | Command::Okay => true,
        Command::Wrte | Command::Clse | Command::Stls => false,
    }
}

/// At most so many bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(most.min(bytes.len()));
    *bytes = rest;
    part
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if let (Some(view), Poll::Ready(Ok(()))) = (&mut self.view, &read) {
            view.pass(Direction::FromDevice, &buf.filled()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, data);
        if let (Some(view), Poll::Ready(Ok(length))) = (&mut self.view, &written) {
            view.pass(Direction::ToDevice, &data[..*length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// For fuzzing: any bytes, in portions as long as the first one says, are seen as the packets that a peer decodes.
pub fn fuzz(bytes: &[u8]) {
    let Some((&portion, bytes)) = bytes.split_first() else {
        return;
    };
    let (mut follower, mut seen) = (Follower::default(), Vec::new());
    for part in bytes.chunks(usize::from(portion).max(1)) {
        follower.pass(part, |header, said| seen.push((header, said)));
    }
    let mut buffer = BytesMut::from(bytes);
    let mut decoded = Vec::new();
    while let Ok(header) = Header::parse(&buffer)
        && let Ok(Some(packet)) = Packet::decode(&mut buffer)
    {
        let said = match says_it_itself(packet.command) {
            true => packet.payload.slice(..packet.payload.len().min(SAID_MAX)),
            false => Bytes::new(),
        };
        decoded.push((header, said));
    }
    assert_eq!(seen, decoded);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Sum, encode};

    /// One packet of each kind, long ones among them.
    fn packets() -> BytesMut {
        let mut out = BytesMut::new();
        let long = vec![b'x'; SAID_MAX + 100];
        for (command, payload) in [
            (Command::Cnxn, &b"host::features=cmd"[..]),
            (Command::Stls, b""),
            (Command::Auth, &[7; 20]),
            (Command::Open, b"shell:\0"),
            (Command::Okay, b""),
            (Command::Open, &long),
            (Command::Okay, &[1, 0, 0, 0]),
            (Command::Wrte, &long),
            (Command::Clse, b"!"),
        ] {
            encode(&mut out, command, (1, 2), payload, Sum::Written);
        }
        out
    }

    #[test]
    fn packets_are_seen_whole_wherever_reads_and_writes_cut_them() {
        for portion in 1..=u8::MAX {
            let mut bytes = vec![portion];
            bytes.extend_from_slice(&packets());
            fuzz(&bytes);
        }
    }

    #[test]
    fn of_a_packet_there_is_the_header_and_only_what_no_stream_has() {
        let mut seen = Vec::new();
        Follower::default().pass(&packets(), |header, said| seen.push((header, said)));
        let told: Vec<_> = seen
            .iter()
            .map(|(header, said)| (header.length, said.len()))
            .collect();
        let long = SAID_MAX + 100;
        let golden = [
            (18, 18),
            (0, 0),
            (20, 20),
            (7, 7),
            (0, 0),
            (long, SAID_MAX),
            (4, 4),
            (long, 0),
            (1, 0),
        ];
        assert_eq!(told, golden);
        assert_eq!(seen[2].0.check, 140);
        assert_eq!(seen[7].0.check, u32::from(b'x') * long as u32);
    }

    #[test]
    fn what_is_no_packet_ends_the_view_of_it() {
        let mut seen = 0;
        let mut follower = Follower::default();
        let mut bytes = packets();
        bytes.extend_from_slice(&[0xff; 30]);
        bytes.extend_from_slice(&packets());
        follower.pass(&bytes, |_, _| seen += 1);
        follower.pass(&packets(), |_, _| seen += 1);
        assert_eq!(seen, 9);
    }
}
