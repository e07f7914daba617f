//! What Android's tools print, as values. Pure; no line is trusted to be well formed, for people write into most of
//! them.
//!
//! ```text
//!   pm list packages -f       package:PATH=NAME, and a path may hold =
//!   pm list users             UserInfo{ID:NAME:FLAGS} running
//!   package query-activities  PACKAGE/ACTIVITY, on a line of its own with --brief
//!   settings list             KEY=VALUE, and a value may hold line feeds
//!   find -print0              PATH NUL                         names.rs
//!   sha256sum                 HEX, two spaces, PATH
//!   dumpsys account           Account {name=N, type=T} · AuthenticatorDescription {type=T}, ComponentInfo{PKG/CLASS}
//!   dumpsys notification      NotificationRecord(0x…: pkg=PKG …
//!   dumpsys activity recents  * Recent #0: Task{… type=standard A=UID:PKG …
//! ```
//!
//! Words as Android 9 to 15 print them. A text that looks like one of these lines can only add to what is found,
//! never hide anything.

use std::collections::{BTreeMap, BTreeSet};

/// An account that an app keeps with the system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// Empty when the line has none.
    pub kind: String,
    /// As its app calls it.
    pub name: String,
}

pub(crate) fn packages(text: &str) -> BTreeSet<String> {
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("package:"));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Where the APK of each package is.
pub(crate) fn code(text: &str) -> BTreeMap<String, String> {
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("package:"));
    let places = lines.filter_map(|line| line.rsplit_once('='));
    let places = places.filter(|(_, name)| !name.is_empty());
    places
        .map(|(place, name)| (name.to_owned(), place.to_owned()))
        .collect()
}

/// The users but the first, who is there on every device.
pub(crate) fn other_users(text: &str) -> BTreeSet<u32> {
    let users = text.lines().filter_map(|line| {
        let (id, _) = line.trim_start().strip_prefix("UserInfo{")?.split_once(':')?;
        id.parse().ok()
    });
    users.filter(|id| *id != 0).collect()
}

/// Whether people have to unlock the screen, by what `locksettings verify` without a credential says; none where the
/// tool is missing (before Android 8.1) or the device has no lock screen.
pub(crate) fn lock(text: &str) -> Option<bool> {
    let asks = ["didn't match", "Request throttled", "unified challenge"];
    if asks.iter().any(|words| text.contains(words)) {
        return Some(true);
    }
    text.contains("verified successfully").then_some(false)
}

/// The packages of the activities.
pub(crate) fn activities(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.contains(' '));
    let components = lines.filter_map(|line| line.split_once('/'));
    let packages = components.map(|(package, _)| package);
    packages
        .filter(|package| !package.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A line without `=` goes on with the value before it.
pub(crate) fn settings(text: &str) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut last: Option<String> = None;
    for line in text.lines() {
        match (line.split_once('='), &last) {
            (Some((key, value)), _) => {
                settings.insert(key.to_owned(), value.to_owned());
                last = Some(key.to_owned());
            }
            (None, Some(key)) => {
                let value: &mut String = settings.entry(key.clone()).or_default();
                value.push('\n');
                value.push_str(line);
            }
            (None, None) => {}
        }
    }
    settings
}

