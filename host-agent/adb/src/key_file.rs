//! The host's key on disk, as adb keeps it: `adbkey` (PEM, for nobody else to read) and `adbkey.pub` beside it.
//!
//! ```text
//!   no file ── made as a draft (0600), synced ── linked to its name: the first one wins ── adbkey.pub
//!   a file  ── read (bounded) ── a key, or an error that names the file; it is never replaced
//! ```
//!
//! It does not know what keys are for.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::key::{Key, KeyError, PublicKey};

/// Longest key file in bytes that is read: an RSA-2048 takes 1.7 kB, and a public key 0.7 kB a line. A longer one is cut,
/// and then mostly no key.
const MAX_FILE: u64 = 64 * 1024;

/// What to do when there is no key yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make one and keep it.
    Generate,
    /// Fail.
    Fail,
}

/// Why no key was loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file is missing, or cannot be read or written.
    #[error("the adb key {} cannot be had: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds no key, or none could be made.
    #[error("the adb key {} cannot be used: {error}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: KeyError,
    },
}

/// Loads the key at `path`, e.g. `~/.android/adbkey`; `name` is its owner as `user@host`. Blocks, and with
/// [`Missing::Generate`] works for a second or so.
///
/// # Errors
/// [`KeyFileError`] names the file. A file that is no key is never replaced.
pub fn load(path: &Path, name: &str, missing: Missing) -> Result<Key, KeyFileError> {
    match read(path) {
        Ok(pem) => Key::from_pem(&pem, name).map_err(|error| unusable(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Generate => {
            generate(path, name)
        }
        Err(error) => Err(failed(path, error)),
    }
}

/// Loads the public keys of hosts, one a line, as Android keeps them in `adb_keys`; empty lines are passed over. Blocks.
///
/// # Errors
/// [`KeyFileError`] names the file.
pub fn load_public(path: &Path) -> Result<Vec<PublicKey>, KeyFileError> {
    let text = read(path).map_err(|error| failed(path, error))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys = lines.map(|line| PublicKey::parse(line.as_bytes()));
    keys.collect::<Result<_, _>>()
        .map_err(|error| unusable(path, error))
}

fn read(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    io::read_to_string(io::Read::take(file, MAX_FILE))
}

/// Made under another name and linked, so that nobody reads half a key, and of two who start at once one wins.
fn generate(path: &Path, name: &str) -> Result<Key, KeyFileError> {
    let key = Key::generate(name).map_err(|error| unusable(path, error))?;
    let pem = key.to_pem().map_err(|error| unusable(path, error))?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let public = path.with_extension("pub");
    let written = write_new(&draft, pem.as_bytes()).and_then(|()| fs::hard_link(&draft, path));
    // A draft that was not written needs no removing.
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return load(path, name, Missing::Fail);
        }
        Err(error) => return Err(failed(path, error)),
    }
    fs::write(&public, format!("{}\n", key.public())).map_err(|error| failed(&public, error))?;
    Ok(key)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failed(path: &Path, error: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.to_owned(),
        error,
    }
}

fn unusable(path: &Path, error: KeyError) -> KeyFileError {
    KeyFileError::Key {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::key::PublicKey;

    #[test]
    fn a_missing_key_is_made_once_when_that_is_wanted_and_only_its_owner_may_read_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("adbkey");
        let refused = load(&path, "a@b", Missing::Fail).unwrap_err();
        assert!(matches!(refused, KeyFileError::Io { .. }), "{refused}");
        let made = load(&path, "a@b", Missing::Generate).unwrap();
        let again = load(&path, "a@b", Missing::Generate).unwrap();
        assert_eq!(made.public(), again.public());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let public = fs::read(folder.path().join("adbkey.pub")).unwrap();
        assert_eq!(&PublicKey::parse(&public).unwrap(), made.public());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no draft is left"
        );
    }

    #[test]
    fn a_file_that_is_no_key_is_told_and_left_as_it_is() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("adbkey");
        fs::write(&path, "not a key").unwrap();
        let refused = load(&path, "a@b", Missing::Generate).unwrap_err();
        assert!(
            matches!(
                refused,
                KeyFileError::Key {
                    error: KeyError::NotPem,
                    ..
                }
            ),
            "{refused}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"not a key");
    }
}
