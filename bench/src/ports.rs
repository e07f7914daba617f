//! Ports of 127.0.0.1 for parts that are started, killed and started again: nobody else gets them in between.
//!
//! ```text
//!   held socket    bind P (SO_REUSEADDR), never listens ──────────────────────────── the whole run
//!   a part         bind P (SO_REUSEADDR), listens ── SIGKILL      bind P, listens ──►
//!   others                               bind 0: the kernel never picks P for them
//! ```
//!
//! Between death and restart a port of the kernel's own range would be anybody's who asks for any port. Linux lets
//! several sockets bind one port as long as all allow it and none but one listens, and hands out no bound port. UDP
//! knows no such hold; there it is only looked whether the port is free.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use anyhow::bail;
use tokio::net::TcpSocket;

/// Tries to find a port that is free for TCP and UDP and that no adb server claims.
const PORT_TRIES: u32 = 64;
/// Ports that adb servers look for emulators on.
const CLAIMED_BY_ADB: RangeInclusive<u16> = 5555..=5585;

/// Ports that are free for TCP and UDP, none given out twice, for whoever is told.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    held: Vec<TcpSocket>,
}

impl Ports {
    pub(crate) fn free(&mut self) -> anyhow::Result<u16> {
        for _ in 0..PORT_TRIES {
            let tcp = TcpSocket::new_v4()?;
            tcp.set_reuseaddr(true)?;
            tcp.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            let address: SocketAddr = tcp.local_addr()?;
            self.held.push(tcp);
            if !CLAIMED_BY_ADB.contains(&address.port()) && UdpSocket::bind(address).is_ok() {
                return Ok(address.port());
            }
        }
        bail!("no port is free for both TCP and UDP")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed setup is a failed test")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_held_port_serves_one_part_after_the_other_and_nobody_else() {
        let mut ports = Ports::default();
        let port = ports.free().unwrap();
        // The kernel chooses among some thousands at random: so often it comes by each of them for certain.
        for _ in 0..100_000 {
            let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            assert_ne!(other.local_addr().unwrap().port(), port);
        }
        for _ in 0..2 {
            let part = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            let _caller = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            part.accept().unwrap();
        }
    }
}
