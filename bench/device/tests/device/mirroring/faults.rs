//! Each fault as the client of a server meets it.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use device::Userland;
use device::android::{App, Dropped};
use device::fault::{Fault, Faults};
use scrcpy::control::{ControlMsg, TouchAction};
use scrcpy::demux::{DemuxError, Event};
use scrcpy::device_msg;
use scrcpy::options::ServerOptions;
use scrcpy::packet::HeaderError;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::rig::*;

/// Reads until the demuxer fails; how many pictures came before, and why it failed.
async fn until_broken(video: &mut Video) -> (u32, DemuxError) {
    let mut pictures = 0;
    let mut broken = async || {
        loop {
            match video.demuxer.poll() {
                Ok(Some(Event::Frame { .. })) => pictures += 1,
                Ok(Some(_)) => {}
                Err(error) => return error,
                Ok(None) => {
                    let mut bytes = BytesMut::with_capacity(65_536);
                    assert_ne!(
                        video.socket.read_buf(&mut bytes).await.unwrap(),
                        0,
                        "the socket ended"
                    );
                    video.demuxer.push(bytes.freeze());
                }
            }
        }
    };
    let error = timeout(DEADLINE, broken()).await.expect("nothing is wrong");
    (pictures, error)
}

#[tokio::test]
async fn a_slow_start_listens_a_second_or_more_later() {
    let started = Instant::now();
    let mut rig = Rig::faulty(Fault::SlowStart, 3, App::Still).await;
    assert!(started.elapsed() >= Duration::from_secs(1));
    rig.video.frame().await;
}

#[tokio::test]
async fn a_stalled_encoder_is_silent_on_a_moving_page_and_then_goes_on() {
    let stalled = Userland {
        faults: Faults::new(vec![Fault::EncoderStall], 4).hanging_for(Duration::from_secs(5)),
        ..userland()
    };
    let mut rig = Rig::on(stalled, "4.1", App::Motion, ServerOptions::default()).await;
    let mut gap = Duration::ZERO;
    let mut last = Instant::now();
    let mut pictures = 0;
    while gap < Duration::from_secs(1) {
        rig.video.frame().await;
        (gap, last) = (last.elapsed(), Instant::now());
        pictures += 1;
        assert!(pictures <= 70, "nothing stalled");
    }
    for _ in 0..20 {
        rig.video.frame().await;
    }
}

#[tokio::test]
async fn a_server_that_dies_closes_its_sockets_without_a_word_and_its_fingers_are_lifted() {
    // A seed by which it lives for three seconds, nearly as long as any: a slow machine has to touch it before.
    let mut rig = Rig::faulty(Fault::ServerDeath, 120, App::Motion).await;
    rig.video.picture().await;
    rig.touch(TouchAction::DOWN, 1, 10, 10).await;
    rig.settled().await;
    while timeout(DEADLINE, rig.video.next()).await.unwrap().is_some() {}
    let mut lines = 0;
    while timeout(DEADLINE, rig.server.next()).await.unwrap().is_some() {
        lines += 1;
    }
    assert_eq!(lines, 1, "only the device's name was printed, and no exit code");
    assert_eq!(rig.android.pointers(), []);
}

#[tokio::test]
async fn an_up_in_the_old_size_is_lost_while_the_new_one_is_not_told() {
    let mut rig = Rig::faulty(Fault::UpLost, 6, App::Paint).await;
    rig.video.picture().await;
    rig.touch(TouchAction::DOWN, 1, 10, 300).await;
    rig.send(ControlMsg::RotateDevice).await;
    rig.settled().await;
    // The size of the capture has changed when a position in the old one counts as wrong.
    while rig.android.dropped_count(Dropped::WrongSize) == 0 {
        rig.touch(TouchAction::UP, 2, 10, 300).await;
        rig.settled().await;
    }
    rig.touch(TouchAction::UP, 1, 10, 300).await;
    rig.settled().await;
    assert!(
        rig.android.pointers().iter().any(|pointer| pointer.key.id == 1),
        "the UP was not lost"
    );
    assert_eq!(rig.video.session().await, (HEIGHT, WIDTH));
    rig.touch_in(TouchAction::UP, 1, (10, 300), (HEIGHT, WIDTH)).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers(), []);
}

#[tokio::test]
async fn garbage_on_the_video_socket_breaks_the_demuxer_at_the_same_picture_each_time() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut rig = Rig::faulty(Fault::VideoGarbage, 7, App::Motion).await;
        seen.push(until_broken(&mut rig.video).await);
    }
    assert_eq!(seen[0], seen[1]);
    assert!(matches!(seen[0].1, DemuxError::Header(_)), "{seen:?}");
}

#[tokio::test]
async fn garbage_on_the_control_socket_is_no_device_message() {
    let mut rig = Rig::faulty(Fault::ControlGarbage, 8, App::Still).await;
    let mut bytes = BytesMut::new();
    let refused = async {
        loop {
            match device_msg::decode(&bytes) {
                Err(error) => return error,
                Ok(Some((_, len))) => drop(bytes.split_to(len)),
                Ok(None) => assert_ne!(rig.control.read_buf(&mut bytes).await.unwrap(), 0),
            }
        }
    };
    timeout(DEADLINE, refused).await.expect("nothing is wrong");
}

#[tokio::test]
async fn four_gigabytes_announced_are_refused_and_not_waited_for() {
    let mut rig = Rig::faulty(Fault::HugeLength, 9, App::Motion).await;
    let (pictures, error) = until_broken(&mut rig.video).await;
    assert_eq!(error, DemuxError::Header(HeaderError::PayloadTooLarge(u32::MAX)));
    assert!((2..=60).contains(&pictures), "after {pictures} pictures");
}

#[tokio::test]
async fn an_encoder_that_refuses_its_size_gives_two_sessions_and_pictures_of_the_second() {
    let tall = || Userland {
        faults: Faults::new(vec![Fault::DoubleSession], 10),
        ..userland_of(720, 1_280)
    };
    let mut rig = Rig::on(tall(), "4.1", App::Paint, ServerOptions::default()).await;
    assert_eq!(rig.video.session().await, (720, 1_280));
    let Some(smaller) = size_of(&rig.video.event().await) else {
        panic!("no second session at once")
    };
    assert_eq!(smaller, (576, 1_024));
    assert_eq!(rig.video.picture().await.size, (576, 1_024));
    rig.touch_in(TouchAction::DOWN, 1, (288, 512), smaller).await;
    rig.settled().await;
    assert_eq!(
        (rig.android.pointers()[0].x, rig.android.pointers()[0].y),
        (360, 640)
    );

    let options = ServerOptions {
        downsize_on_error: false,
        ..ServerOptions::default()
    };
    let mut rig = Rig::on(tall(), "4.1", App::Paint, options).await;
    assert_eq!(rig.video.session().await, (720, 1_280));
    let (text, _) = rig.output().await;
    assert!(text.contains("Video encoder failed"), "{text}");
}
