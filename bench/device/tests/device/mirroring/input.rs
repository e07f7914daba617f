//! What control messages do to the device.

use std::time::Instant;

use device::android::{App, Dropped, Segment};
use device::screen::app::paint::{PALETTE, PAPER, stroke_radius};
use device::screen::canvas::{Canvas, Rgb};
use device::screen::{Moment, screenshot};
use scrcpy::control::{ControlMsg, CopyKey, KeyAction, Position, TouchAction};
use scrcpy::device_msg::DeviceMsg;
use scrcpy::keys::KeyCode;
use scrcpy::options::{LogLevel, ServerOptions};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::rig::*;

#[tokio::test]
async fn a_touch_for_another_size_is_dropped_before_it_becomes_a_pointer() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.picture().await;
    rig.touch_in(TouchAction::DOWN, 1, (10, 300), (HEIGHT, WIDTH))
        .await;
    rig.settled().await;
    assert_eq!(rig.android.pointers(), []);
    assert_eq!(rig.android.dropped_count(Dropped::WrongSize), 1);
    let values = json!({ "id": 1, "action": 0, "x": 10, "y": 300, "named": "640x360", "video": "360x640" });
    assert_eq!(
        drops(&rig.android),
        [("touch".to_owned(), "wrong_size".to_owned(), values)]
    );
    assert!(
        !logged(&rig.android, "scrcpy")
            .iter()
            .any(|(level, _)| *level == 'V'),
        "said only by a server that is asked for everything"
    );
    rig.touch(TouchAction::DOWN, 1, 10, 300).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers().len(), 1);
    assert_eq!(rig.android.dropped_count(Dropped::WrongSize), 1);
}

#[tokio::test]
async fn a_server_that_is_asked_for_everything_says_which_positions_it_ignores() {
    let options = ServerOptions {
        log_level: LogLevel::Verbose,
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Paint, options).await;
    rig.video.picture().await;
    rig.send(ControlMsg::Scroll {
        position: Position {
            x: 1,
            y: 2,
            width: 8,
            height: 16,
        },
        horizontal: 0.0,
        vertical: 1.0,
        buttons: 0,
    })
    .await;
    rig.settled().await;
    let said = "Ignore positional event generated for size 8x16 (current size is 360x640)";
    assert!(logged(&rig.android, "scrcpy").contains(&('V', said.to_owned())));
    let values = json!({ "x": 1, "y": 2, "named": "8x16", "video": "360x640" });
    assert_eq!(
        drops(&rig.android),
        [("scroll".to_owned(), "wrong_size".to_owned(), values)]
    );
}

#[tokio::test]
async fn an_action_that_means_nothing_and_input_in_the_dark_are_kept_with_their_reasons() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.picture().await;
    rig.touch(TouchAction(77), 5, 1, 2).await;
    rig.settled().await;
    rig.android.set_screen_on(false);
    rig.touch(TouchAction::DOWN, 6, 3, 4).await;
    rig.send(key(KeyCode::A)).await;
    rig.settled().await;
    let expected = [
        ("touch", "unknown_action", json!({ "id": 5, "action": 77 })),
        (
            "touch",
            "screen_off",
            json!({ "id": 6, "kind": "down", "x": 3, "y": 4 }),
        ),
        ("key", "screen_off", json!({ "keycode": 29 })),
    ];
    let expected = expected.map(|(message, why, values)| (message.to_owned(), why.to_owned(), values));
    assert_eq!(drops(&rig.android), expected);
    let said = [
        ('E', "Motion event has invalid action code 0x4d"),
        ('I', "Dropped event because the screen is off: touch"),
        ('I', "Dropped event because the screen is off: key"),
    ];
    let said = said.map(|(level, text)| (level, text.to_owned()));
    assert_eq!(logged(&rig.android, "InputDispatcher"), said);
}

