//! What a server changes on the device for as long as it lives, and puts back when it ends, however it ends.

use device::Android;
use device::android::App;
use scrcpy::control::ControlMsg;
use scrcpy::options::ServerOptions;
use tokio::io::AsyncWriteExt;

use super::rig::*;

fn kept(android: &Android) -> [Option<String>; 3] {
    [
        ("global", "stay_on_while_plugged_in"),
        ("system", "show_touches"),
        ("system", "screen_off_timeout"),
    ]
    .map(|(namespace, key)| android.setting(namespace, key))
}

fn are(values: [Option<&str>; 3]) -> [Option<String>; 3] {
    values.map(|value| value.map(str::to_owned))
}

fn changing(version: &str) -> ServerOptions {
    ServerOptions {
        stay_awake: true,
        show_touches: true,
        screen_off_timeout: (version != "2.7").then_some(300_000),
        ..ServerOptions::default()
    }
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_the_settings_as_they_were() {
    for version in ["2.7", "3.3.4", "4.1"] {
        let options = changing(version);
        let timeout = options.screen_off_timeout.map_or("60000", |_| "300000");
        let mut rig = Rig::with(version, App::Still, options).await;
        rig.video.frame().await;
        let android = rig.android.clone();
        assert_eq!(
            kept(&android),
            are([Some("7"), Some("1"), Some(timeout)]),
            "{version}"
        );
        drop(rig);
        let before = are([Some("0"), Some("0"), Some("60000")]);
        until("the settings as they were", || kept(&android) == before).await;
    }
}

#[tokio::test]
async fn what_was_so_already_or_is_no_number_is_not_put_back() {
    let userland = userland();
    let android = userland.android.clone();
    android.set_setting("global", "stay_on_while_plugged_in", "7");
    android.set_setting("system", "show_touches", "1");
    android.set_setting("system", "screen_off_timeout", "long");
    let mut rig = Rig::on(userland, "4.1", App::Still, changing("4.1")).await;
    rig.video.frame().await;
    // Somebody else's doing while the server runs.
    android.set_setting("global", "stay_on_while_plugged_in", "0");
    rig.control.write_all(&[23]).await.unwrap();
    assert_eq!(rig.output().await.1, 0);
    assert_eq!(kept(&android), are([Some("0"), Some("1"), Some("300000")]));
}

#[tokio::test]
async fn without_cleanup_nothing_is_changed() {
    let options = ServerOptions {
        cleanup: false,
        power_off_on_close: true,
        ..changing("4.1")
    };
    let mut rig = Rig::with("4.1", App::Still, options).await;
    rig.video.frame().await;
    assert_eq!(kept(&rig.android), are([Some("0"), None, Some("60000")]));
    rig.control.write_all(&[23]).await.unwrap();
    assert_eq!(rig.output().await.1, 0);
    assert!(rig.android.screen_on());
}

#[tokio::test]
async fn the_screen_goes_off_at_the_end_if_that_was_asked_for_and_a_dark_panel_comes_back_if_not() {
    for (power_off_on_close, on_afterwards) in [(true, false), (false, true)] {
        let options = ServerOptions {
            power_off_on_close,
            ..ServerOptions::default()
        };
        let mut rig = Rig::with("4.1", App::Still, options).await;
        rig.video.frame().await;
        rig.send(ControlMsg::SetDisplayPower(false)).await;
        rig.settled().await;
        assert_eq!(rig.dump()["peripherals"]["panel_power"], false);
        rig.control.write_all(&[23]).await.unwrap();
        assert_eq!(rig.output().await.1, 0);
        assert_eq!(rig.android.screen_on(), on_afterwards);
        assert_eq!(rig.dump()["peripherals"]["panel_power"], on_afterwards);
    }
}
