//! The data folder of `farglass up`.
//!
//! ```text
//! DATA/up.lock          held while `up` runs: two of them on one folder would corrupt each other
//! DATA/up.json          for programs: where everything is; there exactly while everything runs and is ready.
//!                       0600, because it holds a password and tokens
//! DATA/up.last.json     the up.json of the last run: its links are used again
//! DATA/admin.json       written by control at its first boot
//! DATA/join-token       one-use token that control hands to the agent, 0600
//! DATA/scrcpy-server    the stand-in that the agent pushes to simulated devices
//! DATA/agent/           the agent's own
//! ```
//! Everything else in DATA is control's own.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use signaling::disk;

/// The login of the first admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admin {
    pub(crate) login: String,
    pub(crate) password: String,
}

/// A link that is ready to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadyLink {
    /// Id of its device.
    pub(crate) device: String,
    /// With the token in the fragment: whoever has it may play.
    pub(crate) url: String,
}

/// A device and where adb reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpDevice {
    pub(crate) id: String,
    /// `HOST:PORT`, as `adb connect` takes it.
    pub(crate) adb: String,
}

/// What `up.json` says. Its shape is a promise to programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpJson {
    pub(crate) url: String,
    pub(crate) admin: Admin,
    pub(crate) links: Vec<ReadyLink>,
    pub(crate) devices: Vec<UpDevice>,
}

/// The folder, ours until dropped.
pub(crate) struct Folder {
    path: PathBuf,
    /// The lock ends with the file.
    _lock: File,
}

impl Folder {
    /// Creates it if need be, proves that it can be written, takes its lock.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        // For its owner only: what is below it opens devices.
        let mut folder = DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| refused(path, error))?;
        let path = path.canonicalize().map_err(|error| refused(path, error))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("up.lock"))
            .map_err(|error| refused(&path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another farglass up runs on the data folder {}: end it, or choose another folder with --data",
                path.display()
            ),
            Err(TryLockError::Error(error)) => return Err(refused(&path, error)),
        }
        let folder = Self { path, _lock: lock };
        folder.write_private("up.probe", b"")?;
        fs::remove_file(folder.join("up.probe")).map_err(|error| refused(&folder.path, error))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `name` so that a reader sees the old content or the new, never half, and nobody else reads it.
    pub(crate) fn write_private(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        disk::replace(&self.path, name, content).map_err(|error| refused(&self.join(name), error))
    }

    /// The admin's login, which control has written at its first boot.
    pub(crate) fn admin(&self) -> anyhow::Result<Admin> {
        let path = self.join("admin.json");
        let text =
            fs::read(&path).with_context(|| format!("the admin's login {} is missing", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no admin's login", path.display()))
    }

    /// What the last run on this folder has written; `None` when there was none or it cannot be read.
    pub(crate) fn last_up(&self) -> Option<UpJson> {
        serde_json::from_slice(&fs::read(self.join("up.last.json")).ok()?).ok()
    }

    /// Sets `up.json` aside, at the start (after a run that could not end cleanly) and at the end.
    pub(crate) fn retire_up(&self) -> anyhow::Result<()> {
        match fs::rename(self.join("up.json"), self.join("up.last.json")) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(&self.path, error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn write_up(&self, up: &UpJson) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(up).context("up.json cannot be put in words")?;
        self.write_private("up.json", &text)
    }
}

fn refused(path: &Path, error: std::io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!(
        "the data folder cannot be written at {}: make it writable, or choose another with --data",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn up() -> UpJson {
        UpJson {
            url: "http://localhost:3000".into(),
            admin: Admin {
                login: "admin".into(),
                password: "secret".into(),
            },
            links: vec![ReadyLink {
                device: "d1".into(),
                url: "http://localhost:3000/l#t".into(),
            }],
            devices: vec![UpDevice {
                id: "d1".into(),
                adb: "127.0.0.1:7001".into(),
            }],
        }
    }

    #[test]
    fn up_json_has_exactly_the_promised_shape_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        folder.write_up(&up()).unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("up.json")).unwrap()).unwrap();
        let promised = serde_json::json!({
            "url": "http://localhost:3000",
            "admin": { "login": "admin", "password": "secret" },
            "links": [{ "device": "d1", "url": "http://localhost:3000/l#t" }],
            "devices": [{ "id": "d1", "adb": "127.0.0.1:7001" }],
        });
        assert_eq!(written, promised);
        let mode = fs::metadata(folder.join("up.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        folder.retire_up().unwrap();
        assert!(!folder.join("up.json").exists());
        assert_eq!(folder.last_up(), Some(up()), "the next run finds the links again");
    }

    #[test]
    fn a_second_start_on_the_same_folder_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path()).unwrap();
        let told = Folder::open(dir.path()).err().unwrap().to_string();
        assert!(
            told.contains("another farglass up") && told.contains("--data"),
            "{told}"
        );
        drop(first);
        Folder::open(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_with_the_way_out() {
        // A file in place of the folder: refused to root too, which permissions are not.
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = Folder::open(&file.path().join("data")).err().unwrap().to_string();
        assert!(
            told.contains("cannot be written") && told.contains("--data"),
            "{told}"
        );
    }
}
