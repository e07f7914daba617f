//! Fuzzing on the stable toolchain: build the targets with counters, prove the harness, run each for seconds.
//!
//! A target is a file of `deploy/fuzz/src/bin`; its seeds are in `deploy/fuzz/corpus/NAME`, and what libFuzzer
//! adds while it runs goes to `target/fuzz/NAME`, so that a longer run continues where the last one stopped.
//! An input that breaks a parser is left in `target/fuzz/found`, named in the output, and belongs into the
//! corpus together with the fix.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail, ensure};

use crate::counts::Counts;
use crate::process::{self, cargo, command};

/// What each target gets in `cargo xtask test`.
pub(crate) const SECONDS_EACH: u32 = 3;
/// Where the dice of every target begin in `cargo xtask test`: what it tries is the same each time, so that a failure
/// is about the change that is tested. `cargo xtask fuzz SECONDS` rolls new ones.
const SEED: u32 = 1;
/// Longest input, in bytes: beyond the largest fixed-size message, short enough for many thousand runs a second.
const INPUT_MAX: u32 = 4096;
/// Memory of one target, in MiB: a parser that allocates by an unchecked length dies here.
const MEMORY_MAX_MIB: u32 = 512;
/// Time for one input, in seconds: a parser that loops dies here. It is wall-clock time, so a machine that stands still
/// for a moment must not look like one.
const INPUT_SECONDS_MAX: u32 = 120;
/// Targets that run at the same time: one a core of a small machine.
const LANES: usize = 2;
/// Time in which the planted bug must be found; it takes well under a second.
const PLANTED_SECONDS: u32 = 30;
/// The target with the planted bug.
const PLANTED: &str = "planted";

/// All targets but the planted one, by name.
fn targets() -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir("deploy/fuzz/src/bin")?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != PLANTED)
        .collect();
    names.sort();
    ensure!(!names.is_empty(), "no fuzz targets");
    Ok(names)
}

/// Builds every target, our crates instrumented, everything else as it is.
pub(crate) fn build() -> anyhow::Result<()> {
    let wrapper = fs::canonicalize("deploy/fuzz/instrument.sh").context("deploy/fuzz/instrument.sh")?;
    let mut build = cargo(["build", "--locked", "--package", "fuzz", "--bins"]);
    // Incremental compilation cuts crates into many units again.
    build
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env("CARGO_INCREMENTAL", "0");
    process::run("fuzz-build", &mut build)?.ok()?;
    // libFuzzer wants it there before it writes into it.
    fs::create_dir_all("target/fuzz/found").context("target/fuzz/found cannot be made")
}

/// Shows that the harness finds what there is to find.
pub(crate) fn prove() -> anyhow::Result<()> {
    let ended = process::run("fuzz-planted", &mut libfuzzer(PLANTED, PLANTED_SECONDS, &[]))?;
    ensure!(
        !ended.status.success(),
        "the planted bug was not found: the targets are not instrumented"
    );
    ensure!(
        ended.output.contains("the planted bug was found"),
        "another failure:\n{}",
        ended.output
    );
    Ok(())
}

/// Runs every target, [`LANES`] at a time, for as long as said or as in `cargo xtask test`; the sentences are of those
/// that failed.
pub(crate) fn all(seconds: Option<u32>) -> anyhow::Result<(Counts, Vec<String>)> {
    let names = targets()?;
    let next = AtomicUsize::new(0);
    let lane = || {
        let mut told = Vec::new();
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = target(name, seconds) {
                told.push(format!("{error:#}"));
            }
        }
        told
    };
    let told: Vec<String> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes
            .into_iter()
            .flat_map(|lane| lane.join().expect("a lane does not panic"))
            .collect()
    });
    let counts = Counts {
        passed: (names.len() - told.len()) as u32,
        failed: told.len() as u32,
    };
    Ok((counts, told))
}

/// Runs one target.
fn target(name: &str, seconds: Option<u32>) -> anyhow::Result<()> {
    let grown = PathBuf::from(format!("target/fuzz/{name}"));
    fs::create_dir_all(&grown)?;
    let seeds = PathBuf::from(format!("deploy/fuzz/corpus/{name}"));
    ensure!(
        seeds.is_dir(),
        "{} is missing: a target starts from seeds",
        seeds.display()
    );
    let log = format!("fuzz-{name}");
    let mut run = libfuzzer(name, seconds.unwrap_or(SECONDS_EACH), &[&grown, &seeds]);
    if seconds.is_none() {
        run.arg(format!("-seed={SEED}"));
    }
    let ended = process::run(&log, &mut run)?;
    if !ended.status.success() {
        bail!("{name}: {}\n({})", ended.output.trim_end(), ended.status);
    }
    ensure!(
        ended.output.contains("DONE"),
        "{name} ended before its time:\n{}",
        ended.output
    );
    Ok(())
}

fn libfuzzer(name: &str, seconds: u32, folders: &[&Path]) -> Command {
    let mut run = command(format!("target/debug/fuzz_{name}"));
    run.arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MAX_MIB}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-artifact_prefix=target/fuzz/found/{name}-"))
        .arg("-print_final_stats=1")
        .args(folders);
    run
}
