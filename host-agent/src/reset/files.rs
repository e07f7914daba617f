//! The files part of a survey: what lies where people's files are, and a print of each file by which a change is known.
//!
//! ```text
//!   baseline   find everything ─► stat ─┬─ small: sha256sum, and of the smallest the bytes, to bring them back
//!                                       └─ large: size and time of the last change
//!   later      find in the roots and the baseline's folders, not below others ─► the same print of what the baseline knows
//! ```
//!
//! What is new is of interest by its highest folder only, and a person may have left more names than fit in memory: a
//! list is cut at its limit, and the survey says that there is more. Files whose names hold line feeds have no print.
//!
//! What a device prints is what somebody made it print: only what was asked for is taken in, and only in its own form.
//!
//! It does not know what is done about what it finds.

use std::collections::{BTreeMap, BTreeSet};

use crate::effects::EffectError;
use crate::reset::listing;
use crate::reset::names::Room;
use crate::reset::survey::{Shell, Survey, lines};
use crate::shell_words::quote;

/// Where people's files are; with the slash, for the first is a link.
const ROOTS: [&str; 2] = ["/sdcard/", "/data/local/tmp/"];
/// The folders that belong to apps: clearing an app empties them, also of what was there before.
const OF_APPS: &str = "/sdcard/Android/";
/// The pictures behind the launcher and the lock screen, which only root sees.
const WALLPAPERS: [&str; 4] = [
    "/data/system/users/0/wallpaper",
    "/data/system/users/0/wallpaper_orig",
    "/data/system/users/0/wallpaper_lock",
    "/data/system/users/0/wallpaper_lock_orig",
];
/// Folders that a baseline may hold, and as many files: more than any phone comes with, and some 30 MiB here. A device
/// with more is refused.
const BASELINE: Room = Room {
    names: 50_000,
    bytes: 4 << 20,
};
/// Folders beyond those of the baseline that one look takes in, and as many files; the next look sees the rest.
const NEW: Room = Room {
    names: 50_000,
    bytes: 4 << 20,
};
/// A longer file is known by its size and time alone: hashing gigabytes at every wipe takes minutes.
const HASHED_BYTES_MAX: u64 = 1 << 20;
/// Bytes that are hashed at most, of all files together: some seconds on a slow device.
const HASHED_TOTAL_MAX: u64 = 64 << 20;
/// A longer file is not brought back when it was changed or removed; its text still fits on one command line.
const KEPT_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of all files that are brought back: they are a part of the baseline's file.
const KEPT_TOTAL_MAX: u64 = 1 << 20;
/// What a file that is brought back counts for at least, bytes: reading each is a command of its own, of some 20 ms.
const KEPT_BYTES_MIN: u64 = 512;
/// What begins a print that is no hash.
const BY_SIZE: &str = "size ";

/// The certificate authorities that people added for the first user, and those of the image that they took away. Only
/// root sees them.
const TRUST: [&str; 2] = [
    "/data/misc/user/0/cacerts-added",
    "/data/misc/user/0/cacerts-removed",
];
/// Files of the system that a look takes in: the image has some hundred and fifty authorities.
const OF_THE_SYSTEM: Room = Room {
    names: 1_000,
    bytes: 256 << 10,
};

/// Whether it is about whom the device trusts.
pub(crate) fn is_of_trust(path: &str) -> bool {
    TRUST.iter().any(|folder| path.starts_with(folder))
}

/// Whether a file is its app's, which may have lost it by being cleared, or the image's.
pub(crate) fn is_of_an_app(path: &str) -> bool {
    path.starts_with(OF_APPS) || WALLPAPERS.contains(&path)
}

/// Looks at the files and notes them in `found`. With a baseline only its files get a print, for any other is of no
/// interest anyway.
pub(crate) async fn look(
    shell: &impl Shell,
    baseline: Option<&Survey>,
    found: &mut Survey,
) -> Result<(), EffectError> {
    list(shell, baseline, found).await?;
    match baseline {
        None => first_prints(shell, found).await,
        Some(baseline) => prints_again(shell, baseline, found).await,
    }
}

