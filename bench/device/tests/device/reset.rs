//! What a reset leaves of an app and of a device: nothing.

use device::Android;
use device::android::{App, Model, PackageError, PointerKey, Rotation, TouchKind};
use device::screen::{Moment, screenshot};

fn android() -> Android {
    Android::new(Model {
        name: "Reset".into(),
        width: 360,
        height: 640,
    })
}

fn dump(android: &Android) -> serde_json::Value {
    serde_json::from_str(&android.dumpsys()).unwrap()
}

fn used() -> Android {
    let android = android();
    let finger = PointerKey { source: 0, id: 1 };
    android.start(App::Paint.package()).unwrap();
    android.touch(TouchKind::Down, finger, 100, 300);
    android.touch(TouchKind::Up, finger, 200, 300);
    android.start(App::Echo.package()).unwrap();
    android.paste("secret");
    android
        .set_preference(App::Echo.package(), "account", "someone")
        .unwrap();
    android
}

#[test]
fn clearing_an_app_deletes_what_it_stored_and_nothing_else() {
    let android = used();
    assert_eq!(dump(&android)["text"], "secret");
    assert_eq!(dump(&android)["strokes"], 1);
    android.clear(App::Echo.package()).unwrap();
    let after = dump(&android);
    assert_eq!(after["text"], "");
    assert_eq!(
        after["packages"][App::Echo.package()]["preferences"],
        serde_json::json!({})
    );
    assert_eq!(after["foreground"], App::Launcher.package());
    assert_eq!(after["strokes"], 1);
}

#[test]
fn a_cleared_painting_is_white_again_on_a_screen_that_showed_it() {
    let android = used();
    let fresh = android_showing(App::Paint);
    android.start(App::Paint.package()).unwrap();
    let mut screen = device::screen::Screen::new(&android);
    screen.draw(&android, Moment::default());
    assert!(screen.canvas().pixels() != fresh.pixels());
    android.clear(App::Paint.package()).unwrap();
    android.start(App::Paint.package()).unwrap();
    screen.draw(&android, Moment::default());
    assert!(screen.canvas().pixels() == fresh.pixels());
}

#[test]
fn a_factory_reset_leaves_a_device_as_it_came() {
    let android = used();
    android.set_clipboard("secret");
    android.set_setting("secure", "account", "someone");
    android.install("com.example.other").unwrap();
    android.factory_reset();
    let mut after = dump(&android);
    let mut fresh = dump(&self::android());
    for state in [&mut after, &mut fresh] {
        state["events"].take();
    }
    assert_eq!(after, fresh);
    assert_eq!(android.setting("secure", "account"), None);
}

#[test]
fn what_is_drawn_bit_by_bit_is_what_a_screenshot_shows() {
    let android = android();
    let mut screen = device::screen::Screen::new(&android);
    let finger = PointerKey { source: 0, id: 3 };
    for app in App::ALL {
        android.start(app.package()).unwrap();
        screen.draw(&android, Moment::default());
        for (kind, x) in [
            (TouchKind::Down, 60),
            (TouchKind::Move, 200),
            (TouchKind::Up, 300),
        ] {
            android.touch(kind, finger, x, 620);
            android.paste("日 é");
            screen.draw(&android, Moment::default());
        }
        android.lock_rotation(Rotation::from_quarters(1));
        screen.draw(&android, Moment::default());
        android.lock_rotation(Rotation::default());
        screen.draw(&android, Moment::default());
        let shown = below_barcode(screen.canvas().pixels());
        assert!(
            shown == below_barcode(screenshot(&android, Moment::default()).pixels()),
            "{app:?}"
        );
    }
}

/// The barcode counts pictures, so that it differs.
fn below_barcode(pixels: &[u32]) -> &[u32] {
    &pixels[60 * 360..]
}

#[test]
fn a_package_without_a_screen_can_be_installed_but_not_started() {
    let android = android();
    android.install("com.example.other").unwrap();
    let started = android.start("com.example.other");
    assert_eq!(started, Err(PackageError::NoActivity("com.example.other".into())));
    android.uninstall("com.example.other").unwrap();
    assert_eq!(
        android.start("com.example.other"),
        Err(PackageError::Unknown("com.example.other".into()))
    );
    assert!(android.uninstall(App::Launcher.package()).is_err());
}

fn android_showing(app: App) -> device::screen::canvas::Canvas {
    let android = android();
    android.start(app.package()).unwrap();
    screenshot(&android, Moment::default())
}
