//! The host's role: connects to a device's adbd, or through an adb server, and uses its services. It does not know what
//! the services are for, and after the beginning not which of the two ways leads to the device.
//!
//! ```text
//!   Host::connect(addr), Options::connect(addr), Server::host(serial)
//!                       ├► open("localabstract:…")  ─► Stream
//!                       ├► shell("getprop …")       ─► Output { stdout, stderr, exit }
//!                       ├► start_shell("app_process …") ─► Shell ── next() ─► Stdout | Stderr | Exit
//!                       └► push / pull / stat       (transfer.rs)
//! ```
//!
//! Shell commands use shell v2 where the device lists it, else v1, which has neither stderr nor an exit code.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::banner::{Banner, DELAYED_ACK, LS_V2, SENDRECV_V2, STAT_V2};
use crate::connection::{self, Connection, End, Incoming, OpenError};
use crate::handshake::{HANDSHAKE_TIMEOUT, HandshakeError};
use crate::host_server;
use crate::key::Key;
use crate::shell::{Decoder, Frame, FrameError};
use crate::socket::{self, GONE_AFTER};
use crate::stream::{Stream, WriteError};
use crate::tls::DeviceTrust;
use crate::window::Window;
use crate::witness::Witness;

/// Most bytes that [`Host::shell`] collects of stdout and of stderr each. Reached: [`ShellError::TooMuchOutput`];
/// use [`Host::start_shell`] for a command that talks a lot.
pub const MAX_SHELL_OUTPUT: usize = 4 * 1024 * 1024;
/// What this host can do and says so. A device serves shell v2 and stat v2 only to hosts that list them.
const FEATURES: [&str; 7] = [
    "shell_v2",
    "cmd",
    STAT_V2,
    LS_V2,
    "fixed_push_mkdir",
    SENDRECV_V2,
    DELAYED_ACK,
];

/// How a host connects.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it can do and says so; without `delayed_ack` the classic flow control of one packet per OKAY is used.
    pub features: Vec<String>,
    /// Its keys, the most likely first, for devices that ask for one. The first is what a new device is asked to accept.
    pub keys: Vec<Key>,
    /// Which devices it trusts inside of TLS.
    pub trust: DeviceTrust,
    /// What it lets a device send on each stream, with delayed ack.
    pub window: Window,
    /// How long a device on TCP may show no sign of life before the connection ends; whole seconds, at least 1.
    pub gone_after: Duration,
    /// Sees every packet from the first one on, and what passes on the streams.
    pub witness: Option<Arc<dyn Witness>>,
}

impl Default for Options {
    /// No key, any device.
    fn default() -> Self {
        Self {
            features: FEATURES.map(str::to_owned).to_vec(),
            keys: Vec::new(),
            trust: DeviceTrust::Any,
            window: Window::default(),
            gone_after: GONE_AFTER,
            witness: None,
        }
    }
}

impl Options {
    /// Connects to a device's adbd: sets the [socket](crate::socket) up, shakes hands, and starts the task that owns it.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> Result<Host, HandshakeError> {
        self.connect_over(dial(addr, self.gone_after).await?).await
    }

    /// As [`Self::connect`], over any byte stream.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect_over<S>(&self, socket: S) -> Result<Host, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = connection::spawn_host(socket, self).await?;
        Ok(Host {
            link: Link::Direct(connection),
            witness: self.witness.clone(),
        })
    }

    pub(crate) fn banner(&self) -> Banner {
        let features: Vec<&str> = self.features.iter().map(String::as_str).collect();
        Banner::host(&features)
    }
}

/// A connection to one device; cheap to clone.
#[derive(Clone)]
pub struct Host {
    link: Link,
    witness: Option<Arc<dyn Witness>>,
}

/// The way to the device.
#[derive(Clone)]
enum Link {
    Direct(Connection),
    Server(host_server::Link),
}

/// A stream that is being opened, on either way.
enum Opening<D, S> {
    Direct(D),
    Server(S),
}

/// Why a command's output is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShellError {
    /// The shell could not be opened, or the connection is gone.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The device's frames cannot be followed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The command prints more than [`MAX_SHELL_OUTPUT`].
    #[error("the command printed more than {MAX_SHELL_OUTPUT} bytes")]
    TooMuchOutput,
    /// The shell was closed before the command told its exit code: it was killed, or the device is going down.
    #[error("the shell ended without an exit code")]
    NoExitCode,
}

impl From<End> for ShellError {
    fn from(end: End) -> Self {
        Self::Open(OpenError::Ended(end))
    }
}

/// What a command printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its error output; with shell v1 this is part of `stdout`.
    pub stderr: Vec<u8>,
    /// Its exit code; `None` with shell v1, which does not tell.
    pub exit: Option<u8>,
}

