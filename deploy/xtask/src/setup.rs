//! What must be on the machine, and how it gets there.
//!
//! | what | when missing |
//! |---|---|
//! | Debian packages | `apt-get install` as root on Debian; else the exact line to type |
//! | Node ≥ 20.19 | named: Debian 12 has none that is new enough |
//! | nextest, cargo-deny | `cargo install --debug` into `target/tools`: 60 s and 40 s on two cores, a release build three times that |
//! | typos | its wheel into a venv in `target/tools`: 5 s, where compiling it takes two minutes |
//! | npm packages | `npm ci` from the lock file, once per lock file |

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::process::{self, TOOLS, cargo, command, is_there};

/// A program and the Debian package that brings it.
type Needed = (&'static str, &'static str);

/// Compiling the house: C and C++ in dependencies, and nasm for an encoder three times as fast.
pub(crate) const TO_BUILD: &[Needed] = &[
    ("cc", "build-essential"),
    ("c++", "build-essential"),
    ("nasm", "nasm"),
];
/// Testing it: a browser, the stock adb, OpenSSL for adb's TLS, PostgreSQL (its programs only: tests start their own),
/// Python's venv for typos, git for the list of our files, Compose for the recipes (it reads them; no Docker is needed
/// for that).
pub(crate) const TO_TEST: &[Needed] = &[
    ("chromium", "chromium"),
    ("adb", "adb"),
    ("ffmpeg", "ffmpeg"),
    ("postgres", "postgresql-15"),
    ("openssl", "openssl"),
    ("sqlite3", "sqlite3"),
    ("psql", "postgresql-client-15"),
    ("python3", "python3-venv"),
    ("git", "git"),
    ("docker-compose", "docker-compose"),
];

/// The least Node that Vite runs on.
const NODE_MIN: (u32, u32) = (20, 19);

/// Tools with their pinned versions. Another nextest or cargo-deny in PATH will do when it is not older than
/// `least`; typos must be exactly this one, because each brings another dictionary.
const NEXTEST: Tool = Tool {
    program: "cargo-nextest",
    version: "0.9.143",
    least: (0, 9, 100),
};
const DENY: Tool = Tool {
    program: "cargo-deny",
    version: "0.20.2",
    least: (0, 19, 0),
};
const TYPOS: &str = "1.52.0";

struct Tool {
    program: &'static str,
    version: &'static str,
    least: (u32, u32, u32),
}

