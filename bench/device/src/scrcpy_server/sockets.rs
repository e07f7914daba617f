//! Opens the server's sockets in the order video, audio, control, and greets on the first one.
//!
//! ```text
//!   forward   listen ── accept first ── dummy byte ── accept the others ── stop listening ── device name
//!   reverse   connect first ── connect the others ── device name
//! ```

use scrcpy::handshake::{self, DUMMY_BYTE};
use scrcpy::options::ServerOptions;
use tokio::io::AsyncWriteExt;

use super::Fatal;
use crate::abstract_sockets::{AbstractSockets, Listener, Socket};

/// An open socket of the server.
pub(super) type Open = Socket;

/// The sockets that the options ask for.
pub(super) struct Sockets {
    pub(super) video: Option<Open>,
    pub(super) audio: Option<Open>,
    pub(super) control: Option<Open>,
}

pub(super) async fn open(
    sockets: &AbstractSockets,
    options: &ServerOptions,
    device_name: &str,
) -> Result<Sockets, Fatal> {
    let name = handshake::socket_name(options.scid);
    let mut source = match options.tunnel_forward {
        true => Source::Listen(sockets.listen(&name)?),
        false => Source::Connect(sockets, &name),
    };
    let mut opened: Vec<Open> = Vec::new();
    for wanted in [options.video, options.audio, options.control] {
        if wanted {
            let mut socket = source.next().await?;
            if options.tunnel_forward && options.send_dummy_byte && opened.is_empty() {
                socket.write_all(&[DUMMY_BYTE]).await?;
            }
            opened.push(socket);
        }
    }
    drop(source);
    if let (true, Some(first)) = (options.send_device_meta, opened.first_mut()) {
        first
            .write_all(&handshake::encode_device_name(device_name))
            .await?;
    }
    let mut opened = opened.into_iter();
    let mut next = |wanted: bool| if wanted { opened.next() } else { None };
    Ok(Sockets {
        video: next(options.video),
        audio: next(options.audio),
        control: next(options.control),
    })
}

enum Source<'a> {
    Listen(Listener),
    Connect(&'a AbstractSockets, &'a str),
}

impl Source<'_> {
    async fn next(&mut self) -> Result<Open, Fatal> {
        match self {
            Self::Listen(listener) => Ok(listener.accept().await),
            Self::Connect(sockets, name) => Ok(sockets.connect(name)?),
        }
    }
}
