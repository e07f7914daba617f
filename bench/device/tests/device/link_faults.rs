//! What the network and the daemon do to a host, as our own host meets it: it learns of each within the time that it
//! promises, and the next connection is a good one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adb::transfer::{Target, TransferError};
use adb::{End, Host, host};
use device::fault::{Fault, Faults};
use device::{Mirroring, Traits};
use tokio_util::sync::DropGuard;

use crate::phone::{plain, start};

/// Every one of these faults comes within this time.
const COMES: Duration = Duration::from_secs(5);
/// What the host promises about a device that has vanished, for this test.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// A busy machine, and the last repetition that counts as a sign of life.
const SLACK: Duration = Duration::from_secs(60);

/// With this fault in the first connection or life alone, by a seed that leaves a slow machine time to begin: it comes after
/// 4.9 s or more.
async fn device(fault: Fault, seed: u64) -> (SocketAddr, DropGuard) {
    suffering(Faults::new(vec![fault], seed).of_the_first(1)).await
}

async fn suffering(faults: Faults) -> (SocketAddr, DropGuard) {
    let traits = Traits {
        mirroring: Mirroring {
            faults,
            ..Mirroring::default()
        },
        ..Traits::default()
    };
    start(plain(), traits).await
}

async fn connect(adb: SocketAddr) -> Host {
    let options = host::Options {
        gone_after: GONE_AFTER,
        ..host::Options::default()
    };
    let connecting = async {
        loop {
            match options.connect(adb).await {
                Ok(host) => return host,
                // A daemon that is away refuses.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(COMES + SLACK, connecting)
        .await
        .expect("nobody listens any more")
}

/// Runs a command that never ends until the connection does; why, and how long that took.
async fn end_of(host: &Host) -> (End, Duration) {
    let started = Instant::now();
    let mut shell = host.start_shell("cat").await.unwrap();
    let ended = async { while let Ok(Some(_)) = shell.next().await {} };
    tokio::time::timeout(COMES + GONE_AFTER + SLACK, ended)
        .await
        .expect("nobody notices");
    (host.end().expect("the shell ended by itself"), started.elapsed())
}

#[tokio::test]
async fn a_link_that_is_cut_is_noticed_at_once_and_the_next_one_works() {
    let (adb, _device) = device(Fault::LinkCut, 187).await;
    let host = connect(adb).await;
    let (end, took) = end_of(&host).await;
    assert!(
        matches!(end, End::Io(std::io::ErrorKind::ConnectionReset, _)),
        "{end}"
    );
    assert!(took < COMES + SLACK, "{took:?}");
    assert_eq!(connect(adb).await.shell("echo x").await.unwrap().stdout, b"x\n");
}

#[tokio::test]
async fn a_device_that_vanishes_is_noticed_within_the_promised_time() {
    let (adb, _device) = device(Fault::HalfOpen, 95).await;
    let host = connect(adb).await;
    let (end, took) = end_of(&host).await;
    assert!(matches!(end, End::Io(std::io::ErrorKind::TimedOut, _)), "{end}");
    assert!(took > GONE_AFTER / 2, "{took:?}");
    assert_eq!(connect(adb).await.shell("echo x").await.unwrap().stdout, b"x\n");
}

#[tokio::test]
async fn a_daemon_that_dies_takes_its_commands_with_it_and_comes_back_at_its_port() {
    let (adb, _device) = device(Fault::AdbdRestart, 83).await;
    let host = connect(adb).await;
    host.shell("echo kept > /sdcard/note").await.unwrap();
    let mut listening = host.start_shell("nc -l -p 7600").await.unwrap();
    let (end, _) = end_of(&host).await;
    assert!(
        matches!(
            end,
            End::PeerClosed | End::Io(std::io::ErrorKind::ConnectionReset, _)
        ),
        "{end}"
    );
    assert!(listening.next().await.is_ok_and(|event| event.is_none()));
    let host = connect(adb).await;
    let told = host.shell("cat /sdcard/note; nc localhost 7600").await.unwrap();
    assert_eq!(told.stdout, b"kept\n", "the device itself lives on");
    assert_eq!(told.stderr, b"nc: Connection refused\n", "its commands do not");
}

#[tokio::test]
async fn a_sync_stream_that_answers_what_belongs_to_nothing_is_given_up_and_the_next_one_is_good() {
    for (fault, why) in [
        (Fault::SyncGarbage, "unknown sync response"),
        (Fault::SyncHuge, "a sync response with 4294967295 bytes"),
    ] {
        let (adb, _device) = suffering(Faults::new(vec![fault], 3).of_the_first(1)).await;
        let host = connect(adb).await;
        let target = Target {
            path: "/sdcard/note",
            permissions: 0o644,
            mtime_s: 0,
        };
        let error = host.push(&target, b"lost").await.unwrap_err();
        assert!(
            matches!(error, TransferError::Protocol(_)) && error.to_string().contains(why),
            "{fault:?}: {error}"
        );
        host.push(&target, b"kept").await.unwrap();
        let told = host.shell("cat /sdcard/note").await.unwrap();
        assert_eq!(told.stdout, b"kept", "{fault:?}");
    }
}
