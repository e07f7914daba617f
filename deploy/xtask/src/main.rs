//! `cargo xtask`: set-up, checks and a running house by one word each.
//!
//! ```text
//! cargo xtask up [-- ARGS]   set up, build and run everything; ARGS go to `farglass up`
//! cargo xtask test           set up and run every check; the last line reads `N passed, M failed`
//! cargo xtask PART           one part of it: setup, lint, rust, web, fuzz [SECONDS], e2e
//! ```
//!
//! Only the standard library and anyhow, so that it compiles in seconds before anything else. What is set up
//! or built already is left alone; what is missing is installed, or named with the exact line to type.

mod checks;
mod counts;
mod fuzz;
mod process;
mod report;
mod setup;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use report::Report;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            report::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> anyhow::Result<ExitCode> {
    let (command, rest) = args
        .split_first()
        .map_or(("help", args), |(first, rest)| (first.as_str(), rest));
    std::env::set_current_dir(root()).context("the repository is not where it was when xtask was built")?;
    if command == "up" {
        let rest = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
        return Err(checks::up(rest));
    }
    let mut report = Report::new();
    match command {
        "test" => checks::all(&mut report)?,
        "setup" => checks::setup(&mut report)?,
        "lint" => checks::lint(&mut report),
        "rust" => checks::rust(&mut report),
        "web" => {
            checks::web(&mut report);
        }
        "fuzz" => checks::fuzz(&mut report, seconds(rest)?),
        "e2e" => checks::e2e(&mut report),
        _ => {
            bail!("usage: cargo xtask up [-- ARGS] | test | setup | lint | rust | web | fuzz [SECONDS] | e2e")
        }
    }
    Ok(report.close())
}

fn seconds(rest: &[String]) -> anyhow::Result<Option<u32>> {
    match rest {
        [] => Ok(None),
        [n] => {
            let n = n
                .parse()
                .with_context(|| format!("{n} is no number of seconds"))?;
            Ok(Some(n))
        }
        _ => bail!("usage: cargo xtask fuzz [SECONDS]"),
    }
}

/// The repository: two folders above this crate.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
