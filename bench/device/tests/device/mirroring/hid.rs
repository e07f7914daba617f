//! Virtual keyboards, mice and gamepads, and what else is attached to the device or pulled down over its screen.

use device::android::{App, Dropped};
use device::fault::Fault;
use scrcpy::control::ControlMsg;
use scrcpy::device_msg::DeviceMsg;
use scrcpy::options::ServerOptions;
use serde_json::json;

use super::rig::*;

/// Boot keyboard of the HID specification: modifiers, a reserved byte, lights out, six keys.
const KEYBOARD: &[u8] = &[
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0, 0x25, 1, 0x75, 1, 0x95,
    8, 0x81, 2, 0x95, 1, 0x75, 8, 0x81, 1, 0x95, 5, 0x75, 1, 0x05, 0x08, 0x19, 1, 0x29, 5, 0x91, 2, 0x95, 1,
    0x75, 3, 0x91, 1, 0x95, 6, 0x75, 8, 0x15, 0, 0x25, 0x65, 0x05, 0x07, 0x19, 0, 0x29, 0x65, 0x81, 0, 0xc0,
];

/// Five buttons, X, Y, wheel, and sideways (AC Pan).
const MOUSE: &[u8] = &[
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, 0x05, 0x09, 0x19, 1, 0x29, 5, 0x15, 0, 0x25,
    1, 0x95, 5, 0x75, 1, 0x81, 2, 0x95, 1, 0x75, 3, 0x81, 1, 0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38,
    0x15, 0x81, 0x25, 0x7f, 0x75, 8, 0x95, 3, 0x81, 6, 0x05, 0x0c, 0x0a, 0x38, 0x02, 0x95, 1, 0x81, 6, 0xc0,
    0xc0,
];

/// Two sticks and two triggers of 16 bits, 16 buttons, a hat.
const GAMEPAD: &[u8] = &[
    0x05, 0x01, 0x09, 0x05, 0xa1, 0x01, 0xa1, 0x00, 0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x33, 0x09,
    0x34, 0x15, 0, 0x27, 0xff, 0xff, 0, 0, 0x75, 16, 0x95, 4, 0x81, 2, 0x09, 0x32, 0x09, 0x35, 0x15, 0, 0x26,
    0xff, 0x7f, 0x75, 16, 0x95, 2, 0x81, 2, 0x05, 0x09, 0x19, 1, 0x29, 16, 0x15, 0, 0x25, 1, 0x95, 16, 0x75,
    1, 0x81, 2, 0x05, 0x01, 0x09, 0x39, 0x15, 1, 0x25, 8, 0x75, 4, 0x95, 1, 0x81, 0x42, 0x75, 4, 0x81, 1,
    0xc0, 0xc0,
];

fn create(id: u16, name: &str, descriptor: &[u8]) -> ControlMsg {
    ControlMsg::UhidCreate {
        id,
        vendor: 0,
        product: 0,
        name: name.into(),
        descriptor: descriptor.to_vec(),
    }
}

fn report(id: u16, data: &[u8]) -> ControlMsg {
    ControlMsg::UhidInput {
        id,
        data: data.to_vec(),
    }
}

#[tokio::test]
async fn a_hid_keyboard_types_and_its_light_follows_caps_lock() {
    for version in ["2.4", "3.3.4", "4.1"] {
        let mut rig = Rig::new(version, App::Echo).await;
        rig.send(create(1, "", KEYBOARD)).await;
        // Shift and h; h stays while i joins; all up; caps lock; 1.
        for keys in [
            [0x02, 0, 0x0b, 0],
            [0, 0, 0x0b, 0x0c],
            [0, 0, 0, 0],
            [0, 0, 0x39, 0],
            [0, 0, 0, 0],
            [0, 0, 0x0d, 0],
        ] {
            rig.send(report(1, &[&keys[..], &[0; 4]].concat())).await;
        }
        let light = DeviceMsg::UhidOutput { id: 1, data: vec![2] };
        assert_eq!(rig.device_msg_but_clipboard().await, light);
        rig.settled().await;
        assert_eq!(rig.dump()["text"], "HiJ", "{version}");
    }
}

