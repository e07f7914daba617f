//! Other programs: the one door through which xtask runs them.
//!
//! Output goes to a log file under `target/xtask`, stdout and stderr in the order they were written, and is
//! handed back as text: a step that fails shows all of it, one that passes shows nothing.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context as _;

/// Where logs go.
pub(crate) const LOGS: &str = "target/xtask";
/// Where tools are installed that this machine lacks.
pub(crate) const TOOLS: &str = "target/tools";

/// How a program ended and what it said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

impl Ended {
    /// The output of a success; a failure as an error that carries everything that was said.
    pub(crate) fn ok(self) -> anyhow::Result<String> {
        if self.status.success() {
            return Ok(self.output);
        }
        anyhow::bail!("{}\n({})", self.output.trim_end(), self.status)
    }
}

/// Runs a program to its end, its output in the log `name`.
pub(crate) fn run(name: &str, command: &mut Command) -> anyhow::Result<Ended> {
    fs::create_dir_all(LOGS).context("target/xtask cannot be made")?;
    let path = Path::new(LOGS).join(format!("{name}.log"));
    let log = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    let output = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
    Ok(Ended { status, output })
}

/// A program with the environment that every part of the house is built and tested in.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    // What `cargo run` tells this program about itself would reach the build scripts of a nested cargo, some
    // of which rebuild when it changes: half the dependencies would be compiled anew at each turn between
    // `cargo build` and `cargo xtask`.
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(is_about_this_program) {
            command.env_remove(&key);
        }
    }
    command
        .env("PATH", path_with_tools())
        .env("NO_COLOR", "1")
        .env("CARGO_TERM_COLOR", "never");
    command
}

/// `cargo` with arguments.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut cargo = command("cargo");
    cargo.args(args);
    cargo
}

/// True when `program` is found where commands of xtask look.
pub(crate) fn is_there(program: &str) -> bool {
    std::env::split_paths(&path_with_tools()).any(|dir| dir.join(program).is_file())
}

fn is_about_this_program(key: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
        .iter()
        .any(|start| key.starts_with(start))
        || ["CARGO_PRIMARY_PACKAGE", "CARGO", "OUT_DIR", "LD_LIBRARY_PATH"].contains(&key)
}

fn path_with_tools() -> std::ffi::OsString {
    let here = std::env::current_dir().unwrap_or_default().join(TOOLS);
    let ours: [PathBuf; 2] = [here.join("bin"), here.join("python/bin")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A PATH that came in split goes out joined: it holds no separator inside an entry.
    std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&path))).unwrap_or(path)
}
