//! One stream to a device as its user holds it: a stream of our own connection, or a connection of an adb server. It
//! does not know what service it talks to.
//!
//! Reading takes whole payloads as they came ([`Reader::read_chunk`], no copy) or bytes (`AsyncRead`). Taking data is
//! what acknowledges it, so a slow reader slows the sender and nobody else. adb has no half-close: CLSE ends both
//! directions, `shutdown` waits until the last write was taken and then closes, dropping closes at once.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::connection::{Anchor, End};
use crate::recording::Carrier;
use crate::slot::LocalId;
use crate::witness::{Watch, Witness};

/// Bytes that one read of a server's socket makes room for: a few video frames.
const SOCKET_CHUNK: usize = 64 * 1024;

/// A stream in both directions. Dropping it closes it.
pub struct Stream {
    reader: Reader,
    writer: Writer,
}

/// The reading half. The stream closes when both halves are gone.
pub struct Reader {
    handle: Arc<Handle>,
    /// What `AsyncRead` has taken and not yet given away.
    rest: Bytes,
}

/// The writing half. The stream closes when both halves are gone.
pub struct Writer {
    handle: Arc<Handle>,
}

/// What both halves share.
struct Handle {
    wire: Wire,
    /// Set once, right after the stream was opened.
    watch: OnceLock<Watch>,
}

/// Where the bytes go.
enum Wire {
    Own { anchor: Arc<Anchor>, id: LocalId },
    Server(TcpStream),
}

impl Handle {
    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, End>> {
        let chunk = ready!(self.wire.poll_chunk(cx));
        if let (Some(watch), Ok(Some(chunk))) = (self.watch.get(), &chunk) {
            watch.received(chunk);
        }
        Poll::Ready(chunk)
    }

    fn poll_write(&self, data: &[u8], cx: &mut Context<'_>) -> Poll<Result<Option<usize>, End>> {
        let written = ready!(self.wire.poll_write(data, cx));
        if let (Some(watch), Ok(Some(length))) = (self.watch.get(), &written) {
            watch.sent(&data[..*length]);
        }
        Poll::Ready(written)
    }
}

impl Wire {
    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, End>> {
        let socket = match self {
            Self::Own { anchor, id } => return anchor.poll_chunk(*id, cx),
            Self::Server(socket) => socket,
        };
        loop {
            ready!(socket.poll_read_ready(cx))?;
            let mut chunk = BytesMut::with_capacity(SOCKET_CHUNK);
            return Poll::Ready(match socket.try_read_buf(&mut chunk) {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some(chunk.freeze())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if is_hang_up(&error) => Ok(None),
                Err(error) => Err(error.into()),
            });
        }
    }

    /// As much of `data` as goes; `None` when the stream is closed.
    fn poll_write(&self, data: &[u8], cx: &mut Context<'_>) -> Poll<Result<Option<usize>, End>> {
        let socket = match self {
            Self::Own { anchor, id } => return anchor.poll_write(*id, data, cx),
            Self::Server(socket) => socket,
        };
        loop {
            ready!(socket.poll_write_ready(cx))?;
            return Poll::Ready(match socket.try_write(data) {
                Ok(length) => Ok(Some(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if is_hang_up(&error) => Ok(None),
                Err(error) => Err(error.into()),
            });
        }
    }

    /// Ready when closing cuts nothing off. A server takes what was written before the end that it sees.
    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Own { anchor, id } => anchor.poll_settled(*id, cx),
            Self::Server(_) => Poll::Ready(()),
        }
    }

    fn close(&self) {
        match self {
            Self::Own { anchor, id } => anchor.close(*id),
            Self::Server(socket) => {
                // A server that hung up before has closed it already.
                let _ = socket2::SockRef::from(socket).shutdown(Shutdown::Write);
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Self::Own { anchor, id } = self {
            anchor.close(*id);
        }
    }
}

/// A server hangs up on one stream only, however abruptly.
fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

impl Stream {
    pub(crate) fn new(anchor: Arc<Anchor>, id: LocalId) -> Self {
        Self::of(Wire::Own { anchor, id })
    }

    /// A stream that an adb server has joined with this socket.
    pub(crate) fn of_server(socket: TcpStream) -> Self {
        Self::of(Wire::Server(socket))
    }

    fn of(wire: Wire) -> Self {
        let handle = Arc::new(Handle {
            wire,
            watch: OnceLock::new(),
        });
        let reader = Reader {
            handle: Arc::clone(&handle),
            rest: Bytes::new(),
        };
        Self {
            reader,
            writer: Writer { handle },
        }
    }

    /// Tells this one what passes from now on. The first one stays.
    pub(crate) fn watched(self, witness: Arc<dyn Witness>, service: &str) -> Self {
        let handle = &self.writer.handle;
        let carrier = match &handle.wire {
            Wire::Own { id, .. } => Some(Carrier(id.0)),
            Wire::Server(_) => None,
        };
        handle.watch.get_or_init(|| Watch::new(witness, service, carrier));
        self
    }

    /// Splits the stream so that two tasks can use it.
    #[must_use]
    pub fn into_split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    /// See [`Reader::read_chunk`].
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn read_chunk(&mut self) -> Result<Option<Bytes>, End> {
        self.reader.read_chunk().await
    }

    /// Writes all of `data`, as `AsyncWriteExt::write_all` does, but with the error that says why.
    ///
    /// # Errors
    /// See [`Writer::send`].
    pub async fn send(&mut self, data: &[u8]) -> Result<(), WriteError> {
        self.writer.send(data).await
    }
}

/// Why data was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The peer closed this stream. What it sent before can still be read.
    #[error("the peer closed the stream")]
    Closed,
    /// The connection is gone: connect again.
    #[error(transparent)]
    Ended(#[from] End),
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Closed => Self::new(io::ErrorKind::BrokenPipe, error),
            WriteError::Ended(_) => Self::new(io::ErrorKind::ConnectionAborted, error),
        }
    }
}

impl Reader {
    /// The next data, never empty, in the peer's own portions (up to 1 MiB); `None` when the peer closed the stream.
    /// Safe to cancel.
    ///
    /// # Errors
    /// Why the connection ended, after everything that came before was read.
    pub async fn read_chunk(&mut self) -> Result<Option<Bytes>, End> {
        if self.rest.has_remaining() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        poll_fn(|cx| self.handle.poll_chunk(cx)).await
    }
}

impl Writer {
    /// Writes all of `data`: returns when it is queued for the socket and the peer's window allowed it.
    ///
    /// # Errors
    /// [`WriteError`]; how much was written before is not told.
    pub async fn send(&mut self, mut data: &[u8]) -> Result<(), WriteError> {
        while !data.is_empty() {
            let written = poll_fn(|cx| self.handle.poll_write(data, cx)).await?;
            data = &data[written.ok_or(WriteError::Closed)?..];
        }
        Ok(())
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.rest.is_empty() {
            match ready!(self.handle.poll_chunk(cx)) {
                Ok(Some(chunk)) => self.rest = chunk,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(end) => return Poll::Ready(Err(WriteError::Ended(end).into())),
            }
        }
        let length = buf.remaining().min(self.rest.len());
        buf.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.handle.poll_write(data, cx)) {
            Ok(Some(length)) => Poll::Ready(Ok(length)),
            Ok(None) => Poll::Ready(Err(WriteError::Closed.into())),
            Err(end) => Poll::Ready(Err(WriteError::Ended(end).into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends what is queued without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.handle.wire.poll_settled(cx));
        self.handle.wire.close();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
