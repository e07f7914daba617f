//! `pm list users | create-user | remove-user`, `am get-current-user | switch-user`, and `locksettings`.
//!
//! The words are those of Android 14. `remove-user` comes back before the user is gone, and `locksettings` does nothing
//! without the credential of a lock that is there.

use super::Done;
use crate::android::Android;

const MANAGED: u32 = 0x1030;
const SECONDARY: u32 = 0x410;

/// `None` for what is not about users.
pub(super) fn pm(android: &Android, args: &[&str]) -> Option<Done> {
    Some(match args {
        ["list", "users"] => {
            let users = android.users().into_iter().map(|user| {
                let running = if user.running { " running" } else { "" };
                format!(
                    "\tUserInfo{{{}:{}:{:x}}}{running}\n",
                    user.id, user.name, user.flags
                )
            });
            Done::ok("Users:\n".to_owned() + &users.collect::<String>())
        }
        ["create-user", "--profileOf", "0", "--managed", name] => create(android, name, MANAGED),
        ["create-user", name] => create(android, name, SECONDARY),
        ["remove-user", id] => match id.parse() {
            Ok(id) if android.remove_user(id) => Done::ok("Success: removed user\n"),
            Ok(id) => Done::fail(1, format!("Error: couldn't remove user id {id}\n")),
            Err(_) => Done::fail(
                255,
                format!(
                    "\nException occurred while executing 'remove-user':\njava.lang.IllegalArgumentException: Bad user number: {id}\n"
                ),
            ),
        },
        _ => return None,
    })
}

fn create(android: &Android, name: &str, flags: u32) -> Done {
    match android.create_user(name, flags) {
        Some(id) => Done::ok(format!("Success: created user id {id}\n")),
        None => Done::fail(1, "Error: couldn't create User.\n"),
    }
}

/// `None` for what is not about users.
pub(super) fn am(android: &Android, args: &[&str]) -> Option<Done> {
    Some(match args {
        ["get-current-user"] => Done::ok(format!("{}\n", android.front_user())),
        ["switch-user", id] => match id.parse() {
            Ok(id) if android.switch_user(id) => Done::default(),
            _ => Done::fail(1, format!("Error: Failed to switch to user {id}\n")),
        },
        _ => return None,
    })
}

pub(super) fn locksettings(android: &Android, args: &[&str]) -> Done {
    let [verb, rest @ ..] = args else {
        return Done::fail(
            255,
            "usage: locksettings verify|set-pin|clear [--old CREDENTIAL] [--user ID]\n",
        );
    };
    let (mut old, mut new, mut rest) = ("", "", rest.iter());
    while let Some(arg) = rest.next() {
        match *arg {
            "--old" => old = rest.next().copied().unwrap_or_default(),
            "--user" => drop(rest.next()),
            option if option.starts_with('-') => {
                return Done::fail(255, format!("Unknown option: {option}\n"));
            }
            word => new = word,
        }
    }
    if !android.opens(old) {
        return Done {
            out: format!("Old password '{old}' didn't match\n").into_bytes(),
            code: 255,
            ..Done::default()
        };
    }
    match *verb {
        "verify" => Done::ok("Lock credential verified successfully\n"),
        "set-pin" if new.len() >= 4 => {
            android.set_lock(new);
            Done::ok(format!("Pin set to '{new}'\n"))
        }
        "clear" => {
            android.set_lock("");
            Done::ok("Lock credential cleared\n")
        }
        verb => Done::fail(0, format!("Unknown command: {verb}\n")),
    }
}
