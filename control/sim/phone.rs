//! What is really on a device of a world, in the agent's own words for it: a survey, and what no survey shows.
//!
//! ```text
//!   a person touches ──► files, settings, apps, accounts, notifications, clipboard      all marked by the epoch
//!   plan.rs' commands ─► run here as a device's shell would                             some fail
//! ```
//!
//! The commands are the ones that `host_agent::reset::plan` writes for real devices; a world's names need no quotes, so
//! words are what stands between spaces. A command that is not known here panics: the simulation must not believe
//! that it did something. It survives every crash: it is the device.

use std::collections::BTreeSet;

use host_agent::reset::Account;
use host_agent::reset::survey::Survey;
use host_agent::reset::witness::{WITNESS, Witness};
use protocol::Epoch;

use super::dice::Dice;

/// An app of the image that keeps accounts.
const OWN_APP: &str = "own.app";
/// The type of its accounts.
const OWN_KIND: &str = "own";
/// In every name that a person leaves; the epoch follows.
const MARK: &str = "mark";

/// A device.
#[derive(Debug, Clone)]
pub(super) struct Phone {
    pub(super) on: Survey,
    /// What no survey shows: whose texts are in the clipboard and in the log.
    unseen: BTreeSet<Epoch>,
    /// Apps that people started and nobody stopped.
    running: BTreeSet<String>,
    /// What is written in the witness of use.
    let_in: Option<Epoch>,
    /// Which of its boots this is.
    pub(super) boot: u32,
}

impl Phone {
    /// As its operator made it.
    pub(super) fn new() -> Self {
        let mut on = Survey {
            private: Some(BTreeSet::new()),
            ..Survey::default()
        };
        on.packages.insert(OWN_APP.to_owned());
        on.authenticators.insert(OWN_KIND.to_owned(), OWN_APP.to_owned());
        on.files.insert("/sdcard/own".to_owned(), Some("own".to_owned()));
        on.kept.insert("/sdcard/own".to_owned(), "own".to_owned());
        let settings = on.settings.entry("system".to_owned()).or_default();
        settings.insert("font_scale".to_owned(), "1.0".to_owned());
        Self {
            on,
            unseen: BTreeSet::new(),
            running: BTreeSet::new(),
            let_in: None,
            boot: 0,
        }
    }

    /// It starts anew: what is on it stays, and nothing runs.
    pub(super) fn boots(&mut self) {
        self.boot += 1;
        self.running.clear();
        self.on.notifying.clear();
    }

    /// Somebody acts under an epoch, and leaves something in one of the places.
    pub(super) fn touch(&mut self, epoch: Epoch, dice: &mut Dice) {
        let (mark, on) = (format!("{MARK}{epoch}"), &mut self.on);
        let app = format!("app.{mark}");
        match dice.below(9) {
            0 => drop(on.files.insert(format!("/sdcard/{mark}/file"), None)),
            1 => drop(on.folders.insert(format!("/sdcard/{mark}"))),
            2 => drop(on.files.insert("/sdcard/own".to_owned(), Some(mark))),
            3 => {
                let settings = on.settings.entry("system".to_owned()).or_default();
                settings.insert(mark.clone(), mark.clone());
                settings.insert("font_scale".to_owned(), mark);
            }
            4 => {
                on.packages.insert(app.clone());
                on.third_party.insert(app.clone());
                on.authenticators.insert(app.clone(), app.clone());
                on.private
                    .get_or_insert_default()
                    .insert(format!("/data/data/{app}/file"));
                on.accounts.insert(Account {
                    kind: app,
                    name: mark,
                });
            }
            5 => drop(on.accounts.insert(Account {
                kind: OWN_KIND.to_owned(),
                name: mark,
            })),
            6 => {
                // A notification of an app that is there: it is called after who wrote it.
                on.packages.insert(app.clone());
                on.third_party.insert(app.clone());
                on.notifying.insert(app.clone());
                on.recents.insert(app.clone());
                self.running.insert(app);
            }
            _ => drop(self.unseen.insert(epoch)),
        }
    }

    /// Somebody is let in.
    pub(super) fn is_let_in(&mut self, epoch: Epoch) {
        self.on.files.insert(WITNESS.to_owned(), None);
        self.let_in = Some(epoch);
    }

