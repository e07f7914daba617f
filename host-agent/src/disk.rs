//! A small file that is either old or new, whatever happens while it is written.
//!
//! ```text
//!   NAME.new ──write──► fsync ──rename──► NAME ──► fsync of the folder
//! ```
//!
//! A crash at any point leaves the old content or the new one, whole; a torn `NAME.new` is never read and
//! overwritten by the next write. It does not know what is in the file. These calls block: not on a thread
//! that serves others.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Puts `bytes` in the place of `folder/name`, for the owner only, and returns once the disk has them.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    // The rename itself is only on disk once the folder is.
    fs::File::open(folder)?.sync_all()
}

/// The content of `folder/name`; `None` where there is none.
pub(crate) fn read(folder: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
