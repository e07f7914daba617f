//! `cmd simulated`: what apps do when a person uses them, for tests that have no such apps.
//!
//! ```text
//!   account TYPE NAME          an authenticator adds an account
//!   install PACKAGE [TYPE]     a store installs an app; with a type it keeps accounts
//!   replace PACKAGE LABEL      another APK is installed under its name
//!   label PACKAGE              prints what its APK is called
//!   write PACKAGE PATH TEXT    an app writes a private file
//!   prefer PACKAGE KEY VALUE   an app keeps a preference
//!   notify PACKAGE TAG TEXT    an app posts a notification
//!   litter FOLDER COUNT        an app fills a folder with so many empty files of long names
//!   copy TEXT                  an app copies
//!   paste                      prints what an app would paste
//!   wallpaper TEXT             a picture becomes the wallpaper
//!   trust NAME TEXT            a person adds an authority's certificate
//! ```
//!
//! The service has a name that no Android has, so that nobody takes it for a part of one.

use bytes::Bytes;

use super::{Call, Done};
use crate::android::{Account, Android, Notification, PackageError};
use crate::files::Attributes;

/// Characters in the name of a file that an app litters with.
const LITTER_NAME: usize = 150;

pub(super) fn simulated(android: &Android, args: &[&str]) -> Done {
    let done = match args {
        ["account", kind, name] => android.add_account(Account {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
        }),
        ["install", package] => android.install(package),
        ["install", package, kind] => android
            .install(package)
            .and_then(|()| android.set_account_type(package, kind)),
        ["replace", package, label] => android.replace(package, label),
        ["label", package] => match android.package(package) {
            Some(package) => return Done::ok(package.label + "\n"),
            None => Err(PackageError::Unknown((*package).to_owned())),
        },
        ["write", package, path, text] => android.write_app_file(package, path, text.as_bytes()),
        ["prefer", package, key, value] => android.set_preference(package, key, value),
        ["notify", package, tag, text] => notify(android, package, tag, text),
        ["copy", text] => {
            android.set_clipboard(text);
            Ok(())
        }
        ["paste"] => return Done::ok(android.clipboard() + "\n"),
        ["wallpaper", text] => {
            android.set_wallpaper(text.as_bytes());
            Ok(())
        }
        ["trust", name, text] => {
            android.trust(name, text.as_bytes());
            Ok(())
        }
        _ => {
            let usage = "usage: cmd simulated account|install|replace|label|write|prefer|notify|copy|paste|wallpaper|trust …\n";
            return Done::fail(255, usage);
        }
    };
    match done {
        Ok(()) => Done::default(),
        Err(error) => Done::fail(1, format!("Error: {error}\n")),
    }
}

pub(super) fn litter(call: &Call<'_>, folder: &str, count: &str) -> Done {
    let Ok(count) = count.parse::<usize>() else {
        return Done::fail(255, "usage: cmd simulated litter FOLDER COUNT\n");
    };
    let attributes = Attributes {
        permissions: 0o644,
        mtime_s: call.now_s,
    };
    for number in 0..count {
        let path = format!("{folder}/{number:0LITTER_NAME$}");
        if let Err(error) = call.userland.files.write(&path, Bytes::new(), attributes) {
            return Done::fail(1, format!("Error: {error}\n"));
        }
    }
    Done::default()
}

fn notify(android: &Android, package: &str, tag: &str, text: &str) -> Result<(), PackageError> {
    if android.package(package).is_none() {
        return Err(PackageError::Unknown(package.to_owned()));
    }
    android.notify(Notification {
        package: package.to_owned(),
        tag: tag.to_owned(),
        title: String::new(),
        text: text.to_owned(),
    });
    Ok(())
}
