//! Kinds of encoder that real devices have, as the client of a server meets them.

use std::time::Instant;

use device::Userland;
use device::android::{App, Dropped};
use device::encode::{Habit, IGNORED_ALIGNMENT, SLOW_RESET};
use scrcpy::codec::VideoCodec;
use scrcpy::control::{ControlMsg, TouchAction};
use scrcpy::demux::Event;
use scrcpy::options::ServerOptions;

use super::rig::*;

fn with(encoder: Habit) -> Userland {
    Userland {
        encoder,
        ..userland()
    }
}

async fn rig(encoder: Habit, app: App) -> Rig {
    Rig::on(with(encoder), "4.1", app, ServerOptions::default()).await
}

/// When a picture was drawn, in µs.
fn at(frame: Event) -> u64 {
    match frame {
        Event::Frame { pts, .. } => pts.0,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_guest_gives_no_more_pictures_than_it_manages() {
    for (habit, fps) in [(Habit::Guest10, 10), (Habit::Guest25, 25)] {
        let mut rig = rig(habit, App::Motion).await;
        let first = at(rig.video.frame().await);
        let mut last = first;
        for _ in 0..fps {
            last = at(rig.video.frame().await);
        }
        // A fifth less is allowed: ticks that come early count.
        assert!(last - first > 780_000, "{fps}: {} µs", last - first);
    }
}

#[tokio::test]
async fn a_slow_encoder_begins_anew_late_and_with_a_key_frame() {
    let mut rig = rig(Habit::SlowReset, App::Still).await;
    rig.video.frame().await;
    let asked = Instant::now();
    rig.send(ControlMsg::ResetVideo).await;
    rig.video.session().await;
    assert!(asked.elapsed() >= SLOW_RESET, "{:?}", asked.elapsed());
    assert!(matches!(rig.video.frame().await, Event::Frame { key: true, .. }));
}

#[tokio::test]
async fn an_encoder_that_ignores_the_size_is_still_touched_in_the_size_of_its_session() {
    let mut rig = rig(Habit::SizeIgnored, App::Paint).await;
    let picture = rig.video.picture().await;
    let cut = WIDTH / IGNORED_ALIGNMENT * IGNORED_ALIGNMENT;
    assert_ne!(cut, WIDTH, "this size would show nothing");
    assert_eq!(picture.size, (cut.into(), HEIGHT.into()));
    rig.touch_in(TouchAction::DOWN, 1, (5, 5), (cut, HEIGHT)).await;
    rig.touch(TouchAction::DOWN, 2, 10, 20).await;
    rig.settled().await;
    let pointers = rig.android.pointers();
    assert_eq!((pointers.len(), pointers[0].x, pointers[0].y), (1, 10, 20));
    assert_eq!(rig.android.dropped_count(Dropped::WrongSize), 1);
}

#[tokio::test]
async fn without_an_encoder_the_server_says_so_and_ends() {
    let mut rig = rig(Habit::Missing, App::Still).await;
    let (told, code) = rig.output().await;
    assert_eq!(code, 0);
    assert!(
        told.contains("Could not create default video encoder for h264"),
        "{told}"
    );
}

#[tokio::test]
async fn a_codec_without_an_encoder_ends_the_server_when_its_sockets_are_open() {
    for (version, video_codec) in [("2.0", VideoCodec::H265), ("4.1", VideoCodec::Av1)] {
        let options = ServerOptions {
            video_codec,
            ..ServerOptions::default()
        };
        let mut rig = Rig::with(version, App::Still, options).await;
        assert!(matches!(rig.video.event().await, Event::DeviceName(_)));
        let (told, code) = rig.output().await;
        let why = format!(
            "Could not create default video encoder for {}",
            video_codec.name()
        );
        assert!(told.contains(&why), "{told}");
        assert_eq!(code, 0);
    }
}

#[tokio::test]
async fn until_the_next_session_a_position_lands_where_the_picture_showed_it() {
    let mut rig = rig(Habit::SlowReset, App::Paint).await;
    rig.video.picture().await;
    rig.send(ControlMsg::RotateDevice).await;
    rig.touch(TouchAction::DOWN, 1, 100, 300).await;
    rig.settled().await;
    assert_eq!(rig.android.size().width, HEIGHT, "held otherwise already");
    let at: Vec<_> = rig
        .android
        .pointers()
        .iter()
        .map(|pointer| (pointer.x, pointer.y))
        .collect();
    assert_eq!(at, [(100, 300)]);
}
