//! What `pm` does about packages of the system image, and which activities there are. Also as `cmd package`.
//!
//! ```text
//!   image ──► installed ── uninstall ──► dismissed ── install-existing ──► installed
//! ```
//!
//! A package of the image cannot be removed, only uninstalled for the user; `install-existing` brings it back. One that
//! was updated is taken back to what the image has by `uninstall` for everybody.

use super::Done;
use super::activity::ACTIVITY;
use crate::android::{Android, App, Origin};

/// Whether a package is a part of the system image.
pub(super) fn has(android: &Android, package: &str) -> bool {
    android
        .package(package)
        .is_some_and(|package| package.origin == Origin::Image)
}

/// `None` for what is not about the image.
pub(super) fn pm(android: &Android, args: &[&str]) -> Option<Done> {
    Some(match args {
        ["uninstall", package] if android.take_back_update(package) => Done::ok("Success\n"),
        ["uninstall", package] if has(android, package) => Done {
            out: b"Failure [DELETE_FAILED_INTERNAL_ERROR]\n".to_vec(),
            code: 1,
            ..Done::default()
        },
        ["install-existing", "--user", "0", package] | ["install-existing", package] => {
            match android.install_existing(package) {
                Ok(()) => Done::ok(format!("Package {package} installed for user: 0\n")),
                Err(_) => Done::fail(
                    1,
                    format!(
                        "android.content.pm.PackageManager$NameNotFoundException: Package {package} doesn't exist\n"
                    ),
                ),
            }
        }
        [
            "query-activities",
            "--brief",
            "-a",
            "android.intent.action.MAIN",
            "-c",
            category,
        ] => query(android, category),
        _ => return None,
    })
}

fn query(android: &Android, category: &str) -> Done {
    let shown = |app: &App| match category {
        "android.intent.category.HOME" => *app == App::Launcher,
        "android.intent.category.LAUNCHER" => *app != App::Launcher,
        _ => false,
    };
    let installed = |app: &App| android.package(app.package()).is_some();
    let found: Vec<App> = App::ALL.into_iter().filter(shown).filter(installed).collect();
    if found.is_empty() {
        return Done::ok("No activities found\n");
    }
    let mut text = format!("{} activities found:\n", found.len());
    for (at, app) in found.into_iter().enumerate() {
        text += &format!(
            "  Activity #{at}:\n    priority=0 preferredOrder=0 match=0x108000 specificIndex=-1 isDefault=true\n    \
             {}/{ACTIVITY}\n",
            app.package()
        );
    }
    Done::ok(text)
}
