//! Which messages each version has, and their bytes in the first version that has them and in the newest.

use scrcpy::codec::{AudioCodec, AudioStart, VideoCodec};
use scrcpy::control::{
    self, ControlError, ControlMsg, CopyKey, KeyAction, PointerId, Pressure, Touch, TouchAction,
};
use scrcpy::handshake::{decode_audio_header, encode_audio_header};
use scrcpy::keys::{KeyCode, MetaState};

use super::{POSITION, check_control, hex, version};

/// The first version that reads types from this number on, major and minor.
const SINCE: [(std::ops::RangeInclusive<u8>, (u16, u16)); 6] = [
    (0..=11, (2, 0)),
    (12..=14, (2, 4)),
    (15..=15, (2, 7)),
    (16..=17, (3, 0)),
    (18..=21, (4, 0)),
    (22..=22, (4, 1)),
];

#[test]
fn each_version_reads_the_types_that_it_has_and_no_other() {
    for at in [
        "2.0", "2.3", "2.4", "2.6", "2.7", "3.0", "3.1", "3.3", "3.3.1", "3.3.4", "4.0", "4.1",
    ] {
        for kind in 0..=u8::MAX {
            let since = SINCE.iter().find(|(kinds, _)| kinds.contains(&kind));
            let is_known = since.is_some_and(|(_, (major, minor))| version(at).at_least(*major, *minor, 0));
            let read = control::decode(version(at), &[kind]);
            let is_unknown = read == Err(ControlError::UnknownType(kind));
            assert_eq!(is_unknown, !is_known, "{kind} in {at}: {read:?}");
        }
    }
}

#[test]
fn what_all_versions_have_has_the_same_bytes_in_the_first_and_the_newest() {
    let key = ControlMsg::Key {
        action: KeyAction::DOWN,
        keycode: KeyCode::BACK,
        repeat: 0,
        metastate: MetaState::NONE,
    };
    let set = ControlMsg::SetClipboard {
        sequence: 1,
        paste: false,
        text: String::new(),
    };
    let touch = |action, pointer, buttons| {
        ControlMsg::Touch(Touch {
            action,
            pointer: PointerId(pointer),
            position: POSITION,
            pressure: Pressure(0x8000),
            action_button: buttons,
            buttons,
        })
    };
    for (msg, bytes) in [
        (key, "00 00 00000004 00000000 00000000"),
        (ControlMsg::Text("a".into()), "01 00000001 61"),
        (
            touch(TouchAction::UP, -1, 1),
            "02 01 ffffffffffffffff 0000000a 00000014 0780 0438 8000 00000001 00000001",
        ),
        (
            touch(TouchAction::MOVE, -2, 0),
            "02 02 fffffffffffffffe 0000000a 00000014 0780 0438 8000 00000000 00000000",
        ),
        (
            touch(TouchAction::CANCEL, 9, 0),
            "02 03 0000000000000009 0000000a 00000014 0780 0438 8000 00000000 00000000",
        ),
        (
            touch(TouchAction::HOVER_MOVE, -1, 2),
            "02 07 ffffffffffffffff 0000000a 00000014 0780 0438 8000 00000002 00000002",
        ),
        (ControlMsg::BackOrScreenOn(KeyAction::UP), "04 01"),
        (ControlMsg::ExpandNotificationPanel, "05"),
        (ControlMsg::ExpandSettingsPanel, "06"),
        (ControlMsg::CollapsePanels, "07"),
        (ControlMsg::GetClipboard(CopyKey::NONE), "08 00"),
        (ControlMsg::GetClipboard(CopyKey::COPY), "08 01"),
        (ControlMsg::GetClipboard(CopyKey::CUT), "08 02"),
        (set, "09 0000000000000001 00 00000000"),
        (ControlMsg::RotateDevice, "0b"),
    ] {
        check_control("2.0", &msg, bytes);
        check_control("4.1", &msg, bytes);
    }
}

#[test]
fn what_came_later_has_its_bytes_in_the_first_version_that_has_it_and_in_the_newest() {
    let input = ControlMsg::UhidInput {
        id: 0x0102,
        data: vec![],
    };
    let resize = ControlMsg::ResizeDisplay { width: 1, height: 2 };
    for (since, msg, bytes) in [
        ("2.4", input, "0d 0102 0000"),
        ("2.7", ControlMsg::UhidDestroy(0xffff), "0e ffff"),
        ("2.7", ControlMsg::OpenHardKeyboardSettings, "0f"),
        ("3.0", ControlMsg::SetDisplayPower(false), "0a 00"),
        ("3.0", ControlMsg::StartApp("?é".into()), "10 03 3fc3a9"),
        ("3.0", ControlMsg::ResetVideo, "11"),
        ("4.0", ControlMsg::CameraSetTorch(false), "12 00"),
        ("4.0", ControlMsg::CameraZoomIn, "13"),
        ("4.0", ControlMsg::CameraZoomOut, "14"),
        ("4.0", resize, "15 0001 0002"),
        ("4.1", ControlMsg::ScanFile(String::new()), "16 00000000"),
    ] {
        check_control(since, &msg, bytes);
        check_control("4.1", &msg, bytes);
    }
}

#[test]
fn codecs_have_their_numbers_and_an_audio_socket_two_more() {
    for (codec, bytes) in [
        (VideoCodec::H264, "68323634"),
        (VideoCodec::H265, "68323635"),
        (VideoCodec::Av1, "00617631"),
        (VideoCodec::Vp8, "00767038"),
        (VideoCodec::Vp9, "00767039"),
    ] {
        assert_eq!(codec.id().to_be_bytes()[..], hex(bytes)[..], "{codec:?}");
        assert_eq!(VideoCodec::from_id(codec.id()), Some(codec));
    }
    for (start, bytes) in [
        (AudioStart::Codec(AudioCodec::Opus), "6f707573"),
        (AudioStart::Codec(AudioCodec::Aac), "00616163"),
        (AudioStart::Codec(AudioCodec::Flac), "666c6163"),
        (AudioStart::Codec(AudioCodec::Raw), "00726177"),
        (AudioStart::Disabled, "00000000"),
        (AudioStart::ConfigurationError, "00000001"),
    ] {
        let bytes: [u8; 4] = hex(bytes).try_into().unwrap();
        assert_eq!(encode_audio_header(start), bytes, "{start:?}");
        assert_eq!(decode_audio_header(bytes), Some(start));
    }
}
