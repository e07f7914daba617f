//! Repository rules that no linter knows. Each rule is pure: files in, findings out; this file only reads the
//! repository (tracked and new files, as git sees them) and counts.
//!
//! | rule | file |
//! |---|---|
//! | allowed entries at the top, length of files, headers of modules, no machine paths | [`shape`] |
//! | calls that have a better way here | [`banned`] |
//! | arrows between crates | [`arrows`] |
//! | recipes that Compose reads, with every option explained | [`recipes`] |
//! | the wire's twins in Rust and TypeScript | [`twins`] |

mod arrows;
mod banned;
mod recipes;
mod shape;
mod twins;

use anyhow::Context as _;

use crate::counts::Counts;
use crate::process::{self, cargo, command};
use crate::report::Failure;

/// A text file of the repository.
pub(crate) struct Source {
    /// Relative to the top.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Written by hand in a language that is read as prose.
    fn is_code(&self) -> bool {
        [".rs", ".ts", ".mjs", ".js", ".svelte", ".css"]
            .iter()
            .any(|end| self.path.ends_with(end))
    }
}

/// Something to mend: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `path` or `path:line`.
    pub(crate) at: String,
    pub(crate) what: String,
}

impl Finding {
    fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            what: what.into(),
        }
    }
}

/// Runs all rules; each counts as one test.
pub(crate) fn run() -> Result<Counts, Failure> {
    let sources = read()?;
    let tree = cargo_tree()?;
    let refused = compose(&sources)?;
    let rules = [
        shape::top(&sources),
        shape::lengths(&sources),
        shape::headers(&sources),
        shape::machine_paths(&sources),
        banned::calls(&sources),
        arrows::check(&tree),
        recipes::check(&sources, refused),
        twins::check(&sources),
    ];
    let failed = rules.iter().filter(|findings| !findings.is_empty()).count();
    let counts = Counts {
        passed: (rules.len() - failed) as u32,
        failed: failed as u32,
    };
    let told: Vec<String> = rules
        .iter()
        .flatten()
        .map(|finding| format!("{}: {}", finding.at, finding.what))
        .collect();
    if told.is_empty() {
        Ok(counts)
    } else {
        Err(Failure {
            counts,
            told: told.join("\n"),
        })
    }
}

/// Every text file that git tracks or would add.
fn read() -> anyhow::Result<Vec<Source>> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = process::run("git-files", command("git").args(args))?
        .ok()
        .context("git ls-files")?;
    let mut sources = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        // Deleted but still tracked, a link to nowhere, or no text: nothing to read.
        let Ok(bytes) = std::fs::read(path) else { continue };
        let text = String::from_utf8(bytes).unwrap_or_default();
        sources.push(Source {
            path: path.to_owned(),
            text,
        });
    }
    Ok(sources)
}

/// What Compose says of the recipes' files that it cannot read.
fn compose(sources: &[Source]) -> anyhow::Result<Vec<Finding>> {
    let mut refused = Vec::new();
    for file in recipes::compose_files(sources) {
        let mut config = command("docker-compose");
        config.args(["--file", &file.path, "config", "--quiet"]);
        // Whoever starts it has to name these; here any text will do.
        config.envs(["EMULATOR_IMAGE", "ADBKEY"].map(|name| (name, "any")));
        let ended = process::run("compose", &mut config)?;
        if !ended.status.success() {
            refused.push(Finding::new(&file.path, ended.output.trim()));
        }
    }
    Ok(refused)
}

/// Every crate of the house with its direct dependencies, as `cargo tree` prints them with depths.
fn cargo_tree() -> anyhow::Result<String> {
    let args = [
        "tree",
        "--locked",
        "--workspace",
        "--depth",
        "1",
        "--prefix",
        "depth",
        "--format",
        "{p}",
        // Without it, a crate that was named as somebody's dependency is listed with none of its own.
        "--no-dedupe",
    ];
    process::run("cargo-tree", cargo(args).args(["--edges", "normal,build"]))?.ok()
}
