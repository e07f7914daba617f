//! What has misled clients of the real server, and has to go on misleading them here.

use device::android::App;
use scrcpy::control::{ControlMsg, CopyKey, KeyAction};
use scrcpy::device_msg::DeviceMsg;
use scrcpy::handshake::{DEVICE_NAME_LEN, Scid};
use scrcpy::options::ServerOptions;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::rig::*;

#[tokio::test]
async fn a_question_for_the_clipboard_is_answered_only_without_autosync() {
    for autosync in [false, true] {
        let options = ServerOptions {
            clipboard_autosync: autosync,
            ..ServerOptions::default()
        };
        let mut rig = Rig::with("4.1", App::Echo, options).await;
        // Who listens hears only what comes later.
        rig.settled().await;
        rig.android.set_clipboard("theirs");
        let theirs = DeviceMsg::Clipboard("theirs".to_owned());
        if autosync {
            // Only the change itself is told.
            assert_eq!(rig.device_msg().await, theirs);
        }
        rig.send(ControlMsg::GetClipboard(CopyKey::NONE)).await;
        rig.send(ControlMsg::SetClipboard {
            sequence: 7,
            paste: false,
            text: "theirs".to_owned(),
        })
        .await;
        if !autosync {
            assert_eq!(rig.device_msg().await, theirs);
        }
        assert_eq!(rig.device_msg().await, DeviceMsg::AckClipboard(7));
    }
}

#[tokio::test]
async fn back_in_the_dark_is_power_when_it_goes_down_and_nothing_when_it_comes_up() {
    let options = ServerOptions {
        power_on: false,
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Echo, options).await;
    rig.android.set_screen_on(false);
    let keys = |dump: &Value| -> Vec<(Value, Value)> {
        let events = dump["events"].as_array().unwrap().iter();
        let keys = events.filter(|event| event["kind"] == "key");
        keys.map(|key| (key["action"].clone(), key["keycode"].clone()))
            .collect()
    };
    rig.send(ControlMsg::BackOrScreenOn(KeyAction::UP)).await;
    rig.settled().await;
    assert_eq!((keys(&rig.dump()), rig.android.screen_on()), (vec![], false));
    rig.send(ControlMsg::BackOrScreenOn(KeyAction::DOWN)).await;
    rig.settled().await;
    let power = vec![(json!(0), json!(26)), (json!(1), json!(26))];
    assert_eq!((keys(&rig.dump()), rig.android.screen_on()), (power, true));
    assert_eq!(rig.android.foreground(), App::Echo.package(), "not left");
    // Now the screen is on, and the same key is BACK.
    rig.send(ControlMsg::BackOrScreenOn(KeyAction::DOWN)).await;
    rig.settled().await;
    assert_eq!(keys(&rig.dump())[2], (json!(0), json!(4)));
    assert_eq!(rig.android.foreground(), App::Launcher.package());
}

#[tokio::test]
async fn a_server_that_listens_tells_its_name_only_when_all_its_sockets_are_there() {
    let userland = userland();
    let options = ServerOptions {
        scid: Some(Scid::from_bits(7)),
        tunnel_forward: true,
        ..ServerOptions::default()
    };
    let _server = launch(&userland, "4.1".parse().unwrap(), &options);
    let mut video = connect(&userland, &options).await;
    assert_eq!(video.read_u8().await.unwrap(), 0);
    let mut name = [0; DEVICE_NAME_LEN];
    let mut others = Vec::new();
    for _ in ["audio", "control"] {
        assert!(
            timeout(SILENCE, video.read_exact(&mut name[..1])).await.is_err(),
            "the name before its time"
        );
        others.push(connect(&userland, &options).await);
    }
    timeout(DEADLINE, video.read_exact(&mut name))
        .await
        .unwrap()
        .unwrap();
    assert!(name.starts_with(b"Farglass Test\0"));
}
