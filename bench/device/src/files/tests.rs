//! The file system's rules: where files are found, who may write, what is full.

use super::*;

const PLAIN: Attributes = Attributes {
    permissions: 0o644,
    mtime_s: 7,
};

fn text(files: &Files, path: &str) -> Bytes {
    files.read(path).unwrap().to_bytes()
}

#[test]
fn a_file_is_found_where_it_was_written_with_its_parents() {
    let files = Files::new(1);
    files
        .write("/sdcard//a/./b/../c.txt", Bytes::from_static(b"hi"), PLAIN)
        .unwrap();
    assert_eq!(text(&files, "/sdcard/a/c.txt"), "hi");
    let status = files.status("/sdcard/a/c.txt").unwrap();
    assert_eq!(
        status,
        Status {
            mode: 0o100_644,
            size: 2,
            mtime_s: 7
        }
    );
    files.append("/sdcard/a/c.txt", b"!", PLAIN).unwrap();
    assert_eq!(text(&files, "sdcard/a/c.txt"), "hi!");
    let names = |path| {
        files
            .list(path)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/sdcard"), ["Download", "a"]);
    assert_eq!(names("/"), ["data", "sdcard", "storage", "system"]);
    assert_eq!(names("/storage/self/primary/a"), ["c.txt"]);
}

#[test]
fn removing_gives_the_room_back() {
    let files = Files::new(1);
    let half = Bytes::from(vec![0; MAX_TOTAL_BYTES / 2]);
    files.write("/sdcard/1", half.clone(), PLAIN).unwrap();
    files.write("/sdcard/d/2", half.clone(), PLAIN).unwrap();
    files.write("/sdcard/1", half.clone(), PLAIN).unwrap();
    assert_eq!(
        files.write("/sdcard/3", Bytes::from_static(b"x"), PLAIN),
        Err(FileError::NoSpace)
    );
    assert_eq!(
        files.remove("/sdcard/d", Depth::FileOnly),
        Err(FileError::IsADirectory)
    );
    assert_eq!(
        files.remove("/sdcard/d", Depth::EmptyDirectory),
        Err(FileError::NotEmpty)
    );
    files.remove("/sdcard/d", Depth::Everything).unwrap();
    assert_eq!(files.read("/sdcard/d/2").err(), Some(FileError::NotFound));
    files.write("/sdcard/3", half, PLAIN).unwrap();
}

#[test]
fn the_shell_user_writes_only_where_it_may() {
    let files = Files::new(1);
    assert_eq!(
        files.write("/system/x", Bytes::new(), PLAIN),
        Err(FileError::Denied)
    );
    assert_eq!(
        files.write("/sdcardx/y", Bytes::new(), PLAIN),
        Err(FileError::Denied)
    );
    assert_eq!(
        files.write("/sdcard", Bytes::new(), PLAIN),
        Err(FileError::IsADirectory)
    );
    assert_eq!(files.remove("/sdcard", Depth::Everything), Err(FileError::Denied));
    assert_eq!(
        files.remove("/system/bin", Depth::Everything),
        Err(FileError::Denied)
    );
    files.write("/sdcard/f", Bytes::new(), PLAIN).unwrap();
    assert_eq!(
        files.write("/sdcard/f/g", Bytes::new(), PLAIN),
        Err(FileError::NotADirectory)
    );
    assert_eq!(
        files.make_directory("/sdcard/p/q", Parents::Require, 1),
        Err(FileError::NotFound)
    );
    files.make_directory("/sdcard/p/q", Parents::Create, 1).unwrap();
    assert_eq!(
        files.make_directory("/sdcard/p", Parents::Require, 1),
        Err(FileError::Exists)
    );
}

#[test]
fn the_number_of_entries_is_bounded() {
    let files = Files::new(1);
    let result = (0..MAX_ENTRIES).try_for_each(|n| files.write(&format!("/sdcard/{n}"), Bytes::new(), PLAIN));
    assert_eq!(result, Err(FileError::NoSpace));
}

#[test]
fn what_comes_in_takes_room_until_it_is_stored_or_given_up() {
    let files = Files::new(1);
    let mut first = files.grow();
    let half = vec![1; MAX_TOTAL_BYTES / 2];
    first.push(&half).unwrap();
    let mut second = files.grow();
    second.push(&half).unwrap();
    assert_eq!(second.push(b"x"), Err(FileError::NoSpace));
    assert_eq!(
        files.write("/sdcard/x", Bytes::from_static(b"x"), PLAIN),
        Err(FileError::NoSpace)
    );
    drop(second);
    first.store("/sdcard/first", PLAIN).unwrap();
    assert_eq!(files.status("/sdcard/first").unwrap().size, half.len() as u64);
    files.write("/sdcard/x", Bytes::from(half), PLAIN).unwrap();
    assert_eq!(files.append("/sdcard/x", b"x", PLAIN), Err(FileError::NoSpace));
    assert_eq!(files.append("/system/x", b"x", PLAIN), Err(FileError::Denied));
    assert_eq!(files.append("/sdcard", b"x", PLAIN), Err(FileError::IsADirectory));
}
