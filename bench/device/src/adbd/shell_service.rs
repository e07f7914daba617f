//! `shell…:` and `exec:` on the device: joins a host's stream with a run of the device's shell.
//!
//! ```text
//!   shell:CMD                      one stream, bytes as they are, no exit code
//!   shell,pty:CMD                  one stream as through a terminal: \n becomes \r\n
//!   shell,v2[,TERM=x][,raw]:CMD    frames: stdin, stdout, stderr, exit code
//!   shell,v2,pty:CMD               frames, but output as through a terminal
//!   exec:CMD                       one stream, bytes as they are, no exit code
//! ```
//!
//! Without a command the shell is interactive: it reads lines, and prompts and echoes when there is a terminal, where
//! Ctrl-C ends the command that runs. When the host closes the stream the command ends, as by SIGHUP.

use adb::shell::{Decoder, Frame};
use adb::{Reader, Stream, Writer};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::shell::Session;
use crate::shell::console::{Interrupt, Print, QUEUE};
use crate::shell::interactive;
use crate::shell::terminal::{self, Size};
use crate::shell::words::Fd;
use crate::userland::Userland;

/// What a host asks of the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    framing: Framing,
    terminal: Terminal,
    command: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Raw,
    V2,
}

/// Whether output goes through a terminal's line discipline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terminal {
    Yes,
    No,
}

impl Request {
    /// Reads a service name; `None` when it is none of the shell's.
    pub(super) fn parse(service: &str) -> Option<Self> {
        let (head, command) = service.split_once(':')?;
        let mut options = head.split(',');
        let name = options.next()?;
        let v2 = options.clone().any(|option| option == "v2");
        let pty = match (
            options.clone().any(|option| option == "pty"),
            options.any(|option| option == "raw"),
        ) {
            (true, _) => true,
            (false, true) => false,
            (false, false) => command.is_empty(),
        };
        let (framing, terminal) = match (name, v2) {
            ("exec", _) => (Framing::Raw, Terminal::No),
            ("shell", _) => (
                if v2 { Framing::V2 } else { Framing::Raw },
                if pty { Terminal::Yes } else { Terminal::No },
            ),
            _ => return None,
        };
        Some(Self {
            framing,
            terminal,
            command: command.to_owned(),
        })
    }
}

/// Runs the command to its end or to the host's hanging up.
pub(super) async fn serve(stream: Stream, request: Request, userland: Userland, now_s: u32) {
    let (reader, mut writer) = stream.into_split();
    if request.framing == Framing::V2
        && let Some(nonsense) = userland.faults.next_command()
        && writer.send(&nonsense).await.is_err()
    {
        return;
    }
    let (prints, to_print) = mpsc::channel(QUEUE);
    let (to_input, input) = mpsc::channel(QUEUE);
    let interrupt = Interrupt::default();
    let screen = terminal::Terminal::default();
    let running = async {
        let mut session = Session::new(userland, prints.clone(), input, now_s);
        if request.terminal == Terminal::Yes {
            session = session.on(screen.clone());
        }
        let code = match (request.command.as_str(), request.terminal) {
            ("", terminal) => interactive::run(&mut session, terminal == Terminal::Yes, &interrupt).await,
            (command, _) => session.run_interruptible(command, &interrupt).await,
        };
        drop((session, prints));
        code
    };
    let whole = async {
        let (code, writer) = tokio::join!(running, print_all(to_print, writer, &request));
        let (Ok(code), Some(mut writer)) = (code, writer) else {
            return;
        };
        if request.framing == Framing::V2 {
            let mut out = BytesMut::new();
            Frame::Exit(code).encode(&mut out);
            if writer.send(&out).await.is_err() {
                return;
            }
        }
        // The host may be gone already; then there is nobody to close towards.
        let _ = writer.shutdown().await;
    };
    tokio::select! {
        () = whole => {}
        () = feed(reader, &request, to_input, &interrupt, &screen) => {}
    }
}

