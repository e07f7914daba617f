//! What comes over the video socket, and when nothing does.

use device::Userland;
use device::android::App;
use device::encode::Habit;
use device::scrcpy_server::{Launch, start};
use openh264::decoder::Decoder;
use scrcpy::control::{ControlMsg, TouchAction};
use scrcpy::demux::{Demuxer, Event};
use scrcpy::handshake::Scid;
use scrcpy::keys::KeyCode;
use scrcpy::options::ServerOptions;
use scrcpy::version::ServerVersion;
use tokio::io::AsyncReadExt;

use super::rig::*;

#[tokio::test]
async fn both_framings_open_with_name_codec_size_parameter_sets_and_a_key_frame() {
    for version in ["2.0", "3.3.4", "4.0", "4.1"] {
        let mut rig = Rig::new(version, App::Still).await;
        assert_eq!(rig.video.event().await, Event::DeviceName("Farglass Test".into()));
        assert!(matches!(
            rig.video.event().await,
            Event::Codec(scrcpy::VideoCodec::H264)
        ));
        assert_eq!(size_of(&rig.video.event().await), Some((WIDTH, HEIGHT)));
        let Event::Config(config) = rig.video.event().await else {
            panic!("no parameter sets in {version}")
        };
        assert_eq!(config[..4], [0, 0, 0, 1]);
        assert_eq!(config[4] & 0x1f, 7);
        let Event::Frame { key, data, .. } = rig.video.event().await else {
            panic!("no picture in {version}")
        };
        assert!(key);
        assert_eq!((&data[..4], data[4] & 0x1f), (&[0, 0, 0, 1][..], 5));
    }
}

#[tokio::test]
async fn a_still_page_repeats_its_picture_once_and_falls_silent() {
    let mut rig = Rig::new("4.1", App::Still).await;
    for _ in 0..2 {
        rig.video.frame().await;
    }
    assert!(rig.video.is_silent().await);
    rig.send(key(KeyCode::HOME)).await;
    for _ in 0..2 {
        rig.video.frame().await;
    }
    assert!(rig.video.is_silent().await);
}

#[tokio::test]
async fn a_reset_gives_a_session_parameter_sets_and_a_key_frame_on_a_still_page() {
    let mut rig = Rig::new("4.1", App::Still).await;
    assert_eq!(rig.video.session().await, (WIDTH, HEIGHT));
    rig.video.frame().await;
    rig.send(ControlMsg::ResetVideo).await;
    assert_eq!(rig.video.session().await, (WIDTH, HEIGHT));
    assert!(matches!(rig.video.event().await, Event::Config(_)));
    assert!(matches!(rig.video.event().await, Event::Frame { key: true, .. }));

    let mut legacy = Rig::new("3.3.4", App::Still).await;
    legacy.video.frame().await;
    legacy.send(ControlMsg::ResetVideo).await;
    legacy
        .video
        .skip_to(|event| matches!(event, Event::Config(_)))
        .await;
    assert!(matches!(
        legacy.video.event().await,
        Event::Frame { key: true, .. }
    ));
}

#[tokio::test]
async fn rotation_starts_a_session_with_the_sides_swapped() {
    let mut rig = Rig::new("4.1", App::Still).await;
    assert_eq!(rig.video.session().await, (WIDTH, HEIGHT));
    rig.send(ControlMsg::RotateDevice).await;
    assert_eq!(rig.video.session().await, (HEIGHT, WIDTH));
    assert_eq!(
        rig.video.picture().await.size,
        (usize::from(HEIGHT), usize::from(WIDTH))
    );
}

