//! `farglass` as a program that a test runs, and a device that runs as one.
//!
//! ```text
//!   farglass device --adb-port 0 …  ──► stderr: "the console is ready console.address=Some(127.0.0.1:PORT)", if it has one
//!                                               "the device is ready adb.address=Some(127.0.0.1:PORT)"
//! ```
//!
//! Ports are the kernel's choice and are read from the program's own words. What is dropped is killed.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The longest that any fact may take to become true on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The program with this subcommand; what it prints to stdout is not kept.
pub(crate) fn farglass(word: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farglass"));
    command
        .arg(word)
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command
}

/// `farglass device`.
pub(crate) struct Device {
    /// Of its adb daemon.
    pub(crate) address: SocketAddr,
    /// Of its emulator console.
    #[allow(dead_code, reason = "most tests need none")]
    pub(crate) console: Option<SocketAddr>,
    _process: Child,
}

impl Device {
    /// On a port that the kernel chose, which it tells when it is ready.
    pub(crate) async fn start(over: &[&str]) -> Self {
        let mut process = farglass("device")
            .args(["--adb-port", "0", "--size", "360x640", "--fps", "30"])
            .args(over)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = async {
            let mut console = None;
            loop {
                let line = lines.next_line().await.unwrap().expect("the device ended");
                console = console.or(told(&line, "console.address"));
                if let Some(address) = told(&line, "adb.address") {
                    return (address, console);
                }
            }
        };
        let ready = tokio::time::timeout(DEADLINE, ready).await;
        let (address, console) = ready.expect("no device");
        // Whatever else it says has to be read by somebody.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            address,
            console,
            _process: process,
        }
    }
}

/// The address that a line of the log gives under this name.
fn told(line: &str, name: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once(&format!("{name}=Some("))?;
    Some(address.trim_end_matches(')').parse().unwrap())
}
