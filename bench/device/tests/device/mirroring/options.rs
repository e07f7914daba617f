//! Options that a server refuses, and those that ask for what this device does not have.

use device::android::App;
use device::scrcpy_server::{Launch, Output, start};
use scrcpy::codec::AudioStart;
use scrcpy::demux::Event;
use scrcpy::handshake::{decode_audio_header, socket_name};
use scrcpy::options::ServerOptions;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::rig::*;
use super::server::printed;

/// What a server with one socket and these options sends over it, what it prints, and its exit code.
async fn told(args: &[&str]) -> (Vec<u8>, String, u8) {
    let userland = userland();
    let mut tunnel = userland.sockets.listen(&socket_name(None)).unwrap();
    let args = [&["4.1", "control=false", "send_device_meta=false"], args].concat();
    let mut server = start(
        &userland,
        Launch {
            own_version: "4.1".to_owned(),
            args: args.into_iter().map(str::to_owned).collect(),
            remove_jar: Box::new(|| ()),
        },
    );
    let mut socket = timeout(DEADLINE, tunnel.accept()).await.expect("no socket");
    let mut sent = Vec::new();
    timeout(DEADLINE, socket.read_to_end(&mut sent))
        .await
        .expect("it goes on")
        .unwrap();
    let mut text = String::new();
    loop {
        match timeout(DEADLINE, server.next()).await.unwrap().unwrap() {
            Output::Stdout(line) | Output::Stderr(line) => text += &line,
            Output::Exit(code) => return (sent, text, code),
        }
    }
}

#[tokio::test]
async fn codec_options_that_are_none_keep_a_server_from_starting() {
    for key in ["video_codec_options", "audio_codec_options"] {
        for (value, why) in [
            ("profile", "'=' expected"),
            ("=1", "Key may not be null"),
            ("level=high", "\"high\""),
            ("level:long=1.5", "\"1.5\""),
            ("level:bool=1", "Invalid codec option type"),
            ("level=1,profile", "'=' expected"),
        ] {
            let (told, code) = printed("4.1", &[&format!("{key}={value}")]).await;
            assert!(told.contains(why) && code == 1, "{value}: {told}");
        }
        // Good ones get as far as the tunnel, where nobody listens.
        let good = r"profile=1,i-frame-interval:float=0.5,a:string=x\,y\\,level:long=-5";
        let (told, code) = printed("4.1", &[&format!("{key}={good}")]).await;
        assert!(told.contains("refused") && code == 1, "{told}");
    }
}

#[tokio::test]
async fn what_is_no_value_of_an_option_without_effect_keeps_a_server_from_starting_too() {
    for (version, arg, why) in [
        (
            "2.1",
            "audio_source=playback",
            "Audio source playback not supported",
        ),
        (
            "4.1",
            "audio_source=nonsense",
            "Audio source nonsense not supported",
        ),
        ("4.1", "display_ime_policy=x", "Invalid display IME policy: x"),
        ("4.1", "audio_bit_rate=x", "For input string: \"x\""),
        ("2.2", "camera_facing=x", "Camera facing x not supported"),
        (
            "3.3.4",
            "camera_size=x",
            "Invalid size format (expected <width>x<height>): \"x\"",
        ),
        ("4.0", "camera_ar=x", "For input string: \"x\""),
        ("4.1", "camera_fps=x", "For input string: \"x\""),
        ("4.1", "camera_zoom=x", "For input string: \"x\""),
        ("2.2", "audio_codec=flac", "Audio codec flac not supported"),
        ("4.0", "video_codec=vp8", "Video codec vp8 not supported"),
        ("4.0", "video_codec=vp9", "Video codec vp9 not supported"),
        ("4.1", "video_source=window", "Video source window not supported"),
    ] {
        let (told, code) = printed(version, &[arg]).await;
        let line = format!("[server] ERROR: {why}\n");
        assert!(told.contains(&line) && code == 1, "{arg}: {told}");
    }
    // Good ones get as far as the tunnel, where nobody listens, and a key that came later is only warned of.
    for (version, arg, warned) in [
        ("4.1", "camera_zoom=2.5", false),
        ("4.1", "video_codec=vp9", false),
        ("2.3", "audio_codec=flac", false),
        ("3.3.4", "camera_zoom=x", true),
        ("3.1", "display_ime_policy=x", true),
    ] {
        let (told, code) = printed(version, &[arg]).await;
        assert!(told.contains("refused") && code == 1, "{arg}: {told}");
        assert_eq!(told.contains("Unknown server option"), warned, "{told}");
    }
}

#[tokio::test]
async fn pictures_come_no_closer_together_than_the_option_says() {
    let options = ServerOptions {
        max_fps: Some(10.0),
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Motion, options).await;
    let mut last = None;
    for _ in 0..10 {
        let Event::Frame { pts, .. } = rig.video.frame().await else {
            continue;
        };
        if let Some(last) = last {
            // Of a display with 60 a second: a tenth less a tick, and what passes between two looks at the clock.
            assert!(pts.0 - last >= 60_000, "{} µs", pts.0 - last);
        }
        last = Some(pts.0);
    }
}

#[tokio::test]
async fn the_same_picture_is_more_bytes_the_more_bits_a_second_there_may_be() {
    let mut lengths = Vec::new();
    for video_bit_rate in [100_000, 1_000_000, 10_000_000] {
        let options = ServerOptions {
            video_bit_rate,
            ..ServerOptions::default()
        };
        let mut rig = Rig::with("4.1", App::Still, options).await;
        if let Event::Frame { data, .. } = rig.video.frame().await {
            lengths.push(data.len());
        }
    }
    assert!(lengths.windows(2).all(|pair| pair[0] < pair[1]), "{lengths:?}");
}

#[tokio::test]
async fn there_is_no_camera_to_list_or_to_mirror() {
    for list in ["list_cameras=true", "list_camera_sizes=true"] {
        let (told, code) = printed("4.1", &[list]).await;
        assert!(
            told.contains("List of cameras:\n    (none)\n") && code == 0,
            "{told}"
        );
    }
    let (sent, told, code) = told(&["audio=false", "video_source=camera"]).await;
    assert_eq!((sent.len(), code), (0, 0), "{told}");
    assert!(!told.contains("ERROR"), "a real one says nothing either: {told}");
}

#[tokio::test]
async fn an_audio_encoder_that_is_not_there_is_told_on_its_socket_and_ends_the_server() {
    let (sent, told, code) = told(&["video=false", "audio_encoder=nonsense"]).await;
    let start = decode_audio_header(sent.try_into().unwrap()).unwrap();
    assert_eq!((start, code), (AudioStart::ConfigurationError, 0));
    let why = "Audio encoder 'nonsense' for opus not found\nList of audio encoders:";
    assert!(told.contains(why), "{told}");
}
