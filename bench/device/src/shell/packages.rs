//! `pm list`, `path`, `clear`, `uninstall`, `resolve-activity`: packages that are there already. Also as `cmd package`.
//!
//! ```text
//!   pm VERB [--user N] PACKAGE ──► Android ──► Success | Failed | Failure [WHY]
//! ```
//!
//! The words are those of Android 14. How a package comes is told beside, in `install`, and how those of the system
//! image go and come back in `image`.

use super::Done;
use super::activity::ACTIVITY;
use crate::android::Android;

pub(super) fn pm(android: &Android, args: &[&str]) -> Done {
    match args {
        ["list", "packages", rest @ ..] => list(android, rest),
        ["path", package] => match android.package(package) {
            Some(found) => Done::ok(format!("package:{}\n", found.code)),
            None => Done::fail(1, ""),
        },
        ["clear", package] | ["clear", "--user", _, package] => {
            outcome(android.clear(package).is_ok(), "Failed")
        }
        ["uninstall", package] | ["uninstall", "--user", _, package] => outcome(
            android.uninstall(package).is_ok(),
            "Failure [DELETE_FAILED_INTERNAL_ERROR]",
        ),
        ["resolve-activity", "--brief", rest @ ..] => match rest {
            [package] | [.., "-p", package] => resolve(android, package),
            _ => Done::ok("No activity found\n"),
        },
        _ => Done::fail(
            1,
            "usage: pm list packages|path|clear|install|uninstall|resolve-activity …\n",
        ),
    }
}

fn list(android: &Android, args: &[&str]) -> Done {
    let mut filter = "";
    for arg in args {
        match *arg {
            "-3" | "-s" | "-e" | "-f" => {}
            option if option.starts_with('-') => {
                return Done::fail(1, format!("Error: Unknown option: {option}\n"));
            }
            text => filter = text,
        }
    }
    let is_system = |name: &str| super::image::has(android, name);
    let wanted = |name: &String| {
        name.contains(filter)
            && (!args.contains(&"-3") || !is_system(name))
            && (!args.contains(&"-s") || is_system(name))
    };
    let lines = android
        .packages()
        .into_iter()
        .filter(wanted)
        .map(|name| match android.package(&name) {
            Some(found) if args.contains(&"-f") => format!("package:{}={name}\n", found.code),
            _ => format!("package:{name}\n"),
        });
    Done::ok(lines.collect::<String>())
}

fn resolve(android: &Android, package: &str) -> Done {
    match android.package(package) {
        Some(found) if found.app.is_some() => Done::ok(format!(
            "priority=0 preferredOrder=0 match=0x108000 specificIndex=-1 isDefault=false\n{package}/{ACTIVITY}\n"
        )),
        _ => Done::ok("No activity found\n"),
    }
}

fn outcome(success: bool, failure: &str) -> Done {
    if success {
        Done::ok("Success\n")
    } else {
        Done {
            out: format!("{failure}\n").into_bytes(),
            code: 1,
            ..Done::default()
        }
    }
}
