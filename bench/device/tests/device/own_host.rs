//! What the stock client cannot show: the device through our own host, which sees streams, frames and their ends.

use std::net::SocketAddr;
use std::time::Duration;

use adb::Host;
use adb::connection::OpenError;
use adb::host::ShellEvent;
use adb::transfer::{Target, TransferError};
use device::Traits;
use tokio::net::TcpStream;
use tokio_util::sync::DropGuard;

use crate::phone::{plain, start};

/// Longer than any step of these tests takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

async fn device() -> (SocketAddr, DropGuard) {
    start(plain(), Traits::default()).await
}

async fn stdout(host: &Host, command: &str) -> String {
    let output = host.shell(command).await.unwrap();
    assert_eq!(output.exit, Some(0), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_device_lists_exactly_the_features_that_it_serves() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    // No abb_exec, no compressed transfers, no remount: a host would use what is listed and fail.
    let listed = [
        "shell_v2",
        "cmd",
        "stat_v2",
        "ls_v2",
        "fixed_push_mkdir",
        "sendrecv_v2",
        "delayed_ack",
    ];
    assert_eq!(host.banner().features, listed);
}

#[tokio::test]
async fn a_screenshot_is_a_picture_of_the_display_as_it_is_held() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    stdout(&host, "am start -n dev.farglass.still/.MainActivity").await;
    for (rotation, size) in [(0, (360, 640)), (1, (640, 360))] {
        stdout(&host, &format!("settings put system user_rotation {rotation}")).await;
        let file = host.shell("screencap -p").await.unwrap().stdout;
        let mut picture = png::Decoder::new(std::io::Cursor::new(&file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; picture.output_buffer_size().unwrap()];
        let info = picture.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), size);
        let colours: std::collections::HashSet<&[u8]> = pixels.chunks(3).collect();
        assert!(
            colours.len() > 2,
            "the still page shows more than {} colours",
            colours.len()
        );
        stdout(&host, "screencap -p /sdcard/shot.png").await;
        assert!(
            host.pull("/sdcard/shot.png", 1 << 22).await.unwrap() == file,
            "a still page does not change"
        );
    }
}

#[tokio::test]
async fn a_shell_of_the_first_version_is_a_terminal_without_an_exit_code() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    let mut stream = host.open("shell:echo out; nonsense").await.unwrap();
    let mut told = Vec::new();
    while let Some(chunk) = stream.read_chunk().await.unwrap() {
        told.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(told).unwrap();
    assert_eq!(
        text,
        "out\r\n/system/bin/sh: nonsense: inaccessible or not found\r\n"
    );
}

#[tokio::test]
async fn a_terminal_prompts_echoes_and_edits() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    let mut stream = host.open("shell:").await.unwrap();
    stream.send(b"echo no\x03echo hx\x7fi\rexit\r").await.unwrap();
    let mut told = Vec::new();
    while let Some(chunk) = stream.read_chunk().await.unwrap() {
        told.extend_from_slice(&chunk);
    }
    let prompt = "simulated:/ $ ";
    let expected = format!("{prompt}echo no^C\r\n{prompt}echo hx\x08 \x08i\r\nhi\r\n{prompt}exit\r\n");
    assert_eq!(String::from_utf8(told).unwrap(), expected);
}

#[tokio::test]
async fn a_command_ends_when_its_host_hangs_up() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    let mut first = host.start_shell("echo up; nc -l -p 7000").await.unwrap();
    assert_eq!(
        first.next().await.unwrap(),
        Some(ShellEvent::Stdout("up\n".into()))
    );
    drop(first);
    // The port is free again as soon as the device has seen the hang-up; until then it is in use.
    let freed = async {
        loop {
            let mut second = host.start_shell("nc -l -p 7000").await.unwrap();
            tokio::select! {
                event = second.next() => assert!(matches!(event.unwrap(), Some(ShellEvent::Stderr(_)))),
                stream = reached(&host) => return drop(stream),
            }
        }
    };
    tokio::time::timeout(DEADLINE, freed)
        .await
        .expect("the port stays in use");
}

/// A stream to whoever listens on the port of the test above.
async fn reached(host: &Host) -> adb::Stream {
    loop {
        match host.open("tcp:7000").await {
            Ok(stream) => return stream,
            Err(OpenError::Refused) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn only_a_stand_in_starts_as_a_server() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    let jar = "/data/local/tmp/server.jar";
    let target = Target {
        path: jar,
        permissions: 0o644,
        mtime_s: 1,
    };
    let start = format!("CLASSPATH={jar} app_process / com.genymobile.scrcpy.Server 4.1");
    let missing = host.shell(&start).await.unwrap();
    assert_eq!(missing.exit, Some(134), "{missing:?}");
    host.push(&target, b"PK\x03\x04").await.unwrap();
    assert_eq!(host.shell(&start).await.unwrap().exit, Some(134));
    host.push(&target, &device::stand_in_server("4.1")).await.unwrap();
    let other_class = host.shell(&start.replace("Server", "Other")).await.unwrap();
    assert_eq!(other_class.exit, Some(134));
    let other_version = host.shell(&start.replace("4.1", "4.0")).await.unwrap();
    assert_eq!(other_version.exit, Some(1));
    let text = String::from_utf8(other_version.stderr).unwrap();
    assert!(text.contains("(4.1) does not match the client (4.0)"), "{text}");
}

#[tokio::test]
async fn what_does_not_exist_is_refused_or_missing() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    for service in [
        "framebuffer:",
        "jdwp:1",
        "localabstract:nobody",
        "tcp:1",
        "abb:x",
        "sync:x",
        "nonsense",
    ] {
        assert_eq!(
            host.open(service).await.err(),
            Some(OpenError::Refused),
            "{service}"
        );
    }
    assert_eq!(host.stat("/nothing").await.unwrap(), None);
    let missing = host.pull("/nothing", 1).await;
    assert!(matches!(missing, Err(TransferError::Refused(text)) if text == "No such file or directory"));
}

#[tokio::test]
async fn a_host_too_many_is_turned_away() {
    let (adb, _device) = device().await;
    let mut hosts = Vec::new();
    for _ in 0..device::adbd::MAX_HOSTS {
        hosts.push(Host::connect(adb).await.unwrap());
    }
    assert!(Host::connect(adb).await.is_err());
    let socket = TcpStream::connect(adb).await;
    assert!(socket.is_ok(), "the port itself stays open");
    assert_eq!(stdout(&hosts[0], "echo still here").await, "still here\n");
}
