//! What the real servers' arithmetic gives for these options, worked out apart from ours.

use super::*;

const TALL: Size = Size {
    width: 720,
    height: 1_280,
};
const WIDE: Size = Size {
    width: 1_280,
    height: 720,
};

/// A lens of a server with these arguments.
fn lens(version: &str, args: &[&str]) -> Lens {
    let version: ServerVersion = version.parse().unwrap();
    let parsed = scrcpy::options::parse(version, args).unwrap();
    assert_eq!(parsed.unknown_keys, [""; 0]);
    let rounding = match version {
        version if version.at_least(4, 0, 0) => Rounding::Down(2),
        version if version.at_least(3, 0, 0) => Rounding::ShorterToNearest,
        _ => Rounding::BeforeScaling,
    };
    Lens::new(version, &parsed.options, rounding)
}

fn look(version: &str, args: &[&str], rotation: u8) -> Look {
    let display = if rotation.is_multiple_of(2) { TALL } else { WIDE };
    lens(version, args).look(display, rotation).unwrap()
}

fn video(look: &Look) -> (u16, u16) {
    (look.video.width, look.video.height)
}

#[test]
fn a_touch_lands_where_the_filter_took_the_pixel_from() {
    let crop = "crop=400:600:100:200";
    for (args, rotation, size, lands) in [
        (vec![crop], 0, (400, 600), [(100, 200), (110, 220), (388, 712)]),
        // The cut is told in the natural orientation.
        (vec![crop], 1, (600, 400), [(200, 100), (210, 120), (488, 612)]),
        (
            vec![crop, "max_size=300"],
            0,
            (200, 300),
            [(100, 200), (120, 240), (676, 1_224)],
        ),
        (
            vec!["capture_orientation=90"],
            0,
            (1_280, 720),
            [(0, 1_280), (20, 1_270), (512, 992)],
        ),
        (
            vec!["capture_orientation=180"],
            0,
            (720, 1_280),
            [(720, 1_280), (710, 1_260), (432, 768)],
        ),
        (
            vec!["capture_orientation=270"],
            0,
            (1_280, 720),
            [(720, 0), (700, 10), (208, 288)],
        ),
        (
            vec!["capture_orientation=flip0"],
            0,
            (720, 1_280),
            [(720, 0), (710, 20), (432, 512)],
        ),
        (
            vec!["capture_orientation=flip90"],
            0,
            (1_280, 720),
            [(720, 1_280), (700, 1_270), (208, 992)],
        ),
        (
            vec!["capture_orientation=flip180"],
            0,
            (720, 1_280),
            [(0, 1_280), (10, 1_260), (288, 768)],
        ),
        (
            vec!["capture_orientation=flip270"],
            0,
            (1_280, 720),
            [(0, 0), (20, 10), (512, 288)],
        ),
        // A lock keeps the natural orientation, however the device is held.
        (
            vec!["capture_orientation=@0"],
            0,
            (720, 1_280),
            [(0, 0), (10, 20), (288, 512)],
        ),
        (
            vec!["capture_orientation=@0"],
            1,
            (720, 1_280),
            [(0, 720), (20, 710), (512, 432)],
        ),
        (
            vec!["capture_orientation=@0"],
            3,
            (720, 1_280),
            [(1_280, 0), (1_260, 10), (768, 288)],
        ),
        (
            vec!["capture_orientation=@90"],
            1,
            (1_280, 720),
            [(1_280, 720), (1_270, 700), (992, 208)],
        ),
        (
            vec!["angle=30"],
            0,
            (720, 1_280),
            [(-271, 265), (-253, 278), (233, 565)],
        ),
        (
            vec!["angle=90"],
            0,
            (720, 1_280),
            [(-280, 1_000), (-260, 990), (232, 712)],
        ),
        (
            vec![crop, "capture_orientation=90", "angle=15"],
            0,
            (600, 400),
            [(184, 841), (201, 826), (604, 430)],
        ),
    ] {
        let look = look("4.1", &args, rotation);
        assert_eq!(video(&look), size, "{args:?} {rotation}");
        let at = [(0, 0), (10, 20), (288, 512)].map(|at| look.lands(at));
        assert_eq!(at, lands, "{args:?} {rotation}");
    }
}

#[test]
fn a_lock_at_the_start_is_how_it_was_held_then() {
    let mut lens = lens("4.1", &["capture_orientation=@"]);
    lens.settle(1);
    let (wide, tall) = (lens.look(WIDE, 1).unwrap(), lens.look(TALL, 0).unwrap());
    assert_eq!((video(&wide), wide.lands((10, 20))), ((1_280, 720), (10, 20)));
    assert_eq!((video(&tall), tall.lands((10, 20))), ((1_280, 720), (700, 10)));
}

#[test]
fn before_3_0_a_touch_is_turned_and_then_stretched_in_whole_numbers() {
    for (args, rotation, size, lands) in [
        (
            vec!["crop=400:600:100:200"],
            0,
            (400, 600),
            [(100, 200), (110, 220)],
        ),
        (
            vec!["crop=404:600:100:200"],
            1,
            (600, 400),
            [(200, 100), (210, 120)],
        ),
        // What is beside the display is cut off, and no more is wrong.
        (
            vec!["crop=400:600:600:1000"],
            0,
            (120, 280),
            [(600, 1_000), (610, 1_020)],
        ),
        (
            vec!["lock_video_orientation=0"],
            1,
            (720, 1_280),
            [(0, 720), (20, 710)],
        ),
        (
            vec!["lock_video_orientation=1"],
            0,
            (1_280, 720),
            [(720, 0), (700, 10)],
        ),
        (
            vec!["lock_video_orientation=2"],
            0,
            (720, 1_280),
            [(720, 1_280), (710, 1_260)],
        ),
        (
            vec!["lock_video_orientation=3"],
            0,
            (1_280, 720),
            [(0, 1_280), (20, 1_270)],
        ),
        (
            vec!["lock_video_orientation=1", "max_size=640"],
            0,
            (640, 360),
            [(720, 0), (680, 20)],
        ),
    ] {
        for version in ["2.0", "2.7"] {
            let look = look(version, &args, rotation);
            assert_eq!(video(&look), size, "{version} {args:?} {rotation}");
            let at = [(0, 0), (10, 20)].map(|at| look.lands(at));
            assert_eq!(at, lands, "{version} {args:?} {rotation}");
        }
    }
    let mut lens = lens("2.7", &["lock_video_orientation=-2"]);
    lens.settle(1);
    assert_eq!(video(&lens.look(TALL, 0).unwrap()), (1_280, 720));
}