#[tokio::test]
async fn answers_that_the_client_does_not_read_are_dropped_and_kept_with_their_reason() {
    let options = ServerOptions {
        clipboard_autosync: false,
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Still, options).await;
    rig.video.picture().await;
    rig.android.set_clipboard(&"x".repeat(200_000));
    let asked = 64;
    for _ in 0..asked {
        rig.send(ControlMsg::GetClipboard(CopyKey::NONE)).await;
    }
    let deadline = Instant::now() + DEADLINE;
    while drops(&rig.android).is_empty() {
        assert!(Instant::now() < deadline, "everything was taken");
        tokio::task::yield_now().await;
    }
    let values = json!({ "len": 200_000, "error": "16 messages wait already" });
    assert_eq!(
        drops(&rig.android)[0],
        ("clipboard".to_owned(), "device_message".to_owned(), values)
    );
    let said = "Could not send clipboard: 16 messages wait already".to_owned();
    assert!(logged(&rig.android, "scrcpy").contains(&('W', said)));
}

#[tokio::test]
async fn a_late_move_makes_a_ghost_and_only_up_removes_a_pointer() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.picture().await;
    rig.touch(TouchAction::DOWN, 1, 10, 10).await;
    rig.touch(TouchAction::UP, 1, 20, 20).await;
    rig.touch(TouchAction::MOVE, 1, 30, 30).await;
    rig.touch(TouchAction::CANCEL, 1, 30, 30).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers().len(), 1);
    for id in 2..14 {
        rig.touch(TouchAction::DOWN, id, 50, 50).await;
    }
    rig.settled().await;
    assert_eq!(rig.android.pointers().len(), 10);
    assert_eq!(rig.android.dropped_count(Dropped::TooManyPointers), 3);
    let values = json!({ "id": 11, "kind": "down", "x": 50, "y": 50, "down": 10 });
    assert_eq!(
        drops(&rig.android)[0],
        ("touch".to_owned(), "too_many_pointers".to_owned(), values)
    );
    let said = ('W', "Too many pointers for touch event".to_owned());
    assert_eq!(
        logged(&rig.android, "scrcpy")
            .iter()
            .filter(|line| **line == said)
            .count(),
        3
    );
    for id in 1..14 {
        rig.touch(TouchAction::UP, id, 50, 50).await;
    }
    rig.settled().await;
    assert_eq!(rig.android.pointers(), []);
}

#[tokio::test]
async fn the_lift_of_a_finger_that_never_came_down_paints_nothing() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.picture().await;
    rig.touch(TouchAction::UP, 1, 50, 300).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers(), []);
    let dump: serde_json::Value = serde_json::from_str(&rig.android.dumpsys()).unwrap();
    assert_eq!(
        (&dump["strokes"], &dump["events"][0]["kind"]),
        (&json!(0), &json!("up"))
    );
}

#[tokio::test]
async fn two_fingers_paint_exactly_their_pixels() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.picture().await;
    for (id, y) in [(1, 200), (2, 400)] {
        rig.touch(TouchAction::DOWN, id, 60, y).await;
    }
    for x in [120, 200] {
        for (id, y) in [(1, 200), (2, 400)] {
            rig.touch(TouchAction::MOVE, id, x, y + x / 10).await;
        }
    }
    for (id, y) in [(1, 200), (2, 400)] {
        rig.touch(TouchAction::UP, id, 300, y).await;
    }
    rig.settled().await;

    let drawn = screenshot(&rig.android, Moment::default());
    let mut expected = Canvas::new(drawn.size());
    expected.fill(device::screen::layout::full(drawn.size()), PAPER);
    for (id, y) in [(1u8, 200), (2, 400)] {
        let colour = PALETTE[usize::from(id)];
        for [from, to] in [
            [(60, y), (120, y + 12)],
            [(120, y + 12), (200, y + 20)],
            [(200, y + 20), (300, y)],
        ] {
            let segment = Segment { colour: id, from, to };
            expected.stroke(segment.from, segment.to, stroke_radius(drawn.size()), colour);
        }
    }
    let below_title = 150 * usize::from(WIDTH);
    assert!(
        drawn.pixels()[below_title..] == expected.pixels()[below_title..],
        "pixels differ"
    );
    assert_eq!(drawn.pixel(60, 200), Some(PALETTE[1]));
    assert_eq!(drawn.pixel(300, 400), Some(PALETTE[2]));
    assert_eq!(drawn.pixel(180, 300), Some(PAPER));

    rig.send(ControlMsg::ResetVideo).await;
    rig.video.session().await;
    let picture = rig.video.picture().await;
    for (at, colour) in [
        ((160, 216), PALETTE[1]),
        ((160, 416), PALETTE[2]),
        ((180, 300), PAPER),
    ] {
        assert_near(picture.yuv(at.0, at.1), colour, 12);
    }
}

