//! Peers of other makes: one of adb's first version, which checks the sum of every packet, and OpenSSL on the other side of
//! STLS, as device and as host.
//!
//! ```text
//!   our Host ─────── CNXN, STLS ─────── test                      test ─────── CNXN, STLS ─────── our Daemon
//!      └─ TLS ─ pipe ─ s_server ─ packets ─┘                        └─ packets ─ s_client ─ pipe ─ TLS ─┘
//! ```
//!
//! OpenSSL makes the other side's certificate too. It is reached through sockets with names, so that no port is chosen.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use adb::banner::{Banner, Product};
use adb::daemon::Guard;
use adb::handshake::HandshakeError;
use adb::key::Key;
use adb::known_keys::{KnownKeys, NewKeys};
use adb::packet::{self, Command, HEADER_LEN, Sum, VERSION};
use adb::tls::DeviceTrust;
use adb::{Host, daemon, host};
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// adb's first version: whoever speaks it looks at sums.
const FIRST_VERSION: u32 = 0x0100_0000;
/// The one version of STLS.
const STLS_VERSION: u32 = 0x0100_0000;
/// Longest that OpenSSL may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// The other side, packet by packet, with the sums as they came.
struct Peer<S> {
    socket: S,
    inbox: BytesMut,
}

#[derive(Debug)]
struct Raw {
    command: u32,
    args: (u32, u32),
    sum: u32,
    payload: Vec<u8>,
}

impl Raw {
    /// What adb's first version wants there.
    fn sum_of_payload(&self) -> u32 {
        self.payload.iter().map(|&byte| u32::from(byte)).sum()
    }

    fn is(&self, command: &[u8; 4]) -> bool {
        self.command == u32::from_le_bytes(*command)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(socket: S) -> Self {
        Self {
            socket,
            inbox: BytesMut::new(),
        }
    }

    async fn send(&mut self, command: Command, args: (u32, u32), payload: &[u8]) {
        let mut out = BytesMut::new();
        packet::encode(&mut out, command, args, payload, Sum::Written);
        self.socket.write_all(&out).await.unwrap();
    }

    async fn next(&mut self) -> Raw {
        self.fill(HEADER_LEN).await;
        let header = self.inbox.split_to(HEADER_LEN);
        let word = |at: usize| u32::from_le_bytes(header[4 * at..][..4].try_into().unwrap());
        self.fill(word(3) as usize).await;
        let payload = self.inbox.split_to(word(3) as usize).to_vec();
        Raw {
            command: word(0),
            args: (word(1), word(2)),
            sum: word(4),
            payload,
        }
    }

    async fn fill(&mut self, length: usize) {
        while self.inbox.len() < length {
            assert_ne!(self.socket.read_buf(&mut self.inbox).await.unwrap(), 0, "hung up");
        }
    }
}

fn device(guard: Guard) -> daemon::Options {
    let product = Product {
        name: "test".into(),
        model: "Test".into(),
        device: "test".into(),
    };
    daemon::Options {
        guard,
        ..daemon::Options::open(Banner::device(&product, &["shell_v2"]))
    }
}

#[tokio::test]
async fn a_host_sums_every_packet_for_a_device_of_the_first_version_and_none_for_a_later_one() {
    for (version, is_summed) in [(FIRST_VERSION, true), (VERSION, false)] {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let mut device = Peer::new(theirs);
        let connecting = tokio::spawn(async move { Host::connect_over(ours).await });
        let hello = device.next().await;
        assert_eq!(
            hello.sum,
            hello.sum_of_payload(),
            "nobody knows the other's version yet"
        );
        device
            .send(Command::Cnxn, (version, 4096), b"device::features=shell_v2")
            .await;
        let host = connecting.await.unwrap().unwrap();
        let opening = host.open("echo:");
        let open = device.next().await;
        device.send(Command::Okay, (9, open.args.0), b"").await;
        let mut stream = opening.await.unwrap();
        let (sent, wrte) = tokio::join!(stream.send(b"\xff\xff\x01"), device.next());
        sent.unwrap();
        for packet in [open, wrte] {
            let wanted = if is_summed { packet.sum_of_payload() } else { 0 };
            assert_eq!(packet.sum, wanted, "{version:#x}: {packet:?}");
        }
    }
}

#[tokio::test]
async fn a_device_sums_every_packet_for_a_host_of_the_first_version_and_none_for_a_later_one() {
    for (version, is_summed) in [(FIRST_VERSION, true), (VERSION, false)] {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let mut host = Peer::new(ours);
        let options = device(Guard::Open);
        let accepting = tokio::spawn(async move { options.accept_over(theirs).await });
        host.send(Command::Cnxn, (version, 4096), b"host::features=shell_v2")
            .await;
        assert!(host.next().await.is(b"CNXN"));
        let mut daemon = accepting.await.unwrap().unwrap();
        host.send(Command::Open, (7, 0), b"echo:\0").await;
        let mut stream = daemon.next_open().await.unwrap().accept().unwrap();
        assert!(host.next().await.is(b"OKAY"));
        let (sent, wrte) = tokio::join!(stream.send(b"\xff\xff\x01"), host.next());
        sent.unwrap();
        let wanted = if is_summed { wrte.sum_of_payload() } else { 0 };
        assert_eq!(wrte.sum, wanted, "{version:#x}: {wrte:?}");
    }
}

/// One end of TLS, which is OpenSSL's, and what passes inside.
struct OpenSsl {
    child: Child,
    inside: Peer<UnixStream>,
}

impl OpenSsl {
    fn start(arguments: &[&str], folder: &Path, name: &str) -> Self {
        let (near, far) = StdUnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let child = Program::new("openssl")
            .args(arguments)
            .args(["-tls1_3", "-quiet", "-key"])
            .arg(folder.join(name).with_extension("pem"))
            .arg("-cert")
            .arg(folder.join(name).with_extension("crt"))
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(far.try_clone().unwrap())))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(far)))
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is missing");
        Self {
            child,
            inside: Peer::new(UnixStream::from_std(near).unwrap()),
        }
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key of ours with a certificate that OpenSSL made of it.
fn identity(folder: &Path, name: &str) -> Key {
    let key = Key::generate(name).unwrap();
    let pem = folder.join(name).with_extension("pem");
    std::fs::write(&pem, key.to_pem().unwrap()).unwrap();
    let made = Program::new("openssl")
        .args([
            "req",
            "-x509",
            "-new",
            "-subj",
            "/O=Elsewhere/CN=Adb",
            "-days",
            "2",
            "-key",
        ])
        .arg(&pem)
        .arg("-out")
        .arg(pem.with_extension("crt"))
        .output()
        .expect("openssl is missing");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    key
}