    /// What it says of whoever was let in last.
    pub(super) fn witness(&self) -> Option<Witness> {
        self.let_in.filter(|_| self.is_used()).map(Witness::Of)
    }

    /// Whether it bears the witness of use.
    pub(super) fn is_used(&self) -> bool {
        self.on.files.contains_key(WITNESS)
    }

    /// An app that a person started, and that nobody stopped, writes a file.
    pub(super) fn lives(&mut self) {
        if let Some(app) = self.running.first() {
            self.on.files.insert(format!("/sdcard/{app}"), None);
        }
    }

    /// Whose traces are on it.
    pub(super) fn traces(&self) -> BTreeSet<Epoch> {
        let on = &self.on;
        let settings = on
            .settings
            .values()
            .flatten()
            .flat_map(|(key, value)| [key, value]);
        let accounts = on
            .accounts
            .iter()
            .flat_map(|account| [&account.kind, &account.name]);
        let files = on
            .files
            .iter()
            .flat_map(|(path, hash)| [Some(path), hash.as_ref()])
            .flatten();
        let words = (on.packages.iter().chain(&on.folders).chain(&on.notifying))
            .chain(on.recents.iter().chain(on.private.iter().flatten()))
            .chain(settings)
            .chain(accounts)
            .chain(files);
        words
            .filter_map(|word| marked(word))
            .chain(self.unseen.iter().copied())
            .collect()
    }

    /// Runs a command of a plan.
    pub(super) fn run(&mut self, command: &str) {
        for part in command.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            self.obey(&part.split(' ').collect::<Vec<_>>());
        }
    }

    fn obey(&mut self, words: &[&str]) {
        let on = &mut self.on;
        match words {
            ["am", "force-stop", app] => {
                on.notifying.remove(*app);
                on.recents.remove(*app);
                self.running.remove(*app);
            }
            ["pm", "uninstall", app] | ["pm", "uninstall", "--user", "0", app] => {
                on.packages.remove(*app);
                on.third_party.remove(*app);
                self.running.remove(*app);
                on.authenticators.retain(|_, package| package != app);
                let kinds = &on.authenticators;
                on.accounts.retain(|account| kinds.contains_key(&account.kind));
                self.forget_private(app);
            }
            ["cmd", "package", "install-existing", "--user", "0", app] => {
                on.packages.insert((*app).to_owned());
                if *app == OWN_APP {
                    on.authenticators.insert(OWN_KIND.to_owned(), OWN_APP.to_owned());
                }
            }
            ["pm", "clear", app] => self.forget_private(app),
            ["settings", "delete", namespace, key] => {
                on.settings
                    .entry((*namespace).to_owned())
                    .or_default()
                    .remove(*key);
            }
            ["settings", "put", namespace, key, value] => {
                let settings = on.settings.entry((*namespace).to_owned()).or_default();
                settings.insert((*key).to_owned(), (*value).to_owned());
            }
            // A file of the operator comes back; its text is its hash here.
            ["echo", text, ">", _, "&&", "base64", "-d", _, ">", path] => {
                on.files.insert((*path).to_owned(), Some((*text).to_owned()));
            }
            ["rm", "-f", path] => drop(on.files.remove(*path)),
            ["mkdir", "-p", paths @ ..] => {
                on.folders.extend(paths.iter().map(|&path| path.to_owned()));
            }
            ["rm", "-rf", paths @ ..] => {
                let gone = |path: &str| paths.iter().any(|top| is_at_or_below(path, top));
                on.files.retain(|path, _| !gone(path));
                on.folders.retain(|path| !gone(path));
            }
            _ => panic!("no phone of a world knows {words:?}"),
        }
    }

    fn forget_private(&mut self, app: &str) {
        let folder = format!("/data/data/{app}/");
        if let Some(private) = &mut self.on.private {
            private.retain(|path| !path.starts_with(&folder));
        }
    }

    /// Empties what no survey shows.
    pub(super) fn clear(&mut self) {
        self.unseen.clear();
    }
}

fn is_at_or_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn marked(word: &str) -> Option<Epoch> {
    let digits = word.split_once(MARK)?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().map(Epoch)
}
