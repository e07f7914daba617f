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

    /// Asks the device until it says so: the news of a new size has a way of its own.
    async fn until_the_size_is(&mut self, wanted: &str) {
        let wanted = format!("size {wanted}\r\n");
        while !self.seen.contains(&wanted) {
            let answers = self.seen.matches("asked\r\n").count();
            self.keys
                .write_all(b"echo -n 'size '; stty size; echo as''ked\n")
                .await
                .unwrap();
            while self.seen.matches("asked\r\n").count() == answers {
                self.read().await;
            }
        }
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
        window.until_the_size_is("40 100").await;
        let resized = Command::new("stty")
            .args(["-F", &tty, "rows", "50", "cols", "120"])
            .status()
            .await;
        assert!(resized.unwrap().success());
        window.until_the_size_is("50 120").await;
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
