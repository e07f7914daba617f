//! What is written reads back, however the bytes are cut, and no bytes make a parser panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use scrcpy::Pts;
use scrcpy::codec::VideoCodec;
use scrcpy::control::{
    self, ControlMsg, CopyKey, KeyAction, PointerId, Position, Pressure, Touch, TouchAction,
};
use scrcpy::demux::{Demuxer, Event, Start};
use scrcpy::device_msg::{self, DeviceMsg};
use scrcpy::handshake::{Scid, encode_device_name, encode_video_header};
use scrcpy::keys::{KeyCode, MetaState};
use scrcpy::options::{self, ServerOptions};
use scrcpy::packet::{Header, Session};
use scrcpy::version::{Framing, ServerVersion};

fn versions() -> impl Strategy<Value = ServerVersion> {
    prop::sample::select(vec![
        "2.0", "2.1", "2.4", "2.7", "3.0", "3.1", "3.3.1", "3.3.4", "4.0", "4.1",
    ])
    .prop_map(|text| text.parse().unwrap())
}

fn positions() -> impl Strategy<Value = Position> {
    any::<(i32, i32, u16, u16)>().prop_map(|(x, y, width, height)| Position { x, y, width, height })
}

fn messages() -> impl Strategy<Value = ControlMsg> {
    let touch = (any::<(u8, i64, u16, i32, i32)>(), positions()).prop_map(
        |((action, pointer, pressure, action_button, buttons), position)| {
            ControlMsg::Touch(Touch {
                action: TouchAction(action),
                pointer: PointerId(pointer),
                position,
                pressure: Pressure(pressure),
                action_button,
                buttons,
            })
        },
    );
    // Values that the wire of both scales can hold exactly.
    let scroll =
        (positions(), -128i16..128, -128i16..128, any::<i32>()).prop_map(|(position, h, v, buttons)| {
            ControlMsg::Scroll {
                position,
                horizontal: f32::from(h) / 128.0 * 0.9375,
                vertical: f32::from(v) / 128.0 * 0.9375,
                buttons,
            }
        });
    let key = any::<(u8, i32, i32, i32)>().prop_map(|(action, keycode, repeat, metastate)| ControlMsg::Key {
        action: KeyAction(action),
        keycode: KeyCode(keycode),
        repeat,
        metastate: MetaState(metastate),
    });
    let clipboard =
        (any::<(u64, bool)>(), ".{0,40}").prop_map(|((sequence, paste), text)| ControlMsg::SetClipboard {
            sequence,
            paste,
            text,
        });
    let create = (any::<u16>(), ".{0,20}", any::<Vec<u8>>()).prop_map(|(id, name, descriptor)| {
        ControlMsg::UhidCreate {
            id,
            vendor: 0,
            product: 0,
            name,
            descriptor,
        }
    });
    prop_oneof![
        touch,
        scroll,
        key,
        clipboard,
        create,
        ".{0,60}".prop_map(ControlMsg::Text),
        ".{0,60}".prop_map(ControlMsg::StartApp),
        ".{0,60}".prop_map(ControlMsg::ScanFile),
        any::<u8>().prop_map(|key| ControlMsg::GetClipboard(CopyKey(key))),
        any::<bool>().prop_map(ControlMsg::SetDisplayPower),
        any::<(u16, Vec<u8>)>().prop_map(|(id, data)| ControlMsg::UhidInput { id, data }),
        any::<(u16, u16)>().prop_map(|(width, height)| ControlMsg::ResizeDisplay { width, height }),
        Just(ControlMsg::ResetVideo),
        Just(ControlMsg::OpenHardKeyboardSettings),
    ]
}

#[derive(Debug, Clone)]
enum Sent {
    Session(u16, u16),
    Config(Vec<u8>),
    Frame(u64, bool, Vec<u8>),
}

fn packets() -> impl Strategy<Value = Vec<Sent>> {
    let payload = || prop::collection::vec(any::<u8>(), 1..200);
    prop::collection::vec(
        prop_oneof![
            (1..=u16::MAX, 1..=u16::MAX).prop_map(|(w, h)| Sent::Session(w, h)),
            payload().prop_map(Sent::Config),
            (0..1u64 << 61, any::<bool>(), payload())
                .prop_map(|(pts, key, data)| Sent::Frame(pts, key, data)),
        ],
        0..20,
    )
}

