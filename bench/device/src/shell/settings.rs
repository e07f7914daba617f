//! `settings`: the three namespaces that every app and every person with a shell writes to.
//!
//! ```text
//!   settings get | put | delete | list | reset   system | secure | global
//! ```
//!
//! A value may hold line feeds, and `list` prints it as it is, as Android does.

use super::Done;
use crate::android::{Android, NAMESPACES};

pub(super) fn settings(android: &Android, args: &[&str]) -> Done {
    let args = match args {
        ["--user", _, rest @ ..] => rest,
        args => args,
    };
    match args {
        ["get" | "put" | "delete" | "list" | "reset", namespace, ..] if !NAMESPACES.contains(namespace) => {
            Done::fail(1, format!("Invalid namespace '{namespace}'\n"))
        }
        ["list", namespace] => {
            let settings = android.settings(namespace).into_iter();
            Done::ok(
                settings
                    .map(|(key, value)| format!("{key}={value}\n"))
                    .collect::<String>(),
            )
        }
        ["get", namespace, key] => {
            let value = android.setting(namespace, key);
            Done::ok(value.unwrap_or_else(|| "null".to_owned()) + "\n")
        }
        ["put", namespace, key, value] => {
            android.set_setting(namespace, key, value);
            Done::default()
        }
        ["delete", namespace, key] => Done::ok(format!(
            "Deleted {} rows\n",
            u8::from(android.delete_setting(namespace, key))
        )),
        // By package only what that package made a default; no package does on this device.
        ["reset", namespace, mode] => {
            if matches!(
                *mode,
                "untrusted_defaults" | "untrusted_clear" | "trusted_defaults"
            ) {
                android.reset_settings(namespace);
            }
            Done::default()
        }
        _ => Done::fail(
            1,
            "usage: settings list|get|put|delete|reset system|secure|global [KEY [VALUE]]\n",
        ),
    }
}
