//! How a server starts and ends.

use device::android::App;
use device::scrcpy_server::{Launch, Output, start};
use openh264::decoder::Decoder;
use scrcpy::codec::AudioCodec;
use scrcpy::control::{ControlMsg, TouchAction};
use scrcpy::demux::Demuxer;
use scrcpy::handshake::{Scid, socket_name};
use scrcpy::options::ServerOptions;
use scrcpy::version::{Framing, ServerVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::*;

#[tokio::test]
async fn an_unknown_message_ends_the_server() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.picture().await;
    rig.control.write_all(&[23]).await.unwrap();
    let (text, code) = rig.output().await;
    assert!(
        text.contains("[server] ERROR: Controller error: unknown control message type 23"),
        "{text}"
    );
    assert_eq!(code, 0);
    while rig.video.next().await.is_some() {}
}

#[tokio::test]
async fn before_2_7_an_unknown_message_stalls_what_comes_after_it_and_the_picture_goes_on() {
    let mut rig = Rig::new("2.6", App::Motion).await;
    rig.control.write_all(&[99]).await.unwrap();
    rig.send(ControlMsg::RotateDevice).await;
    let told = || {
        let told = logged(&rig.android, "scrcpy");
        told.contains(&('W', "Unknown event type: 99".to_owned()))
    };
    until("a warning", told).await;
    rig.video.frame().await;
    assert_eq!(rig.android.rotation().quarters(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_server_and_lifts_its_fingers() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.picture().await;
    rig.touch(TouchAction::DOWN, 1, 10, 10).await;
    rig.settled().await;
    let (theirs, _) = tokio::io::duplex(1);
    drop(std::mem::replace(&mut rig.control, theirs));
    let (text, code) = rig.output().await;
    assert_eq!(
        text,
        "[server] INFO: Device: [Farglass] farglass Farglass Test (Android 14)\n"
    );
    assert_eq!(code, 0);
    assert_eq!(rig.android.pointers(), []);
}

#[tokio::test]
async fn another_version_than_its_own_does_not_start() {
    let userland = userland();
    let args = vec!["4.0".to_owned()];
    let launch = Launch {
        own_version: "4.1".into(),
        args,
        remove_jar: Box::new(|| ()),
    };
    let mut server = start(&userland, launch);
    let error = "[server] ERROR: The server version (4.1) does not match the client (4.0)\n";
    assert_eq!(server.next().await, Some(Output::Stderr(error.into())));
    assert_eq!(server.next().await, Some(Output::Exit(1)));
    assert_eq!(server.next().await, None);
}

#[tokio::test]
async fn cleanup_deletes_the_jar_unless_it_is_told_not_to() {
    for cleanup in [true, false] {
        let userland = userland();
        let (deleted, mut seen) = tokio::sync::oneshot::channel::<()>();
        let args = vec!["4.1".to_owned(), format!("cleanup={cleanup}")];
        let remove_jar = Box::new(move || deleted.send(()).unwrap());
        let mut server = start(
            &userland,
            Launch {
                own_version: "4.1".into(),
                args,
                remove_jar,
            },
        );
        // Nobody listens for a reverse connection: the server ends.
        while server.next().await.is_some() {}
        assert_eq!(seen.try_recv().is_ok(), cleanup);
    }
}

#[tokio::test]
async fn a_reverse_tunnel_carries_video_audio_and_control_in_this_order() {
    let userland = userland();
    let options = ServerOptions {
        scid: Some(Scid::from_bits(9)),
        ..ServerOptions::default()
    };
    let version = ServerVersion::NEWEST;
    let mut tunnel = userland.sockets.listen(&socket_name(options.scid)).unwrap();
    let _server = launch(&userland, version, &options);
    let mut video = tunnel.accept().await;
    let mut audio = tunnel.accept().await;
    let mut control = tunnel.accept().await;
    let mut start = [0; 68];
    video.read_exact(&mut start).await.unwrap();
    assert_eq!(&start[64..], b"h264");
    assert_eq!(audio.read_u32().await.unwrap(), AudioCodec::Opus.id());
    control.write_all(&[11]).await.unwrap();
    let mut demuxer = Demuxer::new(scrcpy::demux::Start {
        framing: Framing::Session,
        dummy_byte: false,
        device_name: false,
        stream_header: true,
    });
    demuxer.push(bytes::Bytes::from_static(b"h264"));
    let decoder = Decoder::new().unwrap();
    let mut video = Video {
        socket: video,
        demuxer,
        decoder,
        config: Vec::new(),
    };
    while size_of(&video.event().await) != Some((HEIGHT, WIDTH)) {}
}

/// All that a server prints, and its exit code.
pub(crate) async fn printed(version: &str, args: &[&str]) -> (String, u8) {
    let args = [version].iter().chain(args).map(|&arg| arg.to_owned()).collect();
    let mut server = start(
        &userland(),
        Launch {
            own_version: version.to_owned(),
            args,
            remove_jar: Box::new(|| ()),
        },
    );
    let mut text = String::new();
    loop {
        match server.next().await.unwrap() {
            Output::Stdout(line) | Output::Stderr(line) => text += &line,
            Output::Exit(code) => return (text, code),
        }
    }
}

#[tokio::test]
async fn lists_are_printed_and_no_socket_is_opened() {
    // In reverse mode a server that went on would fail, because nothing listens.
    let (text, code) = printed("4.1", &["list_encoders=true", "list_displays=true"]).await;
    assert_eq!(code, 0, "{text}");
    for line in [
        "[server] INFO: List of video encoders:\n",
        "    --video-codec=h264 --video-encoder=c2.android.avc.encoder   (sw)\n",
        "    --audio-codec=opus --audio-encoder=c2.android.opus.encoder   (sw)\n",
        "    --display-id=0    (360x640)\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let (text, _) = printed("3.0", &["list_apps=true"]).await;
    assert!(
        text.contains("[server] INFO: List of apps:\n * Launcher"),
        "{text}"
    );
    assert!(
        text.contains("\n - Echo                           dev.farglass.echo\n"),
        "{text}"
    );
    // Before 3.0 there is no such option, and the server tries to mirror.
    let (text, code) = printed("2.7", &["list_apps=true"]).await;
    assert!(
        text.contains("[server] WARN: Unknown server option: list_apps\n"),
        "{text}"
    );
    assert_eq!(code, 1);
}

#[tokio::test]
async fn an_encoder_that_is_not_there_ends_the_server_with_the_list() {
    let options = ServerOptions {
        video_encoder: "OMX.none".into(),
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Still, options).await;
    let (text, _) = rig.output().await;
    assert!(
        text.contains("Video encoder 'OMX.none' for h264 not found\nList of video encoders:"),
        "{text}"
    );
}

#[tokio::test]
async fn camera_and_resize_messages_without_their_source_end_the_server_from_4_0_and_unknown_ones_always() {
    let resize = ControlMsg::ResizeDisplay {
        width: 100,
        height: 100,
    };
    for (msg, why) in [
        (
            ControlMsg::CameraSetTorch(true),
            "Camera control without a camera",
        ),
        (ControlMsg::CameraZoomIn, "Camera control without a camera"),
        (ControlMsg::CameraZoomOut, "Camera control without a camera"),
        (resize, "Resize without a flexible display"),
    ] {
        let mut rig = Rig::new("4.0", App::Still).await;
        rig.send(msg).await;
        let (text, code) = rig.output().await;
        assert!(text.contains(&format!("[server] ERROR: {why}\n")), "{text}");
        assert_eq!(code, 0);
    }
    // 18 means nothing before 4.0: the server ends without a word.
    let mut rig = Rig::new("3.3.4", App::Still).await;
    rig.control.write_all(&[18, 1]).await.unwrap();
    let (text, _) = rig.output().await;
    assert!(!text.contains("ERROR"), "{text}");
}

#[tokio::test]
async fn a_server_that_wakes_the_screen_reads_nothing_for_half_a_second() {
    for (on, least_ms) in [(false, 500), (true, 0)] {
        let userland = userland();
        userland.android.set_screen_on(on);
        let started = std::time::Instant::now();
        let mut rig = Rig::on(userland, "4.1", App::Still, ServerOptions::default()).await;
        rig.settled().await;
        assert!(rig.android.screen_on());
        assert!(
            started.elapsed().as_millis() >= least_ms,
            "{:?}",
            started.elapsed()
        );
    }
}
