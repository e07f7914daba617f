//! Peers that are gone without a word: no FIN, no RST, nothing more. The kernel of this machine would answer for a
//! process that merely sleeps, so the peer's socket gets a filter that drops every segment before TCP sees it.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use adb::banner::{Banner, Product};
use adb::connection::OpenError;
use adb::{Daemon, End, host};
use socket2::{SockFilter, SockRef};
use tokio::net::TcpListener;

/// The least that the system's whole seconds allow.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// When it is noticed at the latest: half as much again, and a machine that stands still for a while.
const NOTICED_AFTER: Duration = Duration::from_secs(60);
/// Return 0 from the filter: keep nothing of the segment.
const DROP_ALL: [SockFilter; 1] = [SockFilter::new(6, 0, 0, 0)];

/// A host, the device that it is connected to, and the device's end of the wire.
async fn pair() -> (adb::Host, Daemon, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let banner = Banner::device(
        &Product {
            name: "n".to_owned(),
            model: "m".to_owned(),
            device: "d".to_owned(),
        },
        &["shell_v2"],
    );
    let daemon = async {
        let (socket, _) = listener.accept().await.unwrap();
        let wire = TcpStream::from(socket.as_fd().try_clone_to_owned().unwrap());
        (Daemon::accept(socket, &banner).await.unwrap(), wire)
    };
    let options = host::Options {
        gone_after: GONE_AFTER,
        ..host::Options::default()
    };
    let (host, (daemon, wire)) = tokio::join!(options.connect(addr), daemon);
    (host.unwrap(), daemon, wire)
}

/// From now on the device neither hears nor says anything: its own probes would be a sign of life, and so would the
/// repetition of what is not acknowledged.
async fn vanish(wire: &TcpStream) {
    while unacknowledged(wire) > 0 {
        tokio::task::yield_now().await;
    }
    let wire = SockRef::from(wire);
    wire.set_keepalive(false).unwrap();
    wire.attach_filter(&DROP_ALL).unwrap();
}

/// Bytes that the other side's kernel has not acknowledged, from the kernel's table of sockets.
fn unacknowledged(wire: &TcpStream) -> u32 {
    let ends = [wire.local_addr().unwrap(), wire.peer_addr().unwrap()];
    let ports = ends.map(|end| format!(":{:04X}", end.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table
        .lines()
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&ports[0]) && row[2].ends_with(&ports[1]));
    let row = row.expect("the connection is gone");
    u32::from_str_radix(row[4].split_once(':').unwrap().0, 16).unwrap()
}

fn is_timed_out(end: &End) -> bool {
    matches!(end, End::Io(ErrorKind::TimedOut, _))
}

#[tokio::test]
async fn a_quiet_device_that_vanishes_is_noticed_in_time() {
    let (host, mut daemon, wire) = pair().await;
    let accepted = async { daemon.next_open().await.unwrap().accept().unwrap() };
    let (stream, _theirs) = tokio::join!(host.open("quiet:"), accepted);
    let mut stream = stream.unwrap();
    let vanished = Instant::now();
    vanish(&wire).await;
    let ended = tokio::time::timeout(NOTICED_AFTER, stream.read_chunk()).await;
    let end = ended.expect("nobody notices").unwrap_err();
    assert!(is_timed_out(&end), "{end}");
    assert!(vanished.elapsed() >= GONE_AFTER / 2, "too early to be sure");
}

#[tokio::test]
async fn a_device_that_vanishes_while_it_is_asked_is_noticed_in_time() {
    let (host, _daemon, wire) = pair().await;
    vanish(&wire).await;
    let opened = tokio::time::timeout(NOTICED_AFTER, host.open("shell:echo")).await;
    match opened.expect("nobody notices") {
        Err(OpenError::Ended(end)) => assert!(is_timed_out(&end), "{end}"),
        other => panic!("{:?}", other.err()),
    }
}
