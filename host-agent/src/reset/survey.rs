//! Everything on a device that one person could leave to the next, as far as adb sees it.
//!
//! ```text
//!   shell ─► users, screen lock, packages, activities, settings × 3, accounts, notifications, overview, files (files.rs)
//!   su 0  ─► private files of installed apps, the wallpaper, certificates that people trust
//!                                                                    only where the image has it (userdebug)
//! ```
//!
//! The baseline is a survey, the first of the device; a scan is a survey compared with it (findings.rs). Taking one
//! changes nothing. Where there is no root, private files are not seen, and `pm clear` has to be believed.
//!
//! It does not know what is to be done about what it finds (plan.rs).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use adb::Host;
use serde::{Deserialize, Serialize};

use crate::effects::{self, EffectError, Effects};
use crate::reset::files;
use crate::reset::listing::{self, Account};
use crate::reset::names::{Listed, Room};
use crate::shell_words::quote;

/// The namespaces of Android's settings.
pub(crate) const NAMESPACES: [&str; 3] = ["system", "secure", "global"];
/// Bytes of words on one command line: an adb server takes 64 KiB, and a shell twice that.
pub(crate) const LINE_BYTES_MAX: usize = 32 * 1024;
/// Names of private files that a look takes in: that there is one is all that counts.
const PRIVATE: Room = Room {
    names: 1_000,
    bytes: 256 << 10,
};

/// What an answer may be: a device that says more is refused, for all of it is kept.
#[derive(Clone, Copy)]
struct Bound {
    lines: usize,
    bytes: usize,
}

/// Packages, activities, settings of a namespace: a phone has some hundreds of each.
const LIST: Bound = Bound {
    lines: 10_000,
    bytes: 1 << 20,
};
/// What a service tells of itself: some thousand lines, of which few are kept.
const DUMP: Bound = Bound {
    lines: 40_000,
    bytes: adb::host::MAX_SHELL_OUTPUT,
};

/// Who runs commands on a device: the agent under an epoch, or the one who has just reached it.
pub(crate) trait Shell {
    /// Runs a command to its end; gives its output. An exit code other than 0 is a failure.
    fn shell(&self, command: &str) -> impl Future<Output = Result<String, EffectError>> + Send;

    /// Runs a command that prints names; takes as many as there is room for, and hangs up then.
    fn list(
        &self,
        command: &str,
        room: &mut Room,
    ) -> impl Future<Output = Result<Listed, EffectError>> + Send;
}

impl Shell for Effects {
    async fn shell(&self, command: &str) -> Result<String, EffectError> {
        Effects::shell(self, command).await
    }

    async fn list(&self, command: &str, room: &mut Room) -> Result<Listed, EffectError> {
        Effects::list(self, command, room).await
    }
}

impl Shell for Host {
    async fn shell(&self, command: &str) -> Result<String, EffectError> {
        effects::run(self, command).await
    }

    async fn list(&self, command: &str, room: &mut Room) -> Result<Listed, EffectError> {
        effects::list(self, command, room, || {}).await
    }
}

/// Lists the users.
pub(crate) const USERS: &str = "pm list users";

/// What is on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Users but the first; a work profile is one. None in a baseline that an agent took before it looked there.
    #[serde(default)]
    pub users: Option<BTreeSet<u32>>,
    /// Whether people have to unlock the screen; none where nobody can tell, and in an older baseline.
    #[serde(default)]
    pub locked: Option<bool>,
    /// All packages.
    pub packages: BTreeSet<String>,
    /// Where the APK of each is. Android gives every installation a place of its own, so that another place is another
    /// APK. Empty in a baseline that an agent took before it looked there.
    #[serde(default)]
    pub code: BTreeMap<String, String>,
    /// Those that are not a part of the system image.
    pub third_party: BTreeSet<String>,
    /// Those that a person can open: by their icon, or as the launcher.
    pub openable: BTreeSet<String>,
    /// By namespace and key.
    pub settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Paths of folders where people's files are.
    pub folders: BTreeSet<String>,
    /// What is no folder, by path, with a print by which a change is known; none where there is none or it is of no
    /// interest.
    pub files: BTreeMap<String, Option<String>>,
    /// The bytes of a baseline's small files, in base64, so that they can be brought back.
    #[serde(default)]
    pub kept: BTreeMap<String, String>,
    /// There are more files than a look takes in.
    #[serde(skip)]
    pub more: bool,
    /// Accounts of people.
    pub accounts: BTreeSet<Account>,
    /// Package by account type.
    pub authenticators: BTreeMap<String, String>,
    /// Packages that show notifications.
    pub notifying: BTreeSet<String>,
    /// Packages in the overview.
    pub recents: BTreeSet<String>,
    /// Files of third-party apps; none where the image lets nobody look.
    pub private: Option<BTreeSet<String>>,
}