/// Sends what is printed; `None` when the host is gone.
async fn print_all(
    mut prints: mpsc::Receiver<Print>,
    mut writer: Writer,
    request: &Request,
) -> Option<Writer> {
    while let Some(Print { fd, data }) = prints.recv().await {
        let data = if request.terminal == Terminal::Yes {
            with_returns(&data)
        } else {
            data
        };
        match request.framing {
            Framing::Raw => writer.send(&data).await.ok()?,
            Framing::V2 => {
                for at in (0..data.len()).step_by(FRAME_BYTES) {
                    let piece = data.slice(at..data.len().min(at + FRAME_BYTES));
                    // A terminal has one output.
                    let frame = match (fd, request.terminal) {
                        (Fd::Stderr, Terminal::No) => Frame::Stderr(piece),
                        _ => Frame::Stdout(piece),
                    };
                    let mut out = BytesMut::new();
                    frame.encode(&mut out);
                    writer.send(&out).await.ok()?;
                }
            }
        }
    }
    Some(writer)
}

/// Gives the host's input to the shell; returns when the host hangs up or cannot be understood.
async fn feed(
    mut reader: Reader,
    request: &Request,
    input: mpsc::Sender<Bytes>,
    interrupt: &Interrupt,
    screen: &terminal::Terminal,
) {
    let mut keyboard = Keyboard {
        input: Some(input),
        interrupt: (request.terminal == Terminal::Yes).then_some(interrupt),
    };
    let mut decoder = Decoder::default();
    while let Ok(Some(chunk)) = reader.read_chunk().await {
        if request.framing == Framing::Raw {
            keyboard.give(chunk).await;
            continue;
        }
        decoder.push(&chunk);
        loop {
            match decoder.next_frame() {
                Ok(Some(Frame::Stdin(data))) => keyboard.give(data).await,
                Ok(Some(Frame::CloseStdin)) => keyboard.input = None,
                Ok(Some(Frame::WindowSize(text))) => {
                    if let Some(size) = Size::parse(&text) {
                        screen.resize(size);
                    }
                }
                // What only a device says.
                Ok(Some(Frame::Stdout(_) | Frame::Stderr(_) | Frame::Exit(_))) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Where the host's input goes.
struct Keyboard<'a> {
    input: Option<mpsc::Sender<Bytes>>,
    /// Where there is a terminal, Ctrl-C is no input while a command runs.
    interrupt: Option<&'a Interrupt>,
}

impl Keyboard<'_> {
    async fn give(&self, mut data: Bytes) {
        if let Some(interrupt) = self.interrupt {
            while let Some(at) = data.iter().position(|&byte| byte == CTRL_C) {
                if !interrupt.ring() {
                    break;
                }
                // As a terminal does, it forgets what was typed before.
                data.advance(at + 1);
            }
        }
        if let Some(input) = self.input.as_ref().filter(|_| !data.is_empty()) {
            // A command that ended reads no more.
            let _ = input.send(data).await;
        }
    }
}

/// ETX, which a terminal takes for SIGINT.
const CTRL_C: u8 = 3;

/// Bytes of output in one frame; adbd's own are of this order.
const FRAME_BYTES: usize = 32 * 1024;

/// What a terminal makes of line ends.
fn with_returns(data: &Bytes) -> Bytes {
    if !data.contains(&b'\n') {
        return data.clone();
    }
    let mut out = BytesMut::with_capacity(data.len() + 64);
    for &byte in data.iter() {
        if byte == b'\n' {
            out.extend_from_slice(b"\r");
        }
        out.extend_from_slice(&[byte]);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names_are_read_as_hosts_write_them() {
        let parse = |service: &str| {
            let request = Request::parse(service)?;
            Some((request.framing, request.terminal, request.command))
        };
        let id = || "id: x".to_owned();
        assert_eq!(
            parse("shell,v2,TERM=xterm,raw:id: x"),
            Some((Framing::V2, Terminal::No, id()))
        );
        assert_eq!(
            parse("shell,v2,TERM=xterm-256color,pty:id: x"),
            Some((Framing::V2, Terminal::Yes, id()))
        );
        assert_eq!(parse("shell,v2:id: x"), Some((Framing::V2, Terminal::No, id())));
        assert_eq!(
            parse("shell,v2:"),
            Some((Framing::V2, Terminal::Yes, String::new()))
        );
        assert_eq!(parse("shell:id: x"), Some((Framing::Raw, Terminal::No, id())));
        assert_eq!(parse("exec:id: x"), Some((Framing::Raw, Terminal::No, id())));
        assert_eq!(parse("framebuffer:"), None);
        assert_eq!(parse("shellx:id"), None);
    }

    #[test]
    fn a_terminal_ends_lines_with_both() {
        assert_eq!(with_returns(&Bytes::from_static(b"a\nb\n")), "a\r\nb\r\n");
    }
}