impl Host {
    /// [`Options::connect`] with the default options.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect(addr: impl ToSocketAddrs) -> Result<Self, HandshakeError> {
        Options::default().connect(addr).await
    }

    /// [`Options::connect_over`] with the default options.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect_over<S>(socket: S) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Options::default().connect_over(socket).await
    }

    /// [`Options::connect_over`] with these features.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect_with<S>(socket: S, features: &[&str]) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let options = Options {
            features: features.iter().map(|&feature| feature.to_owned()).collect(),
            ..Options::default()
        };
        options.connect_over(socket).await
    }

    pub(crate) fn through(link: host_server::Link) -> Self {
        Self {
            link: Link::Server(link),
            witness: None,
        }
    }

    /// The same connection, with somebody who sees what passes on the streams that are opened on it. Packets are seen by
    /// the witness of [`Options`] only.
    #[must_use]
    pub fn watched(self, witness: Arc<dyn Witness>) -> Self {
        Self {
            witness: Some(witness),
            ..self
        }
    }

    /// Opens a stream to a service, e.g. `localabstract:scrcpy_0000abcd`.
    ///
    /// On a direct connection the OPEN is sent by the call itself, so that calls one after the other arrive in their
    /// order; the future waits for the answer. Through an adb server each stream is a connection of its own, which
    /// the future makes: where order matters, wait for one before the next.
    ///
    /// # Errors
    /// [`OpenError`]: refused by the device, no room, or the connection ended.
    pub fn open(&self, service: &str) -> impl Future<Output = Result<Stream, OpenError>> + Send + use<> {
        let opening = match &self.link {
            Link::Direct(connection) => Opening::Direct(connection.open(service)),
            Link::Server(link) => Opening::Server(link.clone().open(service.to_owned())),
        };
        let watch = self
            .witness
            .as_ref()
            .map(|witness| (Arc::clone(witness), service.to_owned()));
        async move {
            let stream = match opening {
                Opening::Direct(opening) => opening.await?,
                Opening::Server(opening) => opening.await?,
            };
            Ok(match watch {
                Some((witness, service)) => stream.watched(witness, &service),
                None => stream,
            })
        }
    }

    /// Runs a command to its end and collects what it prints. The device's shell expands `command`: quote what comes
    /// from outside.
    ///
    /// # Errors
    /// [`ShellError`] when the output is not known as a whole.
    pub async fn shell(&self, command: &str) -> Result<Output, ShellError> {
        let mut shell = self.start_shell(command).await?;
        let mut output = Output::default();
        loop {
            let (collected, data) = match shell.next().await? {
                Some(ShellEvent::Stdout(data)) => (&mut output.stdout, data),
                Some(ShellEvent::Stderr(data)) => (&mut output.stderr, data),
                Some(ShellEvent::Exit(code)) => {
                    output.exit = Some(code);
                    return Ok(output);
                }
                None if shell.decoder.is_none() => return Ok(output),
                None => return Err(ShellError::NoExitCode),
            };
            if collected.len() + data.len() > MAX_SHELL_OUTPUT {
                return Err(ShellError::TooMuchOutput);
            }
            collected.extend_from_slice(&data);
        }
    }

    /// Starts a command. Dropping the [`Shell`] hangs up on it.
    ///
    /// # Errors
    /// [`OpenError`]: refused by the device, no room, or the connection ended.
    pub async fn start_shell(&self, command: &str) -> Result<Shell, OpenError> {
        let v2 = self.banner().has("shell_v2");
        let service = if v2 {
            format!("shell,v2,raw:{command}")
        } else {
            format!("shell:{command}")
        };
        let stream = self.open(&service).await?;
        Ok(Shell {
            stream,
            decoder: v2.then(Decoder::default),
        })
    }

    /// Starts a command, or with an empty one the device's own shell, behind a terminal of this size. Only shell v2 can
    /// do that; with v1 every command has a terminal, of a size that nobody can set.
    ///
    /// # Errors
    /// [`TerminalError`]: refused by the device, no room, or the connection ended.
    pub async fn start_terminal(&self, command: &str, size: TerminalSize) -> Result<Shell, TerminalError> {
        if !self.banner().has("shell_v2") {
            return Ok(self.start_shell(command).await?);
        }
        let stream = self
            .open(&format!("shell,v2,TERM={TERMINAL},pty:{command}"))
            .await?;
        let mut shell = Shell {
            stream,
            decoder: Some(Decoder::default()),
        };
        shell.resize(size).await?;
        Ok(shell)
    }

    /// Takes the device's OPENs from now on, as needed after `reverse:forward`. Until then they are refused. `None`
    /// through an adb server, which takes them itself and leads them to a TCP port of its own machine.
    #[must_use]
    pub fn incoming(&self) -> Option<Incoming> {
        match &self.link {
            Link::Direct(connection) => Some(Incoming::new(connection)),
            Link::Server(_) => None,
        }
    }

    /// Who the device says it is.
    #[must_use]
    pub fn banner(&self) -> &Banner {
        match &self.link {
            Link::Direct(connection) => connection.banner(),
            Link::Server(link) => link.banner(),
        }
    }

    /// Why the connection ended; `None` while it lives. Through an adb server this is known when a stream could not
    /// be opened.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        match &self.link {
            Link::Direct(connection) => connection.end(),
            Link::Server(link) => link.end(),
        }
    }

    /// Closes the connection and all its streams; through an adb server, which owns the connection, no new streams
    /// are opened, and each of the others lives until it is dropped.
    pub fn close(self) {
        match self.link {
            Link::Direct(connection) => connection.close(),
            Link::Server(link) => link.close(),
        }
    }
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Why there is no terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TerminalError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was closed before it knew its size.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A command that runs.
pub struct Shell {
    stream: Stream,
    /// None with shell v1, where all bytes are output.
    decoder: Option<Decoder>,
}

