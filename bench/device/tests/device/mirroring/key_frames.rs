//! What a client's options for the encoder ask for: key frames, the profile, the repeat of a picture at rest.

use device::android::App;
use scrcpy::demux::Event;
use scrcpy::options::ServerOptions;

use super::rig::*;
use super::video::kinds;

/// Of the first pictures of a moving page: whether each is a key frame, and its NAL units.
async fn pictures(options: &str, count: usize) -> Vec<(bool, Vec<u8>)> {
    let options = ServerOptions {
        video_codec_options: options.to_owned(),
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Motion, options).await;
    let mut pictures = Vec::new();
    while pictures.len() < count {
        if let Event::Frame { key, data, .. } = rig.video.frame().await {
            pictures.push((key, kinds(&data)));
        }
    }
    pictures
}

fn keys(pictures: &[(bool, Vec<u8>)]) -> Vec<usize> {
    let keys = pictures.iter().enumerate().filter(|(_, (key, _))| *key);
    keys.map(|(at, _)| at).collect()
}

#[tokio::test]
async fn key_frames_come_at_the_interval_that_is_asked_for() {
    for (options, expected) in [
        // An encoder counts seconds by the 60 pictures that it is told.
        ("i-frame-interval:float=0.1", vec![0, 6, 12, 18]),
        (
            "i-frame-interval:long=1,i-frame-interval:float=0.15",
            vec![0, 9, 18],
        ),
        ("i-frame-interval=0", (0..20).collect()),
        ("i-frame-interval=-1", vec![0]),
        ("", vec![0]),
    ] {
        assert_eq!(keys(&pictures(options, 20).await), expected, "{options}");
    }
    assert_eq!(keys(&pictures("i-frame-interval=1", 62).await), [0, 60]);
}

#[tokio::test]
async fn parameter_sets_stand_before_each_key_frame_if_that_is_asked_for() {
    let interval = "i-frame-interval:float=0.1";
    let told = format!("{interval},prepend-sps-pps-to-idr-frames=1");
    for (options, key) in [
        (told.as_str(), vec![7, 8, 5]),
        (interval, vec![5]),
        (
            "i-frame-interval:float=0.1,prepend-sps-pps-to-idr-frames=0",
            vec![5],
        ),
    ] {
        for (is_key, kinds) in pictures(options, 14).await {
            assert_eq!(kinds, if is_key { key.clone() } else { vec![1] }, "{options}");
        }
    }
}

/// The profile that the first parameter set names.
async fn profile(options: &str) -> u8 {
    let options = ServerOptions {
        video_codec_options: options.to_owned(),
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Still, options).await;
    let config = rig.video.skip_to(|event| matches!(event, Event::Config(_))).await;
    let Event::Config(config) = config else {
        unreachable!()
    };
    assert_eq!(config[..5], [0, 0, 0, 1, 0x67]);
    config[5]
}

#[tokio::test]
async fn the_profile_is_the_one_that_is_asked_for() {
    for (options, expected) in [
        ("", 66),
        ("profile=1", 66),
        ("profile=2", 77),
        ("profile=1,profile=2", 77),
    ] {
        assert_eq!(profile(options).await, expected, "{options}");
    }
}

/// When a still page's picture came, and when it was repeated, in microseconds.
async fn repeated(rig: &mut Rig) -> (u64, u64) {
    let mut at = async || match rig.video.frame().await {
        Event::Frame { pts, .. } => pts.0,
        other => unreachable!("{other:?}"),
    };
    (at().await, at().await)
}

#[tokio::test]
async fn a_picture_at_rest_is_repeated_when_it_is_asked_for() {
    let options = |text: &str| ServerOptions {
        video_codec_options: text.to_owned(),
        ..ServerOptions::default()
    };
    let late = options("repeat-previous-frame-after:long=700000");
    let mut rig = Rig::with("4.1", App::Still, late).await;
    let (first, again) = repeated(&mut rig).await;
    assert!(again - first >= 650_000, "{first} {again}");

    let mut rig = Rig::with("4.1", App::Still, options("repeat-previous-frame-after:long=0")).await;
    rig.video.frame().await;
    assert!(rig.video.is_silent().await);
}
