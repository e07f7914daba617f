//! A device, an adb server of its own, and the stock client between them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use adb::banner::Product;
use adb::daemon::Guard;
use device::android::Model;
use device::display::Display;
use device::{Android, Userland, adbd};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longer than any step of these tests takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A device, an adb server, and a connection between them.
pub(crate) struct Rig {
    folder: TempDir,
    server: Child,
    pub(crate) serial: String,
    /// The device from inside; none of it for a second adb server.
    pub(crate) userland: Option<Userland>,
    _device: DropGuard,
}

impl Rig {
    /// A device for anyone, connected.
    pub(crate) async fn start() -> Self {
        let rig = Self::with(Guard::Open).await;
        let connected = rig.adb_any(["connect", &rig.serial]).await;
        assert!(
            text(&connected.stdout).starts_with("connected to"),
            "{connected:?}"
        );
        rig
    }

    /// A device with this guard, to which nobody is connected.
    pub(crate) async fn with(guard: Guard) -> Self {
        Self::prepared(guard, |_| {}).await
    }

    /// As [`Self::with`]; `prepare` may fill the folder that is the home of adb's server before it starts.
    pub(crate) async fn prepared(guard: Guard, prepare: impl FnOnce(&Path)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serial = listener.local_addr().unwrap().to_string();
        let android = Android::new(Model {
            name: "Farglass Test".to_owned(),
            width: 720,
            height: 1280,
        });
        let (display, _) = Display::spawn(android.clone(), 60).unwrap();
        let product = Product {
            name: "farglass_simulated".to_owned(),
            model: android.name(),
            device: "simulated".to_owned(),
        };
        let options = adbd::Options {
            guard,
            ..adbd::Options::open(product)
        };
        let userland = Userland::new(android, display, 1);
        let inside = userland.clone();
        let stop = CancellationToken::new();
        let cancel = stop.clone();
        tokio::spawn(async move { adbd::serve(listener, userland, &options, cancel).await });
        let folder = TempDir::new().unwrap();
        prepare(folder.path());
        let mut rig = Self::in_folder(folder, serial, stop.drop_guard()).await;
        rig.userland = Some(inside);
        rig
    }

    /// An adb server for a device that runs already.
    pub(crate) async fn over(serial: String, device: DropGuard) -> Self {
        Self::in_folder(TempDir::new().unwrap(), serial, device).await
    }

    async fn in_folder(folder: TempDir, serial: String, device: DropGuard) -> Self {
        // The server tells on descriptor 3 that it listens; only a shell can give it that.
        let script = "exec adb -L \"$0\" fork-server server --reply-fd 3 3>&1 >/dev/null 2>&1";
        let mut server = Command::new("sh")
            .args(["-c", script, &socket(folder.path())])
            .envs(environment(folder.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut ready = [0; 3];
        server
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .await
            .expect("is adb installed?");
        assert_eq!(&ready, b"OK\n");
        Self {
            folder,
            server,
            serial,
            userland: None,
            _device: device,
        }
    }

    /// Ends the connection, or what adb's server believes of it, and waits until it has forgotten the device.
    pub(crate) async fn disconnect(&self) {
        // Said once it may come while adb's server is about to list the device again.
        let forgotten = async {
            loop {
                self.adb_any(["disconnect", &self.serial]).await;
                if self.state().await.is_none() {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, forgotten)
            .await
            .expect("still listed");
    }

    /// What `adb devices` says of the device.
    pub(crate) async fn state(&self) -> Option<String> {
        let list = text(&self.adb_any(["devices"]).await.stdout);
        let line = list.lines().find_map(|line| line.strip_prefix(&self.serial));
        line.map(|state| state.trim().to_owned())
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("adb");
        command.args(["-L", &socket(self.folder.path())]).args(args);
        command
            .envs(environment(self.folder.path()))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn adb_any<const N: usize>(&self, args: [&str; N]) -> Output {
        let running = self.command(args).output();
        tokio::time::timeout(DEADLINE, running)
            .await
            .expect("adb takes too long")
            .unwrap()
    }

    /// Runs adb for this device and expects success.
    pub(crate) async fn adb<const N: usize>(&self, args: [&str; N]) -> String {
        let running = self
            .command(["-s", &self.serial].into_iter().chain(args))
            .output();
        let output = tokio::time::timeout(DEADLINE, running)
            .await
            .expect("adb takes too long")
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        text(&output.stdout)
    }

    /// Runs a shell command: its code, stdout and stderr.
    pub(crate) async fn shell(&self, command: &str) -> (i32, String, String) {
        let output = self.adb_any(["-s", &self.serial, "shell", command]).await;
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The path of the server's Unix socket.
    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("adb.sock")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Ends the server and sees that it is gone.
    pub(crate) async fn end(mut self) {
        self.adb_any(["kill-server"]).await;
        tokio::time::timeout(DEADLINE, self.server.wait())
            .await
            .expect("adb's server does not end")
            .unwrap();
    }
}

/// How adb names its server's socket.
fn socket(folder: &Path) -> String {
    format!("localfilesystem:{}/adb.sock", folder.display())
}

/// Keys and logs go to the test's folder; no USB, no mDNS.
fn environment(folder: &Path) -> [(&'static str, std::ffi::OsString); 4] {
    let folder = folder.as_os_str().to_owned();
    [
        ("HOME", folder.clone()),
        ("TMPDIR", folder),
        ("ADB_MDNS", "0".into()),
        ("ADB_LIBUSB", "0".into()),
    ]
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes that tell their position, so that any loss, swap or repetition shows.
pub(crate) fn pattern(seed: u32, len: u32) -> Vec<u8> {
    (0..len / 4)
        .flat_map(|at| (at.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes())
        .collect()
}
