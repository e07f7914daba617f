//! A shell without a command: reads lines and runs each.
//!
//! ```text
//!   prompt ──► line: echo, backspace, Ctrl-C (a new line), Ctrl-D (the end) ──► run it ──► prompt
//!                                                                                  └ Ctrl-C ends it, code 130
//! ```
//!
//! Without a terminal there is neither prompt nor echo, and these letters mean nothing. It does not know where input
//! comes from or who rings the [`Interrupt`].

use bytes::Bytes;

use super::Session;
use super::console::{HungUp, Interrupt, Sink};
use super::words::{Fd, MAX_SCRIPT};

/// What the shell asks with.
const PROMPT: &str = "simulated:/ $ ";

/// Runs lines until `exit` or the end of the input.
///
/// # Errors
/// [`HungUp`] when nobody reads the output.
pub async fn run(session: &mut Session, terminal: bool, interrupt: &Interrupt) -> Result<u8, HungUp> {
    let out = session.console(Fd::Stdout);
    let mut typed = Typed {
        line: Vec::new(),
        waiting: Bytes::new(),
    };
    loop {
        if terminal {
            out.print(PROMPT).await?;
        }
        let Some(line) = typed.line(session, terminal.then_some(&out)).await? else {
            return Ok(session.last_exit);
        };
        session.run_interruptible(&line, interrupt).await?;
        if session.exited {
            return Ok(session.last_exit);
        }
    }
}

struct Typed {
    line: Vec<u8>,
    /// What came with the last piece of input and is not read yet.
    waiting: Bytes,
}

impl Typed {
    /// The next line; `None` at the end of the input.
    async fn line(&mut self, session: &mut Session, echo: Option<&Sink>) -> Result<Option<String>, HungUp> {
        loop {
            while !self.waiting.is_empty() {
                let byte = self.waiting.split_to(1)[0];
                if let Some(line) = self.byte(byte, echo).await? {
                    return Ok(line);
                }
            }
            match session.input.recv().await {
                Some(data) => self.waiting = data,
                None if self.line.is_empty() => return Ok(None),
                None => return Ok(Some(self.take())),
            }
        }
    }

    /// What one byte ends: nothing, a line, or the input.
    async fn byte(&mut self, byte: u8, echo: Option<&Sink>) -> Result<Option<Option<String>>, HungUp> {
        let (shown, ended): (Bytes, _) = match (byte, echo) {
            (b'\n' | b'\r', _) => (Bytes::from_static(b"\n"), Some(Some(self.take()))),
            (0x04, Some(_)) if self.line.is_empty() => (Bytes::from_static(b"\n"), Some(None)),
            (0x03, Some(_)) => {
                self.line.clear();
                (Bytes::from_static(b"^C\n"), Some(Some(String::new())))
            }
            (0x7f | 0x08, Some(_)) if self.line.pop().is_some() => (Bytes::from_static(b"\x08 \x08"), None),
            (0x7f | 0x08 | 0x04, Some(_)) => (Bytes::new(), None),
            // A line that is longer than any script is cut; the shell says so when it runs.
            _ if self.line.len() > MAX_SCRIPT => (Bytes::new(), None),
            (byte, _) => {
                self.line.push(byte);
                (Bytes::copy_from_slice(&[byte]), None)
            }
        };
        if let Some(echo) = echo {
            echo.print(shown).await?;
        }
        Ok(ended)
    }

    fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned()
    }
}
