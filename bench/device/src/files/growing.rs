//! A file that comes in piece by piece and has no name yet.
//!
//! ```text
//!   grow() ─► Growing ─ push … ─┬─ store(path) ─► a file
//!                               └─ dropped ─────► its room is free again
//! ```
//!
//! What has come counts as stored, so that many uploads at once cannot take more room than the device has.

use super::{Actor, Attributes, Content, FileError, Files, MAX_TOTAL_BYTES};

/// A file on its way in. Dropping it gives it up.
pub(crate) struct Growing {
    files: Files,
    content: Content,
}

impl Growing {
    pub(super) fn new(files: Files) -> Self {
        let content = Content::default();
        Self { files, content }
    }

    /// Appends a copy of these bytes.
    ///
    /// # Errors
    /// [`FileError::NoSpace`]; nothing is appended then.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), FileError> {
        let mut tree = self.files.tree();
        if tree.total_bytes + data.len() > MAX_TOTAL_BYTES {
            return Err(FileError::NoSpace);
        }
        tree.total_bytes += data.len();
        drop(tree);
        self.content.push(data);
        Ok(())
    }

    /// Gives it a name, in place of what has it.
    ///
    /// # Errors
    /// [`FileError`]; nothing is changed then, and the file is given up.
    pub(crate) fn store(mut self, path: &str, attributes: Attributes) -> Result<(), FileError> {
        let content = self.release();
        self.files.write_as(Actor::Shell, path, content, attributes)
    }

    fn release(&mut self) -> Content {
        let content = std::mem::take(&mut self.content);
        self.files.tree().total_bytes -= content.len();
        content
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        drop(self.release());
    }
}
