//! Who joins sees a picture, whatever the device is doing.

use std::time::Duration;

use gateway::{Gate, Role};

use crate::rig::{Rig, SPS};

const MS: Duration = Duration::from_millis(1);

#[test]
fn joining_in_the_middle_of_a_group_shows_the_picture_at_once() {
    let mut rig = Rig::streaming(1);
    rig.group(10, 3_000);
    let viewer = rig.join(1, Role::Controller);
    rig.until("a frame is seen", |rig| !rig.seen(viewer).is_empty());
    rig.run(20 * MS);
    assert_eq!(rig.seen(viewer), (0..10).collect::<Vec<_>>());
    assert_eq!(rig.key_frames_wanted(), 0, "the cached group is enough");
    let first = &rig.browsers[viewer].frames()[0];
    assert!(
        first.at < rig.now,
        "the picture came before the channels' patience ended"
    );
    assert_eq!(
        first.nals[0],
        gateway::sps::rewrite(SPS).unwrap().1,
        "the SPS forbids reordering"
    );
}

#[test]
fn media_does_not_wait_for_the_channels() {
    let mut rig = Rig::streaming(2);
    rig.group(2, 3_000);
    let viewer = rig.join(1, Role::Controller);
    rig.until("a frame is seen", |rig| !rig.seen(viewer).is_empty());
    let seen = rig.now;
    rig.until("the channels are open", |rig| rig.connected(viewer).is_some());
    let timings = rig.connected(viewer).unwrap();
    assert!(timings.ice <= timings.dtls && timings.dtls <= timings.channels);
    assert!(seen <= rig.now, "the picture came first");
}

#[test]
fn a_second_viewer_of_a_still_screen_sees_the_picture() {
    let mut rig = Rig::streaming(3);
    rig.group(3, 2_000);
    let first = rig.connect(1, Role::Controller);
    // Nothing moves on the screen: the encoder is silent, and that is no stall.
    rig.run(Duration::from_secs(60));
    assert_eq!(rig.closed(first), None);
    let second = rig.connect(1, Role::Spectator);
    rig.run(100 * MS);
    assert_eq!(rig.seen(second), [0, 1, 2]);
    assert_eq!(
        rig.seen(first),
        [0, 1, 2],
        "the first viewer is not sent anything again"
    );
    assert_eq!(rig.key_frames_wanted(), 0);
}

#[test]
fn a_replay_has_fresh_timestamps_and_the_stream_goes_on_behind_it() {
    let mut rig = Rig::streaming(4);
    rig.group(3, 500);
    let viewer = rig.connect(1, Role::Controller);
    rig.run(Duration::from_secs(5));
    rig.ask_for_key_frame(viewer);
    rig.run(100 * MS);
    rig.frame(false, 500);
    rig.run(100 * MS);
    assert_eq!(rig.seen(viewer), [0, 1, 2, 0, 1, 2, 3]);
    let stamps: Vec<u32> = rig.browsers[viewer]
        .frames()
        .iter()
        .map(|frame| frame.rtp)
        .collect();
    assert!(
        stamps
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(pair[0]) as i32 > 0),
        "{stamps:?}"
    );
    let pause = stamps[3].wrapping_sub(stamps[2]);
    assert!(
        (440_000..470_000).contains(&pause),
        "five seconds passed between the replays: {pause}"
    );
}

#[test]
fn joining_when_the_group_has_grown_too_large_asks_for_a_key_frame_once() {
    let mut rig = Rig::streaming(5);
    rig.group(40, 1_000);
    let first = rig.join(1, Role::Controller);
    let second = rig.join(1, Role::Spectator);
    rig.until("both are up", |rig| {
        [first, second]
            .iter()
            .all(|&viewer| rig.connected(viewer).is_some())
    });
    assert_eq!(rig.key_frames_wanted(), 1);
    rig.frame(false, 1_000);
    let key = rig.frame(true, 1_000);
    rig.frame(false, 1_000);
    rig.run(50 * MS);
    assert_eq!(rig.seen(first), [key, key + 1]);
    assert_eq!(rig.seen(second), [key, key + 1]);
}

#[test]
fn a_picture_loss_indication_reaches_the_device() {
    let mut rig = Rig::streaming(6);
    rig.frame(true, 1_000);
    let viewer = rig.connect(1, Role::Controller);
    for _ in 0..40 {
        rig.frame(false, 1_000);
        rig.run(5 * MS);
    }
    assert_eq!(rig.key_frames_wanted(), 0);
    for _ in 0..5 {
        rig.ask_for_key_frame(viewer);
        rig.run(20 * MS);
    }
    assert_eq!(rig.key_frames_wanted(), 1, "five wishes are one");
    let key = rig.frame(true, 1_000);
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer).last(), Some(&key));
}

#[test]
fn a_viewer_that_was_armed_early_sees_the_first_frame_when_the_fence_opens() {
    let mut rig = Rig::new(7);
    rig.fence(1, Gate::Closed);
    rig.start_source();
    let viewer = rig.connect(1, Role::Controller);
    rig.group(3, 800);
    assert!(rig.seen(viewer).is_empty(), "nothing flows behind a closed gate");
    let opened = rig.now;
    rig.fence(1, Gate::Open);
    rig.until("a frame is seen", |rig| !rig.seen(viewer).is_empty());
    assert_eq!(rig.now - opened, rig.network.link.delay, "half a round trip");
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer), [0, 1, 2]);
}

#[test]
fn a_viewer_may_come_before_its_lease_is_known_here() {
    let mut rig = Rig::streaming(8);
    rig.group(2, 800);
    let viewer = rig.connect(2, Role::Controller);
    assert!(rig.seen(viewer).is_empty());
    rig.fence(2, Gate::Open);
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer), [0, 1]);
}

#[test]
fn a_restarted_capture_goes_on_in_the_same_connection() {
    let mut rig = Rig::streaming(9);
    rig.group(3, 800);
    let viewer = rig.connect(1, Role::Controller);
    rig.run(100 * MS);
    rig.start_source();
    rig.frame(false, 800);
    let key = rig.frame(true, 800);
    rig.run(100 * MS);
    assert_eq!(rig.seen(viewer).last(), Some(&key));
    assert_eq!(rig.seen(viewer).len(), 4, "what cannot be decoded is not sent");
}

#[test]
fn a_capture_that_begins_is_not_reset_because_somebody_waits() {
    let mut rig = Rig::new(10);
    rig.fence(1, Gate::Open);
    let viewer = rig.connect(1, Role::Controller);
    rig.start_source();
    rig.run(500 * MS);
    let key = rig.frame(true, 800);
    rig.run(50 * MS);
    assert_eq!(rig.seen(viewer), [key]);
    assert_eq!(rig.key_frames_wanted(), 0);
}
