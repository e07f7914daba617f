//! Key frames as a client's options for the encoder ask for them.

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
