//! Ways to a device: their texts, and gone for real.
//!
//! Behind each way is the simulated device, with a guard that asks for a key or for TLS, or with Debian's adb server in
//! between, on a socket of the test's own; a person's touch has to come out at the other end.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use adb::daemon::Guard;
use adb::known_keys::{KnownKeys, NewKeys};
use protocol::agent::Reply;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::*;
use crate::recorder::conversation::streams_alone_are_recorded;
use crate::rig::{PATIENCE, Phone, Rig, reply};

fn way(text: &str) -> Result<Way, WayTextError> {
    text.parse()
}

#[test]
fn a_way_is_an_address_a_key_if_one_is_needed_or_an_adb_server_and_a_serial() {
    let address = |text: &str| text.parse::<Address>().unwrap();
    let direct = |at: &str, key: Option<&str>| Way::Direct {
        address: address(at),
        key: key.map(PathBuf::from),
    };
    assert_eq!(way("127.0.0.1:6555"), Ok(direct("127.0.0.1:6555", None)));
    assert_eq!(way("[::1]:6555"), Ok(direct("[::1]:6555", None)));
    assert_eq!(
        way("phone-1.lan:5555,key=/var/lib/farglass/adb key"),
        Ok(direct("phone-1.lan:5555", Some("/var/lib/farglass/adb key")))
    );
    // A host of this name is a host as long as there is no serial.
    assert_eq!(way("server:5555"), Ok(direct("server:5555", None)));
    assert_eq!(
        way("server:5555,key=/etc/adbkey"),
        Ok(direct("server:5555", Some("/etc/adbkey")))
    );
    for (text, at, serial) in [
        ("server:127.0.0.1:5037/1A2B3C", "127.0.0.1:5037", "1A2B3C"),
        ("server:[::1]:5037/emulator-5554", "[::1]:5037", "emulator-5554"),
        ("server:adb:5037/192.168.1.7:5555", "adb:5037", "192.168.1.7:5555"),
    ] {
        let expected = Way::Server {
            server: address(at),
            serial: serial.to_owned(),
        };
        assert_eq!(way(text).as_ref(), Ok(&expected));
        assert_eq!(expected.to_string(), text);
    }
}

#[test]
fn what_is_no_way_is_told_with_what_would_be_one() {
    for text in [
        "",
        "b",
        ":1",
        "h:0",
        "h:70000",
        "h:1/x",
        "::1:5",
        "[::1:5",
        "[x]:5",
        "a b:5",
        "server:h:5037",
    ] {
        let told = way(text).unwrap_err().to_string();
        assert!(
            told.contains("HOST:PORT") && told.contains("brackets"),
            "{text}: {told}"
        );
    }
    for text in ["h:1,", "h:1,key=", "h:1,tls", "h:1,key=a,key=b", "h:1,key=a,b"] {
        let told = way(text).unwrap_err().to_string();
        assert!(told.contains("key=FILE"), "{text}: {told}");
    }
    let long = format!("server:h:1/{}", "x".repeat(SERIAL_BYTES_MAX + 1));
    for text in [
        "server:h:1/",
        "server:h:1/a b",
        "server:h:1/a,key=b",
        "server:h:1/a/b",
        &long,
    ] {
        let told = way(text).unwrap_err().to_string();
        assert!(told.contains("adb devices"), "{text}: {told}");
    }
}

/// Answers a device's question with this file's key, and says what the agent makes of it.
fn keyed(phone: &Phone, path: &Path) -> String {
    format!("{},key={}", phone.address, path.display())
}

/// A session over a way: prepared, touched, and the finger seen on the device.
async fn touches_reach_it(mut rig: Rig) {
    rig.healthy().await;
    assert!(matches!(
        reply(rig.prepare(1, "dev.farglass.paint")).await,
        Reply::Prepared { .. }
    ));
    rig.press(1, 0, (0x8000, 0x8000), 1);
    let dump = rig
        .sees("a finger", |dump| dump["pointers"].as_array().unwrap().len() == 1)
        .await;
    assert_eq!(
        (&dump["pointers"][0]["x"], &dump["pointers"][0]["y"]),
        (&180.into(), &320.into())
    );
}

