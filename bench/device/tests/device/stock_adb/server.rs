//! Our own host through Debian's adb server: the same `Host` as on a direct connection, with the stock server in
//! between. The server listens on a Unix socket, so that tests never meet; a door of this test leads there from TCP.

use std::net::SocketAddr;

use adb::connection::{End, OpenError};
use adb::host::ShellEvent;
use adb::host_server::ServerError;
use adb::transfer::{Links, Target, TransferError};
use adb::{Host, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

use super::rig::{Rig, pattern};

/// Leads every TCP connection to the rig's server until it is dropped.
async fn door(rig: &Rig) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let path = rig.socket();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut joined = JoinSet::new();
        loop {
            let (mut outside, _) = listener.accept().await.unwrap();
            let mut inside = UnixStream::connect(&path).await.unwrap();
            joined.spawn(async move {
                // Either end may hang up; the other one sees it.
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (address, tasks)
}

async fn through(rig: &Rig) -> (Host, JoinSet<()>) {
    let (address, door) = door(rig).await;
    let server = Server::at(address);
    let host = server.host(&rig.serial).await.unwrap();
    (host, door)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_host_asks_the_server_for_its_version_and_devices() {
    let rig = Rig::start().await;
    let (address, _door) = door(&rig).await;
    let server = Server::at(address);
    assert_eq!(server.version().await.unwrap(), 41);
    let devices = server.devices().await.unwrap();
    assert_eq!(devices.len(), 1, "{devices:?}");
    assert_eq!(
        (devices[0].serial.as_str(), devices[0].state.as_str()),
        (rig.serial.as_str(), "device")
    );
    assert_eq!(devices[0].property("model"), Some("Farglass_Test"));
    let host = server.host(&rig.serial).await.unwrap();
    assert!(host.banner().has("shell_v2"));
    assert_eq!(host.banner().property("ro.product.model"), Some("Farglass_Test"));
    assert_eq!(
        host.banner().property("ro.product.name"),
        Some("farglass_simulated")
    );
    assert!(host.incoming().is_none());
    let unknown = server.host("nobody:1").await.err().unwrap();
    assert!(
        matches!(&unknown, ServerError::Refused(text) if text.contains("not found")),
        "{unknown}"
    );
    rig.end().await;
    let gone = server.version().await.err().unwrap();
    assert!(matches!(gone, ServerError::Io(_)), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_through_the_server_with_their_output_and_exit_code() {
    let rig = Rig::start().await;
    let (host, _door) = through(&rig).await;
    let output = host.shell("echo out; cat /nothing; exit 7").await.unwrap();
    assert_eq!(
        (output.stdout.as_slice(), output.exit),
        (b"out\n".as_slice(), Some(7))
    );
    assert_eq!(output.stderr, b"cat: /nothing: No such file or directory\n");
    let mut cat = host.start_shell("cat").await.unwrap();
    let input = pattern(1, 400_000);
    let mut got = Vec::new();
    for piece in input.chunks(40_000) {
        cat.send_stdin(piece).await.unwrap();
        let before = got.len();
        while got.len() < before + piece.len() {
            match cat.next().await.unwrap() {
                Some(ShellEvent::Stdout(data)) => got.extend_from_slice(&data),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(got == input);
    cat.close_stdin().await.unwrap();
    assert_eq!(cat.next().await.unwrap(), Some(ShellEvent::Exit(0)));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_through_the_server_and_come_back() {
    let rig = Rig::start().await;
    let (host, _door) = through(&rig).await;
    let content = pattern(2, 5_000_000);
    let target = Target {
        path: "/sdcard/through/it",
        permissions: 0o640,
        mtime_s: 77,
    };
    host.push(&target, &content).await.unwrap();
    assert!(host.pull(target.path, content.len()).await.unwrap() == content);
    let stat = host.stat2(target.path, Links::Keep).await.unwrap().unwrap();
    assert_eq!(
        (stat.mode, stat.size, stat.times_s[1]),
        (0o100_640, 5_000_000, 77)
    );
    assert_eq!(host.stat2("/sdcard/nothing", Links::Follow).await.unwrap(), None);
    let list = host.list("/sdcard/through").await.unwrap();
    assert_eq!(
        list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["it"]
    );
    let denied = host
        .push(
            &Target {
                path: "/system/x",
                ..target
            },
            b"x",
        )
        .await;
    assert!(
        matches!(&denied, Err(TransferError::Refused(text)) if text == "Permission denied"),
        "{denied:?}"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_the_device_are_reached_and_where_nobody_listens_that_is_told() {
    let rig = Rig::start().await;
    let (host, _door) = through(&rig).await;
    for service in ["localabstract:nobody", "tcp:7000", "nonsense:"] {
        assert_eq!(
            host.open(service).await.err(),
            Some(OpenError::Refused),
            "{service}"
        );
    }
    assert_eq!(host.open("a\0b").await.err(), Some(OpenError::BadService));
    assert_eq!(host.end(), None, "a refusal is not the end");
    let mut nc = host.start_shell("echo up; nc -l -p 7000").await.unwrap();
    assert_eq!(nc.next().await.unwrap(), Some(ShellEvent::Stdout("up\n".into())));
    let reached = async {
        loop {
            match host.open("tcp:7000").await {
                Ok(stream) => return stream,
                Err(OpenError::Refused) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let mut stream = tokio::time::timeout(super::DEADLINE, reached)
        .await
        .expect("nobody listens");
    stream.write_all(b"to the device").await.unwrap();
    assert_eq!(
        nc.next().await.unwrap(),
        Some(ShellEvent::Stdout("to the device".into()))
    );
    nc.send_stdin(b"to the host").await.unwrap();
    let mut got = [0; 11];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"to the host");
    stream.shutdown().await.unwrap();
    let ended = async {
        loop {
            if let Some(ShellEvent::Exit(code)) = nc.next().await.unwrap() {
                return code;
            }
        }
    };
    assert_eq!(
        tokio::time::timeout(super::DEADLINE, ended)
            .await
            .expect("nc goes on"),
        0
    );
    assert_eq!(stream.read_chunk().await.unwrap(), None);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_leaves_the_server_ends_its_host() {
    let rig = Rig::start().await;
    let (host, _door) = through(&rig).await;
    let mut shell = host.start_shell("cat").await.unwrap();
    rig.adb_any(["disconnect", &rig.serial]).await;
    assert_eq!(shell.next().await.unwrap(), None, "its streams end");
    let ended = host.open("shell:id").await.err().unwrap();
    assert!(
        matches!(&ended, OpenError::Ended(End::Server(text)) if text.contains("not found")),
        "{ended}"
    );
    assert!(matches!(host.end(), Some(End::Server(_))));
    rig.end().await;
}
