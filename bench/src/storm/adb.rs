//! Stock adb, with a server of its own: what devices themselves say that they took in.
//!
//! ```text
//!   adb -L <folder>/adb.sock ── connect ──► device's adbd ── dumpsys simulated ──► the last 256 events
//! ```
//!
//! A device is asked directly and by a foreign program, so that neither control nor agent is believed. Its log begins anew
//! when its process does. It knows of no leases.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

/// Stock adb, with a server of its own that ends with it.
pub(crate) struct Adb {
    folder: TempDir,
}

/// Something that a device took in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    /// Rises by one from event to event.
    pub(crate) seq: u64,
    pub(crate) kind: String,
    /// Pixels.
    pub(crate) x: i64,
    /// Pixels.
    pub(crate) y: i64,
    /// Unix time, microseconds.
    pub(crate) at_us: u64,
}

impl Event {
    /// Whether a finger did it that is on the screen from now on or still; a lift may be the product's own.
    pub(crate) fn is_touch(&self) -> bool {
        matches!(self.kind.as_str(), "down" | "move")
    }
}

impl Adb {
    /// A server that knows no device yet.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self { folder })
    }

    /// Makes the server know a device.
    pub(crate) fn connect(&self, device: &str) -> anyhow::Result<()> {
        let said = self.run(&["connect", device])?;
        ensure!(said.contains("connected to"), "adb connect {device}: {said}");
        Ok(())
    }

    /// The newest events of a device, oldest first.
    pub(crate) fn events(&self, device: &str) -> anyhow::Result<Vec<Event>> {
        let dump = self.run(&["-s", device, "shell", "dumpsys simulated"])?;
        let mut dump: Value = serde_json::from_str(&dump).context("dumpsys simulated is no JSON")?;
        Ok(serde_json::from_value(dump["events"].take())?)
    }

    fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let folder: &Path = self.folder.path();
        let server = format!("localfilesystem:{}", folder.join("adb.sock").display());
        let mut command = Command::new("adb");
        // Its key and its log are its own too, and it looks for devices nowhere else.
        command.env("HOME", folder).env("TMPDIR", folder);
        command.env("ADB_MDNS", "0").env("ADB_LIBUSB", "0");
        let output = command.args(["-L", &server]).args(words).output();
        let output = output.context("adb cannot be started; on Debian: apt-get install adb")?;
        ensure!(
            output.status.success(),
            "adb {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Adb {
    fn drop(&mut self) {
        // Without its folder nobody could end it.
        drop(self.run(&["kill-server"]));
    }
}