#[tokio::test]
async fn keys_that_a_keyboard_holds_go_up_when_its_server_ends() {
    let mut rig = Rig::new("4.1", App::Echo).await;
    rig.send(create(1, "", KEYBOARD)).await;
    rig.send(report(1, &[0, 0, 0x04, 0, 0, 0, 0, 0])).await;
    // Too many keys: nothing is said about which.
    rig.send(report(1, &[0, 0, 1, 1, 1, 1, 1, 1])).await;
    rig.settled().await;
    let (theirs, _) = tokio::io::duplex(1);
    drop(std::mem::replace(&mut rig.control, theirs));
    rig.output().await;
    let events = rig.dump()["events"].clone();
    let actions: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (&event["keycode"], &event["action"]))
        .collect();
    assert_eq!(actions, [(&json!(29), &json!(0)), (&json!(29), &json!(1))]);
    assert_eq!(rig.dump()["peripherals"]["hid"], json!([]));
}

#[tokio::test]
async fn a_hid_mouse_moves_clicks_and_turns_its_wheel() {
    let mut rig = Rig::new("4.1", App::Launcher).await;
    rig.send(create(2, "", MOUSE)).await;
    let (x, y) = device::screen::layout::icon_centre(rig.android.size(), 1);
    let (mut dx, mut dy) = (x - i32::from(WIDTH) / 2, y - i32::from(HEIGHT) / 2);
    while (dx, dy) != (0, 0) {
        let step = [dx.clamp(-127, 127), dy.clamp(-127, 127)];
        (dx, dy) = (dx - step[0], dy - step[1]);
        rig.send(report(2, &[0, step[0] as u8, step[1] as u8, 0, 0]))
            .await;
    }
    rig.send(report(2, &[0, 0, 0, 0xff, 2])).await;
    rig.settled().await;
    assert_eq!(rig.dump()["peripherals"]["cursor"], json!([x, y]));
    let wheel = rig.dump()["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&wheel["kind"], &wheel["horizontal"], &wheel["vertical"]),
        (&json!("scroll"), &json!(2.0), &json!(-1.0))
    );
    rig.send(report(2, &[1, 0, 0, 0, 0])).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers().len(), 1);
    rig.send(report(2, &[0, 0, 0, 0, 0])).await;
    rig.settled().await;
    assert_eq!(rig.android.pointers(), []);
    assert_eq!(rig.android.foreground(), App::Echo.package());
}

#[tokio::test]
async fn a_gamepad_shows_its_sticks_buttons_and_hat_until_it_is_destroyed() {
    let mut rig = Rig::new("4.1", App::Still).await;
    let pad = ControlMsg::UhidCreate {
        id: 3,
        vendor: 0x045e,
        product: 0x028e,
        name: "Microsoft X-Box 360 Pad".into(),
        descriptor: GAMEPAD.to_vec(),
    };
    rig.send(pad).await;
    // Left stick to the right, right trigger full, A and Start, hat to the south-east.
    let data = [
        0xff, 0xff, 0, 0x80, 0, 0x80, 0, 0x80, 0, 0, 0xff, 0x7f, 0x01, 0x08, 0x04,
    ];
    rig.send(report(3, &data)).await;
    rig.settled().await;
    let shown = rig.dump()["peripherals"]["hid"][0].clone();
    assert_eq!(shown["kind"], "gamepad");
    assert_eq!(
        (&shown["vendor"], &shown["name"]),
        (&json!(0x045e), &json!("Microsoft X-Box 360 Pad"))
    );
    assert_eq!(shown["buttons"], json!([1, 12]));
    assert_eq!(
        shown["axes"],
        json!([
            ["x", 0xffff],
            ["y", 0x8000],
            ["rx", 0x8000],
            ["ry", 0x8000],
            ["z", 0],
            ["rz", 0x7fff],
            ["hat", 4]
        ])
    );
    rig.send(ControlMsg::UhidDestroy(3)).await;
    rig.settled().await;
    assert_eq!(rig.dump()["peripherals"]["hid"], json!([]));
    // BUTTON_A and BUTTON_START, down and then up.
    let events = rig.dump()["events"].clone();
    let codes: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["keycode"])
        .collect();
    assert_eq!(codes, [96, 108, 96, 108]);
}

