//! Packages that come in an APK: they are there, have a label and data, and show a plain page.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::app::App;
use super::{Android, PackageError};

/// Names of installed packages, of all devices of this process together, that are kept for good. Reached: a package of
/// yet another name fails as a full storage does.
pub const NAMES_MAX: usize = 4096;

impl Android {
    /// Installs a package, or another version of it, which keeps its data.
    ///
    /// # Errors
    /// It is one that comes with the device, or there is no room.
    pub fn install_app(&self, package: &str, label: &str) -> Result<(), PackageError> {
        if App::of_package(package).is_some() {
            return Err(PackageError::System(package.to_owned()));
        }
        let app = App::Installed(kept(package).ok_or(PackageError::Full)?);
        let is_new = self.package(package).is_none();
        self.install(package)?;
        if !is_new && self.package(package).is_some_and(|package| package.app.is_some()) {
            self.replace(package, label)?;
        }
        self.change(|state| {
            let installed = state.installed(package)?;
            match installed.app {
                None if !is_new => return Err(PackageError::System(package.to_owned())),
                _ => installed.app = Some(app),
            }
            label.clone_into(&mut installed.label);
            // Another version ends the one that runs.
            state.leave(Some(app));
            Ok(())
        })
    }
}

/// The name for as long as the process runs, so that whatever is in front can be named by a plain value.
fn kept(package: &str) -> Option<&'static str> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = names.get(package) {
        return Some(name);
    }
    if names.len() >= NAMES_MAX {
        return None;
    }
    let name: &'static str = Box::leak(package.into());
    names.insert(name);
    Some(name)
}
