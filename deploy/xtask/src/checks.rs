//! The steps of each command, in order: what is cheap and fails often comes first.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context as _;

use crate::counts::{self, Counts};
use crate::process::{self, cargo, command};
use crate::report::{Failure, Report, say};
use crate::{fuzz, setup, tidy};

/// Every check.
pub(crate) fn all(report: &mut Report) -> anyhow::Result<()> {
    setup(report)?;
    lint(report);
    let pages = web(report);
    rust(report);
    fuzz(report, None);
    if pages {
        e2e(report);
    } else {
        report.leave_out("e2e", "the web parts have failed");
    }
    Ok(())
}

/// Brings everything onto the machine. Without it nothing else makes sense: the first failure is the end.
pub(crate) fn setup(report: &mut Report) -> anyhow::Result<()> {
    let done = report.step("set-up: Debian packages", || {
        setup::debian(&[setup::TO_BUILD, setup::TO_TEST].concat())
    }) && report.step("set-up: node", setup::node)
        && report.step("set-up: npm ci", setup::npm)
        && report.step("set-up: typos", setup::typos)
        && report.step("set-up: nextest", setup::nextest)
        && report.step("set-up: cargo-deny", setup::deny);
    anyhow::ensure!(done, "the set-up is not complete; what is missing is named above");
    Ok(())
}

/// What is read, not run.
pub(crate) fn lint(report: &mut Report) {
    report.step("format", || quiet("fmt", &mut cargo(["fmt", "--all", "--check"])));
    report.counted("tidy", tidy::run);
    report.step("typos", || quiet("typos", &mut command("typos")));
    report.step("licences, bans, sources", || {
        quiet(
            "deny",
            &mut cargo(["deny", "--locked", "check", "licenses", "bans", "sources"]),
        )
    });
    report.step("clippy", || {
        let args = [
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        quiet("clippy", &mut cargo(args))
    });
}

/// The Rust tests.
pub(crate) fn rust(report: &mut Report) {
    // Apart from the tests, so that the table tells compiling from running.
    let built = report.step("rust: build", || {
        quiet(
            "rust-build",
            &mut cargo(["build", "--locked", "--package", "farglass"]),
        )?;
        quiet(
            "rust-tests-build",
            &mut cargo(["nextest", "run", "--locked", "--workspace", "--no-run"]),
        )
    });
    if built {
        report.counted("rust: tests", || {
            runner(
                "nextest",
                // The same cases each time: a failure is about the change that is tested. By hand they are drawn.
                cargo(["nextest", "run", "--locked", "--workspace"]).env("PROPTEST_RNG_SEED", "1"),
                counts::nextest,
            )
        });
    } else {
        report.leave_out("rust: tests", "they do not compile");
    }
}

/// The web workspace; true when its pages are built.
pub(crate) fn web(report: &mut Report) -> bool {
    report.step("web: check", || npm("check"));
    report.step("web: lint", || npm("lint"));
    report.counted("web: tests", || {
        runner("web-test", &mut npm_run("test"), counts::vitest)
    });
    let built = report.step("web: build", || npm("build"));
    report.step("web: size", || npm("size"));
    built
}

/// Every fuzz target for some seconds, after the harness has proven itself.
pub(crate) fn fuzz(report: &mut Report, seconds: Option<u32>) {
    if !report.step("fuzz: build", fuzz::build) || !report.step("fuzz: the planted bug is found", fuzz::prove)
    {
        report.leave_out("fuzz: targets", "the harness does not work");
        return;
    }
    let each = seconds.unwrap_or(fuzz::SECONDS_EACH);
    report.counted(&format!("fuzz: targets, {each} s each"), || {
        let (counts, told) = fuzz::all(seconds)?;
        if told.is_empty() {
            Ok(counts)
        } else {
            Err(Failure {
                counts,
                told: told.join("\n\n"),
            })
        }
    });
}

/// Journeys in a real browser against the real binary.
pub(crate) fn e2e(report: &mut Report) {
    let built = report.step("e2e: build", || {
        quiet(
            "e2e-build",
            &mut cargo(["build", "--locked", "--package", "farglass"]),
        )?;
        build_pages_if_stale()
    });
    if !built {
        report.leave_out("e2e: journeys", "there is nothing to run");
        return;
    }
    report.counted("e2e: journeys", || {
        // One after the other: two cores carry one browser, one encoder and one decoder at a time.
        runner("e2e", &mut npm_run("e2e"), counts::node)
    });
}

/// Sets up and builds what `farglass up` needs, then becomes it. Returns only an error.
pub(crate) fn up(args: &[String]) -> anyhow::Error {
    let ready = || -> anyhow::Result<()> {
        say("xtask: looking at the machine");
        setup::debian(setup::TO_BUILD)?;
        setup::node()?;
        say("xtask: npm packages and pages");
        setup::npm()?;
        build_pages_if_stale()?;
        say("xtask: cargo build (the first takes some minutes)");
        let built = command("cargo")
            .args(["build", "--locked", "--package", "farglass"])
            .status()?;
        anyhow::ensure!(built.success(), "the build has failed; see above");
        Ok(())
    };
    if let Err(error) = ready() {
        return error;
    }
    let error = Command::new("target/debug/farglass").arg("up").args(args).exec();
    anyhow::Error::new(error).context("target/debug/farglass cannot be run")
}

/// Builds the pages when a source is newer than what was built last.
fn build_pages_if_stale() -> anyhow::Result<()> {
    let built = std::fs::metadata("web/viewer/dist/index.html").and_then(|meta| meta.modified());
    let sources = newest("web")?;
    if built.is_ok_and(|built| built >= sources) {
        return Ok(());
    }
    npm("build")
}

/// When the newest source below `folder` was written.
fn newest(folder: &str) -> anyhow::Result<SystemTime> {
    fn walk(folder: &Path, newest: &mut SystemTime) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let meta = entry.metadata()?;
            if meta.is_dir() {
                if !["node_modules", "dist", "e2e"].iter().any(|skip| name == *skip) {
                    walk(&entry.path(), newest)?;
                }
            } else {
                *newest = meta.modified()?.max(*newest);
            }
        }
        Ok(())
    }
    let mut found = SystemTime::UNIX_EPOCH;
    walk(Path::new(folder), &mut found).with_context(|| format!("{folder} cannot be read"))?;
    Ok(found)
}

fn npm(script: &str) -> anyhow::Result<()> {
    quiet(&format!("web-{script}"), &mut npm_run(script))
}

fn npm_run(script: &str) -> Command {
    let mut npm = command("npm");
    npm.args(["run", "--silent", script]).current_dir("web");
    npm
}

/// A program that only passes or fails.
fn quiet(name: &str, command: &mut Command) -> anyhow::Result<()> {
    process::run(name, command)?.ok().map(drop)
}

/// A test runner: its counts are read also when tests have failed.
fn runner(
    name: &str,
    command: &mut Command,
    read: fn(&str) -> anyhow::Result<Counts>,
) -> Result<Counts, Failure> {
    let ended = process::run(name, command)?;
    let counts = read(&ended.output);
    if !ended.status.success() {
        return Err(Failure {
            counts: counts.unwrap_or_default(),
            told: ended.output,
        });
    }
    let counts = counts?;
    if counts.passed == 0 {
        return Err(Failure {
            counts,
            told: format!("{name}: no test ran\n{}", ended.output),
        });
    }
    Ok(counts)
}