/// Looks at everything. With a baseline, files are compared with its own.
pub(crate) async fn survey(shell: &impl Shell, baseline: Option<&Survey>) -> Result<Survey, EffectError> {
    let code = listing::code(&asked(shell, LIST, "packages", "pm list packages -f").await?);
    let mut found = Survey {
        packages: code.keys().cloned().collect(),
        code,
        third_party: listing::packages(&asked(shell, LIST, "packages", "pm list packages -3").await?),
        users: Some(listing::other_users(&asked(shell, LIST, "users", USERS).await?)),
        locked: locked(shell, baseline).await?,
        ..Survey::default()
    };
    for category in ["LAUNCHER", "HOME"] {
        // Before Android 7 there is no such query; then what the image brings is left alone.
        let query = format!(
            "cmd package query-activities --brief -a android.intent.action.MAIN -c android.intent.category.{category} \
             2>/dev/null || true"
        );
        let activities = asked(shell, LIST, "activities", &query).await?;
        found.openable.extend(listing::activities(&activities));
    }
    for namespace in NAMESPACES {
        let settings = asked(shell, LIST, "settings", &format!("settings list {namespace}")).await?;
        let settings = listing::settings(&settings);
        found.settings.insert(namespace.to_owned(), settings);
    }
    let accounts = asked(shell, DUMP, "accounts", "dumpsys account").await?;
    found.accounts = listing::accounts(&accounts);
    found.authenticators = listing::authenticators(&accounts);
    // Whose they are is all that counts: what they say stays on the device.
    found.notifying = listing::notifying(&asked(shell, DUMP, "notifications", "dumpsys notification").await?);
    found.recents = listing::recents(&asked(shell, DUMP, "overview", "dumpsys activity recents").await?);
    files::look(shell, baseline, &mut found).await?;
    of_root(shell, &mut found).await?;
    Ok(found)
}

/// Whether people have to unlock the screen. Android counts every question about a lock as an attempt to open it, so
/// that one which the operator has set is not asked about again.
async fn locked(shell: &impl Shell, baseline: Option<&Survey>) -> Result<Option<bool>, EffectError> {
    if let Some(Survey {
        locked: Some(true), ..
    }) = baseline
    {
        return Ok(Some(true));
    }
    let verify = "locksettings verify --user 0 2>&1 || true";
    Ok(listing::lock(
        &asked(shell, LIST, "the screen lock", verify).await?,
    ))
}

/// What only root sees.
async fn of_root(shell: &impl Shell, found: &mut Survey) -> Result<(), EffectError> {
    let who = asked(shell, DUMP, "asking for root", "su 0 id 2>/dev/null || true").await?;
    if !who.contains("uid=0(") {
        return Ok(());
    }
    files::of_the_system(shell, found).await?;
    let folders = found
        .third_party
        .iter()
        .map(|package| quote(&format!("/data/data/{package}")));
    let (mut private, mut room) = (BTreeSet::new(), PRIVATE);
    for folders in lines(folders) {
        let find = format!("su 0 find {folders} -type f -print0 2>/dev/null || true");
        let listed = shell.list(&find, &mut room).await;
        private.extend(listed.map_err(|error| error.of("private files"))?.names);
    }
    found.private = Some(private);
    Ok(())
}

/// A command's output; what fails is told by what it was for and not by its words, which may hold a person's.
async fn asked(shell: &impl Shell, bound: Bound, what: &str, command: &str) -> Result<String, EffectError> {
    let text = shell.shell(command).await.map_err(|error| error.of(what))?;
    if text.len() > bound.bytes || text.lines().nth(bound.lines).is_some() {
        return Err(EffectError::Failed {
            what: what.to_owned(),
            why: format!("more than {} lines or {} bytes", bound.lines, bound.bytes),
        });
    }
    Ok(text)
}

/// The words on as few lines as [`LINE_BYTES_MAX`] allows.
pub(crate) fn lines(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < LINE_BYTES_MAX => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}
