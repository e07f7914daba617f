//! The device's shell: runs a script of simple commands against the device's state, files and sockets.
//!
//! It does not know adb. A command either answers at once (a function from arguments to [`Done`]) or talks to its
//! console for a while (`cat` of its input, `sleep`, `nc`, `input swipe`, `app_process`). A command that this device does not
//! have fails with 127, in the words of Android's shell; nothing is pretended.
//!
//! ```text
//!   text ─ words::parse ─► commands ─ expand ─► name, arguments ─┬─ instant::run ─► Done { out, err, code }
//!                                                                └─ lasting::run ─► code, prints on the way
//! ```

mod activity;
mod app_process;
pub mod console;
mod content;
mod display;
mod find;
mod fuzzing;
mod image;
mod input;
mod install;
mod instant;
pub mod interactive;
mod lasting;
mod logcat;
mod packages;
mod people;
mod root;
mod screencap;
mod services;
mod settings;
mod simulated;
mod storage;
mod surroundings;
pub mod terminal;
pub mod words;

#[doc(hidden)]
pub use fuzzing::fuzz_commands;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::files::{Attributes, FileError};
use crate::userland::Userland;
use console::{HungUp, Interrupt, Io, Print, Sink};
use terminal::Terminal;
use words::{Fd, Join, Redirect, Simple, Target};

/// Variables that a script may set. More are ignored.
const MAX_VARIABLES: usize = 256;

/// The exit code of what SIGINT ended: 128 and its number.
const INTERRUPTED: u8 = 130;

/// One run of the shell.
pub struct Session {
    userland: Userland,
    prints: mpsc::Sender<Print>,
    input: mpsc::Receiver<Bytes>,
    variables: BTreeMap<String, String>,
    last_exit: u8,
    exited: bool,
    /// Unix time in seconds at the start, for the files that are written.
    now_s: u32,
    terminal: Option<Terminal>,
}

/// How a command ended that answers at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
    pub(crate) code: u8,
}

impl Done {
    pub(crate) fn ok(out: impl Into<Vec<u8>>) -> Self {
        Self {
            out: out.into(),
            ..Self::default()
        }
    }

    pub(crate) fn fail(code: u8, err: impl Into<String>) -> Self {
        Self {
            err: err.into(),
            code,
            ..Self::default()
        }
    }
}

/// A command with everything expanded.
pub(crate) struct Call<'a> {
    pub(crate) userland: &'a Userland,
    pub(crate) name: &'a str,
    pub(crate) args: &'a [String],
    pub(crate) variables: &'a BTreeMap<String, String>,
    pub(crate) now_s: u32,
    pub(crate) terminal: Option<&'a Terminal>,
}

impl Session {
    /// A shell on a device, printing to and reading from these ends.
    #[must_use]
    pub fn new(
        userland: Userland,
        prints: mpsc::Sender<Print>,
        input: mpsc::Receiver<Bytes>,
        now_s: u32,
    ) -> Self {
        Self {
            userland,
            prints,
            input,
            variables: BTreeMap::new(),
            last_exit: 0,
            exited: false,
            now_s,
            terminal: None,
        }
    }

    /// The same on a terminal.
    #[must_use]
    pub fn on(mut self, terminal: Terminal) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// Runs a script and returns its exit code. Safe to drop half way: what the script started ends then.
    ///
    /// # Errors
    /// [`HungUp`] when nobody reads the output.
    pub async fn run(&mut self, script: &str) -> Result<u8, HungUp> {
        let commands = match words::parse(script) {
            Ok(commands) => commands,
            Err(error) => {
                let text = format!("/system/bin/sh: {error}\n");
                self.console(Fd::Stderr).print(text).await?;
                return Ok(1);
            }
        };
        for (join, command) in commands {
            let wanted = match join {
                Join::Always => true,
                Join::IfOk => self.last_exit == 0,
                Join::IfFailed => self.last_exit != 0,
            };
            if wanted {
                self.command(&command).await?;
            }
            if self.exited {
                break;
            }
        }
        Ok(self.last_exit)
    }

    /// As [`Self::run`], and an interrupt ends it as SIGINT does.
    ///
    /// # Errors
    /// [`HungUp`] when nobody reads the output.
    pub async fn run_interruptible(&mut self, script: &str, interrupt: &Interrupt) -> Result<u8, HungUp> {
        if let Some(ended) = interrupt.over(self.run(script)).await {
            return ended;
        }
        self.console(Fd::Stdout).print("^C\n").await?;
        self.last_exit = INTERRUPTED;
        Ok(INTERRUPTED)
    }

