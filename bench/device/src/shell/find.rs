//! `find` and `sha256sum` over a tree of files: what the shell sees, or what root sees.
//!
//! Of toybox's tests there are `-mindepth`, `-maxdepth`, `-type` with an optional `!` before it, and both ways of
//! printing. Another one is refused.

use std::collections::BTreeMap;

use adb::sync::{S_IFLNK, S_IFMT};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::Done;
use crate::android::Android;
use crate::files::{Content, Files, link_of, normal};

/// Everything that somebody sees, by path.
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
}

enum Node {
    Directory,
    Link,
    File(Content),
}

/// What is looked for.
#[derive(Default)]
struct Wanted {
    depth_min: usize,
    depth_max: Option<usize>,
    /// The letter of its type, and whether it is to be that; none takes all.
    kind: Option<(char, bool)>,
    zero: bool,
}

impl Tree {
    /// As the shell user sees it.
    pub(super) fn of_shell(files: &Files) -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
        };
        tree.walk(files, "/");
        tree
    }

    /// As root sees it.
    pub(super) fn of_root(files: &Files, android: &Android) -> Self {
        let mut tree = Self::of_shell(files);
        for (path, content) in android.private_files() {
            let folders = path
                .match_indices('/')
                .skip(1)
                .map(|(end, _)| path[..end].to_owned());
            tree.nodes.extend(folders.map(|folder| (folder, Node::Directory)));
            tree.nodes.insert(path, Node::File(Bytes::from(content).into()));
        }
        tree
    }

    /// A file's content, if there is such a file.
    pub(super) fn file(&self, path: &str) -> Option<&Content> {
        match self.nodes.get(&normal(path)) {
            Some(Node::File(content)) => Some(content),
            Some(Node::Directory | Node::Link) | None => None,
        }
    }

    fn walk(&mut self, files: &Files, directory: &str) {
        for (name, status) in files.list(directory).unwrap_or_default() {
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            if status.mode & S_IFMT == S_IFLNK {
                self.nodes.insert(path, Node::Link);
                continue;
            }
            match files.read(&path) {
                Ok(content) => drop(self.nodes.insert(path, Node::File(content))),
                Err(_) => {
                    self.walk(files, &path);
                    self.nodes.insert(path, Node::Directory);
                }
            }
        }
    }

    /// What is at `start` and below it, sorted, by the paths that begin with `start` as it is, each with its depth. The
    /// link has nothing below it, but for who writes a slash after it.
    fn below(&self, start: &str) -> Vec<(String, usize, &Node)> {
        if link_of(start).is_some() {
            return vec![(start.to_owned(), 0, &Node::Link)];
        }
        let normal = normal(start);
        let normal = normal.trim_end_matches('/');
        let inside = self.nodes.iter().filter_map(|(path, node)| {
            let rest = path.strip_prefix(normal)?;
            let shown = match rest.is_empty() {
                true => start.to_owned(),
                false => format!("{}{rest}", start.trim_end_matches('/')),
            };
            (rest.is_empty() || rest.starts_with('/')).then(|| (shown, rest.matches('/').count(), node))
        });
        inside.collect()
    }
}

impl Node {
    fn letter(&self) -> char {
        match self {
            Self::Directory => 'd',
            Self::Link => 'l',
            Self::File(_) => 'f',
        }
    }
}

pub(super) fn find(tree: &Tree, args: &[&str]) -> Done {
    let split = args.iter().position(|arg| arg.starts_with('-') || *arg == "!");
    let (starts, tests) = args.split_at(split.unwrap_or(args.len()));
    let wanted = match wanted(tests) {
        Ok(wanted) => wanted,
        Err(arg) => return Done::fail(1, format!("find: bad arg '{arg}'\n")),
    };
    let mut done = Done::default();
    for start in starts {
        let found = tree.below(start);
        if found.is_empty() {
            done.err
                .push_str(&format!("find: {start}: No such file or directory\n"));
            done.code = 1;
        }
        for (path, depth, node) in found {
            let is_wanted = wanted
                .kind
                .is_none_or(|(kind, yes)| (kind == node.letter()) == yes);
            let within = depth >= wanted.depth_min && wanted.depth_max.is_none_or(|most| depth <= most);
            if within && is_wanted {
                done.out.extend_from_slice(path.as_bytes());
                done.out.push(if wanted.zero { 0 } else { b'\n' });
            }
        }
    }
    done
}

fn wanted<'a>(tests: &[&'a str]) -> Result<Wanted, &'a str> {
    let mut wanted = Wanted::default();
    let mut tests = tests.iter();
    let mut yes = true;
    while let Some(test) = tests.next() {
        match *test {
            "!" => {
                yes = !yes;
                continue;
            }
            "-print" => {}
            "-print0" => wanted.zero = true,
            "-mindepth" => {
                wanted.depth_min = tests.next().and_then(|depth| depth.parse().ok()).ok_or(*test)?;
            }
            "-maxdepth" => {
                let depth = tests.next().and_then(|depth| depth.parse().ok());
                wanted.depth_max = Some(depth.ok_or(*test)?);
            }
            "-type" => {
                wanted.kind = match tests.next() {
                    Some(&"d") => Some(('d', yes)),
                    Some(&"f") => Some(('f', yes)),
                    Some(&"l") => Some(('l', yes)),
                    _ => return Err(test),
                }
            }
            other => return Err(other),
        }
        yes = true;
    }
    Ok(wanted)
}

pub(super) fn sha256sum(tree: &Tree, args: &[&str]) -> Done {
    let mut done = Done::default();
    for path in args {
        match tree.file(path) {
            Some(content) => {
                let mut digest = Sha256::new();
                content.pieces().for_each(|piece| digest.update(piece));
                let hex: String = digest
                    .finalize()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                done.out.extend_from_slice(format!("{hex}  {path}\n").as_bytes());
            }
            None => {
                done.err
                    .push_str(&format!("sha256sum: {path}: No such file or directory\n"));
                done.code = 1;
            }
        }
    }
    done
}
