//! The host's role without an adb server in between: connects to a device's adbd and uses its services. It does not
//! know what the services are for.
//!
//! ```text
//!   Host::connect(addr) ─► open("localabstract:…")  ─► Stream
//!                       ├► shell("getprop …")       ─► Output { stdout, stderr, exit }
//!                       ├► start_shell("app_process …") ─► Shell ── next() ─► Stdout | Stderr | Exit
//!                       └► push / pull / stat       (transfer.rs)
//! ```
//!
//! Shell commands use shell v2 where the device lists it, else v1, which has neither stderr nor an exit code.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::banner::{Banner, DELAYED_ACK};
use crate::connection::{self, Connection, End, HandshakeError, Incoming, OpenError};
use crate::shell::{Decoder, Frame, FrameError};
use crate::stream::{Stream, WriteError};

/// Most bytes that [`Host::shell`] collects of stdout and of stderr each. Reached: [`ShellError::TooMuchOutput`];
/// use [`Host::start_shell`] for a command that talks a lot.
pub const MAX_SHELL_OUTPUT: usize = 4 * 1024 * 1024;
/// What this host can do and says so. A device serves shell v2 and stat v2 only to hosts that list them.
const FEATURES: [&str; 6] = [
    "shell_v2",
    "cmd",
    "stat_v2",
    "ls_v2",
    "fixed_push_mkdir",
    DELAYED_ACK,
];

/// A connection to one device.
#[derive(Clone)]
pub struct Host {
    connection: Connection,
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
    /// Connects to a device's adbd: sets `TCP_NODELAY`, shakes hands, and starts the task that owns the socket.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect(addr: impl ToSocketAddrs) -> Result<Self, HandshakeError> {
        let connecting = tokio::time::timeout(connection::HANDSHAKE_TIMEOUT, TcpStream::connect(addr));
        let socket = connecting.await.map_err(|_| HandshakeError::Timeout)??;
        socket.set_nodelay(true)?;
        Self::connect_over(socket).await
    }

    /// As [`Self::connect`], over any byte stream.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect_over<S>(socket: S) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::connect_with(socket, &FEATURES).await
    }

    /// As [`Self::connect_over`] with the features that the host shall list; without `delayed_ack` the classic flow
    /// control of one packet per OKAY is used.
    ///
    /// # Errors
    /// [`HandshakeError`] tells whether to try again or to change the device.
    pub async fn connect_with<S>(socket: S, features: &[&str]) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = connection::spawn_host(socket, &Banner::host(features)).await?;
        Ok(Self { connection })
    }

    /// Opens a stream to a service, e.g. `localabstract:scrcpy_0000abcd`. The OPEN is sent by the call itself, so that
    /// calls one after the other arrive in their order; the future waits for the answer.
    ///
    /// # Errors
    /// [`OpenError`]: refused by the device, no room, or the connection ended.
    pub fn open(&self, service: &str) -> impl Future<Output = Result<Stream, OpenError>> + Send + use<> {
        self.connection.open(service)
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

    /// Takes the device's OPENs from now on, as needed after `reverse:forward`. Until then they are refused.
    #[must_use]
    pub fn incoming(&self) -> Incoming {
        Incoming::new(&self.connection)
    }

    /// Who the device says it is.
    #[must_use]
    pub fn banner(&self) -> &Banner {
        self.connection.banner()
    }

    /// Why the connection ended; `None` while it lives.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.connection.end()
    }

    /// Closes the connection and all its streams.
    pub fn close(self) {
        self.connection.close();
    }
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

    async fn send_frame(&mut self, frame: &Frame) -> Result<(), WriteError> {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        self.stream.send(&out).await
    }
}

/// Bytes of input in one frame; any value well below a WRTE does.
const STDIN_FRAME: usize = 32 * 1024;
