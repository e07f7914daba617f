//! Plans for devices that were used, and what a scan finds on them.
//!
//! Values in, values out: a survey of the device as it was and one as it is now give the plan, without a device.

use super::*;
use crate::reset::findings::findings;
use crate::reset::listing::Account;

fn words(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn account(kind: &str, name: &str) -> Account {
    Account {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn device() -> Survey {
    let global = [("adb_enabled", "1"), ("boot_count", "7")];
    let global = global.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let kept = ("/sdcard/own".to_owned(), Some("00".to_owned()));
    Survey {
        packages: words(&["android", "org.app", "org.home", "org.keys"]),
        third_party: words(&["org.app"]),
        openable: words(&["org.app", "org.home"]),
        settings: [("global".to_owned(), global.into())].into(),
        folders: words(&["/sdcard/Download"]),
        files: [kept].into(),
        authenticators: [("keys".to_owned(), "org.keys".to_owned())].into(),
        notifying: words(&["android"]),
        private: Some(BTreeSet::new()),
        ..Survey::default()
    }
}

fn commands(now: &Survey) -> Vec<String> {
    let actions = plan(&device(), now, Spare::Servers).into_iter();
    actions.map(|action| action.command).collect()
}

#[test]
fn an_untouched_device_has_its_apps_cleared_and_is_clean() {
    assert_eq!(
        commands(&device()),
        [
            "am force-stop org.app; pm clear org.app",
            "am force-stop org.home; pm clear org.home"
        ]
    );
    assert_eq!(findings(&device(), &device()), [""; 0]);
}

#[test]
fn what_was_added_goes_and_what_was_removed_comes_back() {
    let mut now = device();
    now.packages = words(&["android", "org.app", "org.home", "x; reboot"]);
    let commands = commands(&now);
    assert_eq!(commands[0], "am force-stop 'x; reboot'; pm uninstall 'x; reboot'");
    assert_eq!(commands[1], "cmd package install-existing --user 0 org.keys");
    assert_eq!(
        findings(&device(), &now),
        ["1 packages that were added", "1 packages missing"]
    );
}

#[test]
fn accounts_of_the_image_go_with_their_authenticator_and_others_stay_for_the_scan() {
    let mut now = device();
    now.accounts = [
        account("keys", "me"),
        account("keys", "you"),
        account("bank", "me"),
    ]
    .into();
    now.authenticators.insert("bank".to_owned(), "org.app".to_owned());
    let commands = commands(&now);
    assert_eq!(commands[0], "pm uninstall --user 0 org.keys");
    assert_eq!(commands[1], "cmd package install-existing --user 0 org.keys");
    assert!(commands[2].contains("pm clear org.app"), "{commands:?}");
    assert_eq!(findings(&device(), &now), ["3 accounts"]);
}

#[test]
fn settings_are_put_back_quoted_and_what_the_system_counts_is_left() {
    let mut now = device();
    let global = [("boot_count", "8"), ("it's", "a\nb")];
    let global = global.map(|(key, value)| (key.to_owned(), value.to_owned()));
    now.settings = [("global".to_owned(), global.into())].into();
    let commands = commands(&now);
    assert_eq!(
        commands.last().unwrap(),
        "settings put global adb_enabled 1; settings delete global 'it'\\''s';"
    );
    assert_eq!(findings(&device(), &now), ["2 settings changed"]);
}

#[test]
fn a_screen_that_our_own_server_keeps_on_is_no_setting_that_somebody_changed() {
    let kept = |value: &str| {
        let mut device = device();
        let global = device.settings.get_mut("global").unwrap();
        global.insert("stay_on_while_plugged_in".to_owned(), value.to_owned());
        device
    };
    assert_eq!(findings(&kept("0"), &kept("7")), [""; 0]);
    assert_eq!(findings(&device(), &kept("7")), [""; 0]);
    for other in ["1", "0"] {
        assert_eq!(findings(&kept("3"), &kept(other)), ["1 settings changed"]);
    }
}

#[test]
fn files_that_are_new_or_not_what_they_were_are_removed_by_the_highest_folder() {
    let mut now = device();
    now.folders = words(&["/sdcard/Download", "/sdcard/a", "/sdcard/a/b"]);
    let files = [
        ("/sdcard/a/b/c", None),
        ("/sdcard/own", Some("01")),
        ("/sdcard/Download/it's", None),
        ("/data/local/tmp/farglass-1.jar", None),
        ("/data/system/users/0/wallpaper", None),
    ];
    let files = files.map(|(path, hash)| (path.to_owned(), hash.map(str::to_owned)));
    now.files = files.into();
    let commands = commands(&now);
    let files = "rm -rf '/sdcard/Download/it'\\''s' /sdcard/a /sdcard/own";
    assert_eq!(
        commands[2..],
        [files, "su 0 rm -f /data/system/users/0/wallpaper"]
    );
    assert_eq!(findings(&device(), &now), ["7 files or folders"]);
    let all = plan(&device(), &now, Spare::Nothing);
    assert!(all.iter().any(|action| action.command.contains("farglass-1.jar")));
}

#[test]
fn users_and_authorities_that_were_added_go_but_none_that_an_older_baseline_may_only_not_know() {
    let mut now = device();
    now.users = Some([10, 150].into());
    let added = "/data/misc/user/0/cacerts-added/1.0";
    now.files.insert(added.to_owned(), Some("11".to_owned()));
    let mut own = Survey {
        users: Some([150].into()),
        locked: Some(true),
        ..device()
    };
    let commands = |baseline: &Survey| {
        let actions = alone(baseline, &now).into_iter();
        let actions = actions.chain(plan(baseline, &now, Spare::Nothing));
        actions.map(|action| action.command).collect::<Vec<_>>()
    };
    let told = commands(&own);
    assert_eq!(told[..2], ["am switch-user 0", "pm remove-user 10 || true"]);
    assert!(told.contains(&format!("su 0 rm -f {added}")), "{told:?}");
    assert_eq!(findings(&own, &now), ["1 users", "1 files or folders"]);
    own.users = None;
    let told = commands(&own);
    let touched = |command: &String| command.contains("-user ") || command.contains(added);
    assert!(!told.iter().any(touched), "{told:?}");
    assert_eq!(
        findings(&own, &now),
        ["2 users", "1 files or folders"],
        "the operator has to say whose they are"
    );
}

#[test]
fn a_screen_lock_is_found_where_there_was_none() {
    let locked = |locked| Survey { locked, ..device() };
    let (open, shut, unknown) = (locked(Some(false)), locked(Some(true)), locked(None));
    assert_eq!(findings(&open, &shut), ["1 screen locks"]);
    assert_eq!(findings(&unknown, &shut), ["1 screen locks"], "an older baseline");
    for (before, now) in [(&shut, &shut), (&open, &open), (&open, &unknown), (&shut, &open)] {
        assert_eq!(findings(before, now), [""; 0]);
    }
}

#[test]
fn who_shows_notifications_or_stays_in_the_overview_is_stopped() {
    let mut now = device();
    now.notifying = words(&["android", "org.keys"]);
    now.recents = words(&["org.keys", "org.home"]);
    assert_eq!(
        commands(&now).last().unwrap(),
        "am force-stop org.home; am force-stop org.keys;"
    );
}

#[test]
fn private_files_that_outlive_a_clear_are_found() {
    let mut now = device();
    now.private = Some(words(&["/data/data/org.app/files/x"]));
    assert_eq!(findings(&device(), &now), ["1 private files of apps"]);
}
