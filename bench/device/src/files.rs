//! The device's file system, in memory: directories, regular files and one link, with `/data/local/tmp` and what
//! `/sdcard` links to, to write in. It does not know who asks; adb's file transfer and the shell's commands both come here.
//!
//! ```text
//!   /data/local/tmp         writable, empty at start
//!   /storage/self/primary   writable, with Download    ◄── /sdcard, a link
//!   everything else         read-only, as for adb's shell user
//! ```
//!
//! Paths are absolute and lead through the link after [`normal`]; only [`Files::own_status`] and what lists a directory
//! see the link itself. There are no owners or access times, and nobody makes another link. Errors carry Linux's numbers and words.

mod content;
mod growing;
mod path;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

pub use content::Content;
pub(crate) use growing::Growing;
use path::{LINK, LINKED, parent, writable};
pub use path::{link_of, normal};

/// Bytes of all files together. Reached: writing fails with "No space left on device".
pub const MAX_TOTAL_BYTES: usize = 256 * 1024 * 1024;
/// Files and directories together. Reached: creating fails with "No space left on device".
pub const MAX_ENTRIES: usize = 65_536;
/// Directories that exist from the start.
const DIRECTORIES: [&str; 10] = [
    "/",
    "/data",
    "/data/local",
    "/data/local/tmp",
    "/storage",
    "/storage/self",
    LINKED,
    "/storage/self/primary/Download",
    "/system",
    "/system/bin",
];

/// The file system; cheap to clone, all clones are one.
#[derive(Clone)]
pub struct Files {
    tree: Arc<Mutex<Tree>>,
}

struct Tree {
    nodes: BTreeMap<String, Node>,
    /// Of all files, and of those that are on their way in.
    total_bytes: usize,
}

enum Node {
    Directory {
        mtime_s: u32,
    },
    File {
        content: Content,
        permissions: u32,
        mtime_s: u32,
    },
    /// To [`LINKED`].
    Link {
        mtime_s: u32,
    },
}

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Size in bytes; a directory's is 4096.
    pub size: u64,
    /// Unix time of the last change in seconds.
    pub mtime_s: u32,
}

/// How a file is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permissions, e.g. `0o644`.
    pub permissions: u32,
    /// Unix time of the change in seconds.
    pub mtime_s: u32,
}

/// Why nothing was done, in Linux's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// ENOENT.
    #[error("No such file or directory")]
    NotFound,
    /// EACCES.
    #[error("Permission denied")]
    Denied,
    /// EEXIST.
    #[error("File exists")]
    Exists,
    /// ENOTDIR.
    #[error("Not a directory")]
    NotADirectory,
    /// EISDIR.
    #[error("Is a directory")]
    IsADirectory,
    /// ENOSPC.
    #[error("No space left on device")]
    NoSpace,
    /// ENOTEMPTY.
    #[error("Directory not empty")]
    NotEmpty,
}

impl FileError {
    /// Linux's number for it.
    #[must_use]
    pub fn errno(self) -> u32 {
        match self {
            Self::NotFound => 2,
            Self::Denied => 13,
            Self::Exists => 17,
            Self::NotADirectory => 20,
            Self::IsADirectory => 21,
            Self::NoSpace => 28,
            Self::NotEmpty => 39,
        }
    }
}

impl Files {
    /// A fresh file system; `now_s` is the unix time in seconds of its directories.
    #[must_use]
    pub fn new(now_s: u32) -> Self {
        let nodes = DIRECTORIES.map(|path| (path.to_owned(), Node::Directory { mtime_s: now_s }));
        let link = (LINK.to_owned(), Node::Link { mtime_s: now_s });
        Self {
            tree: Arc::new(Mutex::new(Tree {
                nodes: nodes.into_iter().chain([link]).collect(),
                total_bytes: 0,
            })),
        }
    }

    /// Replaces a file's content, or creates it together with its missing parent directories.
    ///
    /// # Errors
    /// [`FileError`]; nothing is changed then.
    pub fn write(
        &self,
        path: &str,
        content: impl Into<Content>,
        attributes: Attributes,
    ) -> Result<(), FileError> {
        self.write_as(Actor::Shell, path, content.into(), attributes)
    }

    /// As [`Self::write`], also where only the system may write.
    ///
    /// # Errors
    /// [`FileError`]; nothing is changed then.
    pub(crate) fn write_as_system(
        &self,
        path: &str,
        content: impl Into<Content>,
        attributes: Attributes,
    ) -> Result<(), FileError> {
        self.write_as(Actor::System, path, content.into(), attributes)
    }

