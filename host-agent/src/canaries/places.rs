//! The places where one person can leave something for the next, and where the next looks for it.
//!
//! ```text
//!   OWN          what the operator had on the device before
//!   canaries()   { plant: a command of A's, look: a command of B's }, 243 of them
//!   LISTS        what tells of places that nobody thought of
//! ```
//!
//! B looks as root too, which no person on a link can: what he does not see is not there. It is read by the tests of the
//! agent's own task and by those of the whole program, which kill it; it knows of neither.

use std::fmt::Write as _;

use serde_json::Value;

/// In every name or value that A leaves.
pub(crate) const MARK: &str = "CANARY";
const APPS: [&str; 5] = ["paint", "echo", "still", "motion", "latency"];
const FOLDERS: [&str; 8] = [
    "/sdcard",
    "/sdcard/Download",
    "/sdcard/DCIM/Camera",
    "/sdcard/.hidden/.deep",
    "/sdcard/it's mine",
    "/data/local/tmp",
    "/data/local/tmp/a/b/c/d",
    "/sdcard/Android/media/$HOME",
];
/// What the operator had on the device before.
pub(crate) const OWN: &str = "mkdir -p /sdcard/Music /sdcard/Empty; echo own > /sdcard/Music/own; echo own > /sdcard/Music/used; settings put \
                   global operator own; cmd simulated account dev.farglass operator";
/// Where the next person would see whom the device trusts.
pub(crate) const AUTHORITY: &str = "su 0 cat /data/misc/user/0/cacerts-added/00c0ffee.0";
/// Commands on one line.
const BATCH: usize = 100;
/// What tells of places that nobody thought of: those of every table, and every name below the root.
const LISTS: [&str; 4] = [
    "settings list system; settings list secure; settings list global; pm list packages",
    "dumpsys account; dumpsys notification --noredact; dumpsys activity recents",
    "getprop; find / -type f; find / -type d",
    "su 0 find / -type f; su 0 find / -type d",
];

