//! Devices that lie to whoever surveys them: more than anybody can keep, and things that nobody asked for. Only for tests.
//!
//! ```text
//!   survey ── adb shell ──► liar    honest about what is not under test
//!                             find       names without an end, or just as many as are taken
//!                             stat       sizes of what was asked, and of as many others as fit in an answer
//!                             sha256sum  likewise
//!                             base64     four megabytes, whatever the size was
//!                             settings   keys of four letters, as many as fit
//! ```
//!
//! The liar keeps nothing of what it prints, and a device is met by each test in a process of its own, so that what the
//! process grows by is what the survey keeps.

use std::fmt::Write as _;

use adb::banner::{Banner, Product};
use adb::shell::Frame;
use adb::{Daemon, Host, Stream};
use bytes::{Bytes, BytesMut};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::reset::baseline::Baseline;
use crate::reset::survey::{Survey, survey};

/// What a survey of a liar may cost, in bytes of resident memory.
const MEMORY_MAX: u64 = 64 * 1024 * 1024;
/// Just below what is taken of a command.
const ANSWER: usize = adb::host::MAX_SHELL_OUTPUT - 128 * 1024;
/// Just below what is taken of folders, and of files.
const NEARLY_TOO_MANY: usize = 49_900;
/// Bytes of the names of those of which it says that they are small: 26 of them.
const SMALL: usize = "/sdcard/fa".len();
/// What is printed at once.
const AT_ONCE: usize = 32 * 1024;

/// What a device lies about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Names without an end.
    Endless,
    /// As many files as are taken, and everything about them.
    Files,
    Settings,
}

/// Prints on a stream, frame by frame.
struct Printer {
    stream: Stream,
    text: String,
    printed: usize,
}

impl Printer {
    /// False when the host has hung up.
    async fn print(&mut self, text: &str) -> bool {
        self.text.push_str(text);
        self.text.len() < AT_ONCE || self.flush().await
    }

    async fn flush(&mut self) -> bool {
        self.printed += self.text.len();
        let text = Bytes::from(std::mem::take(&mut self.text));
        self.frame(Frame::Stdout(text)).await
    }

    async fn frame(&mut self, frame: Frame) -> bool {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        self.stream.send(&out).await.is_ok()
    }

    /// Prints lines made from numbers until the answer is as long as it may be.
    async fn fill(&mut self, mut line: impl FnMut(&mut String, usize)) -> bool {
        let mut text = String::new();
        for number in 0.. {
            if self.printed + self.text.len() >= ANSWER {
                break;
            }
            text.clear();
            line(&mut text, number);
            if !self.print(&text).await {
                return false;
            }
        }
        true
    }
}

/// A short name for a number, another one for each.
fn short(mut number: usize) -> String {
    let mut name = String::new();
    loop {
        name.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
        if number == 0 {
            return name;
        }
    }
}

/// The words of a command that are paths.
fn asked(command: &str) -> impl Iterator<Item = &str> {
    command
        .split([' ', '\''])
        .filter(|word| word.starts_with("/sdcard/"))
}

async fn answer(lie: Lie, command: &str, out: &mut Printer) -> bool {
    let name = command.split(' ').next().unwrap_or("");
    let files = lie == Lie::Files;
    match name {
        "find" => {
            let end = if files { NEARLY_TOO_MANY } else { usize::MAX };
            let kind = if command.contains("! -type d") { 'f' } else { 'd' };
            for number in 0..if lie == Lie::Settings { 0 } else { end } {
                if !out.print(&format!("/sdcard/{kind}{}\0", short(number))).await {
                    return false;
                }
            }
            true
        }
        "stat" | "sha256sum" => {
            let sum = "0".repeat(64);
            for path in asked(command) {
                let size = if path.len() <= SMALL { 1 } else { 1 << 19 };
                let line = match name {
                    "stat" => format!("{size} 1 {path}\n"),
                    _ => format!("{sum}  {path}\n"),
                };
                if !out.print(&line).await {
                    return false;
                }
            }
            // And of whatever else there may be in the world.
            let line = |text: &mut String, number| match name {
                "stat" => writeln!(text, "0 1 {}", short(number)).unwrap(),
                _ => writeln!(text, "0  {}", short(number)).unwrap(),
            };
            !files || out.fill(line).await
        }
        "base64" => !files || out.fill(|text, _| text.push_str("AAAAAAAA\n")).await,
        // Nobody was let in yet.
        "ls" => out.print("ls: No such file or directory\n").await,
        "settings" if lie == Lie::Settings => {
            out.fill(|text, n| writeln!(text, "{}=", short(n)).unwrap()).await
        }
        _ => true,
    }
}