    fn write_as(
        &self,
        actor: Actor,
        path: &str,
        content: Content,
        attributes: Attributes,
    ) -> Result<(), FileError> {
        let path = normal(path);
        let mut tree = self.tree();
        let old = match tree.nodes.get(&path) {
            Some(Node::Directory { .. }) => return Err(FileError::IsADirectory),
            Some(Node::File { content, .. }) => content.len(),
            Some(Node::Link { .. }) => return Err(FileError::Denied),
            None => 0,
        };
        actor.may_write(&path)?;
        if tree.total_bytes - old + content.len() > MAX_TOTAL_BYTES {
            return Err(FileError::NoSpace);
        }
        tree.make_parents(&path, attributes.mtime_s)?;
        tree.total_bytes = tree.total_bytes - old + content.len();
        let Attributes { permissions, mtime_s } = attributes;
        tree.nodes.insert(
            path,
            Node::File {
                content,
                permissions: permissions & 0o7777,
                mtime_s,
            },
        );
        Ok(())
    }

    /// Appends to a file, or creates it.
    ///
    /// # Errors
    /// [`FileError`]; nothing is changed then.
    pub fn append(&self, path: &str, more: &[u8], attributes: Attributes) -> Result<(), FileError> {
        let key = normal(path);
        let mut tree = self.tree();
        let full = tree.total_bytes + more.len() > MAX_TOTAL_BYTES;
        match tree.nodes.get_mut(&key) {
            Some(Node::Directory { .. }) => return Err(FileError::IsADirectory),
            Some(Node::Link { .. }) => return Err(FileError::Denied),
            None => {
                drop(tree);
                return self.write(path, Bytes::copy_from_slice(more), attributes);
            }
            Some(Node::File { content, mtime_s, .. }) => {
                writable(&key)?;
                if full {
                    return Err(FileError::NoSpace);
                }
                content.push(more);
                *mtime_s = attributes.mtime_s;
            }
        }
        tree.total_bytes += more.len();
        Ok(())
    }

    /// Whether a file may be written there.
    ///
    /// # Errors
    /// [`FileError`] that writing it would give whatever it holds.
    pub(crate) fn may_write(&self, path: &str) -> Result<(), FileError> {
        let path = normal(path);
        match self.tree().nodes.get(&path) {
            Some(Node::Directory { .. }) => Err(FileError::IsADirectory),
            _ => writable(&path),
        }
    }

    /// A file that comes in piece by piece.
    pub(crate) fn grow(&self) -> Growing {
        Growing::new(self.clone())
    }

    /// Creates a directory; with `parents` also those above it, and it may exist already.
    ///
    /// # Errors
    /// [`FileError`]; nothing is changed then.
    pub fn make_directory(&self, path: &str, parents: Parents, now_s: u32) -> Result<(), FileError> {
        let path = normal(path);
        let mut tree = self.tree();
        match (tree.nodes.get(&path), parents) {
            (Some(Node::Directory { .. }), Parents::Create) => return Ok(()),
            (Some(_), _) => return Err(FileError::Exists),
            (None, Parents::Require) if !tree.nodes.contains_key(parent(&path)) => {
                return Err(FileError::NotFound);
            }
            (None, _) => {}
        }
        writable(&path)?;
        tree.make_parents(&path, now_s)?;
        tree.nodes.insert(path, Node::Directory { mtime_s: now_s });
        Ok(())
    }

    /// Removes a file, or with [`Depth::Everything`] a directory and all below it.
    ///
    /// # Errors
    /// [`FileError`]; nothing is changed then.
    pub fn remove(&self, path: &str, depth: Depth) -> Result<(), FileError> {
        self.remove_as(Actor::Shell, path, depth)
    }

    /// As [`Self::remove`], also where only the system may write.
    ///
    /// # Errors
    /// [`FileError`]; nothing is changed then.
    pub(crate) fn remove_as_system(&self, path: &str, depth: Depth) -> Result<(), FileError> {
        self.remove_as(Actor::System, path, depth)
    }

    fn remove_as(&self, actor: Actor, path: &str, depth: Depth) -> Result<(), FileError> {
        let path = normal(path);
        let mut tree = self.tree();
        let is_directory = matches!(
            tree.nodes.get(&path).ok_or(FileError::NotFound)?,
            Node::Directory { .. }
        );
        actor.may_write(&path)?;
        if DIRECTORIES.contains(&path.as_str()) {
            return Err(FileError::Denied);
        }
        if is_directory && depth == Depth::FileOnly {
            return Err(FileError::IsADirectory);
        }
        if is_directory && depth == Depth::EmptyDirectory && tree.children(&path).next().is_some() {
            return Err(FileError::NotEmpty);
        }
        if !is_directory && depth == Depth::EmptyDirectory {
            return Err(FileError::NotADirectory);
        }
        let below = format!("{path}/");
        let Tree { nodes, total_bytes } = &mut *tree;
        if !is_directory {
            *total_bytes -= nodes.remove(&path).map_or(0, |node| node.len());
            return Ok(());
        }
        nodes.retain(|name, node| {
            let goes = *name == path || name.starts_with(&below);
            *total_bytes -= if goes { node.len() } else { 0 };
            !goes
        });
        Ok(())
    }

