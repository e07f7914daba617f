//! Table tests of what each operation becomes.
//!
//! One operation in, control messages out, at a time that the test decides. Sequences that nobody thought of are in
//! input_model.rs, with a strict model of scrcpy's server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use protocol::control::{Key, KeyAction as PersonKeyAction, System};
use protocol::input::InputOp;
use protocol::{ConnectionId, Fraction, Generation};
use scrcpy::control::{KeyAction, Touch, TouchAction};
use scrcpy::keys::KeyCode;
use scrcpy::{ControlMsg, ServerVersion};
use uuid::Uuid;

use super::*;
use crate::typing::{ACK_TIMEOUT, PASTE_SETTLE, WAITING_MAX};

#[path = "lift_tests.rs"]
mod lifts;
#[path = "input_model.rs"]
mod model;

const PORTRAIT: PictureSize = PictureSize {
    width: 720,
    height: 1280,
};
const LANDSCAPE: PictureSize = PictureSize {
    width: 1280,
    height: 720,
};

fn connection(n: u128) -> ConnectionId {
    ConnectionId::from_uuid(Uuid::from_u128(n))
}

/// An input with a portrait picture, one person and a clock that only the test moves.
struct Rig {
    input: Input,
    now: Instant,
    person: ConnectionId,
}

impl Rig {
    fn new() -> Self {
        Self::of("4.1")
    }

    fn of(version: &str) -> Self {
        let mut input = Input::new(version.parse().unwrap());
        let now = Instant::now();
        input.resized(now, PORTRAIT, &mut Vec::new());
        Self {
            input,
            now,
            person: connection(1),
        }
    }

    fn apply(&mut self, op: InputOp) -> Vec<ControlMsg> {
        let mut out = Vec::new();
        self.input
            .apply(self.now, self.person, aimed_at(&op), op, &mut out);
        out
    }

    fn text(&mut self, text: &str) -> Vec<ControlMsg> {
        self.apply(InputOp::Text(text.to_owned()))
    }

    fn ack(&mut self, sequence: u64) -> Vec<ControlMsg> {
        let mut out = Vec::new();
        self.input.acknowledged(self.now, sequence, &mut out);
        out
    }

    fn wait(&mut self, time: Duration) -> Vec<ControlMsg> {
        self.now += time;
        let mut out = Vec::new();
        self.input.wake(self.now, &mut out);
        out
    }

    fn resized(&mut self, size: PictureSize) -> Vec<ControlMsg> {
        let mut out = Vec::new();
        self.input.resized(self.now, size, &mut out);
        out
    }
}

/// The gateway's word on the picture that an operation names: the first is upright, and each rotation makes another.
fn aimed_at(op: &InputOp) -> Option<PictureSize> {
    match op {
        InputOp::Down { generation, .. }
        | InputOp::Move { generation, .. }
        | InputOp::Wheel { generation, .. } => Some(if generation.0 % 2 == 1 {
            PORTRAIT
        } else {
            LANDSCAPE
        }),
        InputOp::Up { .. } | InputOp::LiftAll | InputOp::Key(_) | InputOp::Text(_) | InputOp::System(_) => {
            None
        }
    }
}

fn down(pointer: u8, (x, y): (u16, u16), generation: u16) -> InputOp {
    InputOp::Down {
        pointer,
        x: Fraction(x),
        y: Fraction(y),
        pressure: u16::MAX,
        generation: Generation(generation),
    }
}

fn drag(pointer: u8, (x, y): (u16, u16), generation: u16) -> InputOp {
    InputOp::Move {
        pointer,
        x: Fraction(x),
        y: Fraction(y),
        pressure: u16::MAX,
        generation: Generation(generation),
    }
}

fn up(pointer: u8, (x, y): (u16, u16)) -> InputOp {
    InputOp::Up {
        pointer,
        x: Fraction(x),
        y: Fraction(y),
    }
}

fn key(action: PersonKeyAction, keycode: u32) -> InputOp {
    InputOp::Key(Key {
        action,
        keycode,
        metastate: 0,
        repeat: 0,
    })
}

