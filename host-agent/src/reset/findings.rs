//! What is left on a device that was not there before: a survey against the baseline. Nothing means clean.
//!
//! Findings name kinds and numbers and never what a person wrote, for they go into logs and to control.

use std::collections::{BTreeMap, BTreeSet};

use crate::reset::files::missing;
use crate::reset::survey::{NAMESPACES, Survey};
use crate::reset::witness::WITNESS;

/// Settings that the system counts up by itself, whoever uses it.
const VOLATILE: [&str; 4] = [
    "boot_count",
    "Phenotype_boot_count",
    "Phenotype_flags",
    "network_watchlist_last_report_time",
];

/// The setting that a scrcpy server with `stay_awake` changes for as long as it lives, and what it makes of it: our own
/// server may run while a device is looked at, puts the old value back itself, and must not be put to sleep.
const KEPT_AWAKE: (&str, &str, &str) = ("global", "stay_on_while_plugged_in", "7");

/// Everything that is not as it was, in words for a log; empty when clean.
pub(crate) fn findings(baseline: &Survey, now: &Survey) -> Vec<String> {
    let nothing = BTreeSet::new();
    let counts = [
        (others(baseline, now).count(), "users"),
        (
            usize::from(now.locked == Some(true) && baseline.locked != Some(true)),
            "screen locks",
        ),
        (
            now.packages.difference(&baseline.packages).count(),
            "packages that were added",
        ),
        (
            baseline.packages.difference(&now.packages).count(),
            "packages missing",
        ),
        (replaced(baseline, now).count(), "packages replaced"),
        (settings_changed(baseline, now).count(), "settings changed"),
        (strangers(baseline, now).count(), "files or folders"),
        (usize::from(now.more), "look that did not see all files"),
        (missing(baseline, now).1.len(), "files missing"),
        (now.accounts.difference(&baseline.accounts).count(), "accounts"),
        (
            now.notifying.difference(&baseline.notifying).count(),
            "packages with notifications",
        ),
        (
            now.recents.difference(&baseline.recents).count(),
            "packages in the overview",
        ),
        (
            now.private.as_ref().unwrap_or(&nothing).len(),
            "private files of apps",
        ),
    ];
    let left = counts.into_iter().filter(|(count, _)| *count > 0);
    left.map(|(count, what)| format!("{count} {what}")).collect()
}

/// Users that were not there.
pub(crate) fn others<'a>(baseline: &'a Survey, now: &'a Survey) -> impl Iterator<Item = u32> {
    let known = |id: &u32| baseline.users.as_ref().is_some_and(|users| users.contains(id));
    let users = now.users.iter().flatten().copied();
    users.filter(move |id| !known(id))
}

/// Packages that are there as before by their names and have another APK: that of an update, or of whoever installed
/// his own under the name of the operator's.
pub(crate) fn replaced<'a>(baseline: &'a Survey, now: &'a Survey) -> impl Iterator<Item = &'a String> {
    let known = baseline.code.iter();
    let still = known.filter(|(package, _)| now.packages.contains(*package));
    let other = still.filter(|(package, place)| now.code.get(*package) != Some(place));
    other.map(|(package, _)| package)
}

/// Namespace, key and the value that it had; none for a key that was added.
pub(crate) fn settings_changed<'a>(
    baseline: &'a Survey,
    now: &'a Survey,
) -> impl Iterator<Item = (&'static str, &'a str, Option<&'a str>)> {
    NAMESPACES.into_iter().flat_map(|namespace| {
        let (before, after) = (table(baseline, namespace), table(now, namespace));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let ours = move |key: &str| {
            (namespace, key) == (KEPT_AWAKE.0, KEPT_AWAKE.1)
                && after.get(key).is_some_and(|value| value == KEPT_AWAKE.2)
        };
        let changed = keys.into_iter().filter(move |key| {
            before.get(*key) != after.get(*key) && !VOLATILE.contains(&key.as_str()) && !ours(key)
        });
        changed.map(move |key| (namespace, key.as_str(), before.get(key).map(String::as_str)))
    })
}

/// Files and folders that were not there, and files that are not what they were.
pub(crate) fn strangers<'a>(baseline: &'a Survey, now: &'a Survey) -> impl Iterator<Item = &'a str> {
    let folders = now.folders.difference(&baseline.folders);
    let files = now
        .files
        .iter()
        .filter(|(path, print)| match baseline.files.get(*path) {
            None => true,
            // Nobody can tell what was in it, so it counts as the same as long as it is there.
            Some(None) => false,
            Some(before) => before != *print,
        });
    let found = folders
        .map(String::as_str)
        .chain(files.map(|(path, _)| path.as_str()));
    // It goes when everything else has gone.
    found.filter(|path| *path != WITNESS)
}

fn table<'a>(survey: &'a Survey, namespace: &str) -> &'a BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    survey.settings.get(namespace).unwrap_or(&NONE)
}
