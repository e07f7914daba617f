//! What has to be run so that a device is as its baseline again. Pure: a survey and the baseline in, commands out.
//!
//! ```text
//!   added users         am switch-user 0, pm remove-user       before all else: what the tools tell is of the user in front;
//!                                                              their apps, files, settings and accounts go with them
//!   added packages      am force-stop, pm uninstall            their data, accounts and notifications go with them
//!   updates of the      am force-stop, pm uninstall            the image's own APK is there again; who replaced one that
//!   image's packages                                           the operator installed has taken it away, and is found
//!   accounts            the image's authenticator is uninstalled for the user and installed again: the system drops
//!                       the accounts of an authenticator that is gone, and there is no command that removes one
//!   apps                am force-stop, pm clear                installed ones, and of the image those that people
//!                                                              open and those that keep what people enter
//!   settings            settings delete, put                   what was added, what was changed
//!   files               rm -rf                                 what is new, and what is not what it was
//!                       mkdir, base64 -d                       small ones of the baseline that are gone or changed;
//!                                                              larger ones need the operator, and are found
//!   certificates        rm, as root                            those that people added
//!   notifications       am force-stop of who shows them        there is no command that cancels one
//!   screen lock         –                                      nobody opens it who does not know it: it is found
//! ```
//!
//! The plan of a device that was half wiped is the rest of the wipe. It does not know how commands are run.

use std::collections::BTreeSet;

use crate::reset::files::{is_of_trust, missing};
use crate::reset::findings::{others, replaced, settings_changed, strangers};
use crate::reset::survey::{LINE_BYTES_MAX, Survey, USERS, lines};
use crate::shell_words::quote;

/// Parts of the image that nobody opens and that keep what people enter, take and receive.
const KEEPERS: [&str; 16] = [
    "com.android.shell",
    "com.android.providers.contacts",
    "com.android.providers.calendar",
    "com.android.providers.telephony",
    "com.android.providers.blockednumber",
    "com.android.providers.userdictionary",
    "com.android.providers.downloads",
    "com.android.providers.media",
    "com.android.providers.media.module",
    "com.google.android.providers.media.module",
    "com.android.inputmethod.latin",
    "com.google.android.inputmethod.latin",
    "com.android.documentsui",
    "com.google.android.documentsui",
    "com.android.bookmarkprovider",
    "com.android.printspooler",
];

/// Where installed APKs are, updates of the image's packages among them.
const INSTALLED: &str = "/data/app/";

/// One command and what shows that it worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// For the log; never what a person wrote.
    pub what: String,
    /// For the device's shell.
    pub command: String,
    /// A word that the output has to hold: package managers exit with 0 whatever happens.
    pub says: Option<&'static str>,
    /// What is true only some time after the command has ended.
    pub until: Option<Until>,
}

/// A line of a command's output that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    /// Asked again and again.
    pub command: &'static str,
    /// What the line begins with.
    pub line: String,
    /// Whether it has to come; else it has to go.
    pub comes: bool,
}

impl Until {
    pub(crate) fn holds(&self, output: &str) -> bool {
        let mut lines = output.lines();
        lines.any(|line| line.trim_start().starts_with(&self.line)) == self.comes
    }
}

/// What to spare this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spare {
    /// A server of our own that may just be starting.
    Servers,
    /// Nothing: somebody may have given his file such a name.
    Nothing,
}

/// What makes the first user the only one, as far as the operator wants it. Nothing else can be planned before: while
/// another user is in front, the tools tell of him.
pub(crate) fn alone(baseline: &Survey, now: &Survey) -> Vec<Action> {
    // An operator may have had users before his agent looked for them. Who they are he has to say.
    let mut added = others(baseline, now)
        .filter(|_| baseline.users.is_some())
        .peekable();
    let mut actions = Vec::new();
    if added.peek().is_some() {
        actions.push(Action {
            what: "the first user in front".to_owned(),
            command: "am switch-user 0".to_owned(),
            says: None,
            until: Some(Until {
                command: "am get-current-user",
                line: "0".to_owned(),
                comes: true,
            }),
        });
    }
    actions.extend(added.map(|id| Action {
        what: "users".to_owned(),
        // One who is leaving already is not removed again: what counts is that he goes.
        command: format!("pm remove-user {id} || true"),
        says: None,
        until: Some(Until {
            command: USERS,
            line: format!("UserInfo{{{id}:"),
            comes: false,
        }),
    }));
    actions
}

/// The whole plan, in its order, for a device whose users are the operator's.
pub(crate) fn plan(baseline: &Survey, now: &Survey, spare: Spare) -> Vec<Action> {
    let mut actions = Vec::new();
    packages(baseline, now, &mut actions);
    accounts(baseline, now, &mut actions);
    clear(baseline, now, &mut actions);
    settings(baseline, now, &mut actions);
    files(baseline, now, spare, &mut actions);
    let showing = now.notifying.difference(&baseline.notifying);
    let showing = showing.chain(now.recents.difference(&baseline.recents));
    let stops = showing.collect::<BTreeSet<_>>().into_iter();
    let stops = stops.map(|package| format!("am force-stop {};", quote(package)));
    let stops = lines(stops).into_iter();
    actions.extend(stops.map(|command| action("notifications and overview", command)));
    actions
}

fn action(what: impl Into<String>, command: String) -> Action {
    Action {
        what: what.into(),
        command,
        says: None,
        until: None,
    }
}