async fn list(shell: &impl Shell, baseline: Option<&Survey>, found: &mut Survey) -> Result<(), EffectError> {
    let (starts, depth, mut folders, mut files) = match baseline {
        None => (lines(ROOTS.map(quote).into_iter()), "", BASELINE, BASELINE),
        Some(known) => {
            let roots = ROOTS.iter().copied();
            let starts = roots.chain(known.folders.iter().map(String::as_str));
            let (folders, files) = (NEW.and(known.folders.iter()), NEW.and(known.files.keys()));
            (lines(starts.map(quote)), " -maxdepth 1", folders, files)
        }
    };
    for starts in starts {
        // Folders of apps on shared storage are closed even to the shell; `pm clear` empties those.
        let find =
            |test: &str| format!("find {starts} -mindepth 1{depth} {test} -print0 2>/dev/null || true");
        let listed = shell.list(&find("-type d"), &mut folders).await;
        let listed = listed.map_err(|error| error.of("listing folders"))?;
        found.more |= !listed.whole;
        found.folders.extend(listed.names);
        let listed = shell.list(&find("! -type d"), &mut files).await;
        let listed = listed.map_err(|error| error.of("listing files"))?;
        found.more |= !listed.whole;
        found
            .files
            .extend(listed.names.into_iter().map(|path| (path, None)));
    }
    if baseline.is_none() && found.more {
        return Err(EffectError::Failed {
            what: "listing files".to_owned(),
            why: format!(
                "more than {} folders or files, or {} bytes of their names",
                BASELINE.names, BASELINE.bytes
            ),
        });
    }
    Ok(())
}

/// The prints of a baseline.
async fn first_prints(shell: &impl Shell, found: &mut Survey) -> Result<(), EffectError> {
    let sizes = sizes(shell, words(found.files.keys()), &found.files).await?;
    let (mut small, mut room) = (Vec::new(), HASHED_TOTAL_MAX);
    for (path, Size { bytes, .. }) in &sizes {
        if *bytes <= HASHED_BYTES_MAX.min(room) {
            room -= bytes;
            small.push(path);
        }
    }
    let hashes = hashes(shell, "", words(small.into_iter()), |path| {
        sizes.contains_key(path)
    })
    .await?;
    let mut room = KEPT_TOTAL_MAX;
    for (path, size) in sizes {
        let hash = hashes.get(&path);
        let fits = size.bytes <= KEPT_BYTES_MAX && size.bytes.max(KEPT_BYTES_MIN) <= room;
        if hash.is_some() && fits && !is_of_an_app(&path) {
            let text = text(shell, &path, size.bytes, &mut room).await?;
            found.kept.extend(text.map(|text| (path.clone(), text)));
        }
        let print = hash.cloned().unwrap_or_else(|| size.print());
        found.files.insert(path, Some(print));
    }
    Ok(())
}

/// The text of a file of so many bytes; none when that is not what comes: an image without the tool says nothing, and a
/// file that is being written is another one by now. Whatever comes is taken off `room`.
async fn text(
    shell: &impl Shell,
    path: &str,
    bytes: u64,
    room: &mut u64,
) -> Result<Option<String>, EffectError> {
    let text = if bytes == 0 {
        String::new()
    } else {
        let command = format!("base64 {} 2>/dev/null || true", quote(path));
        let text = shell.shell(&command).await;
        text.map_err(|error| error.of("reading small files"))?
    };
    *room = room.saturating_sub(bytes.max(KEPT_BYTES_MIN).max(text.len() as u64 / 2));
    let text: String = text.split_whitespace().collect();
    Ok((text.len() as u64 == 4 * bytes.div_ceil(3)).then_some(text))
}

/// The prints of those files that the baseline has one of.
async fn prints_again(shell: &impl Shell, baseline: &Survey, found: &mut Survey) -> Result<(), EffectError> {
    let known = found.files.keys().filter_map(|path| {
        let print = baseline.files.get(path)?.as_ref()?;
        Some((path, print.starts_with(BY_SIZE)))
    });
    let (large, small): (Vec<_>, Vec<_>) = known.partition(|(_, by_size)| *by_size);
    let large = words(large.into_iter().map(|(path, _)| path));
    let small = words(small.into_iter().map(|(path, _)| path));
    for (path, size) in sizes(shell, large, &found.files).await? {
        found.files.insert(path, Some(size.print()));
    }
    let hashes = hashes(shell, "", small, |path| found.files.contains_key(path)).await?;
    for (path, hash) in hashes {
        found.files.insert(path, Some(hash));
    }
    Ok(())
}

