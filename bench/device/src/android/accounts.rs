//! Accounts that apps keep with the system, as `dumpsys account` lists them.
//!
//! ```text
//!   authenticator (a package with an account type) ── add ──► account { name, type }
//!   authenticator uninstalled ──────────────────────────────► its accounts are gone
//! ```
//!
//! As on Android there is no shell command that adds or removes an account: an app adds one, and the system drops
//! those whose authenticator is no longer installed for the user. Clearing an authenticator's data keeps them.

use super::{Android, PackageError, State};

/// Accounts that a device keeps; one more is refused as by a full storage.
pub const ACCOUNTS_MAX: usize = 256;

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The type, which says whose it is.
    pub kind: String,
    /// Mostly a mail address.
    pub name: String,
}

impl Android {
    /// Adds an account, as its authenticator does after a person signed in.
    ///
    /// # Errors
    /// No package keeps accounts of this type, or there are [`ACCOUNTS_MAX`].
    pub fn add_account(&self, account: Account) -> Result<(), PackageError> {
        self.change(|state| {
            let mut packages = state.packages.values();
            if !packages.any(|package| package.account_type.as_ref() == Some(&account.kind)) {
                return Err(PackageError::Unknown(account.kind));
            }
            if state.accounts.len() >= ACCOUNTS_MAX {
                return Err(PackageError::Full);
            }
            state.accounts.retain(|old| *old != account);
            state.accounts.push(account);
            Ok(())
        })
    }

    /// All accounts, in the order in which they were added.
    pub fn accounts(&self) -> Vec<Account> {
        self.lock().accounts.clone()
    }

    /// Packages that keep accounts: the type and the package.
    pub fn authenticators(&self) -> Vec<(String, String)> {
        let state = self.lock();
        let packages = state.packages.iter();
        packages
            .filter_map(|(name, package)| Some((package.account_type.clone()?, name.clone())))
            .collect()
    }

    /// Makes an installed package keep accounts of a type, as its manifest would say.
    ///
    /// # Errors
    /// It is not installed.
    pub fn set_account_type(&self, package: &str, kind: &str) -> Result<(), PackageError> {
        self.change(|state| {
            state.installed(package)?.account_type = Some(kind.to_owned());
            Ok(())
        })
    }
}

impl State {
    pub(super) fn forget_accounts_of(&mut self, kind: Option<&str>) {
        self.accounts
            .retain(|account| Some(account.kind.as_str()) != kind);
    }
}
