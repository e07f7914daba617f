//! Which commands answer at once, and those that need nothing but their arguments.
//!
//! ```text
//!   Call { name, args } ──► services down? ──► by name ──► Done { out, err, code }, or none of these
//! ```
//!
//! The others are beside, by what they work on. None of them waits, reads input, or prints more than fits in memory.

use super::{
    Call, Done, activity, content, display, find, image, input, logcat, packages, people, root, services,
    settings, simulated, storage, surroundings, terminal,
};

/// Runs a command that answers at once; `None` when there is none of this name.
pub(super) fn run(call: &Call<'_>) -> Option<Done> {
    let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let android = &call.userland.android;
    let files = &call.userland.files;
    if let Some(done) = services::down(call) {
        return Some(done);
    }
    Some(match call.name {
        "true" | ":" => Done::default(),
        "false" => Done {
            code: 1,
            ..Done::default()
        },
        "echo" => echo(&args),
        "id" => Done::ok("uid=2000(shell) gid=2000(shell) groups=2000(shell) context=u:r:shell:s0\n"),
        "whoami" => Done::ok("shell\n"),
        "getprop" => getprop(android, &args),
        "setprop" => setprop(android, &args),
        "settings" => settings::settings(android, &args),
        "su" => return root::su(call, &args),
        "find" => find::find(&find::Tree::of_shell(files), &args),
        "sha256sum" => find::sha256sum(&find::Tree::of_shell(files), &args),
        "ls" => storage::ls(files, &args),
        "sync" => Done::default(),
        "fsync" => storage::fsync(files, &args),
        "rm" => storage::rm(files, &args),
        "stty" => terminal::stty(call, &args),
        "stat" => storage::stat(files, &args),
        "base64" => storage::base64(files, &args),
        "mkdir" => storage::mkdir(files, &args, call.now_s),
        "rmdir" => storage::rmdir(files, &args),
        "[" | "test" => storage::test(files, call.name, &args),
        "am" => am(android, &args),
        "content" => content::content(android, &args),
        "locksettings" => people::locksettings(android, &args),
        "monkey" => activity::monkey(android, &args),
        "pm" => pm(android, &args),
        "cmd" => cmd(call, &args),
        "wm" => display::wm(android, &args),
        "dumpsys" => services::dumpsys(android, &args)
            .or_else(|| surroundings::dumpsys(android, &args))
            .unwrap_or_else(|| display::dumpsys(android, &args)),
        "log" => logcat::log(android, &args),
        "pkill" => pkill(call, &args),
        "input" if !input::lasts(&args) => input::input(android, &args),
        _ => return None,
    })
}

fn echo(args: &[&str]) -> Done {
    match args {
        ["-n", rest @ ..] => Done::ok(rest.join(" ")),
        args => Done::ok(args.join(" ") + "\n"),
    }
}

/// `pkill -f PATTERN`; of patterns it knows plain text and `[x]`, which is x.
fn pkill(call: &Call<'_>, args: &[&str]) -> Done {
    match args {
        ["-f", pattern] if !pattern.is_empty() => {
            let text = pattern.replace(['[', ']'], "");
            Done {
                code: u8::from(call.userland.processes.kill(&text) == 0),
                ..Done::default()
            }
        }
        _ => Done::fail(1, "pkill: only -f PATTERN is known\n"),
    }
}

/// `cmd SERVICE …` is how newer hosts reach `pm`, `am`, `wm` and `settings`.
fn cmd(call: &Call<'_>, args: &[&str]) -> Done {
    let android = &call.userland.android;
    match args {
        ["package", rest @ ..] => pm(android, rest),
        ["activity", rest @ ..] => am(android, rest),
        ["lock_settings", rest @ ..] => people::locksettings(android, rest),
        ["window", rest @ ..] => display::wm(android, rest),
        ["settings", rest @ ..] => settings::settings(android, rest),
        ["notification", rest @ ..] => services::notification(android, rest),
        ["simulated", "litter", folder, count] => simulated::litter(call, folder, count),
        ["simulated", rest @ ..] => simulated::simulated(android, rest),
        [] => Done::fail(
            20,
            "cmd: No service specified; use -l to list all running services.\n",
        ),
        ["-l"] => Done::ok(services::list()),
        [service, ..] => Done::fail(20, format!("cmd: Can't find service: {service}\n")),
    }
}

fn pm(android: &crate::Android, args: &[&str]) -> Done {
    people::pm(android, args)
        .or_else(|| image::pm(android, args))
        .unwrap_or_else(|| packages::pm(android, args))
}

fn am(android: &crate::Android, args: &[&str]) -> Done {
    people::am(android, args).unwrap_or_else(|| activity::am(android, args))
}

fn getprop(android: &crate::Android, args: &[&str]) -> Done {
    match args {
        [] => {
            let lines = android
                .properties()
                .into_iter()
                .map(|(name, value)| format!("[{name}]: [{value}]\n"));
            Done::ok(lines.collect::<String>())
        }
        [name] => Done::ok(android.property(name).unwrap_or_default() + "\n"),
        [name, default] => Done::ok(android.property(name).unwrap_or_else(|| (*default).to_owned()) + "\n"),
        _ => Done::fail(1, "usage: getprop [NAME [DEFAULT]]\n"),
    }
}

fn setprop(android: &crate::Android, args: &[&str]) -> Done {
    match args {
        // Properties that start with ro. are written once, when the device starts.
        [name, _] if name.starts_with("ro.") => Done::fail(
            1,
            format!("Failed to set property '{name}'.\nSee dmesg for error reason.\n"),
        ),
        [name, value] => {
            android.set_property(name, value);
            Done::default()
        }
        _ => Done::fail(1, "usage: setprop NAME VALUE\n"),
    }
}
