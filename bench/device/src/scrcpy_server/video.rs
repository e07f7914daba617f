//! Writes a capture to the video socket, in the framing of the version.
//!
//! Before 4.0 the size stands once in the stream header, and a new session shows only in its parameter sets; from
//! 4.0 every session is announced by a packet.

use bytes::{BufMut, Bytes, BytesMut};
use scrcpy::codec::VideoCodec;
use scrcpy::handshake;
use scrcpy::options::ServerOptions;
use scrcpy::packet::{Header, Session};
use scrcpy::version::Framing;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::End;
use crate::android::Size;
use crate::display::Packet;

pub(super) async fn send(
    mut socket: impl AsyncWrite + Unpin,
    mut packets: mpsc::Receiver<Packet>,
    framing: Framing,
    options: &ServerOptions,
) -> End {
    let mut header_sent = !options.send_stream_meta;
    while let Some(packet) = packets.recv().await {
        let mut wire = BytesMut::new();
        match packet {
            Packet::Session(size) => {
                let session = session(size);
                if !header_sent {
                    wire.put(handshake::encode_video_header(framing, VideoCodec::H264, session));
                    header_sent = true;
                }
                if let (true, Some(header)) =
                    (options.send_stream_meta, Header::Session(session).encode(framing))
                {
                    wire.put_slice(&header);
                }
            }
            Packet::Config(data) => put(
                &mut wire,
                Header::Config { len: data.len() },
                &data,
                framing,
                options,
            ),
            Packet::Frame { pts, key, data } => {
                let len = data.len();
                put(
                    &mut wire,
                    Header::Frame { pts, key, len },
                    &data,
                    framing,
                    options,
                );
            }
        }
        if socket.write_all(&wire).await.is_err() {
            return End::Closed;
        }
    }
    End::Broken("Video encoder failed".to_owned())
}

fn put(wire: &mut BytesMut, header: Header, data: &Bytes, framing: Framing, options: &ServerOptions) {
    wire.reserve(scrcpy::packet::HEADER_LEN + data.len());
    if let (true, Some(header)) = (options.send_frame_meta, header.encode(framing)) {
        wire.put_slice(&header);
    }
    wire.put_slice(data);
}

fn session(size: Size) -> Session {
    Session {
        width: size.width,
        height: size.height,
        client_resized: false,
    }
}