    async fn command(&mut self, command: &Simple) -> Result<(), HungUp> {
        let value = |name: &str| self.value(name);
        let args: Vec<String> = command
            .words
            .iter()
            .filter_map(|word| word.expand(value))
            .collect();
        let assigned = command.assignments.iter();
        let assigned: Vec<_> = assigned
            .map(|(name, word)| (name.clone(), word.expand(value).unwrap_or_default()))
            .collect();
        let (out, err) = match self.redirected(&command.redirects) {
            Ok(sinks) => sinks,
            Err(text) => {
                self.console(Fd::Stderr).print(text).await?;
                self.last_exit = 1;
                return Ok(());
            }
        };
        let Some((name, args)) = args.split_first() else {
            self.last_exit = 0;
            for (name, value) in assigned {
                self.assign(name, value);
            }
            return Ok(());
        };
        // What is run in place of the shell is the last thing that it does.
        let (name, args) = match (name.as_str(), args.split_first()) {
            ("exec", Some((name, args))) => {
                self.exited = true;
                (name, args)
            }
            _ => (name, args),
        };
        if self.own(name, args) {
            return Ok(());
        }
        let mut variables = self.variables.clone();
        variables.extend(assigned);
        let call = Call {
            userland: &self.userland,
            name,
            args,
            variables: &variables,
            now_s: self.now_s,
            terminal: self.terminal.as_ref(),
        };
        let io = Io {
            out,
            err,
            input: &mut self.input,
        };
        self.last_exit = run_call(&call, io).await?;
        Ok(())
    }

    /// Does what only the shell itself can do; whether it was that.
    fn own(&mut self, name: &str, args: &[String]) -> bool {
        match name {
            "exit" => {
                if let Some(code) = args.first() {
                    // As in every shell, the code is taken modulo 256.
                    self.last_exit = code
                        .parse::<i64>()
                        .map_or(1, |code| code.rem_euclid(256).try_into().unwrap_or(1));
                }
                self.exited = true;
            }
            "export" => {
                // Every variable here is one of the environment.
                for (name, value) in args.iter().filter_map(|arg| arg.split_once('=')) {
                    self.assign(name.to_owned(), value.to_owned());
                }
                self.last_exit = 0;
            }
            _ => return false,
        }
        true
    }

    /// The sinks after all redirections; the text that the shell prints when a file cannot be written.
    fn redirected(&self, redirects: &[Redirect]) -> Result<(Sink, Sink), String> {
        let (mut out, mut err) = (self.console(Fd::Stdout), self.console(Fd::Stderr));
        for redirect in redirects {
            let sink = match &redirect.to {
                Target::Same(Fd::Stdout) => out.clone(),
                Target::Same(Fd::Stderr) => err.clone(),
                Target::File(word) | Target::Append(word) => {
                    let path = word.expand(|name| self.value(name)).unwrap_or_default();
                    let keep = matches!(redirect.to, Target::Append(_));
                    self.file(&path, keep)
                        .map_err(|error| format!("/system/bin/sh: can't create {path}: {error}\n"))?
                }
            };
            match redirect.from {
                Fd::Stdout => out = sink,
                Fd::Stderr => err = sink,
            }
        }
        Ok((out, err))
    }

    fn file(&self, path: &str, keep: bool) -> Result<Sink, FileError> {
        if path == "/dev/null" {
            return Ok(Sink::Null);
        }
        let attributes = Attributes {
            permissions: 0o644,
            mtime_s: self.now_s,
        };
        if keep {
            self.userland.files.append(path, b"", attributes)?;
        } else {
            self.userland.files.write(path, Bytes::new(), attributes)?;
        }
        Ok(Sink::File {
            files: self.userland.files.clone(),
            path: path.to_owned(),
            now_s: self.now_s,
        })
    }

    fn console(&self, fd: Fd) -> Sink {
        Sink::Console(self.prints.clone(), fd)
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.last_exit.to_string()),
            name => self.variables.get(name).cloned(),
        }
    }

    fn assign(&mut self, name: String, value: String) {
        if self.variables.len() < MAX_VARIABLES {
            self.variables.insert(name, value);
        }
    }
}

/// How long the device works on a command before it answers.
fn takes(call: &Call<'_>) -> Duration {
    let Userland { manner, files, .. } = call.userland;
    match call.name {
        "pm" | "cmd" if call.args.iter().any(|arg| arg == "clear") => manner.clear_takes,
        "sha256sum" => {
            let sizes = call.args.iter().filter_map(|path| files.status(path).ok());
            let bytes: u64 = sizes.map(|status| status.size).sum();
            let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
            manner.hash_mib_takes.saturating_mul(mib)
        }
        _ => Duration::ZERO,
    }
}

async fn run_call(call: &Call<'_>, io: Io<'_>) -> Result<u8, HungUp> {
    if let Some(done) = install::run(call, io.input).await {
        io.out.print(done.out).await?;
        io.err.print(done.err).await?;
        return Ok(done.code);
    }
    let takes = takes(call);
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
    if let Some(done) = instant::run(call) {
        install::tidy(call);
        io.out.print(done.out).await?;
        io.err.print(done.err).await?;
        return Ok(done.code);
    }
    // What a session holds across this wait is bounded by the largest command; boxed to keep it off the stack.
    if let Some(code) = Box::pin(lasting::run(call, io.out.clone(), io.err.clone(), io.input)).await? {
        return Ok(code);
    }
    io.err
        .print(format!(
            "/system/bin/sh: {}: inaccessible or not found\n",
            call.name
        ))
        .await?;
    Ok(127)
}