#[test]
fn a_cut_beside_the_display_is_refused_from_3_0_and_warned_of_before() {
    let crop = |version, crop: &str| lens(version, &[&format!("crop={crop}")]);
    for version in ["3.0", "4.1"] {
        let outside = |text: &str| Err(Blind::Outside(text.to_owned()));
        assert_eq!(
            crop(version, "400:600:321:0").look(TALL, 0),
            outside("Crop Rect(321, 0 - 721, 600) exceeds the input area (720x1280)")
        );
        assert_eq!(
            crop(version, "400:600:321:0").look(WIDE, 1),
            outside("Crop Rect(0, 321 - 600, 721) exceeds the input area (1280x720)")
        );
        assert!(crop(version, "400:600:320:680").look(TALL, 0).is_ok());
    }
    let beside = crop("2.7", "10:10:720:0");
    assert!(matches!(beside.look(TALL, 0), Err(Blind::Empty(_))));
    assert_eq!(
        beside.warning(TALL, 0).as_deref(),
        Some("Crop rectangle (10:10:720:0) does not intersect device screen (720:1280:0:0)")
    );
    assert_eq!(crop("2.7", "10:10:719:0").warning(TALL, 0), None);
}

/// A display of four pixels a side, each of its own colour: row in the higher digit, column in the lower.
fn numbered() -> Canvas {
    let size = Size { width: 4, height: 4 };
    let mut canvas = Canvas::new(size);
    canvas.fill_with(full(size), |x, y| Rgb((0x10 * (y + 1) + x + 1) as u32));
    canvas
}

#[test]
fn the_picture_is_cut_turned_and_mirrored_as_it_is_touched() {
    let size = Size { width: 4, height: 4 };
    let first_row = |version: &str, args: &[&str], rotation| {
        let parsed = scrcpy::options::parse(version.parse().unwrap(), args).unwrap();
        let lens = Lens::new(version.parse().unwrap(), &parsed.options, Rounding::Down(1));
        let look = lens.look(size, rotation).unwrap();
        let shown = look.show(&numbered(), look.video).expect("as it is");
        shown.pixels()[..usize::from(look.video.width)].to_vec()
    };
    assert_eq!(first_row("4.1", &["crop=2:1:1:2"], 0), [0x32, 0x33]);
    // On its side the cut is, too.
    assert_eq!(first_row("4.1", &["crop=1:2:2:1"], 1), [0x32, 0x33]);
    assert_eq!(
        first_row("4.1", &["capture_orientation=90"], 0),
        [0x41, 0x31, 0x21, 0x11]
    );
    assert_eq!(
        first_row("4.1", &["capture_orientation=270"], 0),
        [0x14, 0x24, 0x34, 0x44]
    );
    assert_eq!(
        first_row("4.1", &["capture_orientation=flip0"], 0),
        [0x14, 0x13, 0x12, 0x11]
    );
    assert_eq!(
        first_row("4.1", &["capture_orientation=flip90"], 0),
        [0x44, 0x34, 0x24, 0x14]
    );
    assert_eq!(
        first_row("4.1", &["capture_orientation=@0"], 1),
        [0x41, 0x31, 0x21, 0x11]
    );
    assert_eq!(first_row("4.1", &["angle=180"], 0), [0x44, 0x43, 0x42, 0x41]);
}

#[test]
fn an_old_server_shows_what_is_touched_until_a_newer_android_shows_all() {
    let wide = Size { width: 16, height: 8 };
    let mut canvas = Canvas::new(wide);
    canvas.fill_with(full(wide), |x, y| Rgb((0x100 * (y + 1) + x + 1) as u32));
    let lens = |version| lens(version, &["crop=8:8:8:0", "lock_video_orientation=1"]);
    let look = lens("2.4").look(wide, 0).unwrap();
    assert_eq!(video(&look), (8, 8));
    // Turned against the clock: its first row is the display's last column, and the cut's.
    let shown = look.show(&canvas, look.video).unwrap();
    let column: Vec<u32> = (0..8).map(|y| 0x100 * (8 - y) + 16).collect();
    assert_eq!(look.lands((0, 1)), (15, 0));
    assert_eq!(
        shown.pixels()[..8],
        column.iter().rev().copied().collect::<Vec<_>>()
    );

    let look = lens("2.5").look(wide, 0).unwrap();
    let shown = look.show(&canvas, look.video).unwrap();
    assert_eq!((video(&look), look.lands((0, 1))), ((8, 8), (15, 0)));
    let bar = |row: usize| {
        shown.pixels()[row * 8..row * 8 + 8]
            .iter()
            .all(|&pixel| pixel == 0)
    };
    let bars: Vec<usize> = (0..8).filter(|&row| bar(row)).collect();
    assert_eq!(bars, [0, 1, 6, 7], "all of the display, with bars");
}