async fn serve(lie: Lie, stream: Stream, service: &str) {
    let Some((_, command)) = service.split_once(':') else {
        return;
    };
    let mut out = Printer {
        stream,
        text: String::new(),
        printed: 0,
    };
    if answer(lie, command, &mut out).await && out.flush().await {
        out.frame(Frame::Exit(0)).await;
    }
}

/// A device that lies, reached.
async fn reached(lie: Lie) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let product = Product {
        name: "liar".to_owned(),
        model: "Liar".to_owned(),
        device: "liar".to_owned(),
    };
    let banner = Banner::device(&product, &["shell_v2", "cmd"]);
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut daemon = Daemon::accept(socket, &banner).await.unwrap();
        let mut serving = JoinSet::new();
        while let Some(open) = daemon.next_open().await {
            let service = open.service().to_owned();
            let Ok(stream) = open.accept() else { continue };
            serving.spawn(async move { serve(lie, stream, &service).await });
        }
    });
    Host::connect(address).await.unwrap()
}

/// What `work` gives, and by how much the process grew at most while it did.
async fn cost<T>(work: impl Future<Output = T>) -> (T, u64) {
    let before = resident("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let done = work.await;
    (done, resident("VmHWM:").saturating_sub(before))
}

/// A line of this process's status, in bytes.
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// What taking the baseline says, what the baseline is then, and what that cost.
async fn first_contact(lie: Lie) -> (Result<(), String>, Option<std::sync::Arc<Survey>>, u64) {
    let (host, folder) = (reached(lie).await, tempfile::tempdir().unwrap());
    let baseline = Baseline::open(folder.path(), true).unwrap();
    let (taken, cost) = cost(baseline.take(&host)).await;
    (taken.map_err(|error| error.to_string()), baseline.survey(), cost)
}

#[tokio::test]
async fn a_device_that_lists_files_without_an_end_is_refused_and_costs_little() {
    let (taken, _, cost) = first_contact(Lie::Endless).await;
    assert!(taken.unwrap_err().contains("more than 50000 folders or files"));
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
}

#[tokio::test]
async fn a_look_that_finds_names_without_an_end_says_that_there_is_more_and_costs_little() {
    let host = reached(Lie::Endless).await;
    let baseline = Survey::default();
    let (found, cost) = cost(survey(&host, Some(&baseline))).await;
    let found = found.unwrap();
    assert!(
        found.more && found.files.len() > 1_000,
        "{} files",
        found.files.len()
    );
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
}

#[tokio::test]
async fn a_device_that_lies_about_its_files_costs_little_and_nothing_unasked_is_kept() {
    let (taken, baseline, cost) = first_contact(Lie::Files).await;
    assert_eq!(taken, Ok(()));
    let baseline = baseline.unwrap();
    assert_eq!(baseline.files.len(), NEARLY_TOO_MANY);
    assert!(baseline.files.keys().all(|path| path.starts_with("/sdcard/f")));
    assert_eq!(baseline.kept.len(), 0, "no text was as long as its file");
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
}

#[tokio::test]
async fn a_device_with_settings_without_an_end_is_refused_and_costs_little() {
    let (taken, _, cost) = first_contact(Lie::Settings).await;
    assert!(taken.unwrap_err().contains("settings: more than 10000 lines"));
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
}
