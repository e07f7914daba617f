//! Paths: their one form, the only link, and where the shell user may write.
//!
//! ```text
//!   //sdcard/./a/../b ──lexical──► /sdcard/b ──through the link──► /storage/self/primary/b
//! ```
//!
//! It knows names only, not what is there.

use super::FileError;

/// The only link, as on every Android.
pub(super) const LINK: &str = "/sdcard";
/// What it links to.
pub(super) const LINKED: &str = "/storage/self/primary";
/// Where the shell user may write.
const WRITABLE: [&str; 2] = ["/data/local/tmp", LINKED];

/// The path from the root without `.`, `..`, doubled and trailing slashes, through the link. Relative paths start at
/// the root, which is where adb's shell starts.
#[must_use]
pub fn normal(path: &str) -> String {
    let path = lexical(path);
    match path.strip_prefix(LINK) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{LINKED}{rest}"),
        _ => path,
    }
}

/// Where the link leads, if this is its name: with a slash after it, it is what it leads to.
#[must_use]
pub fn link_of(path: &str) -> Option<&'static str> {
    (!path.ends_with(['/', '.']) && lexical(path) == LINK).then_some(LINKED)
}

fn lexical(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// # Errors
/// The shell user may not write there.
pub(super) fn writable(path: &str) -> Result<(), FileError> {
    let inside = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if WRITABLE.into_iter().any(inside) {
        Ok(())
    } else {
        Err(FileError::Denied)
    }
}
