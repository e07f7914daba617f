//! An address that stays a test's own while its control is stopped.
//!
//! The TCP port is held by a socket that never listens: Linux lets control listen on it beside that, and gives it to
//! nobody who asks for any port. UDP knows no such hold. There the old control itself is the last to have it: QUIC's
//! own tasks keep the socket for some turns of the scheduler after the endpoint was given up.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use tokio::net::TcpSocket;

use super::DEADLINE;

pub struct Port {
    pub address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    /// One that is free for TCP and UDP.
    pub fn free() -> Self {
        loop {
            let held = TcpSocket::new_v4().unwrap();
            held.set_reuseaddr(true).unwrap();
            held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let address = held.local_addr().unwrap();
            if UdpSocket::bind(address).is_ok() {
                return Self { address, _held: held };
            }
        }
    }

    /// Waits until the last that served here is gone.
    pub async fn left(&self) {
        let left = async {
            while UdpSocket::bind(self.address).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, left)
            .await
            .expect("the port is never freed");
    }
}
