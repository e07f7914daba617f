//! The UDP socket of a dial: connected, so that it hears when nobody listens at the other end.
//!
//! ```text
//!   quinn ── datagram ──► socket ── connect()ed ──► control's machine
//!                           │                            │ no process has the port
//!                SO_ERROR: ECONNREFUSED ◄── ICMP port unreachable (RFC 792)
//! ```
//!
//! QUIC itself ignores ICMP, and rightly so for a server: an unconnected socket never hears of it. For an agent it is
//! the fastest news that there is: a control that was killed is missed at the next datagram instead of after a timeout,
//! and a dial that nobody takes ends at once instead of waiting for a retransmission. Linux gives out only what quotes
//! our own addresses and ports, and whoever could forge that costs us a dial and no session.
//!
//! The error is asked for around each send: an event queue reports it as neither readable nor writable, and sending
//! would swallow it. It does not know what is sent.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime, UdpPoller};
use tokio_util::sync::CancellationToken;

/// A socket for one peer.
#[derive(Debug)]
pub(super) struct Ear {
    socket: Arc<dyn AsyncUdpSocket>,
    /// The same socket, to be asked for its error.
    asked: UdpSocket,
    refused: CancellationToken,
}

impl Ear {
    /// A socket to this peer. The token is cancelled once nobody listens there.
    pub(super) fn to(peer: SocketAddr) -> io::Result<(Self, CancellationToken)> {
        let local: SocketAddr = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let asked = UdpSocket::bind(local)?;
        // Elsewhere than on Linux a connected socket takes no datagram with an address, which QUIC always gives.
        if cfg!(target_os = "linux") {
            asked.connect(peer)?;
        }
        let socket = TokioRuntime.wrap_udp_socket(asked.try_clone()?)?;
        let refused = CancellationToken::new();
        let ear = Self {
            socket,
            asked,
            refused: refused.clone(),
        };
        Ok((ear, refused))
    }

    fn listen(&self) {
        let error = self.asked.take_error().ok().flatten();
        if error.is_some_and(|error| is_refusal(&error)) {
            self.refused.cancel();
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

impl AsyncUdpSocket for Ear {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.listen();
        let sent = self.socket.try_send(transmit);
        // On this machine the answer is there before the call is back.
        self.listen();
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.socket.poll_recv(cx, buffers, meta) {
                // The endpoint would end over it; whoever dialled decides.
                Poll::Ready(Err(error)) if is_refusal(&error) => self.refused.cancel(),
                other => return other,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
