//! Commands on files: ls, rm, mkdir, rmdir, stat, base64, test.
//!
//! ```text
//!   arguments ─ flags ─► operands ─ each ─► Done { what it printed, what failed, 1 if something failed }
//! ```
//!
//! Their words are those of Android's toybox. A failing operand does not keep the others from being done. They do not
//! know who asks: what may be written is the files' matter. `cat` and whatever else takes time is beside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Done;
use crate::files::{Depth, FileError, Files, Parents, Status, link_of};

/// Splits `-rf` and the like from the operands; the text to print when a flag is unknown.
fn flags<'a>(name: &str, known: &str, args: &[&'a str]) -> Result<(String, Vec<&'a str>), Done> {
    let mut flags = String::new();
    let mut operands = Vec::new();
    for arg in args {
        match arg.strip_prefix('-') {
            Some(letters) if !letters.is_empty() && operands.is_empty() => {
                if let Some(unknown) = letters.chars().find(|letter| !known.contains(*letter)) {
                    return Err(Done::fail(1, format!("{name}: Unknown option '{unknown}'\n")));
                }
                flags.push_str(letters);
            }
            _ => operands.push(*arg),
        }
    }
    Ok((flags, operands))
}

/// Does something for each operand; what fails is told and the rest still done.
fn each(
    name: &str,
    operands: &[&str],
    mut act: impl FnMut(&str, &mut Vec<u8>) -> Result<(), FileError>,
) -> Done {
    let mut done = Done::default();
    if operands.is_empty() {
        return Done::fail(1, format!("{name}: Needs 1 argument\n"));
    }
    for path in operands {
        if let Err(error) = act(path, &mut done.out) {
            done.err.push_str(&format!("{name}: {path}: {error}\n"));
            done.code = 1;
        }
    }
    done
}

pub(super) fn ls(files: &Files, args: &[&str]) -> Done {
    let (flags, operands) = match flags("ls", "la1d", args) {
        Ok(parsed) => parsed,
        Err(done) => return done,
    };
    let operands = if operands.is_empty() { vec!["/"] } else { operands };
    let line = |name: &str, status: &Status| {
        if flags.contains('l') {
            long(name, status)
        } else {
            format!("{name}\n")
        }
    };
    each("ls", &operands, |path, out| {
        let status = match flags.contains(['l', 'd']) {
            true => files.own_status(path)?,
            false => files.status(path)?,
        };
        let is_directory = status.mode & adb::sync::S_IFMT == adb::sync::S_IFDIR;
        if !is_directory || flags.contains('d') {
            out.extend_from_slice(line(path, &status).as_bytes());
            return Ok(());
        }
        if operands.len() > 1 {
            out.extend_from_slice(format!("{path}:\n").as_bytes());
        }
        for (name, status) in files.list(path)? {
            out.extend_from_slice(line(&name, &status).as_bytes());
        }
        Ok(())
    })
}

/// Everything here is where it stays as soon as it is written.
pub(super) fn fsync(files: &Files, args: &[&str]) -> Done {
    each("fsync", args, |path, _| files.status(path).map(drop))
}

fn long(name: &str, status: &Status) -> String {
    let kind = match status.mode & adb::sync::S_IFMT {
        adb::sync::S_IFDIR => 'd',
        adb::sync::S_IFLNK => 'l',
        _ => '-',
    };
    let leads = link_of(name).filter(|_| kind == 'l');
    let leads = leads.map_or_else(String::new, |leads| format!(" -> {leads}"));
    let bits = ['r', 'w', 'x'].into_iter().cycle().enumerate().take(9);
    let bits: String = bits
        .map(|(at, letter)| {
            if status.mode & (0o400 >> at) != 0 {
                letter
            } else {
                '-'
            }
        })
        .collect();
    // toybox prints a date here; seconds of unix time say the same without a time zone.
    format!(
        "{kind}{bits} 1 shell shell {:>10} {} {name}{leads}\n",
        status.size, status.mtime_s
    )
}

pub(super) fn rm(files: &Files, args: &[&str]) -> Done {
    let (flags, operands) = match flags("rm", "rRf", args) {
        Ok(parsed) => parsed,
        Err(done) => return done,
    };
    if flags.contains('f') && operands.is_empty() {
        return Done::default();
    }
    let depth = if flags.contains(['r', 'R']) {
        Depth::Everything
    } else {
        Depth::FileOnly
    };
    each("rm", &operands, |path, _| match files.remove(path, depth) {
        Err(FileError::NotFound) if flags.contains('f') => Ok(()),
        result => result,
    })
}

pub(super) fn mkdir(files: &Files, args: &[&str], now_s: u32) -> Done {
    let (flags, operands) = match flags("mkdir", "p", args) {
        Ok(parsed) => parsed,
        Err(done) => return done,
    };
    let parents = if flags.contains('p') {
        Parents::Create
    } else {
        Parents::Require
    };
    each("mkdir", &operands, |path, _| {
        files.make_directory(path, parents, now_s)
    })
}

/// `stat -c FORMAT`, with `%s`, `%Y` and `%n`.
pub(super) fn stat(files: &Files, args: &[&str]) -> Done {
    let ["-c", format, operands @ ..] = args else {
        return Done::fail(1, "stat: only -c FORMAT is known here\n");
    };
    each("stat", operands, |path, out| {
        let Status { size, mtime_s, .. } = files.own_status(path)?;
        let line = format.replace("%s", &size.to_string());
        let line = line.replace("%Y", &mtime_s.to_string()).replace("%n", path);
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
        Ok(())
    })
}

/// `base64 FILE` and `base64 -d FILE`.
pub(super) fn base64(files: &Files, args: &[&str]) -> Done {
    let (decode, operands) = match args {
        ["-d", operands @ ..] => (true, operands),
        operands => (false, operands),
    };
    each("base64", operands, |path, out| {
        let bytes = files.read(path)?.to_bytes();
        if decode {
            let text: Vec<u8> = bytes
                .iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            // What is no base64 ends there, as it does in toybox.
            out.extend(STANDARD.decode(text).unwrap_or_default());
            return Ok(());
        }
        for line in STANDARD.encode(&bytes).as_bytes().chunks(BASE64_COLUMNS) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        Ok(())
    })
}

/// Characters on a line of `base64`.
const BASE64_COLUMNS: usize = 76;

pub(super) fn rmdir(files: &Files, args: &[&str]) -> Done {
    each("rmdir", args, |path, _| files.remove(path, Depth::EmptyDirectory))
}

/// `[ -e PATH ]`, `-f`, `-d`, `-L`, `-n TEXT`, `-z TEXT`, `A = B`, `A != B`.
pub(super) fn test(files: &Files, name: &str, args: &[&str]) -> Done {
    let args = match (name, args) {
        ("[", [rest @ .., "]"]) => rest,
        ("[", _) => return Done::fail(2, "/system/bin/sh: [: missing ]\n"),
        (_, args) => args,
    };
    let kind = |path: &str| files.status(path).map(|status| status.mode & adb::sync::S_IFMT);
    let holds = match args {
        [] => false,
        [text] | ["-n", text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-e", path] => kind(path).is_ok(),
        ["-f", path] => kind(path) == Ok(adb::sync::S_IFREG),
        ["-d", path] => kind(path) == Ok(adb::sync::S_IFDIR),
        ["-L" | "-h", path] => link_of(path).is_some(),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        _ => {
            return Done::fail(
                2,
                "/system/bin/sh: test: not supported by the simulated device's shell\n",
            );
        }
    };
    Done {
        code: u8::from(!holds),
        ..Done::default()
    }
}
