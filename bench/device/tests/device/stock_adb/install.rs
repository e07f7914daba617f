//! Apps that come and go by stock adb, in APKs that the test writes itself.

use super::apk::{App, Packing, apk};
use super::rig::{Rig, pattern, text};

const NOTES: App<'_> = App {
    package: "org.example.notes",
    version_code: 7,
    version_name: "1.7",
    label: "Example Notes",
};

/// Writes an APK and runs `adb install` on it; what adb told.
async fn install(rig: &Rig, app: App<'_>, ballast: &[u8]) -> (bool, String) {
    std::fs::write(rig.path("app.apk"), apk(app, Packing::Tight, ballast)).unwrap();
    let output = rig
        .adb_any(["-s", &rig.serial, "install", &rig.path("app.apk")])
        .await;
    let told = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), told)
}

async fn foreground(rig: &Rig) -> String {
    let dump = rig.adb(["shell", "dumpsys simulated"]).await;
    let (_, rest) = dump.split_once(r#""foreground":""#).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_app_is_listed_started_and_uninstalled() {
    let rig = Rig::start().await;
    assert!(!rig.adb(["shell", "pm list packages -3"]).await.contains("notes"));
    let (installed, told) = install(&rig, NOTES, &pattern(1, 3_000_000)).await;
    assert!(installed && told.contains("Success"), "{told}");
    assert!(
        rig.adb(["shell", "pm list packages -3"])
            .await
            .contains("package:org.example.notes\n")
    );
    let path = rig.adb(["shell", "pm path org.example.notes"]).await;
    let path = path.trim().strip_prefix("package:").unwrap();
    assert!(
        path.starts_with("/data/app/~~") && path.ends_with("/base.apk"),
        "{path}"
    );
    rig.adb(["pull", path, &rig.path("back.apk")]).await;
    assert!(std::fs::read(rig.path("back.apk")).unwrap() == std::fs::read(rig.path("app.apk")).unwrap());
    let dump = rig.adb(["shell", "dumpsys package org.example.notes"]).await;
    assert!(
        dump.contains("versionCode=7\n") && dump.contains("versionName=1.7\n"),
        "{dump}"
    );

    let before = rig
        .adb_any(["-s", &rig.serial, "exec-out", "screencap -p"])
        .await
        .stdout;
    rig.adb(["shell", "am start -W -n org.example.notes/.MainActivity"])
        .await;
    assert_eq!(foreground(&rig).await, "org.example.notes");
    let page = rig
        .adb_any(["-s", &rig.serial, "exec-out", "screencap -p"])
        .await
        .stdout;
    assert!(
        page.starts_with(b"\x89PNG") && page != before,
        "the page is shown"
    );

    assert_eq!(rig.adb(["uninstall", "org.example.notes"]).await, "Success\n");
    assert_eq!(foreground(&rig).await, "dev.farglass.launcher");
    assert!(!rig.adb(["shell", "pm list packages -3"]).await.contains("notes"));
    assert_eq!(rig.shell("pm path org.example.notes").await.0, 1);
    assert_eq!(rig.shell(&format!("ls {path}")).await.0, 1, "its APK is gone");
    let again = rig
        .adb_any(["-s", &rig.serial, "uninstall", "org.example.notes"])
        .await;
    assert!(!again.status.success());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_replaces_an_app_but_not_an_older_one() {
    let rig = Rig::start().await;
    assert!(install(&rig, NOTES, b"").await.0);
    let newer = App {
        version_code: 8,
        label: "Newer Notes",
        ..NOTES
    };
    assert!(install(&rig, newer, b"").await.0);
    let dump = rig.adb(["shell", "dumpsys package org.example.notes"]).await;
    assert!(dump.contains("versionCode=8\n"), "{dump}");
    let (installed, told) = install(&rig, NOTES, b"").await;
    assert!(
        !installed && told.contains("INSTALL_FAILED_VERSION_DOWNGRADE"),
        "{told}"
    );
    let allowed = rig
        .adb_any(["-s", &rig.serial, "install", "-d", &rig.path("app.apk")])
        .await;
    assert!(allowed.status.success(), "{allowed:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_apk_or_belongs_to_the_device_is_not_installed() {
    let rig = Rig::start().await;
    std::fs::write(rig.path("x.apk"), pattern(2, 50_000)).unwrap();
    let output = rig
        .adb_any(["-s", &rig.serial, "install", &rig.path("x.apk")])
        .await;
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(
        !output.status.success() && told.contains("INSTALL_PARSE_FAILED_NOT_APK"),
        "{told}"
    );
    let own = App {
        package: "dev.farglass.paint",
        ..NOTES
    };
    let (installed, told) = install(&rig, own, b"").await;
    assert!(
        !installed && told.contains("INSTALL_FAILED_UPDATE_INCOMPATIBLE"),
        "{told}"
    );
    let (code, out, _) = rig.shell("pm install -S 999999999999").await;
    assert_eq!(
        (code, out.as_str()),
        (1, "Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]\n")
    );
    let (code, out, _) = rig.shell("pm install /sdcard/nothing.apk").await;
    assert!(code == 1 && out.contains("No such file"), "{out}");
    std::fs::write(rig.path("app.apk"), apk(NOTES, Packing::Plain, b"")).unwrap();
    rig.adb(["push", &rig.path("app.apk"), "/data/local/tmp/app.apk"])
        .await;
    assert_eq!(
        rig.adb(["shell", "pm install -r /data/local/tmp/app.apk"]).await,
        "Success\n"
    );
    rig.end().await;
}
