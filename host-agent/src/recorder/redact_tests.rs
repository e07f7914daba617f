//! Redaction of scrcpy's sockets, record by record.
//!
//! What matters is what is left: a secret that is typed, pasted, copied, cut over writes at any byte, or comes after a
//! gap must be gone, and everything else, every length included, must be as it was.

use scrcpy::control::KeyAction;
use scrcpy::keys::{KeyCode, MetaState};

use super::*;

const SERVICE: &str = "localabstract:scrcpy_00000001";
const LAUNCHED: &str = "shell,v2,raw:CLASSPATH=/x app_process / x 4.1 scid=00000001 audio=false";
const SHELL: StreamId = StreamId(1);
const VIDEO: StreamId = StreamId(2);
const CONTROL: StreamId = StreamId(3);
const SECRET: &str = "hunter2 pässwörd";

fn version() -> ServerVersion {
    "4.1".parse().unwrap()
}

struct Rig {
    redaction: Redaction,
    written: Vec<What>,
}

impl Rig {
    /// With both sockets open, and the video's first byte received.
    fn new() -> Self {
        let mut rig = Self {
            redaction: Redaction::new(version()),
            written: Vec::new(),
        };
        rig.take(What::Opened(SHELL, LAUNCHED.to_owned()));
        rig.take(What::Opened(VIDEO, SERVICE.to_owned()));
        rig.take(What::Received(VIDEO, Bytes::from_static(b"\0picture")));
        rig.take(What::Opened(CONTROL, SERVICE.to_owned()));
        rig.written.clear();
        rig
    }

    fn take(&mut self, what: What) {
        let written = &mut self.written;
        let record = Record { at_us: 1, what };
        self.redaction
            .pass(record, |record| written.push(record.what.clone()));
    }

    fn sent(&self) -> Vec<u8> {
        let sent = |what: &What| match what {
            What::Sent(_, bytes) => bytes.to_vec(),
            _ => Vec::new(),
        };
        self.written.iter().flat_map(sent).collect()
    }
}

fn bytes(messages: &[ControlMsg]) -> Bytes {
    let mut bytes = BytesMut::new();
    for message in messages {
        control::encode(version(), message, &mut bytes).unwrap();
    }
    bytes.freeze()
}

fn typed() -> Vec<ControlMsg> {
    let key = |keycode| ControlMsg::Key {
        action: KeyAction::DOWN,
        keycode: KeyCode(keycode),
        repeat: 0,
        metastate: MetaState(1),
    };
    vec![
        ControlMsg::Text(SECRET.to_owned()),
        key(29),
        ControlMsg::SetClipboard {
            sequence: 7,
            paste: true,
            text: SECRET.to_owned(),
        },
        key(3),
        ControlMsg::UhidInput {
            id: 1,
            data: vec![0, 0, 4, 5, 6, 0, 0, 0],
        },
        ControlMsg::RotateDevice,
    ]
}

fn read(mut bytes: &[u8]) -> Vec<ControlMsg> {
    let mut messages = Vec::new();
    while let Some((message, length)) = control::decode(version(), bytes).unwrap() {
        messages.push(message);
        bytes = &bytes[length..];
    }
    assert!(bytes.is_empty());
    messages
}

#[test]
fn what_is_typed_and_pasted_is_asterisks_and_everything_else_as_it_was() {
    let mut rig = Rig::new();
    let original = bytes(&typed());
    rig.take(What::Sent(CONTROL, original.clone()));
    let written = rig.sent();
    assert_eq!(written.len(), original.len());
    let messages = read(&written);
    let stars = "*".repeat(SECRET.len());
    assert_eq!(messages[0], ControlMsg::Text(stars.clone()));
    assert!(matches!(
        &messages[1],
        ControlMsg::Key {
            keycode: KeyCode(0),
            metastate: MetaState(0),
            ..
        }
    ));
    assert!(
        matches!(&messages[2], ControlMsg::SetClipboard { sequence: 7, paste: true, text } if *text == stars)
    );
    assert_eq!(messages[3], typed()[3]);
    assert!(matches!(&messages[4], ControlMsg::UhidInput { id: 1, data } if *data == [0; 8]));
    assert_eq!(messages[5], ControlMsg::RotateDevice);
}

#[test]
fn a_text_that_is_cut_at_any_byte_is_asterisks_all_the_same() {
    let original = bytes(&typed());
    for at in 0..original.len() {
        let mut rig = Rig::new();
        rig.take(What::Sent(CONTROL, original.slice(..at)));
        rig.take(What::Sent(CONTROL, original.slice(at..)));
        assert_eq!(read(&rig.sent()).len(), typed().len(), "cut at {at}");
        assert!(!rig.sent().windows(4).any(|four| four == b"hunt"), "cut at {at}");
    }
}

#[test]
fn after_a_missing_record_or_garbage_nothing_of_the_control_sockets_is_kept() {
    let text = bytes(&[ControlMsg::Text(SECRET.to_owned())]);
    let mut rig = Rig::new();
    // The beginning is lost, and what follows looks like no message or like another.
    rig.redaction.gap();
    rig.take(What::Sent(CONTROL, text.slice(5..)));
    assert_eq!(rig.sent(), vec![BLANK; SECRET.len()]);
    let mut rig = Rig::new();
    rig.take(What::Sent(CONTROL, Bytes::from_static(b"\xffgarbage")));
    rig.take(What::Sent(CONTROL, text.clone()));
    assert_eq!(rig.sent(), vec![BLANK; 8 + text.len()]);
    // The picture goes on.
    rig.written.clear();
    let picture = What::Received(VIDEO, Bytes::from_static(b"more"));
    rig.take(picture.clone());
    assert_eq!(rig.written, [picture]);
}

