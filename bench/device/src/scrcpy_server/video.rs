//! Writes a capture to the video socket, in the framing of the version.
//!
//! Before 4.0 the size stands once in the stream header, and a new session shows only in its parameter sets; from
//! 4.0 every session is announced by a packet.

use bytes::{BufMut, Bytes, BytesMut};
use scrcpy::codec::VideoCodec;
use scrcpy::handshake;
use scrcpy::options::ServerOptions;
use scrcpy::packet::{HEADER_LEN, Header, Session};
use scrcpy::version::Framing;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::End;
use crate::android::Size;
use crate::display::Packet;
use crate::fault::Plan;

pub(super) async fn send(
    socket: impl AsyncWrite + Unpin,
    mut packets: mpsc::Receiver<Packet>,
    framing: Framing,
    options: &ServerOptions,
    plan: &Plan,
    resized: impl Fn() -> bool,
) -> End {
    let mut stream = Stream {
        socket,
        framing,
        options,
        plan,
        resized,
        header_sent: false,
        pictures: 0,
    };
    while let Some(packet) = packets.recv().await {
        let sent = match packet {
            Packet::Failed { size, why } => match stream.failed(size).await {
                Ok(()) => return End::Broken(why),
                Err(error) => Err(error),
            },
            packet => stream.packet(packet).await,
        };
        if sent.is_err() {
            return End::Closed;
        }
    }
    End::Broken("Video encoder failed".to_owned())
}

struct Stream<'a, S, R> {
    socket: S,
    framing: Framing,
    options: &'a ServerOptions,
    plan: &'a Plan,
    /// Whether the session that begins is the client's doing.
    resized: R,
    header_sent: bool,
    /// Written so far.
    pictures: u32,
}

impl<S: AsyncWrite + Unpin, R: Fn() -> bool> Stream<'_, S, R> {
    async fn packet(&mut self, packet: Packet) -> std::io::Result<()> {
        let wire = match packet {
            Packet::Session(size) => self.session(size).await,
            Packet::Failed { .. } => return Ok(()),
            Packet::Config(data) => self.wire(Header::Config { len: data.len() }, &data),
            Packet::Frame { pts, key, data } => {
                self.faults().await?;
                self.pictures += 1;
                let len = data.len();
                self.wire(Header::Frame { pts, key, len }, &data)
            }
        };
        self.socket.write_all(&wire).await
    }

    /// The codec stands on the socket before a size is known from 4.0, and before with the size.
    async fn failed(&mut self, size: Option<Size>) -> std::io::Result<()> {
        let known = size.is_some() || self.framing == Framing::Session;
        if self.header_sent || !self.options.send_stream_meta || !known {
            return Ok(());
        }
        let session = Session {
            width: size.map_or(0, |size| size.width),
            height: size.map_or(0, |size| size.height),
            client_resized: false,
        };
        let header = handshake::encode_video_header(self.framing, VideoCodec::H264, session);
        self.socket.write_all(&header).await
    }

    async fn session(&mut self, size: Size) -> BytesMut {
        let session = Session {
            width: size.width,
            height: size.height,
            client_resized: (self.resized)(),
        };
        let mut wire = BytesMut::new();
        let first = !std::mem::replace(&mut self.header_sent, true);
        if !first {
            tokio::time::sleep(self.plan.session_late).await;
        }
        if !self.options.send_stream_meta {
            return wire;
        }
        if first {
            wire.put(handshake::encode_video_header(
                self.framing,
                VideoCodec::H264,
                session,
            ));
        }
        if let Some(header) = Header::Session(session).encode(self.framing) {
            wire.put_slice(&header);
        }
        wire
    }

    /// What is to go wrong before this picture.
    async fn faults(&mut self) -> std::io::Result<()> {
        let now = self.pictures;
        if let Some((at, lasts)) = self.plan.stall
            && at == now
        {
            tokio::time::sleep(lasts).await;
        }
        if let Some((at, garbage)) = &self.plan.video_garbage
            && *at == now
        {
            self.socket.write_all(garbage).await?;
        }
        if self.plan.huge_length == Some(now) {
            // The time and flags of a plain picture; only the length is false.
            let mut header = [0; HEADER_LEN];
            header[8..].fill(0xff);
            self.socket.write_all(&header).await?;
        }
        Ok(())
    }

    fn wire(&self, header: Header, data: &Bytes) -> BytesMut {
        let mut wire = BytesMut::with_capacity(HEADER_LEN + data.len());
        if let (true, Some(header)) = (self.options.send_frame_meta, header.encode(self.framing)) {
            wire.put_slice(&header);
        }
        wire.put_slice(data);
        wire
    }
}