/// A decoded pixel is that colour, but for what the encoder loses.
fn assert_near(yuv: [i32; 3], colour: Rgb, loss: i32) {
    let [r, g, b] = colour.parts().map(|part| f64::from(part) / 255.0);
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let wanted = [
        16.0 + 219.0 * y,
        128.0 + 224.0 * (b - y) / 1.8556,
        128.0 + 224.0 * (r - y) / 1.5748,
    ];
    for (got, wanted) in yuv.into_iter().zip(wanted) {
        assert!(
            (f64::from(got) - wanted).abs() <= f64::from(loss),
            "{yuv:?} is not {colour:?}"
        );
    }
}

#[tokio::test]
async fn a_tap_on_an_icon_opens_its_app_and_home_and_back_return() {
    let mut rig = Rig::new("4.1", App::Launcher).await;
    rig.video.picture().await;
    let (x, y) = device::screen::layout::icon_centre(rig.android.size(), 1);
    rig.touch(TouchAction::DOWN, 1, x, y).await;
    rig.touch(TouchAction::UP, 1, x, y).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Echo.package());
    rig.send(key(KeyCode::HOME)).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Launcher.package());
    rig.send(key(KeyCode::APP_SWITCH)).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Echo.package());
    rig.send(ControlMsg::BackOrScreenOn(KeyAction::DOWN)).await;
    rig.send(ControlMsg::StartApp("?lat".into())).await;
    rig.settled().await;
    assert_eq!(rig.android.foreground(), App::Latency.package());
}

#[tokio::test]
async fn typed_text_skips_what_the_keyboard_lacks_and_a_paste_does_not() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    rig.send(ControlMsg::Text("Zoë 日本!".into())).await;
    rig.send(key(KeyCode::ENTER)).await;
    rig.send(key(KeyCode::DEL)).await;
    let paste = ControlMsg::SetClipboard {
        sequence: 5,
        paste: true,
        text: "日本é".into(),
    };
    rig.send(paste).await;
    assert_eq!(rig.device_msg_but_clipboard().await, DeviceMsg::AckClipboard(5));
    let dump: serde_json::Value = serde_json::from_str(&rig.android.dumpsys()).unwrap();
    assert_eq!(dump["text"], "Zoë !日本é");
    assert_eq!(rig.android.dropped_count(Dropped::UnmappableText), 2);
    let dropped = drops(&rig.android);
    let chars: Vec<_> = dropped.iter().map(|(_, _, values)| &values["char"]).collect();
    assert_eq!(chars, ["U+65E5", "U+672C"]);
}

#[tokio::test]
async fn the_clipboard_is_pushed_when_it_changes_on_the_device() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    rig.video.picture().await;
    rig.settled().await;
    rig.android.set_clipboard("copied");
    assert_eq!(rig.device_msg().await, DeviceMsg::Clipboard("copied".into()));
}

#[tokio::test]
async fn the_clients_own_clipboard_text_does_not_come_back() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    let set = |sequence, text: &str| ControlMsg::SetClipboard {
        sequence,
        paste: false,
        text: text.into(),
    };
    rig.send(set(1, "mine")).await;
    assert_eq!(rig.device_msg().await, DeviceMsg::AckClipboard(1));
    rig.android.set_clipboard("theirs");
    assert_eq!(rig.device_msg().await, DeviceMsg::Clipboard("theirs".into()));
    // What somebody copies on the device is theirs, also if it is the same text.
    rig.android.set_clipboard("mine");
    assert_eq!(rig.device_msg().await, DeviceMsg::Clipboard("mine".into()));
}

