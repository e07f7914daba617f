//! How the picture is cut, turned and mirrored, and that a finger draws under itself then; what is refused.
//!
//! Where single pixels go is told where the lens is made; here it is the server, its socket and its words.

use device::android::{App, Dropped, Rotation};
use scrcpy::control::{ControlMsg, TouchAction};
use scrcpy::demux::Event;
use scrcpy::options::{self, ServerOptions};

use super::rig::*;
use super::server::printed;

/// The options of a server with these arguments.
fn asked(version: &str, args: &[&str]) -> ServerOptions {
    let parsed = options::parse(version.parse().unwrap(), args).unwrap();
    assert_eq!(parsed.unknown_keys, [""; 0]);
    parsed.options
}

/// How much darker or lighter a place is than it was.
fn change(before: &Picture, after: &Picture, (x, y): (i32, i32)) -> i32 {
    let (x, y) = (usize::try_from(x).unwrap(), usize::try_from(y).unwrap());
    let (old, new) = (before.yuv(x, y), after.yuv(x, y));
    old.iter()
        .zip(new)
        .map(|(old, new)| (old - new).abs())
        .max()
        .unwrap()
}

#[tokio::test]
async fn a_finger_draws_under_itself_however_the_picture_is_cut_and_turned() {
    for (version, args, size, at) in [
        ("4.1", &["crop=200:300:100:200"][..], (200, 300), (150, 120)),
        ("4.1", &["capture_orientation=90"], (640, 360), (200, 120)),
        ("4.1", &["capture_orientation=flip270"], (640, 360), (200, 120)),
        ("4.1", &["capture_orientation=@180"], (360, 640), (100, 220)),
        ("4.1", &["angle=20"], (360, 640), (190, 320)),
        (
            "3.0",
            &["crop=208:304:96:200", "capture_orientation=flip90", "angle=-30"],
            (304, 208),
            (150, 100),
        ),
        (
            "3.3.4",
            &["crop=200:300:100:200", "max_size=160"],
            (104, 160),
            (60, 80),
        ),
        ("2.0", &["crop=200:304:100:200"], (200, 304), (150, 120)),
        ("2.4", &["lock_video_orientation=1"], (640, 360), (200, 120)),
        (
            "2.4",
            &["lock_video_orientation=3", "crop=200:304:100:200"],
            (304, 200),
            (200, 120),
        ),
    ] {
        let mut rig = Rig::with(version, App::Paint, asked(version, args)).await;
        assert_eq!(rig.video.session().await, size, "{version} {args:?}");
        let before = rig.video.picture().await;
        assert_eq!(
            before.size,
            (size.0.into(), size.1.into()),
            "the parameter sets' size"
        );
        rig.touch_in(TouchAction::DOWN, 1, at, size).await;
        rig.settled().await;
        while change(&before, &rig.video.picture().await, at) < 40 {}
        // In any other size it is dropped.
        rig.touch_in(TouchAction::UP, 1, at, (size.0 + 2, size.1)).await;
        rig.settled().await;
        assert_eq!(rig.android.dropped_count(Dropped::WrongSize), 1);
        assert_eq!(rig.android.pointers().len(), 1);
    }
}

#[tokio::test]
async fn a_finger_on_a_page_that_does_not_answer_is_seen_while_touches_are_shown() {
    let options = ServerOptions {
        show_touches: true,
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Still, options).await;
    let at = (100, 500);
    let before = rig.video.picture().await;
    rig.touch(TouchAction::DOWN, 1, at.0, at.1).await;
    while change(&before, &rig.video.picture().await, at) < 40 {}
    rig.touch(TouchAction::UP, 1, at.0, at.1).await;
    while change(&before, &rig.video.picture().await, at) >= 40 {}
}

#[tokio::test]
async fn from_2_5_an_old_cut_moves_fingers_but_the_picture_is_all_of_the_display() {
    let args = ["crop=200:304:100:200"];
    let mut rig = Rig::with("2.7", App::Paint, asked("2.7", &args)).await;
    assert_eq!(rig.video.session().await, (200, 304));
    let before = rig.video.picture().await;
    rig.touch_in(TouchAction::DOWN, 1, (100, 152), (200, 304)).await;
    rig.settled().await;
    let pointer = rig.android.pointers()[0];
    assert_eq!((pointer.x, pointer.y), (200, 352));
    // 360 × 640 in 200 × 304 is 171 wide, 14 from the left.
    let seen = (14 + 200 * 171 / 360, 352 * 304 / 640);
    while change(&before, &rig.video.picture().await, seen) < 40 {}
    assert!(before.yuv(3, 150)[0] < 20, "a bar");
}

#[tokio::test]
async fn a_finger_beside_the_display_has_no_window_until_it_is_lifted() {
    let mut rig = Rig::with("4.1", App::Paint, asked("4.1", &["angle=45"])).await;
    rig.video.picture().await;
    for (action, at) in [
        (TouchAction::DOWN, (1, 1)),
        (TouchAction::MOVE, (180, 320)),
        (TouchAction::UP, (180, 320)),
    ] {
        rig.touch(action, 1, at.0, at.1).await;
    }
    rig.settled().await;
    assert_eq!(rig.android.dropped_count(Dropped::Outside), 3);
    assert_eq!(
        (rig.android.pointers().len(), &rig.dump()["strokes"]),
        (0, &0.into())
    );
    rig.touch(TouchAction::DOWN, 1, 180, 320).await;
    rig.settled().await;
    assert_eq!(rig.dump()["strokes"], 1);
}

