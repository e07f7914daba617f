//! For fuzzing: what a host opens, and what it asks of its reverses, on a device of its own each time.
//!
//! ```text
//!   line ─► Reverses::request ─► OKAY · OKAY hex4 port · FAIL hex4 text · hex4 list
//! ```
//!
//! The host is there so that there is a connection; it is never asked anything, for no program of the device connects.

use adb::banner::{Banner, Product};
use adb::{Daemon, Host};

use super::reverse::Reverses;
use super::shell_service;
use crate::android::{Android, Model};
use crate::display::Display;
use crate::userland::Userland;

/// Lines that one input may have; more are left out.
const LINES_MAX: usize = 96;

/// Names of services, one a line.
pub fn fuzz(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        let _ = shell_service::Request::parse(line);
    }
}

/// Requests about reverses, one a line.
pub fn fuzz_reverses(bytes: &[u8]) {
    thread_local! {
        static RIG: Option<Rig> = Rig::new();
    }
    RIG.with(|rig| {
        if let Some(rig) = rig {
            rig.runtime.block_on(ask(rig, bytes));
        }
    });
}

struct Rig {
    runtime: tokio::runtime::Runtime,
    daemon: Daemon,
    _host: Host,
    display: Display,
}

impl Rig {
    fn new() -> Option<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().ok()?;
        let (near, far) = tokio::io::duplex(1 << 16);
        let product = Product {
            name: "fuzzed".to_owned(),
            model: "Fuzzed".to_owned(),
            device: "fuzzed".to_owned(),
        };
        let banner = Banner::device(&product, &[]);
        let (daemon, host) = runtime
            .block_on(async { tokio::join!(Daemon::accept_over(near, &banner), Host::connect_over(far)) });
        Some(Self {
            runtime,
            daemon: daemon.ok()?,
            _host: host.ok()?,
            display: Display::spawn(android(), 1).ok()?.0,
        })
    }
}

async fn ask(rig: &Rig, bytes: &[u8]) {
    let userland = Userland::new(android(), rig.display.clone(), 1);
    let mut reverses = Reverses::new(rig.daemon.connection().clone());
    for line in String::from_utf8_lossy(bytes).lines().take(LINES_MAX) {
        let reply = reverses.request(line, &userland);
        let rest = match reply.split_at_checked(4) {
            Some(("OKAY" | "FAIL", rest)) => rest,
            _ => &reply,
        };
        if let Some((length, text)) = rest.split_at_checked(4) {
            let told = usize::from_str_radix(length, 16);
            assert_eq!(told, Ok(text.len()), "{reply:?}");
        } else {
            assert_eq!(reply, "OKAY");
        }
        // Listeners begin, and those that are stopped end.
        tokio::task::yield_now().await;
    }
    assert!(reverses.len() <= super::reverse::MAX_REVERSES);
}

fn android() -> Android {
    Android::new(Model {
        name: "Fuzzed".to_owned(),
        width: 320,
        height: 320,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    /// Pieces of requests.
    const PIECES: [&str; 14] = [
        "forward:",
        "norebind:",
        "localabstract:",
        "tcp:",
        "tcp:0;",
        "0",
        "7100",
        "65536",
        ";",
        "killforward:",
        "killforward-all",
        "list-forward",
        "é",
        "\n",
    ];

    #[test]
    fn every_request_about_reverses_is_answered_in_its_form() {
        let mut dice = Dice::new(1);
        let mut below = |n: usize| dice.index(n);
        for _ in 0..500 {
            let text: String = (0..200).map(|_| PIECES[below(PIECES.len())]).collect();
            fuzz_reverses(text.as_bytes());
        }
        // More names than there may be.
        let many: String = (0..90)
            .map(|n| format!("forward:localabstract:{n};tcp:1\n"))
            .collect();
        fuzz_reverses(many.as_bytes());
    }
}