/// Brings what `needed` lists onto the machine, or names the line that does.
pub(crate) fn debian(needed: &[Needed]) -> anyhow::Result<()> {
    let mut missing: Vec<&str> = needed
        .iter()
        .filter(|need| !has(need.0))
        .map(|need| need.1)
        .collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    let root = command("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    if !root || !is_there("apt-get") {
        bail!(
            "missing on this machine: {}. On Debian type:\n\n    sudo apt-get update && sudo {line}\n\nelsewhere install their like",
            missing.join(", ")
        );
    }
    let apt = |name, args: &[&str]| {
        process::run(
            name,
            command("apt-get")
                // A mirror that hangs up once is asked again, as npm and cargo do by themselves.
                .args(["-o", "Acquire::Retries=5"])
                .args(args)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?
        .ok()
    };
    apt("apt-update", &["update"])?;
    let mut args = vec!["install", "-y", "--no-install-recommends"];
    args.extend(&missing);
    apt("apt-install", &args).with_context(|| format!("{line} failed"))?;
    Ok(())
}

fn has(program: &str) -> bool {
    // python3 without its venv module is Debian's default.
    if program == "python3" {
        return command("python3")
            .args(["-c", "import venv, ensurepip"])
            .output()
            .is_ok_and(|ended| ended.status.success());
    }
    // Debian keeps the server's programs out of PATH, one folder for each version.
    if program == "postgres" {
        let versions = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        let mut programs = versions.map(|version| version.path().join("bin/postgres"));
        return programs.any(|program| program.exists()) || is_there(program);
    }
    is_there(program)
}

/// Checks that Node is new enough.
pub(crate) fn node() -> anyhow::Result<()> {
    let (major, minor) = NODE_MIN;
    let wanted = format!("Node ≥ {major}.{minor} with npm is needed (https://nodejs.org)");
    let output = command("node")
        .arg("--version")
        .output()
        .ok()
        .with_context(|| format!("{wanted}; none is in PATH"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let found = triple(&version).with_context(|| format!("{wanted}; node says {version:?}"))?;
    if (found.0, found.1) < NODE_MIN {
        bail!("{wanted}; this is {version}");
    }
    if !is_there("npm") {
        bail!("{wanted}; npm is not in PATH");
    }
    Ok(())
}

pub(crate) fn nextest() -> anyhow::Result<()> {
    install(&NEXTEST)
}

pub(crate) fn deny() -> anyhow::Result<()> {
    install(&DENY)
}

/// The wheel is the same program that `cargo install typos-cli` builds.
pub(crate) fn typos() -> anyhow::Result<()> {
    if version_of("typos").is_some_and(|found| Some(found) == triple(TYPOS)) {
        return Ok(());
    }
    let venv = format!("{TOOLS}/python");
    process::run("venv", command("python3").args(["-m", "venv", &venv]))?.ok()?;
    let pip = format!("{venv}/bin/pip");
    let wheel = format!("typos=={TYPOS}");
    process::run(
        "typos-install",
        command(pip).args(["install", "--quiet", "--only-binary", ":all:", &wheel]),
    )?
    .ok()?;
    Ok(())
}

fn install(tool: &Tool) -> anyhow::Result<()> {
    if version_of(tool.program).is_some_and(|found| found >= tool.least) {
        return Ok(());
    }
    let crate_at_version = format!("{}@{}", tool.program, tool.version);
    let args = [
        "install",
        "--locked",
        "--debug",
        "--root",
        TOOLS,
        &crate_at_version,
    ];
    process::run(tool.program, cargo(args).env("CARGO_PROFILE_DEV_DEBUG", "0"))?
        .ok()
        .with_context(|| format!("cargo install {crate_at_version} failed"))?;
    Ok(())
}

/// `npm ci`, when the lock file is another than that of the last time.
pub(crate) fn npm() -> anyhow::Result<()> {
    let lock = fs::read("web/package-lock.json").context("web/package-lock.json")?;
    let stamp = Path::new("web/node_modules/.installed-lock.json");
    if fs::read(stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let args = ["ci", "--no-audit", "--no-fund"];
    process::run("npm-ci", command("npm").args(args).current_dir("web"))?.ok()?;
    fs::write(stamp, lock).context("web/node_modules cannot be written")
}

/// What `program --version` says.
fn version_of(program: &str) -> Option<(u32, u32, u32)> {
    // cargo's subcommands want their own name first when they are not called by cargo.
    let words: &[&str] = match program.strip_prefix("cargo-") {
        Some(name) => &[name, "--version"],
        None => &["--version"],
    };
    let output = command(program).args(words).output().ok()?;
    output
        .status
        .success()
        .then(|| triple(&String::from_utf8_lossy(&output.stdout)))?
}

/// The first `a.b.c` in a text.
fn triple(text: &str) -> Option<(u32, u32, u32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .find_map(|word| {
            let mut parts = word.split('.');
            let mut next = || parts.next()?.parse().ok();
            Some((next()?, next()?, next()?))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_say_of_themselves() {
        assert_eq!(triple("v20.19.2\n"), Some((20, 19, 2)));
        assert_eq!(
            triple("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)"),
            Some((0, 9, 143))
        );
        assert_eq!(triple("typos-cli 1.52.0"), Some((1, 52, 0)));
        assert_eq!(triple("no version here"), None);
    }

    #[test]
    fn the_pinned_versions_satisfy_their_own_limits() {
        for tool in [NEXTEST, DENY] {
            assert!(triple(tool.version).unwrap() >= tool.least, "{}", tool.program);
        }
    }
}