/// Carries what is TLS from here on, both ways.
fn carry<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut peer: Peer<S>, mut wire: UnixStream) {
    tokio::spawn(async move {
        // A peer that goes on at once has begun with TLS already.
        wire.write_all(&peer.inbox).await.unwrap();
        // Either side hangs up at the end.
        let _ = tokio::io::copy_bidirectional(&mut peer.socket, &mut wire).await;
    });
}

async fn connected(path: &Path) -> UnixStream {
    let listening = async {
        loop {
            match UnixStream::connect(path).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, listening)
        .await
        .expect("openssl never listens")
}

#[tokio::test]
async fn a_host_talks_in_tls_to_a_device_of_openssl_and_knows_it_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs, another) = (
        identity(folder.path(), "host"),
        identity(folder.path(), "device"),
        identity(folder.path(), "another"),
    );
    for (expected, is_it) in [(&theirs, true), (&another, false)] {
        let socket = folder.path().join(if is_it { "one" } else { "other" });
        let name = socket.to_str().unwrap();
        // -Verify: without a certificate of the host it goes no further; whose it is, is not its matter.
        let arguments = ["s_server", "-unix", name, "-Verify", "1", "-naccept", "1"];
        let mut openssl = OpenSsl::start(&arguments, folder.path(), "device");
        let options = host::Options {
            keys: vec![ours.clone()],
            trust: DeviceTrust::Known(vec![expected.public().fingerprint()]),
            ..host::Options::default()
        };
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connecting = tokio::spawn(async move { options.connect_over(near).await });
        let mut plain = Peer::new(far);
        assert!(plain.next().await.is(b"CNXN"));
        plain.send(Command::Stls, (STLS_VERSION, 0), b"").await;
        assert!(plain.next().await.is(b"STLS"));
        carry(plain, connected(&socket).await);
        let hello = b"device::features=shell_v2";
        openssl.inside.send(Command::Cnxn, (VERSION, 4096), hello).await;
        let host = connecting.await.unwrap();
        if !is_it {
            assert!(
                matches!(host, Err(HandshakeError::WrongDevice)),
                "{:?}",
                host.err()
            );
            continue;
        }
        let host = host.unwrap();
        let opening = host.open("echo:");
        let open = openssl.inside.next().await;
        assert_eq!(open.payload, b"echo:\0");
        openssl.inside.send(Command::Okay, (9, open.args.0), b"").await;
        openssl
            .inside
            .send(Command::Wrte, (9, open.args.0), b"hello")
            .await;
        assert_eq!(
            opening.await.unwrap().read_chunk().await.unwrap().unwrap(),
            "hello"
        );
    }
}

#[tokio::test]
async fn a_device_talks_in_tls_to_a_host_of_openssl_and_to_none_whose_key_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let known = identity(folder.path(), "known");
    identity(folder.path(), "strange");
    let key = Key::generate("device").unwrap();
    for name in ["known", "strange"] {
        let known = KnownKeys::new(vec![known.public().clone()], NewKeys::Refuse);
        let key = key.clone();
        let options = device(Guard::Tls { key, known });
        let (near, far) = tokio::io::duplex(64 * 1024);
        let accepting = tokio::spawn(async move { options.accept_over(far).await });
        let mut plain = Peer::new(near);
        let hello = b"host::features=shell_v2";
        plain.send(Command::Cnxn, (VERSION, 4096), hello).await;
        assert!(plain.next().await.is(b"STLS"));
        plain.send(Command::Stls, (STLS_VERSION, 0), b"").await;
        let socket: PathBuf = folder.path().join(format!("{name}.socket"));
        let listener = UnixListener::bind(&socket).unwrap();
        let arguments = ["s_client", "-unix", socket.to_str().unwrap()];
        let mut openssl = OpenSsl::start(&arguments, folder.path(), name);
        let (wire, _) = tokio::time::timeout(PATIENCE, listener.accept())
            .await
            .expect("openssl never calls")
            .unwrap();
        carry(plain, wire);
        let daemon = accepting.await.unwrap();
        if name == "strange" {
            assert!(
                matches!(daemon, Err(HandshakeError::Unauthorized)),
                "{:?}",
                daemon.err()
            );
            continue;
        }
        let mut daemon = daemon.unwrap();
        assert!(openssl.inside.next().await.is(b"CNXN"));
        openssl.inside.send(Command::Open, (7, 0), b"echo:\0").await;
        let open = daemon.next_open().await.unwrap();
        assert_eq!(open.service(), "echo:");
        let mut stream = open.accept().unwrap();
        assert!(openssl.inside.next().await.is(b"OKAY"));
        let (sent, wrte) = tokio::join!(stream.send(b"hello"), openssl.inside.next());
        sent.unwrap();
        assert_eq!(wrte.payload, b"hello");
    }
}