/// What a running command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellEvent {
    /// Prints.
    Stdout(Bytes),
    /// Prints an error.
    Stderr(Bytes),
    /// Ends, with its code; 128 + n for signal n.
    Exit(u8),
}

impl Shell {
    /// The next event; `None` when the device closed the shell. Safe to cancel.
    ///
    /// # Errors
    /// [`ShellError`] when the connection ended or frames cannot be followed.
    pub async fn next(&mut self) -> Result<Option<ShellEvent>, ShellError> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                match decoder.next_frame()? {
                    Some(Frame::Stdout(data)) => return Ok(Some(ShellEvent::Stdout(data))),
                    Some(Frame::Stderr(data)) => return Ok(Some(ShellEvent::Stderr(data))),
                    Some(Frame::Exit(code)) => return Ok(Some(ShellEvent::Exit(code))),
                    // Frames of the other direction say nothing to a host.
                    Some(Frame::Stdin(_) | Frame::CloseStdin | Frame::WindowSize(_)) => continue,
                    None => {}
                }
            }
            match (self.stream.read_chunk().await?, &mut self.decoder) {
                (None, _) => return Ok(None),
                (Some(chunk), None) => return Ok(Some(ShellEvent::Stdout(chunk))),
                (Some(chunk), Some(decoder)) => decoder.push(&chunk),
            }
        }
    }

    /// Gives the command input.
    ///
    /// # Errors
    /// [`WriteError`] when the command or the connection is gone.
    pub async fn send_stdin(&mut self, data: &[u8]) -> Result<(), WriteError> {
        if self.decoder.is_none() {
            return self.stream.send(data).await;
        }
        for piece in data.chunks(STDIN_FRAME) {
            self.send_frame(&Frame::Stdin(Bytes::copy_from_slice(piece)))
                .await?;
        }
        Ok(())
    }

    /// Tells the command that no more input comes. Shell v1 cannot tell that, and nothing happens.
    ///
    /// # Errors
    /// [`WriteError`] when the command or the connection is gone.
    pub async fn close_stdin(&mut self) -> Result<(), WriteError> {
        match self.decoder {
            Some(_) => self.send_frame(&Frame::CloseStdin).await,
            None => Ok(()),
        }
    }

    /// Tells the command's terminal its size. Shell v1 cannot tell that, and nothing happens.
    ///
    /// # Errors
    /// [`WriteError`] when the command or the connection is gone.
    pub async fn resize(&mut self, size: TerminalSize) -> Result<(), WriteError> {
        if self.decoder.is_none() {
            return Ok(());
        }
        // The size in pixels, which nothing here knows, is zero as for most terminals.
        let text = format!("{}x{},0x0\0", size.rows, size.columns);
        self.send_frame(&Frame::WindowSize(text.into())).await
    }

    async fn send_frame(&mut self, frame: &Frame) -> Result<(), WriteError> {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        self.stream.send(&out).await
    }
}

/// What kind of terminal a command is told to have.
const TERMINAL: &str = "xterm-256color";
/// Bytes of input in one frame; any value well below a WRTE does.
const STDIN_FRAME: usize = 32 * 1024;

/// A socket that sends at once: a touch is smaller than a packet and must not wait for the next one.
async fn dial(addr: impl ToSocketAddrs, gone_after: Duration) -> Result<TcpStream, HandshakeError> {
    let connecting = tokio::time::timeout(HANDSHAKE_TIMEOUT, TcpStream::connect(addr));
    let socket = connecting.await.map_err(|_| HandshakeError::Timeout)??;
    socket::prepare(&socket, gone_after)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_hosts_socket_sends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = dial(listener.local_addr().unwrap(), GONE_AFTER).await.unwrap();
        assert!(socket.nodelay().unwrap());
    }
}