#[tokio::test]
async fn max_size_and_alignment_make_the_video_smaller_and_input_follows_it() {
    let options = ServerOptions {
        max_size: Some(333),
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("3.3.4", App::Paint, options).await;
    let size = rig.video.session().await;
    assert_eq!(size, (184, 328));
    rig.touch_in(TouchAction::DOWN, 1, (92, 164), size).await;
    rig.settled().await;
    let pointer = rig.android.pointers()[0];
    assert_eq!((pointer.x, pointer.y), (180, 320));
}

#[tokio::test]
async fn the_latency_target_turns_over_on_a_touch_and_its_barcode_counts_it() {
    let mut rig = Rig::new("4.1", App::Latency).await;
    let before = rig.video.picture().await;
    let code = before.barcode().expect("no barcode");
    assert_eq!(code.touches, 0);
    rig.touch(TouchAction::DOWN, 1, 100, 300).await;
    let (after, turned) = loop {
        let picture = rig.video.picture().await;
        let code = picture.barcode().expect("no barcode");
        if code.touches == 1 {
            break (picture, code);
        }
    };
    assert!(turned.frame > code.frame);
    let elapsed_ms = turned.time.wrapping_sub(code.time) / 10;
    assert!(elapsed_ms < 60_000, "{elapsed_ms} ms");
    for (x, y) in [(40, 100), (320, 600), (40, 600)] {
        let (old, new) = (before.yuv(x, y)[0], after.yuv(x, y)[0]);
        assert!(new - old > 100, "the target at {x},{y} went from {old} to {new}");
    }
}

#[tokio::test]
async fn a_moving_page_and_the_untouched_latency_target_count_their_pictures_in_the_barcode() {
    for app in [App::Motion, App::Latency] {
        let mut rig = Rig::new("3.3.4", app).await;
        let mut last = rig.video.picture().await.barcode().expect("no barcode").frame;
        for _ in 0..20 {
            let frame = rig.video.picture().await.barcode().expect("no barcode").frame;
            assert!(frame > last);
            last = frame;
        }
    }
}

#[tokio::test]
async fn without_headers_only_the_stream_is_left() {
    let userland = userland();
    let version = ServerVersion::NEWEST;
    let mut tunnel = userland.sockets.listen("scrcpy").unwrap();
    let args = ["4.1", "raw_stream=true", "audio=false", "control=false"]
        .map(str::to_owned)
        .to_vec();
    let own_version = version.to_string();
    let _server = start(
        &userland,
        Launch {
            own_version,
            args,
            remove_jar: Box::new(|| ()),
        },
    );
    let mut start = [0; 5];
    tunnel.accept().await.read_exact(&mut start).await.unwrap();
    assert_eq!((&start[..4], start[4] & 0x1f), (&[0, 0, 0, 1][..], 7));
}

#[tokio::test]
async fn two_servers_capture_the_same_screen_side_by_side() {
    let mut rig = Rig::new("4.1", App::Latency).await;
    assert!(rig.video.picture().await.barcode().is_some());
    let options = ServerOptions {
        scid: Some(Scid::from_bits(8)),
        audio: false,
        control: false,
        tunnel_forward: true,
        ..ServerOptions::default()
    };
    let _second = launch(&rig.userland, rig.version, &options);
    let mut socket = connect(&rig.userland, &options).await;
    assert_eq!(socket.read_u8().await.unwrap(), 0);
    let demuxer = Demuxer::new(options.video_start(rig.version));
    let decoder = Decoder::new().unwrap();
    let mut second = Video {
        socket,
        demuxer,
        decoder,
        config: Vec::new(),
    };
    assert!(second.picture().await.barcode().is_some());
    rig.touch(TouchAction::DOWN, 1, 100, 300).await;
    for video in [&mut rig.video, &mut second] {
        while video.picture().await.barcode().unwrap().touches != 1 {}
    }
}

/// The kinds of the NAL units of a stream, in order.
pub(super) fn kinds(stream: &[u8]) -> Vec<u8> {
    let codes = (0..stream.len()).filter(|&at| stream[at..].starts_with(&[0, 0, 1]));
    codes
        .filter_map(|at| stream.get(at + 3))
        .map(|header| header & 0x1f)
        .collect()
}

#[tokio::test]
async fn each_kind_of_encoder_shows_its_habit_and_decodes() {
    for habit in Habit::ALL.into_iter().filter(|habit| *habit != Habit::Missing) {
        let userland = Userland {
            encoder: habit,
            ..userland()
        };
        let mut rig = Rig::on(userland, "4.1", App::Latency, ServerOptions::default()).await;
        let config = rig.video.skip_to(|event| matches!(event, Event::Config(_))).await;
        let (Event::Config(config), Event::Frame { data: first, .. }) = (config, rig.video.frame().await)
        else {
            panic!("no parameter sets")
        };
        let kinds = kinds(&first);
        match habit {
            Habit::Slices => assert!(
                kinds.len() > 1 && kinds.iter().all(|&kind| kind == 5),
                "{kinds:?}"
            ),
            Habit::Noisy => assert_eq!(kinds, [9, 6, 7, 8, 5]),
            _ => assert_eq!(kinds, [5], "{habit:?}"),
        }
        // profile_idc: Main, or Baseline.
        assert_eq!(config[5], if habit == Habit::Main { 77 } else { 66 }, "{habit:?}");
        let unit = [&config[..], &first].concat();
        rig.video.decoder.decode(&unit).unwrap();
        // A picture that is scaled by a few pixels is no place to read a barcode.
        let picture = rig.video.picture().await;
        assert!(
            habit == Habit::SizeIgnored || picture.barcode().is_some(),
            "{habit:?}"
        );
    }
}

#[tokio::test]
async fn a_size_is_cut_as_the_server_of_its_version_cuts_it() {
    for (version, display, max_size, video) in [
        ("2.7", (1_080, 2_340), Some(1_280), (592, 1_280)),
        ("3.3.4", (1_080, 2_340), Some(1_280), (592, 1_280)),
        ("4.1", (1_080, 2_340), Some(1_280), (590, 1_280)),
        // An odd limit is a multiple of eight before 4.0.
        ("3.3.4", (720, 1_280), Some(1_007), (560, 1_000)),
        ("4.1", (720, 1_280), Some(1_006), (564, 1_006)),
        // Without a limit the shorter side is rounded to the nearest from 3.0.
        ("2.7", (340, 700), None, (336, 696)),
        ("3.3.4", (340, 700), None, (344, 696)),
        ("4.1", (340, 700), None, (340, 700)),
    ] {
        let options = ServerOptions {
            max_size,
            ..ServerOptions::default()
        };
        let mut rig = Rig::on(userland_of(display.0, display.1), version, App::Still, options).await;
        assert_eq!(
            rig.video.session().await,
            video,
            "{version} {display:?} {max_size:?}"
        );
    }
}