/// (action, pointer, x, y, width, height) of each touch; anything else fails.
fn touches(messages: &[ControlMsg]) -> Vec<(TouchAction, i64, i32, i32, u16, u16)> {
    let touch = |message: &ControlMsg| match message {
        ControlMsg::Touch(touch) => {
            let at = touch.position;
            (touch.action, touch.pointer.0, at.x, at.y, at.width, at.height)
        }
        other => panic!("{other:?} is no touch"),
    };
    messages.iter().map(touch).collect()
}

fn pasted(message: &ControlMsg) -> Option<(&str, u64)> {
    match message {
        ControlMsg::SetClipboard {
            sequence,
            paste: true,
            text,
        } => Some((text, *sequence)),
        _ => None,
    }
}

#[test]
fn a_tap_lands_on_the_pixel_under_the_fraction_with_the_size_of_the_picture() {
    let mut rig = Rig::new();
    let place = (0x8000, 0x4000);
    let down = rig.apply(down(7, place, 1));
    assert_eq!(touches(&down), [(TouchAction::DOWN, 0, 360, 320, 720, 1280)]);
    let up = rig.apply(up(7, place));
    assert_eq!(touches(&up), [(TouchAction::UP, 0, 360, 320, 720, 1280)]);
}

#[test]
fn the_last_fraction_is_the_last_pixel() {
    let mut rig = Rig::new();
    assert_eq!(touches(&rig.apply(down(0, (u16::MAX, u16::MAX), 1)))[0].2, 719);
    assert_eq!(touches(&rig.apply(up(0, (u16::MAX, u16::MAX))))[0].3, 1279);
}

#[test]
fn a_move_or_a_lift_without_its_press_is_not_sent() {
    let mut rig = Rig::new();
    assert_eq!(rig.apply(drag(1, (5, 5), 1)), []);
    assert_eq!(rig.apply(up(1, (5, 5))), []);
    rig.apply(down(1, (5, 5), 1));
    rig.apply(up(1, (5, 5)));
    assert_eq!(rig.apply(drag(1, (6, 6), 1)), [], "a move after its lift");
}

