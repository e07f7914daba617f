//! `content insert | query | delete`: the tables of the system's providers, where contacts, messages and the like are.
//!
//! ```text
//!   --uri content://AUTHORITY/PATH ──► the provider's package ──► a file below its databases, one line for each row
//! ```
//!
//! Clearing the package empties its tables, as on Android. Rows have columns of text only, and there are no conditions:
//! `delete` empties a table.

use super::Done;
use crate::android::{Android, PROVIDERS};

pub(super) fn content(android: &Android, args: &[&str]) -> Done {
    let [verb, "--uri", uri, rest @ ..] = args else {
        return Done::fail(
            255,
            "usage: adb shell content insert|query|delete --uri <URI> [--bind <BINDING>...]\n",
        );
    };
    let path = uri.strip_prefix("content://").unwrap_or_default();
    let authority = path.split('/').next().unwrap_or_default();
    let Some((_, package)) = PROVIDERS.iter().find(|(known, _)| *known == authority) else {
        return failed(&format!(
            "java.lang.IllegalStateException: Could not find provider: {authority}"
        ));
    };
    let file = format!("databases/{}", path.replace('/', "-"));
    let Some(provider) = android.package(package) else {
        return failed(&format!(
            "java.lang.IllegalStateException: Could not find provider: {authority}"
        ));
    };
    let table = provider.data.files.get(&file).cloned().unwrap_or_default();
    let mut table = String::from_utf8_lossy(&table).into_owned();
    match *verb {
        "insert" => {
            let columns = rest.chunks(2).filter_map(|pair| match pair {
                ["--bind", column] => {
                    let (name, value) = column.split_once(':')?;
                    Some(format!("{name}={}", value.split_once(':')?.1))
                }
                _ => None,
            });
            table += &format!("{}\n", columns.collect::<Vec<_>>().join(", "));
        }
        "delete" => table.clear(),
        "query" if table.is_empty() => return Done::ok("No result found.\n"),
        "query" => {
            let rows = table.lines().enumerate();
            return Done::ok(
                rows.map(|(at, row)| format!("Row: {at} {row}\n"))
                    .collect::<String>(),
            );
        }
        verb => return Done::fail(255, format!("[ERROR] Unsupported operation: {verb}\n")),
    }
    match android.write_app_file(package, &file, table.as_bytes()) {
        Ok(()) => Done::default(),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(why: &str) -> Done {
    Done::fail(1, format!("Error while accessing provider\n{why}\n"))
}
