//! Services that know what people leave behind: accounts, notifications, the overview. And none of them answers
//! before the device has booted.
//!
//! The words are those of Android 14, cut to what is true of this device.

use super::{Call, Done};
use crate::android::{Android, App, Notification, SHELL};

/// Commands that ask a service.
const ASKING: [&str; 11] = [
    "am",
    "cmd",
    "content",
    "dumpsys",
    "input",
    "locksettings",
    "monkey",
    "pm",
    "screencap",
    "settings",
    "wm",
];
/// Services that `dumpsys` tells of.
const TOLD: [&str; 11] = [
    "account",
    "activity",
    "battery",
    "display",
    "location",
    "notification",
    "package",
    "power",
    "sensorservice",
    "simulated",
    "window",
];
/// The user id that all apps of this device are listed under; none has one of its own.
const UID: u32 = 10_000;

/// What a command that asks a service says while the services are not up.
pub(super) fn down(call: &Call<'_>) -> Option<Done> {
    let asks = ASKING.contains(&call.name);
    (asks && !call.userland.android.booted()).then(|| {
        let service = call.args.first().map_or(call.name, String::as_str);
        Done::fail(20, format!("cmd: Can't find service: {service}\n"))
    })
}

/// What `dumpsys -l` and `cmd -l` print.
pub(super) fn list() -> String {
    let lines = TOLD.map(|service| format!("  {service}\n"));
    format!("Currently running services:\n{}", lines.concat())
}

/// `None` for a service that is asked elsewhere.
pub(super) fn dumpsys(android: &Android, args: &[&str]) -> Option<Done> {
    let text = match args {
        ["account", ..] => accounts(android),
        ["notification", ..] => notifications(android),
        ["activity", "recents"] => recents(android),
        _ => return None,
    };
    Some(Done::ok(text))
}

/// `cmd notification post [-t TITLE] TAG TEXT` and `cmd notification list`.
pub(super) fn notification(android: &Android, args: &[&str]) -> Done {
    let (title, tag, text) = match args {
        ["list"] => {
            let notifications = android.notifications().into_iter();
            return Done::ok(notifications.map(|shown| key(&shown) + "\n").collect::<String>());
        }
        ["post", "-t" | "--title", title, tag, text] => (*title, *tag, *text),
        ["post", tag, text] => ("", *tag, *text),
        _ => return Done::fail(255, "usage: cmd notification list | post [-t TITLE] TAG TEXT\n"),
    };
    let posted = Notification {
        package: SHELL.to_owned(),
        tag: tag.to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
    };
    android.notify(posted);
    Done::ok(format!("posting:\n  Notification(channel=shell_cmd {tag})\n"))
}

fn accounts(android: &Android) -> String {
    let (accounts, services) = (android.accounts(), android.authenticators());
    let mut text = format!("User UserInfo{{0:Owner:13}}:\n  Accounts: {}\n", accounts.len());
    for account in &accounts {
        text += &format!("    Account {{name={}, type={}}}\n", account.name, account.kind);
    }
    text += &format!("\n  RegisteredServicesCache: {} services\n", services.len());
    for (kind, package) in services {
        text += &format!(
            "    ServiceInfo: AuthenticatorDescription {{type={kind}}}, \
             ComponentInfo{{{package}/{package}.Authenticator}}, uid {UID}\n"
        );
    }
    text
}

fn notifications(android: &Android) -> String {
    let mut text = "Current Notification Manager state:\n  Notification List:\n".to_owned();
    for shown in android.notifications() {
        text += &format!(
            "    NotificationRecord(0x00000001: pkg={} user=UserHandle{{0}} id=2020 tag={} importance=3 key={}: \
             Notification(channel=shell_cmd))\n      android.title=String ({})\n      android.text=String ({})\n",
            shown.package,
            shown.tag,
            key(&shown),
            shown.title,
            shown.text
        );
    }
    text
}

fn key(shown: &Notification) -> String {
    format!("0|{}|2020|{}|{UID}", shown.package, shown.tag)
}

fn recents(android: &Android) -> String {
    let mut text = "ACTIVITY MANAGER RECENT TASKS (dumpsys activity recents)\n  Recent tasks:\n".to_owned();
    for (at, package) in android.recents().into_iter().rev().enumerate() {
        let kind = if package == App::Launcher.package() {
            "home"
        } else {
            "standard"
        };
        text += &format!("  * Recent #{at}: Task{{1 #{at} type={kind} A={UID}:{package} U=0}}\n");
    }
    text
}