#[test]
fn the_same_number_in_two_connections_is_two_fingers() {
    let mut rig = Rig::new();
    rig.apply(down(0, (1, 1), 1));
    rig.person = connection(2);
    assert_eq!(touches(&rig.apply(down(0, (1, 1), 9)))[0].1, 1);
    let mut out = Vec::new();
    rig.input.leave(rig.now, connection(1), &mut out);
    assert_eq!(touches(&out)[0].1, 0);
    assert_eq!(rig.input.fingers().down().map(|id| id.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_eleventh_finger_is_ignored_as_the_server_would() {
    let mut rig = Rig::new();
    for pointer in 0..10 {
        assert_eq!(rig.apply(down(pointer, (1, 1), 1)).len(), 1);
    }
    assert_eq!(rig.apply(down(10, (1, 1), 1)), []);
    assert_eq!(rig.apply(drag(10, (2, 2), 1)), []);
    assert_eq!(rig.apply(InputOp::LiftAll).len(), 10);
}

#[test]
fn pressing_twice_lifts_in_between() {
    let mut rig = Rig::new();
    rig.apply(down(0, (0, 0), 1));
    let again = rig.apply(down(0, (0x8000, 0), 1));
    let actions: Vec<_> = touches(&again).iter().map(|touch| touch.0).collect();
    assert_eq!(actions, [TouchAction::UP, TouchAction::DOWN]);
}

#[test]
fn a_rotation_lifts_what_is_down_with_the_new_size_and_later_moves_of_it_are_ignored() {
    let mut rig = Rig::new();
    rig.apply(down(0, (0xc000, 0xc000), 1));
    assert_eq!(
        touches(&rig.resized(LANDSCAPE)),
        [(TouchAction::UP, 0, 960, 540, 1280, 720)]
    );
    assert_eq!(rig.apply(drag(0, (1, 1), 2)), []);
    assert_eq!(rig.apply(up(0, (1, 1))), []);
    assert_eq!(rig.apply(down(0, (1, 1), 2)).len(), 1);
}

#[test]
fn a_lift_that_the_server_may_have_dropped_is_repeated_with_the_new_size() {
    let mut rig = Rig::new();
    rig.apply(down(0, (0, 0), 1));
    rig.apply(up(0, (0, 0)));
    assert_eq!(
        touches(&rig.resized(LANDSCAPE)),
        [(TouchAction::UP, 0, 0, 0, 1280, 720)]
    );
    rig.apply(down(0, (0, 0), 2));
    rig.apply(up(0, (0, 0)));
    rig.now += crate::fingers::LIFT_MEMORY;
    assert_eq!(rig.resized(PORTRAIT), [], "long ago");
}

#[test]
fn what_was_aimed_at_an_older_picture_only_lifts() {
    let mut rig = Rig::new();
    rig.apply(down(0, (1, 1), 1));
    rig.apply(up(0, (1, 1)));
    rig.resized(LANDSCAPE);
    assert_eq!(rig.apply(down(0, (1, 1), 1)), []);
    let wheel = |generation| InputOp::Wheel {
        x: Fraction(1),
        y: Fraction(1),
        dh: 0,
        dv: 120,
        generation: Generation(generation),
    };
    assert_eq!(rig.apply(wheel(1)), []);
    assert_eq!(rig.apply(down(0, (1, 1), 2)).len(), 1);
    assert_eq!(rig.apply(drag(0, (9, 9), 1)), [], "overtaken");
    assert_eq!(rig.apply(up(0, (1, 1))).len(), 1);
}

#[test]
fn a_first_touch_that_a_rotation_overtook_presses_nothing() {
    let mut rig = Rig::new();
    rig.resized(LANDSCAPE);
    assert_eq!(rig.apply(down(0, (1, 1), 1)), []);
    assert_eq!(rig.apply(drag(0, (9, 9), 1)), []);
    assert_eq!(rig.apply(down(0, (1, 1), 2)).len(), 1);
}

#[test]
fn nothing_is_sent_before_the_first_size() {
    let mut input = Input::new(ServerVersion::NEWEST);
    let (now, mut out) = (Instant::now(), Vec::new());
    input.apply(now, connection(1), Some(PORTRAIT), down(0, (1, 1), 1), &mut out);
    input.apply(now, connection(1), None, InputOp::LiftAll, &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_wheel_is_in_notches_and_split_where_the_server_takes_one_at_a_time() {
    let wheel = InputOp::Wheel {
        x: Fraction(0),
        y: Fraction(0),
        dh: -60,
        dv: 300,
        generation: Generation(1),
    };
    let scrolls = |version| -> Vec<(f32, f32)> {
        let scroll = |message: &ControlMsg| match message {
            ControlMsg::Scroll {
                horizontal, vertical, ..
            } => (*horizontal, *vertical),
            other => panic!("{other:?}"),
        };
        Rig::of(version).apply(wheel.clone()).iter().map(scroll).collect()
    };
    assert_eq!(scrolls("4.1"), [(-0.5, 2.5)]);
    assert_eq!(scrolls("3.3.0"), [(-0.5, 1.0), (0.0, 1.0), (0.0, 0.5)]);
}

#[test]
fn ascii_is_typed_and_anything_else_is_pasted() {
    let mut rig = Rig::new();
    assert_eq!(rig.text("abc"), [ControlMsg::Text("abc".to_owned())]);
    let out = rig.text("héllo 你好");
    assert_eq!(pasted(&out[0]), Some(("héllo 你好", 1)));
    assert_eq!(rig.text("\u{7}"), [], "a control character is no text");
}

#[test]
fn a_second_paste_waits_until_the_first_is_acknowledged_and_read() {
    let mut rig = Rig::new();
    rig.text("é");
    assert_eq!(rig.text("你"), []);
    assert_eq!(rig.text("a"), [], "what was typed later stays behind");
    assert_eq!(rig.apply(key(PersonKeyAction::Down, 66)), []);
    assert_eq!(rig.ack(99), [], "another's acknowledgement");
    assert_eq!(rig.ack(1), []);
    let out = rig.wait(PASTE_SETTLE);
    assert_eq!(pasted(&out[0]), Some(("你a", 2)));
    assert!(matches!(
        &out[1],
        ControlMsg::Key {
            keycode: KeyCode::ENTER,
            ..
        }
    ));
}

#[test]
fn keys_and_ascii_follow_a_paste_at_once() {
    let mut rig = Rig::new();
    rig.text("é");
    assert_eq!(rig.text("a"), [ControlMsg::Text("a".to_owned())]);
    assert_eq!(rig.apply(key(PersonKeyAction::Down, 66)).len(), 1);
}

#[test]
fn a_paste_that_is_never_acknowledged_does_not_stop_the_keyboard() {
    let mut rig = Rig::new();
    rig.text("é");
    rig.text("你");
    assert_eq!(rig.wait(ACK_TIMEOUT).len(), 1);
    assert_eq!(rig.ack(1), [], "too late to mean anything");
}

#[test]
fn a_system_button_is_a_whole_press() {
    let mut rig = Rig::new();
    let out = rig.apply(InputOp::System(System::Back));
    let keys: Vec<_> = out
        .iter()
        .map(|message| match message {
            ControlMsg::Key { action, keycode, .. } => (*action, *keycode),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        keys,
        [(KeyAction::DOWN, KeyCode::BACK), (KeyAction::UP, KeyCode::BACK)]
    );
    assert_eq!(
        rig.apply(InputOp::System(System::Rotate)),
        [ControlMsg::RotateDevice]
    );
}

#[test]
fn keys_that_are_held_go_up_with_the_fingers_of_a_viewer_that_has_vanished() {
    let mut rig = Rig::new();
    rig.apply(key(PersonKeyAction::Down, 29));
    rig.apply(down(0, (1, 1), 1));
    let lifted = rig.apply(InputOp::LiftAll);
    assert!(
        matches!(
            &lifted[..],
            [
                ControlMsg::Key {
                    action: KeyAction::UP,
                    keycode: KeyCode::A,
                    ..
                },
                ControlMsg::Touch(Touch {
                    action: TouchAction::UP,
                    ..
                })
            ]
        ),
        "{lifted:?}"
    );
    assert_eq!(rig.apply(key(PersonKeyAction::Up, 29)), [], "is up already");
}

#[test]
fn keys_that_are_held_go_up_when_their_connection_ends() {
    let mut rig = Rig::new();
    rig.apply(key(PersonKeyAction::Down, 29));
    rig.apply(key(PersonKeyAction::Down, 30));
    rig.apply(key(PersonKeyAction::Up, 30));
    assert_eq!(rig.apply(key(PersonKeyAction::Up, 31)), [], "was never down");
    let mut out = Vec::new();
    rig.input.leave(rig.now, rig.person, &mut out);
    assert!(matches!(
        &out[..],
        [ControlMsg::Key {
            action: KeyAction::UP,
            keycode: KeyCode::A,
            ..
        }]
    ));
}

#[test]
fn at_the_end_of_a_lease_everything_goes_up_and_what_waits_is_forgotten() {
    let mut rig = Rig::new();
    rig.apply(down(0, (1, 1), 1));
    rig.apply(key(PersonKeyAction::Down, 29));
    rig.text("é");
    rig.text("a secret é");
    let mut out = Vec::new();
    rig.input.cut(rig.now, &mut out);
    assert_eq!(out.len(), 2, "one finger and one key: {out:?}");
    assert_eq!(rig.wait(ACK_TIMEOUT), []);
}

#[test]
fn what_waits_behind_a_paste_is_bounded_and_releases_are_never_lost() {
    let mut rig = Rig::new();
    rig.text("é");
    rig.text("è");
    for _ in 0..2 * WAITING_MAX {
        rig.apply(key(PersonKeyAction::Down, 29));
        rig.apply(InputOp::System(System::Back));
    }
    rig.apply(key(PersonKeyAction::Up, 29));
    let mut held = BTreeSet::new();
    for message in rig.wait(ACK_TIMEOUT) {
        match message {
            ControlMsg::Key {
                action: KeyAction::DOWN,
                keycode,
                ..
            } => {
                held.insert(keycode.0);
            }
            ControlMsg::Key { keycode, .. } => {
                held.remove(&keycode.0);
            }
            _ => {}
        }
    }
    assert_eq!(held, BTreeSet::new());
}
