//! Facts about a device that has just been reached, asked through its shell.
//!
//! ```text
//!   getprop ─► [ro.product.model]: [Pixel 8] … one listing, several facts
//!   wm size ─► Physical size: 720x1280 / Override size: 360x640        the override wins
//! ```
//!
//! Which encoders it has is found out by its first capture, whose server says so when there is none. It does
//! not know what the facts are used for.

use std::time::Duration;

use adb::Host;
use adb::host::ShellError;

use crate::custody::Boot;
use crate::effects::EffectError;
use crate::fingers::PictureSize;
use crate::reset::witness::{self, Witness};

/// How often a device that is booting is asked whether it is done.
const BOOT_POLL: Duration = Duration::from_secs(1);

/// What a device says about itself. Empty or `None`: it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    pub(crate) model: String,
    pub(crate) serial: String,
    /// Android's API level.
    pub(crate) sdk: Option<u32>,
    pub(crate) screen: Option<PictureSize>,
    pub(crate) boot: Boot,
    /// Who was let in last.
    pub(crate) witness: Option<Witness>,
}

/// Why a device that was reached is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("the device's shell failed: {0}")]
    Shell(#[from] ShellError),
    #[error("nobody can tell whether the device was used: {0}")]
    Witness(#[from] EffectError),
}

/// Waits until the device has booted and asks it.
pub(crate) async fn probe(host: &Host) -> Result<Facts, ProbeError> {
    let properties = loop {
        let output = host.shell("getprop").await?;
        let properties = String::from_utf8_lossy(&output.stdout).into_owned();
        if property(&properties, "sys.boot_completed") == Some("1") {
            break properties;
        }
        tokio::time::sleep(BOOT_POLL).await;
    };
    let size = host.shell("wm size").await?;
    Ok(Facts {
        witness: witness::read(host).await?,
        ..facts(&properties, &String::from_utf8_lossy(&size.stdout))
    })
}

fn facts(properties: &str, size: &str) -> Facts {
    let text = |name| property(properties, name).unwrap_or_default().to_owned();
    Facts {
        model: text("ro.product.model"),
        serial: text("ro.serialno"),
        sdk: property(properties, "ro.build.version.sdk").and_then(|sdk| sdk.parse().ok()),
        screen: screen(size),
        // Nanoseconds from the kernel's start to init's, so another number at every boot (Android 8 and later).
        boot: Boot::from(text("ro.boottime.init")),
        witness: None,
    }
}

/// The value of `[name]: [value]`.
pub(crate) fn property<'a>(listing: &'a str, name: &str) -> Option<&'a str> {
    listing.lines().find_map(|line| {
        let (key, value) = line.trim().split_once("]: [")?;
        (key.strip_prefix('[')? == name).then(|| value.strip_suffix(']'))?
    })
}

fn screen(text: &str) -> Option<PictureSize> {
    let size = |label: &str| {
        let size = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
        let (width, height) = size.trim().split_once('x')?;
        Some(PictureSize {
            width: width.parse().ok()?,
            height: height.parse().ok()?,
        })
    };
    size("Override size:").or_else(|| size("Physical size:"))
}

/// Entry point for fuzzing: any text as what `getprop` and `wm size` print.
pub fn fuzz(bytes: &[u8]) {
    let output = String::from_utf8_lossy(bytes);
    let _ = (property(&output, "sys.boot_completed"), facts(&output, &output));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_what_android_prints() {
        let properties = "[ro.build.version.sdk]: [34]\r\n[ro.product.model]: [Pixel 8]\n[ro.serialno]: []\n";
        let facts = facts(properties, "Physical size: 1080x2400\nOverride size: 720x1600\n");
        assert_eq!(
            (facts.model.as_str(), facts.serial.as_str(), facts.sdk),
            ("Pixel 8", "", Some(34))
        );
        assert_eq!(
            facts.screen,
            Some(PictureSize {
                width: 720,
                height: 1600
            })
        );
    }

    #[test]
    fn a_device_that_says_nothing_has_no_facts() {
        assert_eq!(facts("", "cmd: wm not found"), Facts::default());
        assert_eq!(
            facts("[ro.product.model]: [half", "Physical size: 0x"),
            Facts::default()
        );
    }
}
