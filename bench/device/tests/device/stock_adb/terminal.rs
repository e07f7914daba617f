//! The size of the window in which somebody runs `adb shell`, as programs on the device are told it.

use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::rig::{DEADLINE, Rig};

/// `adb shell` in a window: `script` gives it a terminal here, 40 lines of 100 characters.
struct Window {
    child: Child,
    keys: ChildStdin,
    shown: ChildStdout,
    seen: String,
}

impl Window {
    fn open(rig: &Rig) -> Self {
        let client = rig.command(["-s", &rig.serial, "shell"]);
        let client = client.as_std();
        let words: Vec<_> = client.get_args().map(|word| word.to_str().unwrap()).collect();
        let inside = format!("tty; stty rows 40 cols 100; exec adb {}", words.join(" "));
        let environment = client.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut child = Command::new("script")
            .args(["-qec", &inside, "/dev/null"])
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("script is a part of every Debian");
        Self {
            keys: child.stdin.take().unwrap(),
            shown: child.stdout.take().unwrap(),
            seen: String::new(),
            child,
        }
    }

    async fn read(&mut self) {
        let mut piece = [0; 256];
        let length = self.shown.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "the shell ended: {}", self.seen);
        self.seen.push_str(&String::from_utf8_lossy(&piece[..length]));
    }

    async fn until(&mut self, wanted: &str) {
        while !self.seen.contains(wanted) {
            self.read().await;
        }
    }

    /// Makes the window another size.
    async fn resize(tty: &str, rows: u16, cols: u16) {
        let resized = Command::new("stty")
            .args(["-F", tty, "rows", &rows.to_string(), "cols", &cols.to_string()])
            .status()
            .await;
        assert!(resized.unwrap().success());
    }

    /// What has come since of the device, asked for the size of its terminal.
    async fn ask(&mut self) -> &str {
        let (before, answers) = (self.seen.len(), self.answers());
        self.keys
            .write_all(b"echo -n 'size '; stty size; echo as''ked\n")
            .await
            .unwrap();
        while self.answers() == answers {
            self.read().await;
        }
        &self.seen[before..]
    }

    fn answers(&self) -> usize {
        self.seen.matches("asked\r\n").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_told_the_size_of_the_window_and_that_it_changed() {
    let rig = Rig::start().await;
    let mut window = Window::open(&rig);
    let talking = async {
        window.until("\n").await;
        let tty = window.seen.lines().next().unwrap().to_owned();
        window.until("$ ").await;
        // The news of a size has a way of its own, beside the one of the keys: it may come after the question.
        while !window.ask().await.contains("size 40 100\r\n") {}
        // The client sees the signal of a new size only where it interrupts its read of the keys: one that falls between two
        // reads is lost for ever. So the window goes on changing until the device tells one of its new sizes.
        let mut cols = 120;
        loop {
            Window::resize(&tty, 50, cols).await;
            if window.ask().await.contains("size 50 1") {
                break;
            }
            cols += 1;
        }
        window.keys.write_all(b"exit\n").await.unwrap();
        window.child.wait().await.unwrap();
    };
    tokio::time::timeout(DEADLINE, talking).await.expect("no answer");
    // Without a terminal there is no size.
    let (code, _, err) = rig.shell("stty size").await;
    assert_eq!(
        (code, err.as_str()),
        (1, "stty: tcgetattr standard input: Not a typewriter\n")
    );
    rig.end().await;
}