fn packages(baseline: &Survey, now: &Survey, actions: &mut Vec<Action>) {
    let added = now.packages.difference(&baseline.packages);
    actions.extend(added.map(|package| {
        let package = quote(package);
        Action {
            what: format!("uninstall {package}"),
            command: format!("am force-stop {package}; pm uninstall {package}"),
            says: Some("Success"),
            until: None,
        }
    }));
    let of_image = |package: &&String| {
        let place = baseline.code.get(*package);
        place.is_some_and(|place| !place.starts_with(INSTALLED))
    };
    let updated = replaced(baseline, now).filter(of_image);
    actions.extend(updated.map(|package| {
        let package = quote(package);
        Action {
            what: format!("take back the update of {package}"),
            command: format!("am force-stop {package}; pm uninstall {package}"),
            says: Some("Success"),
            until: None,
        }
    }));
    let missing = baseline.packages.difference(&now.packages);
    actions.extend(missing.map(|package| install_existing(package)));
}

fn install_existing(package: &str) -> Action {
    let package = quote(package);
    action(
        format!("bring back {package}"),
        format!("cmd package install-existing --user 0 {package}"),
    )
}

/// Accounts of added packages are gone with them; those of other packages that are not of the image cannot be
/// removed, and the scan will find them.
fn accounts(baseline: &Survey, now: &Survey, actions: &mut Vec<Action>) {
    let left = now.accounts.difference(&baseline.accounts);
    let keepers = left.filter_map(|account| now.authenticators.get(&account.kind));
    let of_image =
        keepers.filter(|package| baseline.packages.contains(*package) && !now.third_party.contains(*package));
    for package in of_image.collect::<BTreeSet<_>>() {
        actions.push(Action {
            what: format!("accounts of {package}"),
            command: format!("pm uninstall --user 0 {}", quote(package)),
            says: Some("Success"),
            until: None,
        });
        actions.push(install_existing(package));
    }
}

fn clear(baseline: &Survey, now: &Survey, actions: &mut Vec<Action>) {
    let of_people = |package: &&String| {
        let package = *package;
        let keeps = now.third_party.contains(package)
            || now.openable.contains(package)
            || KEEPERS.contains(&package.as_str());
        keeps && baseline.packages.contains(package)
    };
    actions.extend(now.packages.iter().filter(of_people).map(|package| {
        let package = quote(package);
        Action {
            what: format!("clear {package}"),
            command: format!("am force-stop {package}; pm clear {package}"),
            says: Some("Success"),
            until: None,
        }
    }));
}

fn settings(baseline: &Survey, now: &Survey, actions: &mut Vec<Action>) {
    let commands = settings_changed(baseline, now).map(|(namespace, key, before)| match before {
        None => format!("settings delete {namespace} {};", quote(key)),
        Some(value) => format!("settings put {namespace} {} {};", quote(key), quote(value)),
    });
    let mut batch = Vec::new();
    for command in commands {
        let length: usize = batch.iter().map(String::len).sum();
        // Every command is a process on the device: more of them than this would outlast the shell's limit.
        if batch.len() == SETTINGS_BATCH || length + command.len() > LINE_BYTES_MAX {
            actions.push(action("settings", batch.join(" ")));
            batch.clear();
        }
        batch.push(command);
    }
    if !batch.is_empty() {
        actions.push(action("settings", batch.join(" ")));
    }
}

/// Settings that one command line puts back; each takes some 50 ms on a slow device.
const SETTINGS_BATCH: usize = 100;

fn files(baseline: &Survey, now: &Survey, spare: Spare, actions: &mut Vec<Action>) {
    let spared = |path: &str| {
        let ours = path.starts_with("/data/local/tmp/farglass-") && path.ends_with(".jar");
        spare == Spare::Servers && ours
    };
    let paths: BTreeSet<&str> = strangers(baseline, now).filter(|path| !spared(path)).collect();
    // A folder takes what is below it along.
    let inside = |path: &str| {
        path.match_indices('/')
            .any(|(end, _)| paths.contains(&path[..end]))
    };
    let tops = paths.iter().copied().filter(|path| !inside(path));
    let of_root = |path: &&str| path.starts_with("/data/system/") || is_of_trust(path);
    let (private, shared): (Vec<&str>, Vec<&str>) = tops.partition(of_root);
    let shared = lines(shared.into_iter().map(quote)).into_iter();
    actions.extend(shared.map(|paths| action("files", format!("rm -rf {paths}"))));
    // Certificates may have been there before an agent looked for them, as users may.
    let known = |path: &&str| baseline.users.is_some() || !is_of_trust(path);
    let private = lines(private.into_iter().filter(known).map(quote)).into_iter();
    actions.extend(private.map(|paths| action("wallpaper and certificates", format!("su 0 rm -f {paths}"))));
    if now.more {
        // What was not seen may be there. Another look follows, and it finds what is missing.
        return;
    }
    let (folders, gone) = missing(baseline, now);
    let folders = lines(folders.into_iter().map(quote)).into_iter();
    actions.extend(folders.map(|folders| action("bring back folders", format!("mkdir -p {folders}"))));
    let changed = paths.iter().copied();
    let kept = gone.into_iter().chain(changed);
    let kept = kept.filter_map(|path| Some((path, baseline.kept.get(path)?)));
    actions.extend(kept.map(|(path, text)| bring_back(path, text)));
}

/// One command for each file: a wipe that ends between two of them finds the other one missing. The text is a stranger
/// itself until it is gone again.
fn bring_back(path: &str, text: &str) -> Action {
    let path = quote(path);
    let command = format!(
        "echo {} > {TEXT} && base64 -d {TEXT} > {path}; rm -f {TEXT}",
        quote(text)
    );
    action("bring back a file", command)
}

/// Where the text of a file lies that is being brought back.
const TEXT: &str = "/data/local/tmp/farglass-text";

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
