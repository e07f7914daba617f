//! Everything on a device that one person could leave to the next, as far as adb sees it.
//!
//! ```text
//!   shell ─► packages, activities, settings × 3, files with their hashes, accounts, notifications, overview
//!   su 0  ─► private files of installed apps, the wallpaper          only where the image has it (userdebug)
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
use crate::reset::listing::{self, Account};
use crate::shell_words::quote;

/// The namespaces of Android's settings.
pub(crate) const NAMESPACES: [&str; 3] = ["system", "secure", "global"];
/// Where people's files are; with the slash, for the first is a link.
const ROOTS: &str = "/sdcard/ /data/local/tmp/";
/// The pictures behind the launcher and the lock screen, which only root sees.
const WALLPAPERS: [&str; 4] = [
    "/data/system/users/0/wallpaper",
    "/data/system/users/0/wallpaper_orig",
    "/data/system/users/0/wallpaper_lock",
    "/data/system/users/0/wallpaper_lock_orig",
];
/// Bytes of words on one command line; adb and every shell take more.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

/// Who runs commands on a device: the agent under an epoch, or the one who has just reached it.
pub(crate) trait Shell {
    /// Runs a command to its end; gives its output. An exit code other than 0 is a failure.
    fn shell(&self, command: &str) -> impl Future<Output = Result<String, EffectError>> + Send;
}

impl Shell for Effects {
    async fn shell(&self, command: &str) -> Result<String, EffectError> {
        Effects::shell(self, command).await
    }
}

impl Shell for Host {
    async fn shell(&self, command: &str) -> Result<String, EffectError> {
        effects::run(self, command).await
    }
}

/// What is on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
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
    /// What is no folder, by path, with its hash; none where it is not known or of no interest.
    pub files: BTreeMap<String, Option<String>>,
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

/// Looks at everything. With a baseline only its files are hashed, for any other is of no interest anyway.
pub(crate) async fn survey(shell: &impl Shell, baseline: Option<&Survey>) -> Result<Survey, EffectError> {
    let code = listing::code(&shell.shell("pm list packages -f").await?);
    let mut found = Survey {
        packages: code.keys().cloned().collect(),
        code,
        third_party: listing::packages(&shell.shell("pm list packages -3").await?),
        ..Survey::default()
    };
    for category in ["LAUNCHER", "HOME"] {
        // Before Android 7 there is no such query; then what the image brings is left alone.
        let query = format!(
            "cmd package query-activities --brief -a android.intent.action.MAIN -c android.intent.category.{category} \
             2>/dev/null || true"
        );
        found
            .openable
            .extend(listing::activities(&shell.shell(&query).await?));
    }
    for namespace in NAMESPACES {
        let settings = listing::settings(&shell.shell(&format!("settings list {namespace}")).await?);
        found.settings.insert(namespace.to_owned(), settings);
    }
    let accounts = shell.shell("dumpsys account").await?;
    found.accounts = listing::accounts(&accounts);
    found.authenticators = listing::authenticators(&accounts);
    found.notifying = listing::notifying(&shell.shell("dumpsys notification --noredact").await?);
    found.recents = listing::recents(&shell.shell("dumpsys activity recents").await?);
    files(shell, baseline, &mut found).await?;
    Ok(found)
}

async fn files(shell: &impl Shell, baseline: Option<&Survey>, found: &mut Survey) -> Result<(), EffectError> {
    let is_root = shell
        .shell("su 0 id 2>/dev/null || true")
        .await?
        .contains("uid=0(");
    // Folders of apps on shared storage are closed even to the shell; `pm clear` empties those.
    let find = |su: &str, test: &str| format!("{su}find {test} -print0 2>/dev/null || true");
    let folders = shell
        .shell(&find("", &format!("{ROOTS} -mindepth 1 -type d")))
        .await?;
    found.folders = listing::paths(&folders);
    let files = shell
        .shell(&find("", &format!("{ROOTS} -mindepth 1 ! -type d")))
        .await?;
    let mut files = listing::paths(&files);
    hash(shell, "", &files, baseline, found).await?;
    if !is_root {
        return Ok(());
    }
    let wallpapers = format!("{} -type f", WALLPAPERS.join(" "));
    files = listing::paths(&shell.shell(&find("su 0 ", &wallpapers)).await?);
    hash(shell, "su 0 ", &files, baseline, found).await?;
    let folders = found
        .third_party
        .iter()
        .map(|package| quote(&format!("/data/data/{package}")));
    let mut private = BTreeSet::new();
    for folders in lines(folders) {
        let text = shell.shell(&find("su 0 ", &format!("{folders} -type f"))).await?;
        private.extend(listing::paths(&text));
    }
    found.private = Some(private);
    Ok(())
}

/// Notes the files, with the hashes of those that a baseline has, or of all.
async fn hash(
    shell: &impl Shell,
    su: &str,
    files: &BTreeSet<String>,
    baseline: Option<&Survey>,
    found: &mut Survey,
) -> Result<(), EffectError> {
    let of_interest = |path: &&String| {
        let known = baseline.is_none_or(|baseline| baseline.files.contains_key(*path));
        known && !path.contains(['\n', char::REPLACEMENT_CHARACTER])
    };
    let words = files.iter().filter(of_interest).map(|path| quote(path));
    let mut hashes = BTreeMap::new();
    for words in lines(words) {
        let text = shell
            .shell(&format!("{su}sha256sum {words} 2>/dev/null || true"))
            .await?;
        hashes.extend(listing::hashes(&text));
    }
    found
        .files
        .extend(files.iter().map(|path| (path.clone(), hashes.remove(path))));
    Ok(())
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
