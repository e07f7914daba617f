//! A host's connection, with what the network may do to it.
//!
//! ```text
//!   Sound ── cut after ──► Cut         the socket is reset; whoever reads or writes learns it at once
//!     └── vanishes after ──► Leaving ──► Gone     nothing comes in, nothing goes out, and no FIN tells it
//!                            what is on its way     the host's kernel gets no answer any more
//!                            is let through
//! ```
//!
//! While it is sound, [bytes](nonsense) may come between two packets that no daemon sends.
//!
//! A peer that is gone cannot be played by a process that merely sleeps: its kernel would go on to acknowledge. So the
//! socket gets a filter that drops every segment before TCP sees it. This file does not know adb, but for where its packets
//! end.

mod nonsense;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use adb::socket::GONE_AFTER;
use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::fault::LinkPlan;
use nonsense::Nonsense;

/// How long what was written may wait for its acknowledgement, which Linux delays by at most 200 ms: what is repeated
/// after the peer is gone would be a sign of life.
const LEAVING: Duration = Duration::from_millis(500);
/// How long a connection that is gone is held, so that no FIN tells it; longer than any host waits.
const GONE: Duration = Duration::from_secs(120);
/// Return 0 from the filter: keep nothing of the segment.
const DROP_ALL: [SockFilter; 1] = [SockFilter::new(6, 0, 0, 0)];

/// A socket to a host.
pub(super) struct Link {
    socket: TcpStream,
    state: State,
    nonsense: Option<Nonsense>,
}

enum State {
    Sound,
    /// Until it is cut.
    ToBeCut(Pin<Box<Sleep>>),
    /// Until it begins to vanish.
    ToVanish(Pin<Box<Sleep>>),
    /// Until it is gone.
    Leaving(Pin<Box<Sleep>>),
    /// Until it may be dropped.
    Gone(Pin<Box<Sleep>>),
    Cut,
}

impl Link {
    pub(super) fn new(socket: TcpStream, plan: LinkPlan) -> io::Result<Self> {
        match plan.vanishes_after {
            // Its own probes would be a sign of life.
            Some(_) => socket.set_nodelay(true)?,
            None => adb::socket::prepare(&socket, GONE_AFTER)?,
        }
        let state = match (plan.cut_after, plan.vanishes_after) {
            (Some(cut), Some(vanishes)) if vanishes < cut => State::ToVanish(Box::pin(sleep(vanishes))),
            (Some(cut), _) => State::ToBeCut(Box::pin(sleep(cut))),
            (None, Some(vanishes)) => State::ToVanish(Box::pin(sleep(vanishes))),
            (None, None) => State::Sound,
        };
        let nonsense = plan.nonsense;
        let nonsense = nonsense.map(|(after, bytes)| Nonsense::new(Instant::now() + after, bytes));
        Ok(Self {
            socket,
            state,
            nonsense,
        })
    }

    /// Ready when the socket may be used as any other; pending for what it may not any more.
    fn poll_usable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.state = match &mut self.state {
                State::Sound => return Poll::Ready(Ok(())),
                State::Cut => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                State::ToBeCut(time) => match time.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Ready(Ok(())),
                    Poll::Ready(()) => {
                        // Closed with this, a socket is reset.
                        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))?;
                        State::Cut
                    }
                },
                State::ToVanish(time) => match time.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Ready(Ok(())),
                    Poll::Ready(()) => State::Leaving(Box::pin(sleep(LEAVING))),
                },
                State::Leaving(time) => {
                    ready!(time.as_mut().poll(cx));
                    SockRef::from(&self.socket).attach_filter(&DROP_ALL)?;
                    State::Gone(Box::pin(sleep(GONE)))
                }
                State::Gone(time) => {
                    ready!(time.as_mut().poll(cx));
                    State::Cut
                }
            };
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_usable(cx))?;
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_usable(cx))?;
        let Self { socket, nonsense, .. } = &mut *self;
        let Some(comes) = nonsense else {
            return Pin::new(socket).poll_write(cx, data);
        };
        while let Some(bytes) = comes.due(Instant::now()) {
            let written = ready!(Pin::new(&mut *socket).poll_write(cx, bytes))?;
            comes.came(written);
        }
        let packet = &data[..data.len().min(comes.left())];
        let written = ready!(Pin::new(socket).poll_write(cx, packet))?;
        comes.passed(&packet[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state {
            State::Sound | State::ToBeCut(_) | State::ToVanish(_) => {
                Pin::new(&mut self.socket).poll_shutdown(cx)
            }
            // Nothing is said goodbye to.
            State::Cut => Poll::Ready(Ok(())),
            State::Leaving(_) | State::Gone(_) => self.poll_usable(cx).map(|_| Ok(())),
        }
    }
}
