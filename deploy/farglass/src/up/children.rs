//! Children of `farglass up`: started, watched, restarted, ended.
//!
//! ```text
//!            spawn                      exits by itself
//!  waiting ─────────► running ───────────────────────────► waiting (backoff 250 ms, doubled, ≤ 10 s)
//!                       │ end                                 │ third quick end before `settled`
//!                       ▼                                     ▼
//!            SIGTERM, ≤ 5 s, SIGKILL                       gave up: the whole start fails
//! ```
//!
//! A child is in its own process group, so that Ctrl-C in a terminal reaches `up` alone and the order of the
//! end is ours; it gets `--die-with`, so that the kernel ends it when `up` is killed. This file knows no
//! program by name: what to run is a [`Spec`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// First pause before a restart; each quick end doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// Longest pause: a child that never holds costs one start in ten seconds.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A child that lived this long was well: its next end counts as the first again.
const STEADY: Duration = Duration::from_secs(20);
/// Quick ends in a row, before everything has been ready once, after which starting is pointless.
const QUICK_ENDS_MAX: u32 = 3;
/// What a child gets to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// How people are told about it: `control`, `device-1`.
    pub(crate) name: String,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
}

/// All children, in the order of their start.
pub(crate) struct Children {
    running: Vec<Running>,
    settled: Arc<AtomicBool>,
    gave_up: mpsc::Sender<String>,
}

/// Tells when a child could not be started for good.
pub(crate) struct GaveUp(mpsc::Receiver<String>);

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl GaveUp {
    /// Resolves with a sentence about the first child that could not be started.
    pub(crate) async fn told(&mut self) -> String {
        match self.0.recv().await {
            Some(why) => why,
            // All children have ended, as they were asked to.
            None => std::future::pending().await,
        }
    }
}

impl Children {
    pub(crate) fn new() -> (Self, GaveUp) {
        // One message is enough: the first that gives up ends the start.
        let (sender, receiver) = mpsc::channel(1);
        let children = Self {
            running: Vec::new(),
            settled: Arc::default(),
            gave_up: sender,
        };
        (children, GaveUp(receiver))
    }

    /// Starts one and keeps it running until [`Children::end`].
    pub(crate) fn start(&mut self, spec: Spec) {
        let stop = CancellationToken::new();
        let keeper = Keeper {
            spec,
            stop: stop.clone(),
            settled: self.settled.clone(),
            gave_up: self.gave_up.clone(),
        };
        self.running.push(Running {
            stop,
            task: tokio::spawn(keeper.keep()),
        });
    }

    /// Everything has been ready once: from now on a child is restarted however often it ends.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Ends all, the last started first, each within its grace.
    pub(crate) async fn end(self) {
        for child in self.running.into_iter().rev() {
            child.stop.cancel();
            if let Err(error) = child.task.await {
                say(&format!("a keeper ended badly: {error}"));
            }
        }
    }
}

/// The task that owns one child.
struct Keeper {
    spec: Spec,
    stop: CancellationToken,
    settled: Arc<AtomicBool>,
    gave_up: mpsc::Sender<String>,
}

