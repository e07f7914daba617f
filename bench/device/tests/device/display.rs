//! What a capture of the display gets, without sockets.

use device::display::{CaptureHandle, CaptureOptions, PACKETS_MAX, Packet};
use scrcpy::Pts;

use crate::captures::{OPTIONS, moving, packet};

async fn frame(capture: &mut CaptureHandle) -> Pts {
    loop {
        if let Packet::Frame { pts, .. } = packet(capture).await {
            return pts;
        }
    }
}

#[tokio::test]
async fn max_fps_keeps_pictures_apart() {
    let display = moving(360, 640);
    let mut capture = display
        .capture(CaptureOptions {
            max_fps: Some(20.0),
            ..OPTIONS
        })
        .unwrap();
    let mut last = frame(&mut capture).await;
    for _ in 0..10 {
        let next = frame(&mut capture).await;
        // A picture is taken at a tick: 1/20 s less a tick's fraction, and what passes between two looks at the clock.
        assert!(next.0 - last.0 >= 30_000, "{} µs", next.0 - last.0);
        last = next;
    }
}

#[tokio::test]
async fn a_reader_that_is_behind_misses_pictures_and_then_gets_the_newest() {
    let display = moving(360, 640);
    let mut slow = display.capture(OPTIONS).unwrap();
    let mut quick = display.capture(OPTIONS).unwrap();
    for _ in 0..30 {
        frame(&mut quick).await;
    }
    for _ in 0..PACKETS_MAX {
        packet(&mut slow).await;
    }
    let before = frame(&mut quick).await;
    assert!(frame(&mut slow).await >= before, "an old picture came late");
}

#[tokio::test]
async fn a_reset_of_one_capture_leaves_the_other_alone() {
    let display = moving(360, 640);
    let mut one = display.capture(OPTIONS).unwrap();
    let mut other = display.capture(OPTIONS).unwrap();
    for capture in [&mut one, &mut other] {
        assert!(matches!(packet(capture).await, Packet::Session(_)));
        assert!(matches!(packet(capture).await, Packet::Config(_)));
        assert!(matches!(packet(capture).await, Packet::Frame { key: true, .. }));
    }
    one.reset().request();
    while !matches!(packet(&mut one).await, Packet::Session(_)) {}
    for _ in 0..10 {
        assert!(matches!(
            packet(&mut other).await,
            Packet::Frame { key: false, .. }
        ));
    }
}