/// Notes the files of the system that only root sees: pictures, and certificates.
pub(crate) async fn of_the_system(shell: &impl Shell, found: &mut Survey) -> Result<(), EffectError> {
    let mut room = OF_THE_SYSTEM;
    let find = format!(
        "su 0 find {} {} -type f -print0 2>/dev/null || true",
        WALLPAPERS.join(" "),
        TRUST.join(" ")
    );
    let listed = shell.list(&find, &mut room).await;
    let listed = listed.map_err(|error| error.of("looking at files of the system"))?;
    found.more |= !listed.whole;
    let mut there = listed.names;
    there.retain(|path| WALLPAPERS.contains(&path.as_str()) || is_of_trust(path));
    let asked = |path: &str| there.iter().any(|there| there == path);
    let mut hashes = hashes(shell, "su 0 ", words(there.iter()), asked).await?;
    for path in there {
        let hash = hashes.remove(&path);
        found.files.insert(path, hash);
    }
    Ok(())
}

/// What is known of a file without reading it.
struct Size {
    bytes: u64,
    /// Of the last change, Unix seconds by the device's clock.
    time: i64,
}

impl Size {
    fn print(&self) -> String {
        format!("{BY_SIZE}{} at {}", self.bytes, self.time)
    }
}

/// The paths that a line of a tool's output can name, as words on command lines.
fn words<'a>(paths: impl Iterator<Item = &'a String>) -> Vec<String> {
    let printable = paths.filter(|path| !path.contains(['\n', char::REPLACEMENT_CHARACTER]));
    lines(printable.map(|path| quote(path)))
}

/// A line of `stat`: bytes, time, and a path with whatever is in it.
fn sized(line: &str) -> Option<(&str, Size)> {
    let (bytes, line) = line.split_once(' ')?;
    let (time, path) = line.split_once(' ')?;
    let (bytes, time) = (bytes.parse().ok()?, time.parse().ok()?);
    Some((path, Size { bytes, time }))
}

/// For fuzzing: any text as what `stat` prints.
pub(super) fn fuzz(text: &str) {
    for (_, size) in text.lines().filter_map(sized) {
        size.print();
    }
}

/// What `stat` says of these paths, as far as they are of `files`.
async fn sizes(
    shell: &impl Shell,
    paths: Vec<String>,
    files: &BTreeMap<String, Option<String>>,
) -> Result<BTreeMap<String, Size>, EffectError> {
    let mut sizes = BTreeMap::new();
    for words in paths {
        let command = format!("stat -c '%s %Y %n' {words} 2>/dev/null || true");
        let text = shell
            .shell(&command)
            .await
            .map_err(|error| error.of("measuring files"))?;
        let sized = text.lines().filter_map(sized);
        let known = sized.filter(|(path, _)| files.contains_key(*path));
        sizes.extend(known.map(|(path, size)| (path.to_owned(), size)));
    }
    Ok(sizes)
}

/// The sums of these paths, as far as they were asked for.
async fn hashes(
    shell: &impl Shell,
    su: &str,
    paths: Vec<String>,
    asked: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, EffectError> {
    let mut hashes = BTreeMap::new();
    for words in paths {
        let command = format!("{su}sha256sum {words} 2>/dev/null || true");
        let text = shell
            .shell(&command)
            .await
            .map_err(|error| error.of("hashing files"))?;
        let of_these = listing::hashes(&text).filter(|(_, path)| asked(path));
        hashes.extend(of_these.map(|(hash, path)| (path.to_owned(), hash.to_owned())));
    }
    Ok(hashes)
}

/// The folders that were there and are not, and the files likewise; neither those of apps.
pub(crate) fn missing<'a>(baseline: &'a Survey, now: &'a Survey) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let folders = baseline.folders.difference(&now.folders).map(String::as_str);
    let files = baseline
        .files
        .keys()
        .filter(|path| !now.files.contains_key(*path));
    let ours = |path: &&str| !is_of_an_app(path) && *path != OF_APPS.trim_end_matches('/');
    (
        folders.filter(ours).collect(),
        files.map(String::as_str).filter(ours).collect(),
    )
}
