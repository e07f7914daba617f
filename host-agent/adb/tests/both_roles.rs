//! Host against daemon over loopback TCP and over in-memory pipes: what neither side can show alone.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

use std::os::fd::AsFd as _;

use adb::banner::{Banner, Product};
use adb::connection::{End, OpenError};
use adb::handshake::HandshakeError;
use adb::host::{Output, ShellError, TerminalSize};
use adb::shell::{Decoder, Frame};
use adb::sync::{Flags, Listing, Request, RequestParser, Response};
use adb::transfer::{Target, TransferError};
use adb::{Daemon, Host, Stream};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CLASSIC: [&str; 3] = ["shell_v2", "cmd", "stat_v2"];
const DELAYED: [&str; 4] = ["shell_v2", "cmd", "stat_v2", "delayed_ack"];

fn banner(features: &[&str]) -> Banner {
    let product = Product {
        name: "test".into(),
        model: "Test".into(),
        device: "test".into(),
    };
    Banner::device(&product, features)
}

/// A host and a daemon on one loopback connection.
async fn pair(features: &'static [&'static str]) -> (Host, Daemon) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let daemon = async {
        let (socket, _) = listener.accept().await.unwrap();
        Daemon::accept(socket, &banner(features)).await.unwrap()
    };
    let (host, daemon) = tokio::join!(Host::connect(addr), daemon);
    (host.unwrap(), daemon)
}

#[tokio::test]
async fn the_devices_socket_sends_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let daemon = async {
        let (socket, _) = listener.accept().await.unwrap();
        // A second handle on the same socket sees the option that the first one sets.
        let eye = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned().unwrap());
        assert!(!eye.nodelay().unwrap(), "the system's default");
        let daemon = Daemon::accept(socket, &banner(&DELAYED)).await.unwrap();
        (daemon, eye.nodelay().unwrap())
    };
    let (host, (_daemon, at_once)) = tokio::join!(Host::connect(addr), daemon);
    host.unwrap();
    assert!(at_once);
}

async fn accept(daemon: &mut Daemon) -> (String, Stream) {
    let open = daemon.next_open().await.unwrap();
    (open.service().to_owned(), open.accept().unwrap())
}

/// Bytes that tell their position, so that any loss, swap or repetition shows.
fn pattern(seed: u32, len: u32) -> Vec<u8> {
    (0..len / 4)
        .flat_map(|at| (at.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes())
        .collect()
}

/// Serves `echo:` streams until the host is gone.
fn spawn_echo(mut daemon: Daemon) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(open) = daemon.next_open().await {
            if open.service() != "echo:" {
                continue;
            }
            let mut stream = open.accept().unwrap();
            tokio::spawn(async move {
                while let Ok(Some(chunk)) = stream.read_chunk().await {
                    if stream.send(&chunk).await.is_err() {
                        break;
                    }
                }
            });
        }
    })
}

async fn interleave(features: &'static [&'static str]) {
    let (host, daemon) = pair(features).await;
    let echo = spawn_echo(daemon);
    let mut streams = tokio::task::JoinSet::new();
    for seed in 0..24 {
        let host = host.clone();
        streams.spawn(async move {
            let (mut reader, mut writer) = host.open("echo:").await.unwrap().into_split();
            let sent = pattern(seed, 400_000 + seed * 4);
            let expected = sent.clone();
            let writing = tokio::spawn(async move {
                for piece in sent.chunks(7_001) {
                    writer.send(piece).await.unwrap();
                }
                writer
            });
            let mut got = vec![0; expected.len()];
            reader.read_exact(&mut got).await.unwrap();
            assert!(got == expected, "stream {seed} differs");
            writing.await.unwrap();
        });
    }
    while let Some(done) = streams.join_next().await {
        done.unwrap();
    }
    host.close();
    echo.await.unwrap();
}

#[tokio::test]
async fn many_streams_interleave_without_mixing_in_classic_mode() {
    interleave(&CLASSIC).await;
}

#[tokio::test]
async fn many_streams_interleave_without_mixing_with_delayed_ack() {
    interleave(&DELAYED).await;
}