#[tokio::test]
async fn a_device_that_asks_for_a_key_gets_one_that_is_made_at_the_first_try_and_kept_for_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adbkey");
    let known = KnownKeys::new(Vec::new(), NewKeys::Accept);
    let phone = Phone::behind(Guard::Keys(known.clone())).await;
    let way = keyed(&phone, &path);
    touches_reach_it(Rig::by(phone, &way).await).await;
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let kept = key_file::load(&path, "x", Missing::Fail).unwrap();
    assert_eq!(
        known.all(),
        [kept.public().clone()],
        "the device knows another key"
    );
}

#[tokio::test]
async fn a_device_that_asks_for_tls_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adbkey");
    let key = key_file::load(&path, KEY_OWNER, Missing::Generate).unwrap();
    let known = KnownKeys::new(vec![key.public().clone()], NewKeys::Refuse);
    let own = key_file::load(&folder.path().join("own"), "device", Missing::Generate).unwrap();
    let phone = Phone::behind(Guard::Tls { key: own, known }).await;
    let way = keyed(&phone, &path);
    touches_reach_it(Rig::by(phone, &way).await).await;
}

#[tokio::test]
async fn a_device_that_does_not_know_us_is_told_apart_from_one_that_we_have_no_key_for() {
    let folder = tempfile::tempdir().unwrap();
    let known = KnownKeys::new(Vec::new(), NewKeys::Refuse);
    let phone = Phone::behind(Guard::Keys(known)).await;
    let without: Way = phone.address.to_string().parse().unwrap();
    let refused = without.connect().await.err().unwrap();
    assert!(
        matches!(refused, WayError::Handshake(HandshakeError::AuthRequired)),
        "{refused}"
    );
    let with: Way = keyed(&phone, &folder.path().join("adbkey")).parse().unwrap();
    let refused = with.connect().await.err().unwrap();
    assert!(
        matches!(refused, WayError::Handshake(HandshakeError::Unauthorized)),
        "{refused}"
    );
}

/// Debian's adb server on a socket in `folder`, and a TCP port that leads there.
async fn stock_server(folder: &Path) -> (tokio::process::Child, SocketAddr, JoinSet<()>) {
    let socket = folder.join("adb.sock");
    let path = format!("localfilesystem:{}", socket.display());
    // The server tells on descriptor 3 that it listens; only a shell can give it that.
    let script = "exec adb -L \"$0\" fork-server server --reply-fd 3 3>&1 >/dev/null 2>&1";
    let mut server = adb(folder, "sh", &["-c", script, &path])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 3];
    let told = server.stdout.as_mut().unwrap().read_exact(&mut ready);
    told.await.expect("is adb installed?");
    assert_eq!(&ready, b"OK\n");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut joined = JoinSet::new();
        loop {
            let (mut outside, _) = listener.accept().await.unwrap();
            let mut inside = UnixStream::connect(&socket).await.unwrap();
            joined.spawn(async move {
                // Either end may hang up; the other one sees it.
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (server, address, tasks)
}

/// A command whose keys and logs go to `folder`; no USB, no mDNS.
fn adb(folder: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env("HOME", folder).env("TMPDIR", folder);
    command.env("ADB_MDNS", "0").env("ADB_LIBUSB", "0");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_behind_the_stock_adb_server_is_filmed_and_touched_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, address, _door) = stock_server(folder.path()).await;
    let phone = Phone::start().await;
    let serial = phone.address.to_string();
    let path = format!("localfilesystem:{}/adb.sock", folder.path().display());
    let run = |args: &'static str, last: String| {
        let mut command = adb(folder.path(), "adb", &["-L", &path, args]);
        command.args((!last.is_empty()).then_some(last));
        async move {
            tokio::time::timeout(PATIENCE, command.output())
                .await
                .unwrap()
                .unwrap()
        }
    };
    let connected = run("connect", serial.clone()).await;
    assert!(connected.stdout.starts_with(b"connected to"), "{connected:?}");
    let way = format!("server:{address}/{serial}");
    streams_alone_are_recorded(&way).await;
    touches_reach_it(Rig::by(phone, &way).await).await;
    let nobody: Way = format!("server:{address}/nobody").parse().unwrap();
    let refused = nobody.connect().await.err().unwrap().to_string();
    assert!(refused.contains("not found"), "{refused}");
    run("kill-server", String::new()).await;
    tokio::time::timeout(PATIENCE, server.wait())
        .await
        .unwrap()
        .unwrap();
    let nobody = nobody.connect().await.err().unwrap().to_string();
    assert!(nobody.contains("no adb server"), "{nobody}");
}
