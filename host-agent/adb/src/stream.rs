//! One stream of a connection as its user holds it. It does not know what service it talks to.
//!
//! Reading takes whole payloads as they came ([`Reader::read_chunk`], no copy) or bytes (`AsyncRead`). Taking data is
//! what acknowledges it, so a slow reader slows the sender and nobody else. adb has no half-close: CLSE ends both
//! directions, `shutdown` waits until the last write was taken and then closes, dropping closes at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::{Anchor, End};
use crate::slot::LocalId;

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

struct Handle {
    anchor: Arc<Anchor>,
    id: LocalId,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.anchor.close(self.id);
    }
}

impl Stream {
    pub(crate) fn new(anchor: Arc<Anchor>, id: LocalId) -> Self {
        let handle = Arc::new(Handle { anchor, id });
        let reader = Reader {
            handle: Arc::clone(&handle),
            rest: Bytes::new(),
        };
        Self {
            reader,
            writer: Writer { handle },
        }
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
        poll_fn(|cx| self.handle.anchor.poll_chunk(self.handle.id, cx)).await
    }
}

impl Writer {
    /// Writes all of `data`: returns when it is queued for the socket and the peer's window allowed it.
    ///
    /// # Errors
    /// [`WriteError`]; how much was written before is not told.
    pub async fn send(&mut self, mut data: &[u8]) -> Result<(), WriteError> {
        while !data.is_empty() {
            let written = poll_fn(|cx| self.handle.anchor.poll_write(self.handle.id, data, cx)).await?;
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
            match ready!(self.handle.anchor.poll_chunk(self.handle.id, cx)) {
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
        match ready!(self.handle.anchor.poll_write(self.handle.id, data, cx)) {
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
        ready!(self.handle.anchor.poll_settled(self.handle.id, cx));
        self.handle.anchor.close(self.handle.id);
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