    /// A file's content.
    ///
    /// # Errors
    /// [`FileError`] when it is missing or a directory.
    pub fn read(&self, path: &str) -> Result<Content, FileError> {
        match self.tree().nodes.get(&normal(path)).ok_or(FileError::NotFound)? {
            Node::File { content, .. } => Ok(content.clone()),
            Node::Directory { .. } | Node::Link { .. } => Err(FileError::IsADirectory),
        }
    }

    /// What is known of a path.
    ///
    /// # Errors
    /// [`FileError::NotFound`].
    pub fn status(&self, path: &str) -> Result<Status, FileError> {
        self.tree()
            .nodes
            .get(&normal(path))
            .map(Node::status)
            .ok_or(FileError::NotFound)
    }

    /// What is known of a path itself: of the link, unless a slash follows its name.
    ///
    /// # Errors
    /// [`FileError::NotFound`].
    pub fn own_status(&self, path: &str) -> Result<Status, FileError> {
        if link_of(path).is_none() {
            return self.status(path);
        }
        let tree = self.tree();
        let link = tree.nodes.get(LINK).ok_or(FileError::NotFound)?;
        Ok(link.status())
    }

    /// The names in a directory, sorted, each with what is known of it.
    ///
    /// # Errors
    /// [`FileError`] when it is missing or a file.
    pub fn list(&self, path: &str) -> Result<Vec<(String, Status)>, FileError> {
        let path = normal(path);
        let tree = self.tree();
        match tree.nodes.get(&path).ok_or(FileError::NotFound)? {
            Node::File { .. } | Node::Link { .. } => Err(FileError::NotADirectory),
            Node::Directory { .. } => Ok(tree
                .children(&path)
                .map(|(name, node)| (name.to_owned(), node.status()))
                .collect()),
        }
    }

    /// Bytes that all files take, those on their way in among them.
    #[must_use]
    pub fn room_taken(&self) -> usize {
        self.tree().total_bytes
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // A panic elsewhere leaves the tree as it was between two changes.
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who works on the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Actor {
    Shell,
    System,
}

impl Actor {
    fn may_write(self, path: &str) -> Result<(), FileError> {
        match self {
            Self::Shell => writable(path),
            Self::System => Ok(()),
        }
    }
}

/// What to do about missing directories above the one that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// Make them.
    Create,
    /// Fail.
    Require,
}

/// What may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// A file.
    FileOnly,
    /// A directory without entries.
    EmptyDirectory,
    /// Anything, with all below it.
    Everything,
}

impl Tree {
    /// Makes the directories above `path`, and sees to it that there is room for one entry more.
    fn make_parents(&mut self, path: &str, mtime_s: u32) -> Result<(), FileError> {
        let mut missing = Vec::new();
        let mut above = parent(path);
        loop {
            match self.nodes.get(above) {
                Some(Node::Directory { .. }) => break,
                Some(Node::File { .. } | Node::Link { .. }) => return Err(FileError::NotADirectory),
                None => missing.push(above.to_owned()),
            }
            above = parent(above);
        }
        if self.nodes.len() + missing.len() >= MAX_ENTRIES {
            return Err(FileError::NoSpace);
        }
        self.nodes.extend(
            missing
                .into_iter()
                .map(|path| (path, Node::Directory { mtime_s })),
        );
        Ok(())
    }

    fn children<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let below = if directory == "/" {
            "/".to_owned()
        } else {
            format!("{directory}/")
        };
        let range = self.nodes.range(below.clone()..);
        range
            .map_while(move |(path, node)| path.strip_prefix(&below).map(|name| (name, node)))
            .filter(|(name, _)| !name.is_empty() && !name.contains('/'))
    }
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Self::Directory { .. } | Self::Link { .. } => 0,
            Self::File { content, .. } => content.len(),
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::Directory { mtime_s } => Status {
                mode: adb::sync::S_IFDIR | 0o771,
                size: 4096,
                mtime_s: *mtime_s,
            },
            Self::Link { mtime_s } => Status {
                mode: adb::sync::S_IFLNK | 0o777,
                size: LINKED.len() as u64,
                mtime_s: *mtime_s,
            },
            Self::File {
                content,
                permissions,
                mtime_s,
            } => Status {
                mode: adb::sync::S_IFREG | permissions,
                size: content.len() as u64,
                mtime_s: *mtime_s,
            },
        }
    }
}

#[cfg(test)]
mod tests;