#[tokio::test]
async fn text_that_is_no_utf_8_is_typed_without_what_is_wrong() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    rig.control
        .write_all(&[1, 0, 0, 0, 3, b'a', 0xff, b'b'])
        .await
        .unwrap();
    rig.settled().await;
    assert_eq!(rig.dump()["text"], "ab");
}

#[tokio::test]
async fn an_app_is_started_by_its_label_only_if_no_other_begins_so() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    let other = App::Still.package();
    rig.android.replace(other, "Painting").unwrap();
    for (name, front) in [
        ("?pain", App::Echo),
        ("?nothing", App::Echo),
        ("?paINTi", App::Still),
    ] {
        rig.send(ControlMsg::StartApp(name.to_owned())).await;
        rig.settled().await;
        assert_eq!(rig.android.foreground(), front.package(), "{name}");
    }
}

#[tokio::test]
async fn positions_far_outside_the_screen_do_no_harm() {
    let mut rig = Rig::new("4.1", App::Launcher).await;
    rig.video.picture().await;
    for app in App::ALL {
        rig.android.start(app.package()).unwrap();
        for (x, y) in [
            (i32::MIN, i32::MAX),
            (i32::MAX, i32::MIN),
            (-1, -1),
            (0, i32::MIN),
        ] {
            for action in [
                TouchAction::DOWN,
                TouchAction::MOVE,
                TouchAction::UP,
                TouchAction::HOVER_MOVE,
            ] {
                rig.touch(action, 1, x, y).await;
            }
        }
        rig.settled().await;
        screenshot(&rig.android, Moment::default());
    }
}

#[tokio::test]
async fn a_mouse_that_hovers_is_no_pointer_and_anybody_else_who_does_is_a_ghost() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.frame().await;
    rig.mouse(TouchAction::HOVER_MOVE, 0, 0).await;
    assert_eq!(rig.down().await, [0; 0]);
    rig.touch(TouchAction::HOVER_MOVE, 5, 10, 20).await;
    assert_eq!(rig.down().await, [5]);
    rig.touch(TouchAction::UP, 5, 10, 20).await;
    assert_eq!(rig.down().await, [0; 0]);
    assert_eq!(rig.dump()["strokes"], 0, "hovering draws nothing");
}

#[tokio::test]
async fn a_mouse_is_down_until_its_last_button_is_up() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.frame().await;
    const PRIMARY: i32 = 1;
    const SECONDARY: i32 = 2;
    rig.mouse(TouchAction::DOWN, SECONDARY, SECONDARY).await;
    rig.mouse(TouchAction::DOWN, PRIMARY, PRIMARY | SECONDARY).await;
    assert_eq!(rig.down().await, [-1]);
    rig.mouse(TouchAction::UP, PRIMARY, SECONDARY).await;
    assert_eq!(rig.down().await, [-1]);
    rig.mouse(TouchAction::UP, SECONDARY, 0).await;
    assert_eq!(rig.down().await, [0; 0]);
}

#[tokio::test]
async fn a_mouse_without_buttons_is_nowhere_and_one_with_the_first_alone_is_a_finger() {
    let mut rig = Rig::new("4.1", App::Paint).await;
    rig.video.frame().await;
    const SECONDARY: i32 = 2;
    rig.mouse(TouchAction::CANCEL, SECONDARY, 0).await;
    assert_eq!(rig.down().await, [0; 0]);
    rig.mouse(TouchAction::MOVE, 0, 1).await;
    assert_eq!(rig.down().await, [-1]);
    rig.mouse(TouchAction::UP, 1, 1).await;
    assert_eq!(
        rig.down().await,
        [0; 0],
        "a finger leaves with its UP, whatever its buttons"
    );
}
