//! A small secret file that is either old or new, whatever happens while it is written.
//!
//! ```text
//!   rm NAME.new ─► create NAME.new, 0600 ─► write ─► fsync ─► rename to NAME ─► fsync of the folder
//!                                        torn here: NAME is the old one    here: the new one, for good
//! ```
//!
//! A crash at any point leaves the old content or the new one, whole; a torn `NAME.new` is never read and makes way
//! for the next write. Control, agents and `up` keep their keys, passwords and fences through this one door, which is
//! here because it is the lowest crate that all of them know. It does not know what is in a file, and two writers of
//! one name at a time are the caller's to prevent. These calls block: not on a thread that serves others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Puts `bytes` in the place of `folder/name`, for the owner only, and returns once the disk has them.
///
/// # Errors
/// When anything on the way fails; the old content is then still there.
pub fn replace(folder: &Path, name: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    replace_by(&mut Kernel, folder, name.as_ref(), bytes)
}

/// What a replacement asks of the kernel. None of it is visible afterwards to a process that did not lose its power, so
/// tests note down what was asked, and in which order.
trait Steps {
    fn write(&mut self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self, path: &Path, file: &File) -> io::Result<()>;
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
}

struct Kernel;

impl Steps for Kernel {
    fn write(&mut self, _: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&mut self, _: &Path, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

fn replace_by(steps: &mut impl Steps, folder: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = folder.join(name);
    let beside = beside(&file);
    let mut new = create_new(&beside)?;
    steps.write(&beside, &mut new, bytes)?;
    steps.sync(&beside, &new)?;
    steps.rename(&beside, &file)?;
    // The rename itself is only on disk once the folder is. A bare file name lies in the folder we are in.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    steps.sync(folder, &File::open(folder)?)
}

/// The content of `folder/name`; `None` where there is none.
///
/// # Errors
/// When there is a file that cannot be read.
pub fn read(folder: &Path, name: impl AsRef<Path>) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `NAME.new` for `NAME`: two names never share one, and what is beside `NAME` is on the same disk.
fn beside(file: &Path) -> PathBuf {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    beside.into()
}

/// What an earlier crash left is removed, not written into: it might be a link, or open to others.
fn create_new(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Does what the kernel does, and notes it down; or fails at a step, as a disk does.
    #[derive(Default)]
    struct Noted {
        said: Vec<String>,
        fails_at: Option<usize>,
    }

    impl Noted {
        fn note(&mut self, what: &str, path: &Path) -> io::Result<()> {
            if self.fails_at == Some(self.said.len()) {
                return Err(io::Error::other("as the test wants it"));
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            self.said.push(format!("{what} {name}"));
            Ok(())
        }
    }

    impl Steps for Noted {
        fn write(&mut self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            self.note("write", path)?;
            Kernel.write(path, file, bytes)
        }

        fn sync(&mut self, path: &Path, file: &File) -> io::Result<()> {
            self.note("sync", path)?;
            Kernel.sync(path, file)
        }

        fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
            self.note("rename", to)?;
            Kernel.rename(from, to)
        }
    }

    #[test]
    fn the_disk_has_a_content_before_its_name_and_the_name_before_anybody_relies_on_it() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let wanted = ["write key.new", "sync key.new", "rename key", "sync folder"];
        let mut noted = Noted::default();
        replace_by(&mut noted, &folder, Path::new("key"), b"new").unwrap();
        assert_eq!(noted.said, wanted);
        assert_eq!(read(&folder, "key").unwrap().unwrap(), b"new");

        for fails_at in 0..wanted.len() {
            let mut noted = Noted {
                fails_at: Some(fails_at),
                ..Noted::default()
            };
            let failed = replace_by(&mut noted, &folder, Path::new("key"), b"newer");
            assert!(
                failed.is_err(),
                "{} failed and nobody heard of it",
                wanted[fails_at]
            );
            assert_eq!(noted.said, wanted[..fails_at], "nothing is done after it");
        }
    }

    #[test]
    fn a_sync_is_asked_of_the_kernel() {
        // What cannot be synced says so (fsync(2): EINVAL), and only to those who ask.
        let (pipe, _writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
        let refused = Kernel.sync(Path::new("pipe"), &pipe).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_torn_write_leaves_the_old_file_and_does_not_reach_into_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        replace(folder.path(), "key", b"old").unwrap();
        // The crash: half of a longer content, and nothing after it.
        let mut torn = create_new(&beside(&folder.path().join("key"))).unwrap();
        torn.write_all(b"half of something long").unwrap();
        assert_eq!(read(folder.path(), "key").unwrap().unwrap(), b"old");

        replace(folder.path(), "key", b"new").unwrap();
        assert_eq!(read(folder.path(), "key").unwrap().unwrap(), b"new");
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["key"]);
    }

    #[test]
    fn a_reader_at_any_moment_sees_one_whole_content() {
        let folder = tempfile::tempdir().unwrap();
        let contents = [vec![b'a'; 70_000], vec![b'b'; 3]];
        replace(folder.path(), "f", &contents[0]).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seen = read(folder.path(), "f").unwrap().expect("there is always one");
                    assert!(contents.contains(&seen), "{} bytes of a mixture", seen.len());
                }
            });
            for n in 1..40 {
                replace(folder.path(), "f", &contents[n % 2]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
    }

    #[test]
    fn a_file_is_for_its_owner_only_whatever_was_left_in_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let (open, elsewhere) = (folder.path().join("key.new"), folder.path().join("elsewhere"));
        fs::write(&open, "left").unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
        replace(folder.path(), "key", b"secret").unwrap();
        let mode = |name| {
            fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode("key"), 0o600);

        fs::write(&elsewhere, "theirs").unwrap();
        symlink(&elsewhere, &open).unwrap();
        replace(folder.path(), "key", b"secret again").unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"theirs");
        assert_eq!(read(folder.path(), "key").unwrap().unwrap(), b"secret again");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content_and_a_missing_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), "key").unwrap(), None);
        replace(folder.path(), "key", b"old").unwrap();
        fs::create_dir(folder.path().join("key.new")).unwrap();
        assert!(replace(folder.path(), "key", b"new").is_err());
        assert_eq!(read(folder.path(), "key").unwrap().unwrap(), b"old");
    }
}
