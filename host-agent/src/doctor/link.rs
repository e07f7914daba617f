//! Whether control's link answers over UDP: asked without an identity, by a version of QUIC that nobody speaks.
//!
//! ```text
//!   1200 bytes: long header · version 0x1a2a3a4a · two connection ids of 8 random bytes · zeros
//!   ◄── version 0 (negotiation) · the same two ids, swapped · the versions that are spoken
//! ```
//!
//! A server has to answer such a packet (RFC 9000, 6.1; the form of the version: 6.3), and only one that received it
//! knows the ids. So an answer proves the way there and back through every firewall, and needs no certificate. Whether
//! this host may join is not asked.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::Check;

/// How often it is asked: a datagram may be lost.
const TRIES: usize = 3;
/// How long each answer may take: the longest way around the world, twice.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// A server does not answer less, so that it cannot be made to flood others.
const DATAGRAM_LEN: usize = 1200;
/// Of the form that is kept for this.
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
const ID_LEN: usize = 8;

/// Looks whether a QUIC server answers at `HOST:PORT`.
pub async fn link(address: &str) -> Check {
    const NAME: &str = "control link";
    match ask(address).await {
        Ok(Some(from)) => Check::ok(NAME, format!("UDP {from} speaks QUIC")),
        Ok(None) => Check::fails(
            NAME,
            format!("UDP {address} does not answer"),
            "Let UDP through to control's port (it is the one of its web address unless a proxy stands in front; then \
             give it with --link), and see that control runs.",
        ),
        Err(error) => Check::fails(
            NAME,
            format!("UDP {address}: {error}"),
            "See that the name and the port are those of control.",
        ),
    }
}

async fn ask(address: &str) -> io::Result<Option<SocketAddr>> {
    let found = tokio::net::lookup_host(address).await?.next();
    let to = found.ok_or(io::ErrorKind::NotFound)?;
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    let mut ids = [0; 2 * ID_LEN];
    getrandom::fill(&mut ids).map_err(io::Error::other)?;
    let question = question(&ids);
    for _ in 0..TRIES {
        match tokio::time::timeout(ANSWER_TIMEOUT, exchange(&socket, &question, &ids)).await {
            Ok(Ok(())) => return Ok(Some(to)),
            // Nobody listens there, and its host said so.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

async fn exchange(socket: &UdpSocket, question: &[u8], ids: &[u8; 2 * ID_LEN]) -> io::Result<()> {
    socket.send(question).await?;
    let mut answer = [0; DATAGRAM_LEN];
    loop {
        let length = socket.recv(&mut answer).await?;
        if is_answer(&answer[..length], ids) {
            return Ok(());
        }
    }
}

fn question(ids: &[u8; 2 * ID_LEN]) -> [u8; DATAGRAM_LEN] {
    let mut datagram = [0; DATAGRAM_LEN];
    // Long header, fixed bit.
    datagram[0] = 0xc0;
    datagram[1..5].copy_from_slice(&NO_VERSION);
    datagram[5] = ID_LEN as u8;
    datagram[6..14].copy_from_slice(&ids[..ID_LEN]);
    datagram[14] = ID_LEN as u8;
    datagram[15..23].copy_from_slice(&ids[ID_LEN..]);
    datagram
}

/// For fuzzing: any bytes as an answer, which no bytes are for two packets.
pub(super) fn fuzz(bytes: &[u8]) {
    let answers = [[7; 2 * ID_LEN], [8; 2 * ID_LEN]].map(|ids| is_answer(bytes, &ids));
    assert!(answers != [true; 2], "one answer to two questions");
}

/// Whether this is the negotiation of versions for our packet.
fn is_answer(datagram: &[u8], ids: &[u8; 2 * ID_LEN]) -> bool {
    datagram.len() > 23
        && datagram[0] & 0x80 != 0
        && datagram[1..5] == [0; 4]
        && (datagram[5], datagram[14]) == (ID_LEN as u8, ID_LEN as u8)
        && datagram[6..14] == ids[ID_LEN..]
        && datagram[15..23] == ids[..ID_LEN]
}
