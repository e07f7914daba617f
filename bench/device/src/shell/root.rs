//! `su 0 COMMAND`: the same commands as root, who also sees the apps' private files.
//!
//! ```text
//!   find, sha256sum, cat, rm   on the files and the apps' private folders together
//!   anything else              as the shell user's own
//! ```
//!
//! A userdebug image has this `su` for the adb shell; there is no `su -c` in it, and no password. Others have none, and
//! the shell does not know the word.

use super::{Call, Done, find, instant};
use crate::userland::Root;

/// `None` when root's command is none that answers at once.
pub(super) fn su(call: &Call<'_>, args: &[&str]) -> Option<Done> {
    if call.userland.manner.root == Root::Locked {
        return None;
    }
    let ["0" | "root", name, rest @ ..] = args else {
        return Some(Done::fail(1, "usage: su [0|root] COMMAND [ARGUMENT...]\n"));
    };
    let android = &call.userland.android;
    let tree = || find::Tree::of_root(&call.userland.files, android);
    Some(match *name {
        "id" => Done::ok("uid=0(root) gid=0(root) groups=0(root) context=u:r:su:s0\n"),
        "whoami" => Done::ok("root\n"),
        "find" => find::find(&tree(), rest),
        "sha256sum" => find::sha256sum(&tree(), rest),
        "cat" => cat(&tree(), rest),
        "rm" if rest.iter().any(|path| is_private(path)) => {
            for path in rest.iter().filter(|path| is_private(path)) {
                android.remove_private_file(&crate::files::normal(path));
            }
            Done::default()
        }
        name => {
            let args = &call.args[2..];
            return instant::run(&Call { name, args, ..*call });
        }
    })
}

fn is_private(path: &str) -> bool {
    path.starts_with("/data/data/")
        || path.starts_with("/data/system/")
        || path.starts_with("/data/misc/user/")
}

fn cat(tree: &find::Tree, paths: &[&str]) -> Done {
    let mut done = Done::default();
    for path in paths {
        match tree.file(path) {
            Some(content) => content
                .pieces()
                .for_each(|piece| done.out.extend_from_slice(piece)),
            None => {
                done.err
                    .push_str(&format!("cat: {path}: No such file or directory\n"));
                done.code = 1;
            }
        }
    }
    done
}