/// Something that A leaves, and where B looks for it.
pub(crate) struct Canary {
    plant: String,
    pub(crate) look: String,
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn canary(plant: impl Into<String>, look: impl Into<String>) -> Canary {
    Canary {
        plant: plant.into(),
        look: look.into(),
    }
}

fn files(canaries: &mut Vec<Canary>) {
    for folder in FOLDERS {
        for n in 0..8 {
            let path = quoted(&format!("{folder}/{MARK}-{n} *"));
            let plant = format!("mkdir -p {}; echo {MARK} > {path}", quoted(folder));
            canaries.push(canary(plant, format!("cat {path}")));
        }
    }
    // In a file of the operator, and under a name that the agent gives to its own.
    canaries.push(canary(
        format!("echo {MARK} >> /sdcard/Music/used"),
        "cat /sdcard/Music/used",
    ));
    let jar = "/data/local/tmp/farglass-1.jar";
    canaries.push(canary(format!("echo {MARK} > {jar}"), format!("cat {jar}")));
    canaries.push(canary(
        format!("cmd simulated wallpaper {MARK}"),
        "su 0 cat /data/system/users/0/wallpaper",
    ));
}

fn settings(canaries: &mut Vec<Canary>) {
    for namespace in ["system", "secure", "global"] {
        for n in 0..20 {
            let (key, value) = (format!("{MARK}_{n}"), quoted(&format!("{MARK}\n{n} 'x'=y")));
            let get = format!("settings get {namespace} {key}");
            canaries.push(canary(format!("settings put {namespace} {key} {value}"), get));
        }
    }
    for (namespace, key) in [
        ("system", "font_scale"),
        ("secure", "location_mode"),
        ("global", "operator"),
    ] {
        canaries.push(canary(
            format!("settings put {namespace} {key} {MARK}"),
            format!("settings get {namespace} {key}"),
        ));
    }
}

fn apps(canaries: &mut Vec<Canary>) {
    let installed = ["org.example.added", "org.example.other"];
    for package in installed {
        canaries.push(canary(
            format!("cmd simulated install {package} {MARK}.{package}"),
            // Both the package and the type of its accounts are told here.
            format!("pm list packages {package}; dumpsys account"),
        ));
    }
    // An update of a part of the image.
    canaries.push(canary(
        format!("cmd simulated replace com.android.shell {MARK}"),
        "cmd simulated label com.android.shell",
    ));
    let ours = APPS.map(|app| format!("dev.farglass.{app}"));
    let packages = ours.iter().map(String::as_str).chain(installed);
    for package in packages {
        for n in 0..8 {
            canaries.push(canary(
                format!("cmd simulated write {package} files/{n} {MARK}"),
                format!("su 0 cat /data/data/{package}/files/{n}"),
            ));
        }
        canaries.push(canary(
            format!("cmd simulated prefer {package} key {MARK}"),
            format!("su 0 cat /data/data/{package}/shared_prefs/{package}_preferences.xml"),
        ));
        canaries.push(canary(
            format!("cmd simulated notify {package} {MARK}-{package} text"),
            format!("cmd notification list; dumpsys notification {package}"),
        ));
    }
}

/// What the system keeps for people, in the tables of its providers and elsewhere.
fn of_the_system(canaries: &mut Vec<Canary>) {
    for (uri, column) in [
        ("com.android.contacts/raw_contacts", "account_name"),
        ("com.android.contacts/data", "data1"),
        ("call_log/calls", "number"),
        ("sms", "body"),
        ("sms/draft", "body"),
        ("com.android.calendar/calendars", "name"),
        ("com.android.calendar/events", "title"),
        ("user_dictionary/words", "word"),
        ("downloads/my_downloads", "title"),
        ("media/external/images/media", "_display_name"),
    ] {
        canaries.push(canary(
            format!("content insert --uri content://{uri} --bind {column}:s:{MARK}"),
            format!("content query --uri content://{uri}"),
        ));
    }
    canaries.push(canary(format!("log -t {MARK} {MARK}"), "logcat -d"));
    canaries.push(canary(format!("pm create-user {MARK}"), "pm list users"));
    canaries.push(canary(
        format!("pm create-user --profileOf 0 --managed {MARK}"),
        "pm list users",
    ));
    canaries.push(canary(
        format!("cmd simulated trust 00c0ffee.0 {MARK}"),
        AUTHORITY,
    ));
}

fn accounts_and_more(canaries: &mut Vec<Canary>) {
    for n in 0..12 {
        let name = quoted(&format!("{MARK}-{n}@example.org, type=x"));
        canaries.push(canary(
            format!("cmd simulated account dev.farglass {name}"),
            "dumpsys account",
        ));
    }
    for package in ["org.example.added", "org.example.other"] {
        canaries.push(canary(
            format!("cmd simulated account {MARK}.{package} {MARK}"),
            "dumpsys account",
        ));
    }
    for n in 0..10 {
        canaries.push(canary(
            format!("cmd notification post -t {MARK} tag{n} {MARK}"),
            "dumpsys notification --noredact",
        ));
    }
    canaries.push(canary(
        format!("cmd simulated copy {MARK}"),
        "cmd simulated paste",
    ));
    canaries.push(canary(
        format!("am start -n dev.farglass.echo/.MainActivity; input text {MARK}"),
        "su 0 cat /data/data/dev.farglass.echo/databases/state",
    ));
}

/// Everything that A leaves.
pub(crate) fn canaries() -> Vec<Canary> {
    let mut canaries = Vec::new();
    files(&mut canaries);
    settings(&mut canaries);
    apps(&mut canaries);
    accounts_and_more(&mut canaries);
    of_the_system(&mut canaries);
    canaries
}

/// What A does, as scripts for a shell: he takes something of the operator's away and leaves all of it.
pub(crate) fn plantings() -> Vec<String> {
    let taken = "rm -rf /sdcard/Music/own /sdcard/Empty; wm user-rotation lock 1".to_owned();
    let canaries = canaries();
    let left = canaries.chunks(BATCH).map(|batch| {
        batch.iter().fold(String::new(), |mut script, canary| {
            writeln!(script, "{}", canary.plant).expect("a string takes everything");
            script
        })
    });
    std::iter::once(taken).chain(left).collect()
}

/// Where B looks in any case, as scripts for a shell.
pub(crate) fn looks() -> Vec<String> {
    let mut looks: Vec<String> = canaries().into_iter().map(|canary| canary.look).collect();
    looks.extend(LISTS.map(str::to_owned));
    scripts(&looks)
}

/// Prints the path of every file that root sees, each ended by a zero.
pub(crate) const PATHS: &str = "su 0 find / -type f -print0";

/// The looks into the files that [`PATHS`] printed, by root and by whoever has a shell.
pub(crate) fn contents(paths: &str) -> Vec<String> {
    let paths = paths.split_terminator('\0').map(quoted);
    let looks: Vec<String> = paths
        .flat_map(|path| [format!("su 0 cat {path}"), format!("cat {path}")])
        .collect();
    scripts(&looks)
}

fn scripts(looks: &[String]) -> Vec<String> {
    looks.chunks(BATCH).map(|looks| looks.join("\n")).collect()
}

/// The lines with a mark among what a look shows.
pub(crate) fn marked(shown: &[u8]) -> Vec<String> {
    let shown = String::from_utf8_lossy(shown);
    let marked = shown.lines().filter(|line| line.contains(MARK));
    marked.map(str::to_owned).collect()
}

/// What the device itself says that somebody left in it: a text, a clipboard, strokes.
pub(crate) fn left_in(dump: &Value) -> Vec<String> {
    let texts = ["text", "clipboard"]
        .into_iter()
        .filter(|field| dump[field] != "");
    let strokes = (dump["strokes"] != 0).then_some("strokes");
    texts.chain(strokes).map(str::to_owned).collect()
}

/// Shows whether the device is as its operator made it, which is [`AS_BEFORE`] at the beginning.
pub(crate) const OF_THE_OPERATOR: &str = "cat /sdcard/Music/own; cat /sdcard/Music/used; ls -d /sdcard/Empty; settings get global operator; \
     settings get system font_scale; wm user-rotation; pm list packages accounts; dumpsys account";
pub(crate) const AS_BEFORE: &str =
    "own\nown\n/sdcard/Empty\nown\n1.0\nlock 0\npackage:dev.farglass.accounts\n";
