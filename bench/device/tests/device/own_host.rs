//! What the stock client cannot show: the device through our own host, which sees streams, frames and their ends.

use std::net::SocketAddr;
use std::time::Duration;

use adb::Host;
use adb::connection::OpenError;
use adb::host::ShellEvent;
use adb::sync::{Listing, Request, Response, ResponseParser, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
use adb::transfer::{Target, TransferError};
use bytes::BytesMut;
use device::Traits;
use tokio::net::TcpStream;
use tokio_util::sync::DropGuard;

use crate::phone::{plain, start};
use crate::stock_adb::apk::{App, Packing, apk};

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
async fn a_command_without_frames_is_one_stream_of_bytes_as_they_are_without_an_exit_code() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    for (service, told) in [
        (
            "shell:echo out; nonsense",
            "out\n/system/bin/sh: nonsense: inaccessible or not found\n",
        ),
        (
            "exec:echo out; nonsense",
            "out\n/system/bin/sh: nonsense: inaccessible or not found\n",
        ),
        ("shell,pty:echo out", "out\r\n"),
    ] {
        let mut stream = host.open(service).await.unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = stream.read_chunk().await.unwrap() {
            text.extend_from_slice(&chunk);
        }
        assert_eq!(String::from_utf8(text).unwrap(), told, "{service}");
    }
}

/// Sends this as an app to install on one stream without frames; what the device tells until it closes the stream.
async fn install(host: &Host, file: &[u8]) -> String {
    let service = format!("exec:cmd package install -S {}", file.len());
    let telling = async {
        let mut stream = host.open(&service).await.unwrap();
        stream.send(file).await.unwrap();
        let mut told = Vec::new();
        while let Some(chunk) = stream.read_chunk().await.unwrap() {
            told.extend_from_slice(&chunk);
        }
        String::from_utf8(told).unwrap()
    };
    let told = tokio::time::timeout(DEADLINE, telling).await;
    told.expect("the device says nothing of the app")
}

#[tokio::test]
async fn an_app_comes_in_on_one_stream_byte_by_byte_and_what_is_none_is_refused_with_the_reason() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    let notes = App {
        package: "org.example.notes",
        version_code: 7,
        version_name: "1.7",
        label: "Example Notes",
    };
    let file = apk(notes, Packing::Plain, b"no code");
    let half = &file[..file.len() / 2];
    let refused = install(&host, half).await;
    assert!(
        refused.starts_with("Failure [INSTALL_PARSE_FAILED_NOT_APK: "),
        "{refused}"
    );
    let listed = "package:org.example.notes\n";
    assert!(!stdout(&host, "pm list packages").await.contains(listed));
    assert_eq!(install(&host, &file).await, "Success\n");
    assert!(stdout(&host, "pm list packages").await.contains(listed));
    let path = stdout(&host, "pm path org.example.notes").await;
    let path = path.trim().strip_prefix("package:").unwrap();
    assert!(host.pull(path, 1 << 20).await.unwrap() == file, "{path}");
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

/// The next answer of a sync service; none when it has closed the stream.
async fn answer(sync: &mut adb::Stream, parser: &mut ResponseParser) -> Option<Response> {
    loop {
        if let Some(response) = parser.next_response().unwrap() {
            return Some(response);
        }
        let chunk = tokio::time::timeout(DEADLINE, sync.read_chunk()).await;
        parser.push(&chunk.expect("the device says nothing").unwrap()?);
    }
}

#[tokio::test]
async fn a_transfer_that_fails_is_told_at_once_and_ends_its_stream() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    let send = |path: &str| {
        let request = Request::Send {
            path: path.to_owned(),
            mode: S_IFREG | 0o644,
        };
        vec![request, Request::Data(b"more".as_slice().into())]
    };
    for (begin, why) in [
        (send("/system/x"), "Permission denied"),
        (send("/sdcard/Download"), "Is a directory"),
        (
            vec![Request::Recv("/nothing".to_owned())],
            "No such file or directory",
        ),
    ] {
        let mut sync = host.open("sync:").await.unwrap();
        let mut parser = ResponseParser::new(Listing::No);
        let mut wire = BytesMut::new();
        begin.iter().for_each(|request| request.encode(&mut wire));
        sync.send(&wire).await.unwrap();
        let told = answer(&mut sync, &mut parser).await;
        assert_eq!(told, Some(Response::Fail(why.to_owned())));
        // The rest of a file that is sent is taken; then the stream ends.
        if begin.len() > 1 {
            let mut rest = BytesMut::new();
            Request::Data(b"rest".as_slice().into()).encode(&mut rest);
            Request::Done { mtime_s: 1 }.encode(&mut rest);
            sync.send(&rest).await.unwrap();
        }
        assert_eq!(answer(&mut sync, &mut parser).await, None, "{why}");
    }
}

/// Type bits of what the sync service tells of a path.
async fn mode(host: &Host, request: &Request) -> u32 {
    let mut wire = BytesMut::new();
    request.encode(&mut wire);
    let mut sync = host.open("sync:").await.unwrap();
    sync.send(&wire).await.unwrap();
    let mut parser = ResponseParser::new(Listing::No);
    let mode = match answer(&mut sync, &mut parser).await {
        Some(Response::Stat(stat)) => stat.mode,
        Some(Response::Stat2(stat) | Response::Lstat2(stat)) => stat.mode,
        other => panic!("{other:?}"),
    };
    mode & S_IFMT
}

#[tokio::test]
async fn shared_storage_is_a_link_to_where_its_files_are() {
    let (adb, _device) = device().await;
    let host = Host::connect(adb).await.unwrap();
    for (command, prints) in [
        (
            "echo x > /sdcard/Download/a; cat /storage/self/primary/Download/a",
            "x\n",
        ),
        ("find /sdcard", "/sdcard\n"),
        ("find /sdcard -type d; find /sdcard -type f", ""),
        (
            "find /sdcard -type l; find /sdcard ! -type d",
            "/sdcard\n/sdcard\n",
        ),
        ("find /sdcard/ -type f", "/sdcard/Download/a\n"),
        ("find /sdcard/ -mindepth 1 -maxdepth 1", "/sdcard/Download\n"),
        ("find /sdcard/Download/a", "/sdcard/Download/a\n"),
        ("su 0 find / -type f", "/storage/self/primary/Download/a\n"),
        ("ls /sdcard; ls -d /sdcard", "Download\n/sdcard\n"),
        (
            "[ -d /sdcard ]; echo $?; [ -L /sdcard ]; echo $?; [ -L /sdcard/ ]; echo $?",
            "0\n0\n1\n",
        ),
        ("rm -rf /sdcard 2>/dev/null; ls /sdcard/Download", "a\n"),
    ] {
        assert_eq!(stdout(&host, command).await, prints, "{command}");
    }
    let long = stdout(&host, "ls -l -d /sdcard").await;
    assert!(
        long.starts_with('l') && long.ends_with("/sdcard -> /storage/self/primary\n"),
        "{long}"
    );
    for (request, kind) in [
        (Request::Stat("/sdcard".to_owned()), S_IFLNK),
        (Request::Lstat2("/sdcard".to_owned()), S_IFLNK),
        (Request::Stat2("/sdcard".to_owned()), S_IFDIR),
        (Request::Stat("/sdcard/".to_owned()), S_IFDIR),
        (Request::Stat("/sdcard/Download/a".to_owned()), S_IFREG),
    ] {
        assert_eq!(mode(&host, &request).await, kind, "{request:?}");
    }
}