#[tokio::test]
async fn an_unknown_number_and_a_short_report_are_counted_and_the_server_goes_on() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.send(report(7, &[0; 8])).await;
    rig.send(ControlMsg::UhidDestroy(7)).await;
    rig.send(create(8, "", KEYBOARD)).await;
    rig.send(report(8, &[0; 3])).await;
    // The kernel looks at what it was given only after the server has gone on.
    rig.send(create(9, "", &[0x05])).await;
    rig.settled().await;
    assert_eq!(rig.android.dropped_count(Dropped::UnknownHid), 2);
    assert_eq!(rig.android.dropped_count(Dropped::BadHid), 2);
    let dropped = drops(&rig.android);
    let dropped: Vec<_> = dropped
        .iter()
        .map(|(message, why, values)| (message.as_str(), why.as_str(), &values["id"]))
        .collect();
    let expected = [
        ("uhid_input", "unknown_hid", &json!(7)),
        ("uhid_destroy", "unknown_hid", &json!(7)),
        ("uhid_input", "bad_hid", &json!(8)),
        ("uhid_create", "bad_hid", &json!(9)),
    ];
    assert_eq!(dropped, expected);
    // What never was a device can be destroyed, and made well.
    rig.send(ControlMsg::UhidDestroy(9)).await;
    rig.send(create(9, "", KEYBOARD)).await;
    rig.send(report(9, &[0; 8])).await;
    rig.settled().await;
    assert_eq!(rig.android.dropped_count(Dropped::UnknownHid), 2);
}

#[tokio::test]
async fn what_the_kernel_refuses_ends_the_server() {
    let no_device = faulty(Fault::NoUhid, 1);
    for (userland, messages) in [
        (no_device, vec![create(1, "", KEYBOARD)]),
        (userland(), vec![create(1, "", &[])]),
        (userland(), vec![create(1, "", &[0x05; 4_097])]),
        (userland(), vec![create(1, "", &[0x05]), report(1, &[0; 8])]),
    ] {
        for version in ["2.7", "3.3.4", "4.1"] {
            let mut rig = Rig::on(userland.clone(), version, App::Still, ServerOptions::default()).await;
            for message in &messages {
                rig.send(message.clone()).await;
            }
            let (told, code) = rig.output().await;
            assert!(
                told.contains("[server] ERROR: Controller error"),
                "{version}: {told}"
            );
            assert_eq!(code, 0);
        }
    }
}

#[tokio::test]
async fn panels_power_keyboard_settings_and_scanned_files_show_in_dumpsys() {
    let mut rig = Rig::new("4.1", App::Still).await;
    rig.video.frame().await;
    rig.video.frame().await;
    for (msg, panel) in [
        (ControlMsg::ExpandNotificationPanel, json!("notifications")),
        (ControlMsg::ExpandSettingsPanel, json!("settings")),
        (ControlMsg::CollapsePanels, json!(null)),
    ] {
        rig.send(msg).await;
        rig.settled().await;
        assert_eq!(rig.dump()["peripherals"]["panel"], panel);
    }
    rig.send(ControlMsg::SetDisplayPower(false)).await;
    rig.send(ControlMsg::OpenHardKeyboardSettings).await;
    rig.send(ControlMsg::ScanFile("/sdcard/Download/a.png".into()))
        .await;
    rig.settled().await;
    let peripherals = rig.dump()["peripherals"].clone();
    assert_eq!(peripherals["panel_power"], false);
    assert_eq!(peripherals["keyboard_settings"], true);
    assert_eq!(peripherals["scanned"], json!(["/sdcard/Download/a.png"]));
    // A dark panel is mirrored all the same.
    rig.send(ControlMsg::ResetVideo).await;
    let picture = rig.video.picture().await;
    assert!(picture.y.iter().any(|&luma| luma > 100));

    let mut old = Rig::new("2.4", App::Still).await;
    old.send(ControlMsg::OpenHardKeyboardSettings).await;
    old.settled().await;
    assert_eq!(old.dump()["peripherals"]["keyboard_settings"], true);
}