#[tokio::test]
async fn big_data_arrives_whole_and_a_graceful_close_cuts_nothing_off() {
    for features in [&CLASSIC[..], &DELAYED[..]] {
        let (host, mut daemon) = pair(features).await;
        let sent = pattern(1, 16 * 1024 * 1024);
        let expected = sent.clone();
        let sending = tokio::spawn(async move {
            let (service, mut stream) = accept(&mut daemon).await;
            assert_eq!(service, "exec:cat big");
            stream.write_all(&sent).await.unwrap();
            stream.shutdown().await.unwrap();
            daemon
        });
        let mut stream = host.open("exec:cat big").await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_only_its_own_stream() {
    let (host, mut daemon) = pair(&DELAYED).await;
    let mut stalled = {
        let (stream, _) = tokio::join!(host.open("a:"), async {
            let (_, mut stream) = accept(&mut daemon).await;
            tokio::spawn(async move { while stream.send(&[0; 65_536]).await.is_ok() {} });
        });
        stream.unwrap()
    };
    // The window is spent before this is answered, or the answer would come behind megabytes.
    let echo = spawn_echo(daemon);
    let mut stream = host.open("echo:").await.unwrap();
    let sent = pattern(2, 4 * 1024 * 1024);
    let (mut got, mut at) = (Vec::new(), 0);
    while got.len() < sent.len() {
        let end = (at + 100_000).min(sent.len());
        stream.send(&sent[at..end]).await.unwrap();
        at = end;
        while got.len() < end {
            got.extend_from_slice(&stream.read_chunk().await.unwrap().unwrap());
        }
    }
    assert!(got == sent);
    assert!(
        stalled.read_chunk().await.unwrap().is_some(),
        "the stalled stream still has its data"
    );
    host.close();
    echo.await.unwrap();
}

#[tokio::test]
async fn a_close_in_the_middle_ends_one_stream_and_leaves_the_others() {
    let (host, mut daemon) = pair(&DELAYED).await;
    let (mut doomed, mut kept) = {
        let opening = async { (host.open("a:").await.unwrap(), host.open("b:").await.unwrap()) };
        let accepting = async { (accept(&mut daemon).await.1, accept(&mut daemon).await.1) };
        let ((doomed, kept), (at_device, mut b)) = tokio::join!(opening, accepting);
        let mut at_device = at_device;
        at_device.send(b"first").await.unwrap();
        drop(at_device);
        tokio::spawn(async move {
            let chunk = b.read_chunk().await.unwrap().unwrap();
            b.send(&chunk).await.unwrap();
            b.shutdown().await.unwrap();
        });
        (doomed, kept)
    };
    assert_eq!(doomed.read_chunk().await.unwrap().unwrap(), "first");
    assert_eq!(doomed.read_chunk().await.unwrap(), None);
    assert_eq!(
        doomed.write_all(b"x").await.unwrap_err().kind(),
        std::io::ErrorKind::BrokenPipe
    );
    kept.send(b"still here").await.unwrap();
    assert_eq!(kept.read_chunk().await.unwrap().unwrap(), "still here");
}

#[tokio::test]
async fn a_device_that_goes_away_ends_everything_with_its_reason() {
    let (host, mut daemon) = pair(&CLASSIC).await;
    let (stream, at_device) = tokio::join!(host.open("a:"), accept(&mut daemon));
    let mut stream = stream.unwrap();
    drop((at_device, daemon));
    let end = loop {
        match stream.read_chunk().await {
            Ok(_) => tokio::task::yield_now().await,
            Err(end) => break end,
        }
        if let Some(end) = host.end() {
            break end;
        }
    };
    assert_eq!(end, End::PeerClosed);
    assert!(matches!(
        host.open("b:").await,
        Err(OpenError::Ended(End::PeerClosed))
    ));
}

#[tokio::test]
async fn refused_and_dropped_opens_are_told_to_the_host() {
    let (host, mut daemon) = pair(&CLASSIC).await;
    let refusing = async {
        daemon.next_open().await.unwrap().refuse();
        drop(daemon.next_open().await.unwrap());
    };
    let opening = async { (host.open("a:").await.err(), host.open("b:").await.err()) };
    let (errors, ()) = tokio::join!(opening, refusing);
    assert_eq!(errors, (Some(OpenError::Refused), Some(OpenError::Refused)));
    assert_eq!(host.open("a\0b").await.err(), Some(OpenError::BadService));
}

#[tokio::test]
async fn a_device_may_open_towards_a_host_that_listens_and_no_other() {
    let (host, daemon) = pair(&DELAYED).await;
    let connection = daemon.connection();
    assert_eq!(connection.open("tcp:1").await.err(), Some(OpenError::Refused));
    let mut incoming = host.incoming().unwrap();
    let taking = async {
        let open = incoming.next().await.unwrap();
        assert_eq!(open.service(), "tcp:1");
        open.accept().unwrap()
    };
    let (stream, mut at_host) = tokio::join!(connection.open("tcp:1"), taking);
    stream.unwrap().send(b"hello").await.unwrap();
    assert_eq!(at_host.read_chunk().await.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn a_shell_tells_output_and_exit_code() {
    let (host, mut daemon) = pair(&CLASSIC).await;
    let serving = tokio::spawn(async move {
        let (service, mut stream) = accept(&mut daemon).await;
        assert_eq!(service, "shell,v2,raw:fail");
        let mut out = BytesMut::new();
        Frame::Stdout(Bytes::from_static(b"out")).encode(&mut out);
        Frame::Stderr(Bytes::from_static(b"err")).encode(&mut out);
        Frame::Exit(3).encode(&mut out);
        for byte in out {
            stream.send(&[byte]).await.unwrap();
        }
        let (service, stream) = accept(&mut daemon).await;
        assert_eq!(service, "shell,v2,raw:die");
        drop(stream);
        let (_, mut stream) = accept(&mut daemon).await;
        let mut decoder = Decoder::default();
        let mut input = Vec::new();
        loop {
            match decoder.next_frame().unwrap() {
                Some(Frame::Stdin(data)) => input.extend_from_slice(&data),
                Some(Frame::CloseStdin) => return input,
                Some(other) => panic!("{other:?}"),
                None => decoder.push(&stream.read_chunk().await.unwrap().unwrap()),
            }
        }
    });
    let expected = Output {
        stdout: b"out".to_vec(),
        stderr: b"err".to_vec(),
        exit: Some(3),
    };
    assert_eq!(host.shell("fail").await.unwrap(), expected);
    assert!(matches!(host.shell("die").await, Err(ShellError::NoExitCode)));
    let mut cat = host.start_shell("cat").await.unwrap();
    let input = pattern(3, 100_000);
    cat.send_stdin(&input).await.unwrap();
    cat.close_stdin().await.unwrap();
    assert!(serving.await.unwrap() == input);
}

#[tokio::test]
async fn a_terminal_is_told_its_size_at_the_start_and_when_it_changes() {
    let (host, mut daemon) = pair(&CLASSIC).await;
    let serving = tokio::spawn(async move {
        let (service, mut stream) = accept(&mut daemon).await;
        assert_eq!(service, "shell,v2,TERM=xterm-256color,pty:top");
        let mut decoder = Decoder::default();
        let mut sizes = Vec::new();
        while sizes.len() < 2 {
            match decoder.next_frame().unwrap() {
                Some(Frame::WindowSize(size)) => sizes.push(size),
                Some(other) => panic!("{other:?}"),
                None => decoder.push(&stream.read_chunk().await.unwrap().unwrap()),
            }
        }
        sizes
    });
    let size = |rows, columns| TerminalSize { rows, columns };
    let mut top = host.start_terminal("top", size(24, 80)).await.unwrap();
    top.resize(size(50, 132)).await.unwrap();
    assert_eq!(serving.await.unwrap(), ["24x80,0x0\0", "50x132,0x0\0"]);
}

#[tokio::test]
async fn a_device_without_shell_v2_still_runs_commands() {
    let (host, mut daemon) = pair(&["cmd"]).await;
    let serving = tokio::spawn(async move {
        let (service, mut stream) = accept(&mut daemon).await;
        assert_eq!(service, "shell:id");
        stream.send(b"uid=2000").await.unwrap();
        stream.shutdown().await.unwrap();
        daemon
    });
    assert_eq!(
        host.shell("id").await.unwrap(),
        Output {
            stdout: b"uid=2000".to_vec(),
            ..Output::default()
        }
    );
    serving.await.unwrap();
}

/// Answers one `sync:` stream: stores what is sent, gives it back, refuses `/forbidden`. Notes each request's version.
async fn serve_sync(mut stream: Stream, stored: &mut Vec<u8>, versions: &mut Vec<u8>) {
    let mut parser = RequestParser::default();
    let mut failed = false;
    loop {
        let Some(request) = parser.next_request().unwrap() else {
            match stream.read_chunk().await {
                Ok(Some(chunk)) => parser.push(&chunk),
                _ => return,
            }
            continue;
        };
        match request {
            Request::Send { .. } | Request::Recv(_) => versions.push(1),
            Request::Send2 { flags, .. } | Request::Recv2 { flags, .. } => {
                assert_eq!(flags, Flags::PLAIN);
                versions.push(2);
            }
            _ => {}
        }
        let responses = match request {
            Request::Send { path, .. } | Request::Send2 { path, .. } => {
                failed = path == "/forbidden";
                stored.clear();
                vec![]
            }
            Request::Data(data) => {
                stored.extend_from_slice(&data);
                vec![]
            }
            Request::Done { .. } if failed => vec![Response::Fail("Permission denied".into())],
            Request::Done { .. } => vec![Response::Okay],
            Request::Recv(_) | Request::Recv2 { .. } => {
                let pieces = stored
                    .chunks(65_536)
                    .map(|piece| Response::Data(Bytes::copy_from_slice(piece)));
                pieces.chain([Response::Done]).collect()
            }
            other => panic!("{other:?}"),
        };
        let mut out = BytesMut::new();
        for response in responses {
            response.encode(&mut out, Listing::No);
        }
        if stream.send(&out).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn files_come_back_as_they_were_pushed_in_both_versions_and_both_kinds_of_flow_control() {
    const SECOND: [&str; 4] = ["shell_v2", "cmd", "stat_v2", "sendrecv_v2"];
    for (features, version) in [(&CLASSIC[..], 1), (&DELAYED[..], 1), (&SECOND[..], 2)] {
        let (host, mut daemon) = pair(features).await;
        let serving = tokio::spawn(async move {
            let (mut stored, mut versions) = (Vec::new(), Vec::new());
            while let Some(open) = daemon.next_open().await {
                serve_sync(open.accept().unwrap(), &mut stored, &mut versions).await;
            }
            versions
        });
        let content = pattern(4, 3_000_000);
        let target = Target {
            path: "/data/local/tmp/x,y",
            permissions: 0o644,
            mtime_s: 1,
        };
        host.push(&target, &content).await.unwrap();
        assert!(host.pull("/data/local/tmp/x,y", content.len()).await.unwrap() == content);
        let too_large = host.pull("/data/local/tmp/x,y", content.len() - 1).await;
        assert!(matches!(too_large, Err(TransferError::TooLarge(_))));
        let refused = host
            .push(
                &Target {
                    path: "/forbidden",
                    ..target
                },
                &content,
            )
            .await;
        assert!(matches!(refused, Err(TransferError::Refused(text)) if text == "Permission denied"));
        assert!(matches!(host.stat("").await, Err(TransferError::BadPath)));
        host.close();
        assert_eq!(serving.await.unwrap(), [version; 4]);
    }
}

#[tokio::test]
async fn devices_that_want_more_than_we_have_are_named() {
    use adb::packet::{Command, Sum, encode};
    let answer_with = async |command: Command, payload: &'static [u8]| {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut out = BytesMut::new();
        encode(&mut out, command, (1, 0), payload, Sum::Written);
        theirs.write_all(&out).await.unwrap();
        Host::connect_over(ours).await.err().unwrap()
    };
    assert!(matches!(
        answer_with(Command::Auth, &[7; 20]).await,
        HandshakeError::AuthRequired
    ));
    assert!(matches!(
        answer_with(Command::Stls, b"").await,
        HandshakeError::TlsRequired
    ));
    assert!(matches!(
        answer_with(Command::Okay, b"").await,
        HandshakeError::Protocol(_)
    ));
    assert!(matches!(
        answer_with(Command::Cnxn, b"").await,
        HandshakeError::Banner(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up() {
    let (ours, _theirs) = tokio::io::duplex(4096);
    assert!(matches!(
        Host::connect_over(ours).await,
        Err(HandshakeError::Timeout)
    ));
}

#[tokio::test]
async fn a_peer_that_does_not_speak_adb_is_found_out_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut http = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    http.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let refused = Daemon::accept(socket, &banner(&CLASSIC)).await.err().unwrap();
    assert!(matches!(refused, HandshakeError::Protocol(_)), "{refused}");
}

#[tokio::test]
async fn opens_arrive_in_the_order_of_their_calls() {
    let (host, mut daemon) = pair(&CLASSIC).await;
    let names: Vec<String> = (0..20).map(|n| format!("{n}:")).collect();
    let mut openings: Vec<_> = names.iter().map(|name| host.open(name)).collect();
    // Waited for in the opposite order, which must not matter.
    openings.reverse();
    let waiting = tokio::spawn(async move {
        for opening in openings {
            opening.await.unwrap();
        }
    });
    for name in names {
        assert_eq!(accept(&mut daemon).await.0, name);
    }
    waiting.await.unwrap();
}