/// Sums and the paths that they are of.
pub(crate) fn hashes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines.filter(|(hash, _)| {
        hash.len() == SHA256_DIGITS && hash.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// Hexadecimal digits of a sum.
const SHA256_DIGITS: usize = 64;

pub(crate) fn accounts(text: &str) -> BTreeSet<Account> {
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Account {name="));
    let account = |line: &str| {
        let (name, kind) = line.rsplit_once(", type=").unwrap_or((line, ""));
        Account {
            kind: kind.trim_end_matches('}').to_owned(),
            name: name.to_owned(),
        }
    };
    lines.map(account).collect()
}

/// Which package keeps the accounts of a type.
pub(crate) fn authenticators(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| {
        let (_, line) = line.split_once("AuthenticatorDescription {type=")?;
        let (kind, line) = line.split_once('}')?;
        let (package, _) = line.split_once("ComponentInfo{")?.1.split_once('/')?;
        Some((kind.to_owned(), package.to_owned()))
    });
    lines.collect()
}

/// The packages that show notifications.
pub(crate) fn notifying(text: &str) -> BTreeSet<String> {
    let records = text
        .lines()
        .filter(|line| line.trim_start().starts_with("NotificationRecord("));
    let packages = records.filter_map(|line| line.split_once("pkg=")?.1.split(' ').next());
    packages.map(str::to_owned).collect()
}

/// The packages in the overview but the launcher.
pub(crate) fn recents(text: &str) -> BTreeSet<String> {
    let tasks = text
        .lines()
        .filter(|line| line.trim_start().starts_with("* Recent #"));
    let tasks = tasks.filter(|line| !line.contains("type=home"));
    let packages = tasks.filter_map(|line| line.split_once(" A=")?.1.split([' ', '}']).next());
    packages
        .map(|affinity| {
            affinity
                .split_once(':')
                .map_or(affinity, |(_, package)| package)
                .to_owned()
        })
        .collect()
}

/// For fuzzing: each reader of what a device prints.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let _ = (packages(text), code(text), activities(text), settings(text));
    let _ = (hashes(text).count(), accounts(text), authenticators(text));
    let _ = (notifying(text), recents(text), other_users(text), lock(text));
    super::files::fuzz(text);
    super::witness::Witness::fuzz(text);
    super::names::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn packages_and_activities_are_read_line_by_line_whatever_else_is_printed() {
        let listing = "WARNING: linker\npackage:dev.farglass.paint\r\npackage:\n package:org.example\n";
        assert_eq!(packages(listing), set(&["dev.farglass.paint", "org.example"]));
        let listing = "2 activities found:\n  Activity #0:\n    priority=0 match=0x1\n    org.a/.Main\n  org.b/org.b.X\n";
        assert_eq!(activities(listing), set(&["org.a", "org.b"]));
        assert_eq!(activities("No activities found"), set(&[]));
    }

    #[test]
    fn users_are_known_by_their_numbers_whatever_they_are_called() {
        let text = "Users:\n\tUserInfo{0:Owner:4c13} running\n\tUserInfo{10:UserInfo{7:x:0}:1030} running\n\
                    \tUserInfo{150:\nUserInfo{11:a: b}:10}\n";
        assert_eq!(other_users(text), BTreeSet::from([10, 11, 150]));
        assert_eq!(other_users("Users:\n\tUserInfo{0:Owner:13}\n"), BTreeSet::new());
    }

    #[test]
    fn a_screen_lock_is_known_by_what_its_tool_says_without_a_credential() {
        assert_eq!(lock("Lock credential verified successfully\n"), Some(false));
        assert_eq!(lock("Old password '' didn't match\n"), Some(true));
        assert_eq!(lock("Request throttled\n"), Some(true));
        let none = [
            "/system/bin/sh: locksettings: not found\n",
            "Unknown command: verify\n",
            "",
        ];
        assert_eq!(none.map(lock), [None; 3]);
    }

    #[test]
    fn the_place_of_a_packages_code_may_hold_what_separates_it_from_the_name() {
        let listing = "package:/data/app/~~a==/org.a-b==/base.apk=org.a\npackage:/product/app/B/B.apk=org.b\n\
                       package:org.c\n";
        let code = code(listing);
        assert_eq!(code["org.a"], "/data/app/~~a==/org.a-b==/base.apk");
        assert_eq!((code["org.b"].as_str(), code.len()), ("/product/app/B/B.apk", 2));
    }

    #[test]
    fn a_value_with_line_feeds_belongs_to_its_key_and_cannot_hide_one() {
        let settings = settings("a=1\nb=x\ny\n\nevil=1\nadb_enabled=0\n");
        assert_eq!(settings["b"], "x\ny\n");
        assert_eq!(
            settings.keys().collect::<Vec<_>>(),
            ["a", "adb_enabled", "b", "evil"]
        );
    }

    #[test]
    fn a_sum_has_a_form_and_its_path_may_hold_what_separates_them() {
        let sum = "0123456789abcdef".repeat(4);
        let text = format!("{sum}  /sdcard/a  b\n00ff  /sdcard/c\n\\{sum}  /sdcard/d\n{sum}");
        assert_eq!(hashes(&text).collect::<Vec<_>>(), [(&*sum, "/sdcard/a  b")]);
    }

    #[test]
    fn accounts_and_who_keeps_them() {
        let text = "  Accounts: 2\n    Account {name=a, type=b, type=org.c}\n    Account {name=broken\n\n  \
                    RegisteredServicesCache: 1 services\n    ServiceInfo: AuthenticatorDescription {type=org.c}, \
                    ComponentInfo{org.app/org.app.Auth}, uid 10001\n";
        let account = |kind: &str, name: &str| Account {
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        let expected = [account("", "broken"), account("org.c", "a, type=b")];
        assert_eq!(accounts(text), BTreeSet::from(expected));
        assert_eq!(authenticators(text)["org.c"], "org.app");
    }

    #[test]
    fn who_notifies_and_who_is_in_the_overview() {
        let text = "    NotificationRecord(0x0a: pkg=org.a user=UserHandle{0} id=1 tag=null key=0|org.a|1|null|1: N)\n";
        assert_eq!(notifying(text), set(&["org.a"]));
        let text = "  * Recent #0: Task{1 #3 type=home A=1000:org.home U=0}\n  * Recent #1: Task{2 #4 type=standard \
                    A=10001:org.a U=0 visible=false}\n  * Recent #2: Task{2 #4 type=standard A=org.b}\n";
        assert_eq!(recents(text), set(&["org.a", "org.b"]));
    }
}