proptest! {
    #[test]
    fn control_messages_read_back(version in versions(), mut msg in messages()) {
        if let ControlMsg::UhidCreate { name, .. } = &mut msg && !version.at_least(2, 7, 0) {
            name.clear();
        }
        let mut out = BytesMut::new();
        match control::encode(version, &msg, &mut out) {
            Ok(()) => prop_assert_eq!(control::decode(version, &out), Ok(Some((msg, out.len())))),
            Err(_) => prop_assert!(out.is_empty()),
        }
    }

    #[test]
    fn device_messages_read_back(text in ".{0,80}", sequence: u64, id: u16, data: Vec<u8>) {
        for msg in [
            DeviceMsg::Clipboard(text),
            DeviceMsg::AckClipboard(sequence),
            DeviceMsg::UhidOutput { id, data },
        ] {
            let mut out = BytesMut::new();
            device_msg::encode(&msg, &mut out).unwrap();
            prop_assert_eq!(device_msg::decode(&out), Ok(Some((msg, out.len()))));
        }
    }

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut(
        session_framing: bool,
        sent in packets(),
        cuts in prop::collection::vec(1usize..64, 1..40),
    ) {
        let framing = if session_framing { Framing::Session } else { Framing::Legacy };
        let (wire, expected) = stream(framing, &sent);
        let mut demuxer = Demuxer::new(Start { framing, dummy_byte: true, device_name: true, stream_header: true });
        let mut events = Vec::new();
        let mut rest = wire;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            demuxer.push(rest.split_to((*cut).min(rest.len())));
            while let Some(event) = demuxer.poll().unwrap() {
                events.push(event);
            }
        }
        prop_assert_eq!(events, expected);
    }

    #[test]
    fn options_read_back(
        version in versions(),
        scid in prop::option::of(any::<u32>()),
        bit_rate in 1u32..,
        max_size in prop::option::of(1u16..),
        fps in prop::option::of(1u16..),
        flags: [bool; 6],
    ) {
        let options = ServerOptions {
            scid: scid.map(Scid::from_bits),
            video_bit_rate: bit_rate,
            max_size,
            max_fps: fps.map(f32::from),
            audio: flags[0],
            tunnel_forward: flags[1],
            cleanup: flags[2],
            clipboard_autosync: flags[3],
            send_stream_meta: flags[4],
            send_device_meta: flags[5],
            ..ServerOptions::default()
        };
        let args = options.to_args(version).unwrap();
        let parsed = options::parse(version, &args).unwrap();
        prop_assert_eq!(parsed.options, options);
        prop_assert!(parsed.unknown_keys.is_empty());
    }

    #[test]
    fn no_bytes_make_a_parser_panic(version in versions(), bytes: Vec<u8>, text in ".{0,60}") {
        let _ = control::decode(version, &bytes);
        let _ = device_msg::decode(&bytes);
        let _ = options::parse(version, &[text]);
        let mut demuxer = Demuxer::new(ServerOptions::default().video_start(version));
        demuxer.push(Bytes::from(bytes));
        while let Ok(Some(_)) = demuxer.poll() {}
    }
}

fn stream(framing: Framing, sent: &[Sent]) -> (Bytes, Vec<Event>) {
    let first = Session {
        width: 720,
        height: 1280,
        client_resized: false,
    };
    let mut wire = BytesMut::from(&[0u8][..]);
    wire.extend_from_slice(&encode_device_name("Tëst"));
    wire.extend_from_slice(&encode_video_header(framing, VideoCodec::H264, first));
    let mut events = vec![
        Event::DeviceName("Tëst".into()),
        Event::Codec(VideoCodec::H264),
        Event::Size(first),
    ];
    if let Some(header) = Header::Session(first).encode(framing) {
        wire.extend_from_slice(&header);
    }
    for packet in sent {
        let (header, payload, event) = match packet {
            Sent::Session(width, height) => {
                let session = Session {
                    width: *width,
                    height: *height,
                    client_resized: false,
                };
                (Header::Session(session), &[][..], Event::Size(session))
            }
            Sent::Config(data) => (
                Header::Config { len: data.len() },
                &data[..],
                Event::Config(Bytes::copy_from_slice(data)),
            ),
            Sent::Frame(pts, key, data) => (
                Header::Frame {
                    pts: Pts(*pts),
                    key: *key,
                    len: data.len(),
                },
                &data[..],
                Event::Frame {
                    pts: Pts(*pts),
                    key: *key,
                    data: Bytes::copy_from_slice(data),
                },
            ),
        };
        if let Some(header) = header.encode(framing) {
            wire.extend_from_slice(&header);
            wire.extend_from_slice(payload);
            events.push(event);
        }
    }
    (wire.freeze(), events)
}
