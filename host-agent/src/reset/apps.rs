//! The quick strategy, for a device that its people share knowingly: every app that was installed loses its data,
//! the clipboard is emptied, the launcher is in front.
//!
//! ```text
//!   pm list packages -3 ─► for each: am force-stop, pm clear ─► clipboard ─► HOME
//! ```
//!
//! Files on shared storage, accounts and settings stay, and nobody vouches for the device afterwards: the fence does not
//! call it clean. Control asks for it with every prepare; custody.rs makes more of it where somebody else was there, and
//! nothing where the device was wiped. It does not know leases, and which epoch it works under is the business of its
//! [`Effects`].

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::effects::{EffectError, Effects};
use crate::reset::{Cleaning, Step, Strategy, listing};
use crate::shell_words::quote;

/// Apps that are cleaned; a device with more is not one that people share. More is a failure, because the
/// rest would stay dirty.
const PACKAGES_MAX: usize = 500;

/// The quick strategy.
pub(super) struct WipeApps;

impl Strategy for WipeApps {
    fn clean<'a>(&'a self, effects: &'a Effects, progress: &'a mut (dyn FnMut(u8) + Send)) -> Cleaning<'a> {
        Box::pin(wipe_apps(effects, progress))
    }
}

async fn wipe_apps(
    effects: &Effects,
    progress: &mut (dyn FnMut(u8) + Send),
) -> Result<Vec<Step>, EffectError> {
    let mut steps = Vec::new();
    let mut since = Instant::now();
    let mut done = |what: String, steps: &mut Vec<Step>| {
        let now = Instant::now();
        steps.push(Step {
            what,
            took: now - since,
        });
        since = now;
    };
    let packages = packages(&effects.shell("pm list packages -3").await?)?;
    done("list".to_owned(), &mut steps);
    let total = packages.len() + 1;
    for (n, package) in packages.iter().enumerate() {
        progress(percent(n, total));
        clear(effects, package).await?;
        done(format!("clear {package}"), &mut steps);
    }
    progress(percent(packages.len(), total));
    effects.clear_clipboard().await?;
    // By the shell, which answers when it is done: a key on the control socket overtakes nothing but is
    // overtaken by the `am start` that follows, and the launcher would end in front of the app.
    effects.shell("input keyevent KEYCODE_HOME").await?;
    done("clipboard and home".to_owned(), &mut steps);
    progress(100);
    Ok(steps)
}

/// What takes an app's data away, for the device's shell: the app must not write while that is done.
#[must_use]
pub fn clearing(package: &str) -> [String; 2] {
    let package = quote(package);
    [format!("am force-stop {package}"), format!("pm clear {package}")]
}

async fn clear(effects: &Effects, package: &str) -> Result<(), EffectError> {
    let [stop, command] = clearing(package);
    effects.shell(&stop).await?;
    let said = effects.shell(&command).await?;
    // Older package managers exit with 0 whatever happens.
    if said.contains("Success") {
        return Ok(());
    }
    Err(EffectError::Failed {
        what: command,
        why: said.trim().to_owned(),
    })
}

fn percent(done: usize, total: usize) -> u8 {
    u8::try_from(done * 100 / total).unwrap_or(100)
}

/// The names in the listing, if they are not too many.
fn packages(listing: &str) -> Result<BTreeSet<String>, EffectError> {
    let packages = listing::packages(listing);
    if packages.len() > PACKAGES_MAX {
        return Err(EffectError::Failed {
            what: "pm list packages".to_owned(),
            why: format!("{} apps, more than {PACKAGES_MAX}", packages.len()),
        });
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_with_too_many_apps_is_not_half_cleaned() {
        let listing: String = (0..=PACKAGES_MAX).map(|n| format!("package:a{n}\n")).collect();
        assert!(packages(&listing).is_err());
    }
}
