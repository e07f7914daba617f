//! What comes over the audio socket.

use device::Userland;
use device::abstract_sockets::Socket;
use device::android::App;
use device::fault::Fault;
use device::scrcpy_server::{Output, Running};
use openh264::decoder::Decoder;
use scrcpy::codec::{AudioCodec, AudioStart};
use scrcpy::demux::{Demuxer, Event};
use scrcpy::handshake::{Scid, decode_audio_header};
use scrcpy::options::ServerOptions;
use scrcpy::packet::{HEADER_LEN, Header};
use scrcpy::version::ServerVersion;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::rig::*;

/// The audio socket of a server with nothing else.
async fn listening(userland: &Userland, version: ServerVersion, codec: AudioCodec) -> (Running, Socket) {
    let options = ServerOptions {
        scid: Some(Scid::from_bits(5)),
        video: false,
        control: false,
        tunnel_forward: true,
        send_device_meta: false,
        send_dummy_byte: false,
        audio_codec: codec,
        ..ServerOptions::default()
    };
    let server = launch(userland, version, &options);
    (server, connect(userland, &options).await)
}

async fn start_of(audio: &mut Socket) -> AudioStart {
    let mut id = [0; 4];
    audio.read_exact(&mut id).await.unwrap();
    decode_audio_header(id).unwrap()
}

async fn packet(audio: &mut Socket, version: ServerVersion) -> (Header, Vec<u8>) {
    let mut header = [0; HEADER_LEN];
    audio.read_exact(&mut header).await.unwrap();
    let header = Header::decode(version.framing(), &header).unwrap();
    let len = match header {
        Header::Config { len } | Header::Frame { len, .. } => len,
        Header::Session(_) => panic!("sound has no size"),
    };
    let mut data = vec![0; len];
    audio.read_exact(&mut data).await.unwrap();
    (header, data)
}

#[tokio::test]
async fn opus_is_a_head_and_then_packets_of_20_ms_in_both_framings() {
    for version in ["2.1", "3.3.4", "4.1"] {
        let version: ServerVersion = version.parse().unwrap();
        let userland = userland();
        let (_server, mut audio) = listening(&userland, version, AudioCodec::Opus).await;
        assert_eq!(start_of(&mut audio).await, AudioStart::Codec(AudioCodec::Opus));
        let (header, head) = packet(&mut audio, version).await;
        assert_eq!(header, Header::Config { len: 19 });
        assert_eq!(&head[..8], b"OpusHead");
        let mut last = 0;
        for _ in 0..10 {
            let (Header::Frame { pts, .. }, data) = packet(&mut audio, version).await else {
                panic!("a second configuration")
            };
            assert!(pts.0 > last);
            last = pts.0;
            // Full band, 20 ms, stereo, one frame in the packet.
            assert_eq!(data[0], 0xfc);
        }
    }
}

#[tokio::test]
async fn raw_sound_has_no_configuration_and_blocks_of_1024_samples() {
    let version = ServerVersion::NEWEST;
    let userland = userland();
    let (_server, mut audio) = listening(&userland, version, AudioCodec::Raw).await;
    assert_eq!(start_of(&mut audio).await, AudioStart::Codec(AudioCodec::Raw));
    let (header, data) = packet(&mut audio, version).await;
    assert!(matches!(header, Header::Frame { len: 4_096, .. }));
    assert!(
        data.chunks(4).all(|both| both[..2] == both[2..]),
        "left is not right"
    );
    assert!(data.iter().any(|&byte| byte != 0), "it is silent");
}

#[tokio::test]
async fn a_codec_without_an_encoder_says_1_and_ends_the_server() {
    for codec in [AudioCodec::Aac, AudioCodec::Flac] {
        let userland = userland();
        let (mut server, mut audio) = listening(&userland, ServerVersion::NEWEST, codec).await;
        assert_eq!(start_of(&mut audio).await, AudioStart::ConfigurationError);
        assert_eq!(audio.read(&mut [0; 1]).await.unwrap(), 0);
        let mut last = server.next().await;
        while let Some(output @ (Output::Stdout(_) | Output::Stderr(_))) = last {
            last = server.next().await;
            drop(output);
        }
        assert_eq!(last, Some(Output::Exit(0)));
    }
}

#[tokio::test]
async fn a_device_that_refuses_audio_says_0_and_the_picture_goes_on() {
    let userland = faulty(Fault::AudioRefused, 1);
    let options = ServerOptions {
        scid: Some(Scid::from_bits(6)),
        control: false,
        tunnel_forward: true,
        ..ServerOptions::default()
    };
    let _server = launch(&userland, ServerVersion::NEWEST, &options);
    let mut video = connect(&userland, &options).await;
    let mut audio = connect(&userland, &options).await;
    assert_eq!(start_of(&mut audio).await, AudioStart::Disabled);
    let mut opening = [0; 1 + 64 + 4 + 12 + 12];
    video.read_exact(&mut opening).await.unwrap();
    assert_eq!(&opening[65..69], b"h264");
}

#[tokio::test]
async fn a_client_that_closes_the_sound_still_gets_pictures() {
    for codec in [AudioCodec::Opus, AudioCodec::Raw] {
        let userland = userland();
        userland.android.start(App::Motion.package()).unwrap();
        let options = ServerOptions {
            scid: Some(Scid::from_bits(6)),
            control: false,
            tunnel_forward: true,
            send_dummy_byte: false,
            audio_codec: codec,
            ..ServerOptions::default()
        };
        let _server = launch(&userland, ServerVersion::NEWEST, &options);
        let socket = connect(&userland, &options).await;
        let mut audio = connect(&userland, &options).await;
        assert_eq!(start_of(&mut audio).await, AudioStart::Codec(codec));
        let mut video = Video {
            socket,
            demuxer: Demuxer::new(options.video_start(ServerVersion::NEWEST)),
            decoder: Decoder::new().unwrap(),
            config: Vec::new(),
        };
        let Event::Frame { pts: closed, .. } = video.frame().await else {
            panic!("no frame")
        };
        drop(audio);
        // Longer than the sound takes to meet its closed socket.
        let later = |event: &Event| matches!(event, Event::Frame { pts, .. } if pts.0 > closed.0 + 500_000);
        video.skip_to(later).await;
    }
}

#[tokio::test]
async fn a_server_with_nothing_but_sound_ends_with_its_socket() {
    let userland = userland();
    let (mut server, mut audio) = listening(&userland, ServerVersion::NEWEST, AudioCodec::Opus).await;
    assert_eq!(start_of(&mut audio).await, AudioStart::Codec(AudioCodec::Opus));
    drop(audio);
    let mut last = None;
    while let Some(output) = timeout(DEADLINE, server.next()).await.unwrap() {
        last = Some(output);
    }
    assert_eq!(last, Some(Output::Exit(0)));
}