#[tokio::test]
async fn a_locked_picture_stays_as_it_is_while_the_device_is_turned() {
    for (version, args) in [
        ("4.1", "capture_orientation=@"),
        ("3.3.4", "capture_orientation=@0"),
        ("2.7", "lock_video_orientation=-2"),
    ] {
        let mut rig = Rig::with(version, App::Paint, asked(version, &[args])).await;
        assert_eq!(rig.video.session().await, (WIDTH, HEIGHT));
        rig.send(ControlMsg::RotateDevice).await;
        // A session of the same size; before 4.0 only its parameter sets tell it.
        rig.video.skip_to(|event| matches!(event, Event::Config(_))).await;
        rig.video.skip_to(|event| matches!(event, Event::Config(_))).await;
        rig.touch(TouchAction::DOWN, 1, 10, 20).await;
        rig.settled().await;
        let pointer = rig.android.pointers()[0];
        assert_eq!((pointer.x, pointer.y), (20, 350), "{version}");
    }
}

#[tokio::test]
async fn a_display_that_is_turned_upside_down_begins_a_session_but_not_in_3_x() {
    for (version, follows) in [("2.7", true), ("3.3.4", false), ("4.1", true)] {
        let mut rig = Rig::with(version, App::Still, ServerOptions::default()).await;
        rig.video.frame().await;
        rig.android.lock_rotation(Rotation::from_quarters(2));
        // A page that moves gives pictures in any case.
        rig.android.start(App::Motion.package()).unwrap();
        let mut began = false;
        for _ in 0..10 {
            began |= matches!(rig.video.event().await, Event::Config(_));
        }
        assert_eq!(began, follows, "{version}");
    }
}

#[tokio::test]
async fn what_cuts_or_turns_nothing_keeps_a_server_from_starting() {
    for (version, args, why) in [
        (
            "4.1",
            "crop=1:2:3",
            "Crop must contains 4 values separated by colons: \"1:2:3\"",
        ),
        ("2.7", "crop=0:2:3:4", "Invalid crop size: 0x2"),
        ("3.0", "crop=1:2:3:-4", "Invalid crop offset: 3:-4"),
        ("2.0", "crop=1:2:3:a", "For input string: \"a\""),
        ("4.1", "capture_orientation=", "Empty capture orientation string"),
        ("3.0", "capture_orientation=@flip", "Unknown orientation: flip"),
        ("4.1", "angle=steep", "Invalid float value for angle: \"steep\""),
        ("2.7", "lock_video_orientation=left", "For input string: \"left\""),
    ] {
        let (told, code) = printed(version, &[args]).await;
        assert!(
            told.contains(&format!("ERROR: {why}")) && code == 1,
            "{args}: {told}"
        );
    }
    // A key that the version does not have is only warned of.
    for (version, args, key) in [
        ("2.7", "capture_orientation=90", "capture_orientation"),
        ("2.7", "angle=5", "angle"),
        ("3.0", "lock_video_orientation=1", "lock_video_orientation"),
    ] {
        let (told, _) = printed(version, &[args]).await;
        assert!(told.contains(&format!("Unknown server option: {key}")), "{told}");
    }
}

#[tokio::test]
async fn a_cut_beside_the_display_ends_the_server_when_its_sockets_are_open() {
    for (version, args, codec, why) in [
        (
            "4.1",
            &["crop=200:300:161:0"][..],
            true,
            "java.lang.IllegalArgumentException: Crop Rect(161, 0 - 361, 300) exceeds the input area (360x640)",
        ),
        (
            "3.3.4",
            &["crop=200:300:161:0"],
            false,
            "java.lang.IllegalArgumentException: Crop Rect(161, 0 - 361, 300) exceeds the input area (360x640)",
        ),
        (
            "2.7",
            &["crop=200:300:360:0"],
            true,
            "Crop rectangle (200:300:360:0) does not intersect device screen (360:640:0:0)",
        ),
        (
            "4.1",
            &["crop=200:300:0:0", "new_display=", "flex_display=true"],
            false,
            "Flex display does not support cropping",
        ),
    ] {
        let mut rig = Rig::with(version, App::Still, asked(version, args)).await;
        let (told, exit) = rig.output().await;
        assert!(told.contains(why) && exit == 0, "{version}: {told}");
        assert_eq!(rig.video.event().await, Event::DeviceName("Farglass Test".into()));
        let rest = rig.video.rest().await;
        rig.video.demuxer.push(rest.into());
        // A size of nothing may be none that our demuxer takes.
        let header = !matches!(rig.video.demuxer.poll(), Ok(None));
        assert_eq!(header, codec, "{version}");
    }
}

#[tokio::test]
async fn a_flexible_display_under_a_turned_picture_takes_its_clients_sides_the_other_way() {
    let args = ["new_display=", "flex_display=true", "capture_orientation=90"];
    let mut rig = Rig::with("4.1", App::Still, asked("4.1", &args)).await;
    assert_eq!(rig.video.session().await, (960, 1_280));
    rig.send(ControlMsg::ResizeDisplay {
        width: 600,
        height: 800,
    })
    .await;
    assert_eq!(rig.video.session().await, (600, 800));
    let displays = rig.android.displays();
    assert_eq!((displays[1].1.width, displays[1].1.height), (800, 600));
}