#[test]
fn what_is_held_back_at_the_end_is_asterisks() {
    let mut rig = Rig::new();
    let text = bytes(&[ControlMsg::Text(SECRET.to_owned())]);
    rig.take(What::Sent(CONTROL, text.slice(..text.len() - 1)));
    assert_eq!(rig.sent(), b"");
    rig.take(What::Closed(CONTROL));
    assert_eq!(rig.sent(), vec![BLANK; text.len() - 1]);
    assert_eq!(rig.written.last(), Some(&What::Closed(CONTROL)));
}

#[test]
fn the_clipboard_that_a_device_tells_is_asterisks_and_its_pictures_are_not_touched() {
    let mut rig = Rig::new();
    let mut told = BytesMut::new();
    device_msg::encode(&DeviceMsg::Clipboard(SECRET.to_owned()), &mut told).unwrap();
    device_msg::encode(&DeviceMsg::AckClipboard(7), &mut told).unwrap();
    rig.take(What::Received(CONTROL, told.clone().freeze()));
    let What::Received(CONTROL, written) = &rig.written[0] else {
        panic!("{:?}", rig.written)
    };
    assert_eq!(written.len(), told.len());
    let (message, length) = device_msg::decode(written).unwrap().unwrap();
    assert_eq!(message, DeviceMsg::Clipboard("*".repeat(SECRET.len())));
    assert_eq!(written[length..], told[length..]);
    let picture = What::Received(VIDEO, told.freeze());
    rig.take(picture.clone());
    assert_eq!(rig.written[1], picture);
}

#[test]
fn what_shells_and_files_say_is_asterisks_both_ways_and_how_much_of_it_is_still_told() {
    let said = || Bytes::from(format!("x={SECRET}\n").into_bytes());
    for (service, told) in [
        (
            "shell,v2,raw:dumpsys activity top",
            "shell,v2,raw:dumpsys ************",
        ),
        (LAUNCHED, LAUNCHED),
        ("sync:", "sync:"),
        ("exec:cat /sdcard/x", "exec:cat *********"),
        ("tcp:5555", "tcp:5555"),
    ] {
        let mut rig = Rig::new();
        let stream = StreamId(9);
        rig.take(What::Opened(stream, service.to_owned()));
        rig.take(What::Sent(stream, said()));
        rig.take(What::Received(stream, said()));
        rig.take(What::Closed(stream));
        let stars = blanks(said().len());
        let written = [
            What::Opened(stream, told.to_owned()),
            What::Sent(stream, stars.clone()),
            What::Received(stream, stars),
            What::Closed(stream),
        ];
        assert_eq!(rig.written, written, "{service}");
    }
    let mut rig = Rig::new();
    let size = What::Received(StreamId(9), Bytes::from_static(b"Physical size: 360x640\n"));
    rig.take(What::Opened(StreamId(9), "shell,v2,raw:wm size".to_owned()));
    rig.take(size.clone());
    assert_eq!(rig.written[1], size, "that is no person's");
}

#[test]
fn what_was_opened_or_launched_out_of_sight_is_asterisks_and_the_next_run_is_whole_again() {
    let secret = Bytes::from_static(SECRET.as_bytes());
    let mut rig = Rig {
        redaction: Redaction::new(version()),
        written: Vec::new(),
    };
    // Nobody saw this stream open: it may be a control socket.
    rig.take(What::Sent(StreamId(9), secret.clone()));
    // Nobody saw the launch, so this may be the second socket although it is the first that is seen.
    rig.take(What::Opened(CONTROL, SERVICE.to_owned()));
    rig.take(What::Received(CONTROL, secret.clone()));
    let stars = blanks(secret.len());
    assert_eq!(rig.written[0], What::Sent(StreamId(9), stars.clone()));
    assert_eq!(rig.written[2], What::Received(CONTROL, stars));
    // A gap between the launch and the first byte leaves the same doubt.
    let mut rig = Rig::new();
    rig.take(What::Opened(
        StreamId(4),
        LAUNCHED.replace("=00000001", "=00000002"),
    ));
    rig.redaction.gap();
    rig.take(What::Opened(
        StreamId(5),
        SERVICE.replace("_00000001", "_00000002"),
    ));
    rig.take(What::Received(StreamId(5), secret.clone()));
    assert_eq!(
        rig.written.last(),
        Some(&What::Received(StreamId(5), blanks(secret.len())))
    );
    rig.take(What::Opened(
        StreamId(6),
        LAUNCHED.replace("=00000001", "=00000003"),
    ));
    rig.take(What::Opened(
        StreamId(7),
        SERVICE.replace("_00000001", "_00000003"),
    ));
    let picture = What::Received(StreamId(7), Bytes::from_static(b"\0picture"));
    rig.take(picture.clone());
    assert_eq!(rig.written.last(), Some(&picture));
}