impl Keeper {
    async fn keep(self) {
        let mut quick_ends = 0;
        loop {
            let started = Instant::now();
            let how = match spawn(&self.spec) {
                Ok(mut child) => tokio::select! {
                    status = child.wait() => describe(status),
                    () = self.stop.cancelled() => return end(&self.spec.name, child).await,
                },
                Err(error) => format!("could not be started: {error:#}"),
            };
            quick_ends = if started.elapsed() >= STEADY {
                1
            } else {
                quick_ends + 1
            };
            let name = &self.spec.name;
            if quick_ends >= QUICK_ENDS_MAX && !self.settled.load(Ordering::Relaxed) {
                // A full channel means that another child gave up first: its word is enough.
                let _ = self.gave_up.try_send(format!(
                    "{name} {how}, {quick_ends} times in a row; see the lines above"
                ));
                return;
            }
            let pause = backoff(quick_ends);
            say(&format!(
                "{name} {how}; starting it again in {} ms",
                pause.as_millis()
            ));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }
}

/// The pause after the n-th quick end in a row (n ≥ 1).
fn backoff(quick_ends: u32) -> Duration {
    // 2^8 × 250 ms is beyond the cap already.
    let doublings = quick_ends.saturating_sub(1).min(8);
    (BACKOFF_FIRST * 2u32.pow(doublings)).min(BACKOFF_MAX)
}

fn spawn(spec: &Spec) -> anyhow::Result<Child> {
    // Several processes that each tell that they are well would bury the links: only trouble is told, unless
    // more is asked for.
    let log = std::env::var_os("RUST_LOG").unwrap_or_else(|| "warn".into());
    Command::new(&spec.program)
        .env("RUST_LOG", log)
        .args(&spec.args)
        .stdin(Stdio::null())
        // Our stdout is the announcement; what children say there is not part of it.
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be run", spec.program.display()))
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("ended ({status})"),
        Err(error) => format!("could not be watched: {error}"),
    }
}

async fn end(name: &str, mut child: Child) {
    // No id: it has been waited for already.
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
        return;
    };
    // ESRCH is a child that has just ended: the wait below sees it.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        say(&format!(
            "{name} did not end within {} s: killed",
            GRACE.as_secs()
        ));
        if let Err(error) = child.kill().await {
            say(&format!("{name} could not be killed: {error}"));
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "what happens to the children is told to the person plainly, not logged"
)]
fn say(line: &str) {
    eprintln!("farglass up: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Spec {
        Spec {
            name: "child".into(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
        }
    }

    async fn line_of(path: &std::path::Path, n: usize) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut look = tokio::time::interval(Duration::from_millis(5));
        loop {
            look.tick().await;
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if let Some(line) = text.split_inclusive('\n').filter(|l| l.ends_with('\n')).nth(n) {
                return line.trim().to_owned();
            }
            assert!(
                Instant::now() < deadline,
                "line {n} never came; there is {text:?}"
            );
        }
    }

    fn is_alive(pid: &str) -> bool {
        kill(Pid::from_raw(pid.parse().unwrap()), None).is_ok()
    }

    #[tokio::test]
    async fn a_child_that_dies_after_all_was_ready_is_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let pids = dir.path().join("pids");
        let (mut children, _gave_up) = Children::new();
        children.settle();
        children.start(shell(&format!("echo $$ >> {}; exec sleep 1000", pids.display())));
        let first = line_of(&pids, 0).await;
        kill(Pid::from_raw(first.parse().unwrap()), Signal::SIGKILL).unwrap();
        let second = line_of(&pids, 1).await;
        assert_ne!(first, second);
        children.end().await;
        assert!(!is_alive(&second), "the restarted child outlived the end");
    }

    #[tokio::test]
    async fn a_child_that_never_holds_fails_the_start_with_its_name_and_status() {
        let (mut children, mut gave_up) = Children::new();
        children.start(shell("exit 7"));
        let why = gave_up.told().await;
        assert!(
            why.contains("child") && why.contains("exit status: 7") && why.contains("3 times"),
            "{why}"
        );
        children.end().await;
    }

    #[tokio::test]
    async fn the_last_started_child_ends_first() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let (mut children, _gave_up) = Children::new();
        for name in ["first", "second"] {
            let path = log.display();
            children.start(shell(&format!(
                "trap 'echo {name} ended >> {path}; exit 0' TERM; echo {name} up >> {path}; while :; do sleep 0.01; done"
            )));
            line_of(&log, if name == "first" { 0 } else { 1 }).await;
        }
        children.end().await;
        let told: Vec<String> = std::fs::read_to_string(&log)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(told[2..], ["second ended", "first ended"]);
    }

    #[test]
    fn the_pause_before_a_restart_doubles_up_to_ten_seconds() {
        let pauses: Vec<u128> = [1, 2, 3, 6, 7, 40].map(|n| backoff(n).as_millis()).to_vec();
        assert_eq!(pauses, [250, 500, 1000, 8000, 10_000, 10_000]);
    }
}
