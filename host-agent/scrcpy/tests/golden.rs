//! Bytes of every message, written down by hand from the layouts, and read back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "golden/by_version.rs"]
mod by_version;

use bytes::{Bytes, BytesMut};
use scrcpy::Pts;
use scrcpy::codec::{AudioCodec, VideoCodec};
use scrcpy::control::{
    self, ControlError, ControlMsg, CopyKey, KeyAction, PointerId, Position, Pressure, Touch, TouchAction,
};
use scrcpy::demux::{Demuxer, Event};
use scrcpy::device_msg::{self, DeviceMsg};
use scrcpy::handshake::{Scid, encode_device_name, encode_video_header};
use scrcpy::keys::{KeyCode, MetaState};
use scrcpy::options::{self, ServerOptions};
use scrcpy::packet::{Header, HeaderError, PAYLOAD_LEN_MAX, Session};
use scrcpy::version::{Framing, ServerVersion};

fn version(text: &str) -> ServerVersion {
    text.parse().unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The message has exactly these bytes, every beginning of them is incomplete, and they read back as the message.
fn check_control(at: &str, msg: &ControlMsg, bytes: &str) {
    let (at, bytes) = (version(at), hex(bytes));
    let mut out = BytesMut::new();
    control::encode(at, msg, &mut out).unwrap();
    assert_eq!(out[..], bytes[..], "{msg:?}");
    for len in 0..bytes.len() {
        assert_eq!(control::decode(at, &bytes[..len]).unwrap(), None, "{msg:?}");
    }
    assert_eq!(
        control::decode(at, &bytes).unwrap(),
        Some((msg.clone(), bytes.len()))
    );
}

const POSITION: Position = Position {
    x: 10,
    y: 20,
    width: 1920,
    height: 1080,
};

#[test]
fn keys_and_text_have_their_bytes() {
    let key = ControlMsg::Key {
        action: KeyAction::UP,
        keycode: KeyCode::ENTER,
        repeat: 5,
        metastate: MetaState(0x41),
    };
    check_control("4.1", &key, "00 01 00000042 00000005 00000041");
    check_control("4.1", &ControlMsg::Text("hé".into()), "01 00000003 68 c3a9");
    check_control("4.1", &ControlMsg::BackOrScreenOn(KeyAction::DOWN), "04 00");
}

#[test]
fn a_touch_has_32_bytes() {
    let touch = ControlMsg::Touch(Touch {
        action: TouchAction::DOWN,
        pointer: PointerId(1),
        position: POSITION,
        pressure: Pressure::FULL,
        action_button: 0,
        buttons: 0,
    });
    let bytes = "02 00 0000000000000001 0000000a 00000014 0780 0438 ffff 00000000 00000000";
    check_control("2.0", &touch, bytes);
    check_control("4.1", &touch, bytes);
    assert_eq!(hex(bytes).len(), 32);
}

#[test]
fn one_notch_is_a_sixteenth_from_3_3_1() {
    let scroll = |horizontal, vertical| ControlMsg::Scroll {
        position: POSITION,
        horizontal,
        vertical,
        buttons: 1,
    };
    check_control(
        "3.3.1",
        &scroll(1.0, -1.0),
        "03 0000000a 00000014 0780 0438 0800 f800 00000001",
    );
    check_control(
        "4.1",
        &scroll(1.0, -1.0),
        "03 0000000a 00000014 0780 0438 0800 f800 00000001",
    );
    for at in ["2.0", "3.3"] {
        check_control(
            at,
            &scroll(0.5, -1.0),
            "03 0000000a 00000014 0780 0438 4000 8000 00000001",
        );
    }
    let mut out = BytesMut::new();
    control::encode(version("3.3"), &scroll(7.0, f32::NAN), &mut out).unwrap();
    assert_eq!(out[13..17], [0x7f, 0xff, 0, 0]);
}

#[test]
fn messages_without_content_are_their_type() {
    for (msg, bytes) in [
        (ControlMsg::ExpandNotificationPanel, "05"),
        (ControlMsg::ExpandSettingsPanel, "06"),
        (ControlMsg::CollapsePanels, "07"),
        (ControlMsg::RotateDevice, "0b"),
        (ControlMsg::OpenHardKeyboardSettings, "0f"),
        (ControlMsg::ResetVideo, "11"),
        (ControlMsg::CameraZoomIn, "13"),
        (ControlMsg::CameraZoomOut, "14"),
    ] {
        check_control("4.1", &msg, bytes);
    }
}

#[test]
fn clipboard_power_and_apps_have_their_bytes() {
    check_control("4.1", &ControlMsg::GetClipboard(CopyKey::CUT), "08 02");
    let set = ControlMsg::SetClipboard {
        sequence: 0x0102_0304_0506_0708,
        paste: true,
        text: "日".into(),
    };
    check_control("4.1", &set, "09 0102030405060708 01 00000003 e697a5");
    check_control("3.0", &ControlMsg::SetDisplayPower(true), "0a 01");
    check_control("2.7", &ControlMsg::SetDisplayPower(true), "0a 02");
    check_control("2.7", &ControlMsg::SetDisplayPower(false), "0a 00");
    check_control("4.1", &ControlMsg::StartApp("+a.b".into()), "10 04 2b612e62");
    check_control("4.1", &ControlMsg::CameraSetTorch(true), "12 01");
    let resize = ControlMsg::ResizeDisplay {
        width: 720,
        height: 1280,
    };
    check_control("4.1", &resize, "15 02d0 0500");
    check_control("4.1", &ControlMsg::ScanFile("/a".into()), "16 00000002 2f61");
}

#[test]
fn hid_devices_got_a_name_in_2_7_and_vendor_and_product_in_3_1() {
    let create = |vendor, product| ControlMsg::UhidCreate {
        id: 1,
        vendor,
        product,
        name: "K".into(),
        descriptor: vec![5, 1],
    };
    let nameless = ControlMsg::UhidCreate {
        id: 1,
        vendor: 0,
        product: 0,
        name: String::new(),
        descriptor: vec![5, 1],
    };
    check_control("2.4", &nameless, "0c 0001 0002 0501");
    check_control("2.7", &create(0, 0), "0c 0001 01 4b 0002 0501");
    for at in ["3.1", "4.1"] {
        check_control(at, &create(0x045e, 0x028e), "0c 0001 045e 028e 01 4b 0002 0501");
    }
    check_control("3.0", &create(0, 0), "0c 0001 01 4b 0002 0501");
    let input = ControlMsg::UhidInput {
        id: 1,
        data: vec![9; 3],
    };
    check_control("2.4", &input, "0d 0001 0003 090909");
    check_control("2.7", &ControlMsg::UhidDestroy(1), "0e 0001");
    check_control("2.6", &ControlMsg::OpenHardKeyboardSettings, "0e");
    check_control("2.7", &ControlMsg::OpenHardKeyboardSettings, "0f");
}

#[test]
fn what_the_version_lacks_is_neither_written_nor_read() {
    for (at, msg, kind) in [
        ("2.7", ControlMsg::ResetVideo, 17),
        ("3.3.4", ControlMsg::CameraZoomIn, 19),
        ("4.0", ControlMsg::ScanFile("/a".into()), 22),
        ("2.3", ControlMsg::UhidInput { id: 1, data: vec![] }, 13),
    ] {
        let mut out = BytesMut::from(&b"kept"[..]);
        let result = control::encode(version(at), &msg, &mut out);
        assert_eq!(result, Err(ControlError::NotInVersion), "{at}");
        assert_eq!(out[..], b"kept"[..]);
        let unknown = Err(ControlError::UnknownType(kind));
        assert_eq!(control::decode(version(at), &[kind]), unknown);
    }
    let mut out = BytesMut::new();
    let destroy = control::encode(version("2.6"), &ControlMsg::UhidDestroy(1), &mut out);
    assert_eq!(destroy, Err(ControlError::NotInVersion));
    assert_eq!(
        control::decode(version("4.1"), &[23]),
        Err(ControlError::UnknownType(23))
    );
}

#[test]
fn lengths_are_bounded_on_both_sides() {
    let at = ServerVersion::NEWEST;
    let mut out = BytesMut::new();
    let long = ControlMsg::Text("x".repeat(301));
    let too_long = Err(ControlError::TooLong { len: 301, max: 300 });
    assert_eq!(control::encode(at, &long, &mut out), too_long);
    assert!(out.is_empty());
    assert!(matches!(
        control::decode(at, &hex("01 00040000")),
        Err(ControlError::TooLong { .. })
    ));
    assert!(matches!(
        device_msg::decode(&hex("00 ffffffff")),
        Err(device_msg::DeviceMsgError::TooLong { .. })
    ));
    let wrong = control::decode(at, &hex("01 00000002 61ff")).unwrap();
    assert_eq!(wrong, Some((ControlMsg::Text("a\u{fffd}".to_owned()), 7)));
}

#[test]
fn device_messages_have_their_bytes() {
    for (msg, bytes) in [
        (DeviceMsg::Clipboard("ab".into()), "00 00000002 6162"),
        (DeviceMsg::AckClipboard(258), "01 0000000000000102"),
        (DeviceMsg::UhidOutput { id: 1, data: vec![2] }, "02 0001 0001 02"),
    ] {
        let bytes = hex(bytes);
        let mut out = BytesMut::new();
        device_msg::encode(&msg, &mut out).unwrap();
        assert_eq!(out[..], bytes[..]);
        for len in 0..bytes.len() {
            assert_eq!(device_msg::decode(&bytes[..len]).unwrap(), None);
        }
        assert_eq!(device_msg::decode(&bytes).unwrap(), Some((msg, bytes.len())));
    }
    assert!(device_msg::decode(&[3]).is_err());
}

#[test]
fn packet_headers_have_their_bits() {
    let frame = Header::Frame {
        pts: Pts(0x0102_0304),
        key: true,
        len: 5,
    };
    let config = Header::Config { len: 30 };
    let session = Header::Session(Session {
        width: 720,
        height: 1280,
        client_resized: true,
    });
    for (framing, header, bytes) in [
        (Framing::Legacy, frame, "4000000001020304 00000005"),
        (Framing::Session, frame, "2000000001020304 00000005"),
        (Framing::Legacy, config, "8000000000000000 0000001e"),
        (Framing::Session, config, "4000000000000000 0000001e"),
        (Framing::Session, session, "80000001 000002d0 00000500"),
    ] {
        let bytes: [u8; 12] = hex(bytes).try_into().unwrap();
        assert_eq!(header.encode(framing), Some(bytes));
        assert_eq!(Header::decode(framing, &bytes), Ok(header));
    }
    assert_eq!(session.encode(Framing::Legacy), None);
}

#[test]
fn empty_and_huge_payloads_are_refused() {
    let decode = |bytes: &str| Header::decode(Framing::Session, &hex(bytes).try_into().unwrap());
    assert_eq!(
        decode("0000000000000000 00000000"),
        Err(HeaderError::EmptyPayload)
    );
    assert_eq!(
        decode("0000000000000000 00800001"),
        Err(HeaderError::PayloadTooLarge(8_388_609))
    );
    assert_eq!(
        decode("80000000 00000000 00000500"),
        Err(HeaderError::Size(0, 1280))
    );
    assert_eq!(PAYLOAD_LEN_MAX, 8_388_608);
}

#[test]
fn both_framings_open_and_change_size_as_written_down() {
    let session = Session {
        width: 720,
        height: 1280,
        client_resized: false,
    };
    let start = |at: &str| ServerOptions::default().video_start(version(at));
    let name = encode_device_name("Pixel");

    let mut legacy = Demuxer::new(start("3.3.4"));
    let mut wire = name.to_vec();
    wire.extend(hex("68323634 000002d0 00000500"));
    assert_eq!(
        wire[64..],
        encode_video_header(Framing::Legacy, VideoCodec::H264, session)[..]
    );
    wire.extend(hex(
        "8000000000000000 00000002 6742  4000000000000001 00000001 65",
    ));
    legacy.push(wire.into());
    assert_eq!(drain(&mut legacy), opening(session));

    let mut current = Demuxer::new(start("4.1"));
    let mut wire = name.to_vec();
    wire.extend(hex("68323634 80000000 000002d0 00000500"));
    wire.extend(hex(
        "4000000000000000 00000002 6742  2000000000000001 00000001 65",
    ));
    wire.extend(hex("80000000 00000500 000002d0"));
    current.push(wire.into());
    let mut expected = opening(session);
    expected.push(Event::Size(Session {
        width: 1280,
        height: 720,
        client_resized: false,
    }));
    assert_eq!(drain(&mut current), expected);
}

fn opening(session: Session) -> Vec<Event> {
    vec![
        Event::DeviceName("Pixel".into()),
        Event::Codec(VideoCodec::H264),
        Event::Size(session),
        Event::Config(Bytes::from_static(&[0x67, 0x42])),
        Event::Frame {
            pts: Pts(1),
            key: true,
            data: Bytes::from_static(&[0x65]),
        },
    ]
}

fn drain(demuxer: &mut Demuxer) -> Vec<Event> {
    std::iter::from_fn(|| demuxer.poll().unwrap()).collect()
}

#[test]
fn the_command_line_names_what_differs_and_picks_names_by_version() {
    let options = ServerOptions {
        scid: Some(Scid::from_bits(0xabcd)),
        log_level: options::LogLevel::Info,
        audio: false,
        tunnel_forward: true,
        video_bit_rate: 4_000_000,
        max_fps: Some(60.0),
        send_stream_meta: false,
        ..ServerOptions::default()
    };
    let line = |at: &str| {
        options
            .command_line("/data/local/tmp/s.jar", version(at))
            .unwrap()
    };
    assert_eq!(
        line("4.1"),
        "CLASSPATH=/data/local/tmp/s.jar app_process / com.genymobile.scrcpy.Server 4.1 scid=0000abcd \
         log_level=info video_bit_rate=4000000 max_fps=60 audio=false tunnel_forward=true send_stream_meta=false"
    );
    assert!(line("3.3.4").ends_with("send_codec_meta=false"));
}

#[test]
fn an_option_that_the_version_lacks_or_the_shell_would_expand_is_refused() {
    let aligned = ServerOptions {
        min_size_alignment: 16,
        ..ServerOptions::default()
    };
    assert!(aligned.to_args(version("4.0")).is_ok());
    assert!(aligned.to_args(version("3.3.4")).is_err());
    let mute = ServerOptions {
        video: false,
        ..ServerOptions::default()
    };
    assert!(mute.to_args(version("2.0")).is_err());
    let codecs = |video_codec, audio_codec| ServerOptions {
        video_codec,
        audio_codec,
        ..ServerOptions::default()
    };
    for (options, before, since) in [
        (codecs(VideoCodec::Vp8, AudioCodec::Opus), "4.0", "4.1"),
        (codecs(VideoCodec::Vp9, AudioCodec::Opus), "4.0", "4.1"),
        (codecs(VideoCodec::H264, AudioCodec::Flac), "2.2", "2.3"),
    ] {
        assert!(options.to_args(version(before)).is_err(), "{before}");
        let args = options.to_args(version(since)).unwrap();
        assert_eq!(options::parse(version(since), &args).unwrap().options, options);
        assert!(options::parse(version(before), &args).is_err(), "{args:?}");
    }
    for value in ["a;reboot", "$(id)", "a b", "*", "'", "a\nb"] {
        let options = ServerOptions {
            video_encoder: value.into(),
            ..ServerOptions::default()
        };
        assert!(options.to_args(ServerVersion::NEWEST).is_err(), "{value}");
        assert!(
            ServerOptions::default()
                .command_line(value, ServerVersion::NEWEST)
                .is_err()
        );
    }
}

#[test]
fn a_server_warns_of_keys_and_refuses_values() {
    let at = ServerVersion::NEWEST;
    let parsed = options::parse(at, &["send_codec_meta=false", "audio=FALSE", "control=yes"]).unwrap();
    assert_eq!(parsed.unknown_keys, ["send_codec_meta"]);
    assert!(parsed.options.send_stream_meta);
    assert!(!parsed.options.audio && !parsed.options.control);
    for wrong in [
        "max_size",
        "max_size=x",
        "max_fps=nan",
        "scid=zz",
        "log_level=loud",
    ] {
        assert!(options::parse(at, &[wrong]).is_err(), "{wrong}");
    }
    assert!(options::parse(at, &["video=false", "audio=false", "control=false"]).is_err());
    let raw = options::parse(at, &["raw_stream=true"]).unwrap().options;
    assert!(!raw.send_dummy_byte && !raw.send_device_meta && !raw.send_stream_meta && !raw.send_frame_meta);
}
