//! What a host brings along: Docker, KVM and binder for Android in containers, a UDP port for viewers, an adb key.
//!
//! ```text
//!   docker   connect to its socket, GET /version        kvm      open for reading and writing
//!   binder   /proc/filesystems, /dev/binder             media    bind the UDP port, and let it go
//! ```
//!
//! Phones and devices on other machines need none of the first three, so that they are missing is a warning. That Docker
//! is there and does not talk to us is a failure: somebody meant to use it. It does not start or install anything.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use adb::key_file::{self, Missing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::Check;

/// How long Docker may take to tell its version.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read; Docker's has two kilobytes.
const ANSWER_LEN_MAX: u64 = 64 * 1024;

/// Where things are. [`Default`] is where Linux and Docker have them.
#[derive(Debug, Clone)]
pub struct Places {
    /// Docker's socket.
    pub docker: PathBuf,
    /// The kernel's virtual machines.
    pub kvm: PathBuf,
    /// The kernel's list of file systems.
    pub filesystems: PathBuf,
    /// A binder device, where binderfs is not used.
    pub binder: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            docker: "/var/run/docker.sock".into(),
            kvm: "/dev/kvm".into(),
            filesystems: "/proc/filesystems".into(),
            binder: "/dev/binder".into(),
        }
    }
}

/// Looks at what containers with Android need of this host.
pub async fn host(places: &Places) -> Vec<Check> {
    vec![docker(&places.docker).await, kvm(&places.kvm), binder(places)]
}

async fn docker(socket: &Path) -> Check {
    const NAME: &str = "docker";
    let at = socket.display();
    match tokio::time::timeout(DOCKER_TIMEOUT, ask_docker(socket)).await {
        Ok(Ok(version)) => Check::ok(NAME, version),
        Ok(Err(error)) if is_absent(&error) => Check::warning(
            NAME,
            format!("nothing listens at {at}"),
            "Install Docker and start its service if this host is to run Android in containers; phones and devices \
             on other machines need none.",
        ),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Check::fails(
            NAME,
            format!("{at} may not be used by this user"),
            "Let the user use Docker with `sudo usermod -aG docker USER` and log in anew, or run this as root.",
        ),
        Ok(Err(error)) => Check::fails(
            NAME,
            format!("{at}: {error}"),
            "Give the path of Docker's own socket with --docker-socket, and see with `docker version` that it answers.",
        ),
        Err(_) => Check::fails(
            NAME,
            format!("{at} takes a connection and does not answer"),
            "Restart Docker's service (`sudo systemctl restart docker`).",
        ),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// Docker's version and that of its API, in words.
async fn ask_docker(socket: &Path) -> io::Result<String> {
    let mut docker = UnixStream::connect(socket).await?;
    // Of 1.0, so that the answer comes in one piece and ends with the connection.
    docker
        .write_all(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    docker.take(ANSWER_LEN_MAX).read_to_end(&mut answer).await?;
    version_in(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers is not Docker"))
}

/// What an HTTP answer says of Docker's version.
pub(super) fn version_in(answer: &[u8]) -> Option<String> {
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let json: serde_json::Value = serde_json::from_slice(&answer[end + 4..]).ok()?;
    let text = |name: &str| json[name].as_str();
    Some(format!(
        "Docker {}, API {}",
        text("Version")?,
        text("ApiVersion")?
    ))
}

fn kvm(path: &Path) -> Check {
    const NAME: &str = "kvm";
    let at = path.display();
    let is_device = fs::metadata(path).map(|metadata| metadata.file_type().is_char_device());
    let opened = OpenOptions::new().read(true).write(true).open(path);
    match (is_device, opened) {
        (Ok(true), Ok(_)) => Check::ok(NAME, format!("{at} can be used")),
        (Ok(true), Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Check::warning(
            NAME,
            format!("{at} may not be used by this user"),
            "Emulators that this user starts need `sudo usermod -aG kvm USER` and a new login; containers of a Docker \
             that runs as root get it by --device /dev/kvm.",
        ),
        (Ok(true), Err(error)) => Check::warning(
            NAME,
            format!("{at}: {error}"),
            "Emulators need it: turn virtualisation on in the machine's firmware, or take one with nested \
             virtualisation; redroid and phones need none.",
        ),
        (Ok(false) | Err(_), _) => Check::warning(
            NAME,
            format!("there is no device {at}"),
            "Emulators need it: turn virtualisation on in the machine's firmware and load the module (`sudo modprobe \
             kvm_intel` or `kvm_amd`), or take a machine with nested virtualisation; redroid and phones need none.",
        ),
    }
}

fn binder(places: &Places) -> Check {
    const NAME: &str = "binder";
    let filesystems = fs::read_to_string(&places.filesystems).unwrap_or_default();
    if filesystems
        .lines()
        .any(|line| line.split_whitespace().last() == Some("binder"))
    {
        return Check::ok(NAME, "the kernel has binderfs");
    }
    if places.binder.exists() {
        return Check::ok(
            NAME,
            format!("{} is there, without binderfs", places.binder.display()),
        );
    }
    Check::warning(
        NAME,
        "the kernel has no binder",
        "redroid needs it: `sudo modprobe binder_linux devices=binder,hwbinder,vndbinder`, on Ubuntu after `sudo apt \
         install linux-modules-extra-$(uname -r)`; emulators and phones bring their own kernel.",
    )
}

/// Looks whether viewers' media can arrive there.
#[must_use]
pub fn media_port(address: SocketAddr) -> Check {
    const NAME: &str = "media port";
    match UdpSocket::bind(address) {
        Ok(_) => Check::ok(NAME, format!("UDP {address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Check::fails(
            NAME,
            format!("UDP {address} is taken"),
            format!(
                "End the process that has it (`ss -lunp 'sport = :{}'` shows it), or give the agent another port with \
                 --media.",
                address.port()
            ),
        ),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Check::fails(
            NAME,
            format!("{} is no address of this host", address.ip()),
            "Give --media an address that `ip address` lists, or 0.0.0.0 together with --advertise.",
        ),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Check::fails(
            NAME,
            format!("UDP {address} may not be used by this user"),
            "Take a port from 1024 up.",
        ),
        Err(error) => Check::fails(
            NAME,
            format!("UDP {address}: {error}"),
            "Give --media another address.",
        ),
    }
}

/// Looks at the adb key that devices are shown.
#[must_use]
pub fn adb_key(path: &Path) -> Check {
    const NAME: &str = "adb key";
    let at = path.display();
    if let Err(error) = key_file::load(path, "doctor", Missing::Fail) {
        return Check::fails(
            NAME,
            error.to_string(),
            "Make one with `adb keygen FILE`, or let the agent do it at its first connection to a device with \
             key=FILE; a file that is something else has to be moved away first.",
        );
    }
    let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777);
    match mode {
        Ok(mode) if mode & 0o077 != 0 => Check::warning(
            NAME,
            format!("{at} can be read by others (mode {mode:03o})"),
            format!("Whoever reads it has a shell on your devices: `chmod 600 {at}`."),
        ),
        Ok(_) | Err(_) => Check::ok(NAME, format!("{at} holds a key")),
    }
}
