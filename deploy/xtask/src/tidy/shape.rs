//! The repository's outer shape: what lies at the top, how long a file may be, how it begins, and that it
//! names no machine.

use super::{Finding, Source};

/// What may lie at the top, and nothing else.
const TOP: &[&str] = &[
    // The house.
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "control",
    "deploy",
    "gateway",
    "host-agent",
    "signaling",
    "web",
    // Configuration of tools, which look for it here.
    ".cargo",
    ".ci",
    ".config",
    ".gitignore",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "typos.toml",
];

/// Lines of a file that fits into a head, without the tests at its end. A longer one says why it is one thing.
const LINES_MAX: usize = 500;
/// How a longer file says so, within its header.
const REASON: &str = "Long because";
/// Lines at the top of a file that count as its header.
const HEADER_LINES: usize = 30;

pub(super) fn top(sources: &[Source]) -> Vec<Finding> {
    let mut entries: Vec<&str> = sources
        .iter()
        .filter_map(|source| source.path.split('/').next())
        .collect();
    entries.sort_unstable();
    entries.dedup();
    entries
        .into_iter()
        .filter(|entry| !TOP.contains(entry))
        .map(|entry| {
            Finding::new(
                entry,
                "does not belong at the top: find the folder that it is part of",
            )
        })
        .collect()
}

pub(super) fn lengths(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.is_code())
        .filter_map(|source| {
            let lines = source.text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            let reason = source.text.lines().take(HEADER_LINES).any(|line| line.contains(REASON));
            (lines > LINES_MAX && !reason).then(|| {
                let what = format!(
                    "{lines} lines: give a noun its own file, or say in the header `{REASON} …` why it is one thing"
                );
                Finding::new(&source.path, what)
            })
        })
        .collect()
}

pub(super) fn headers(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.is_rust() && !source.text.starts_with("//!"))
        .map(|source| Finding::new(&source.path, "begins without a `//!` header that says what it is"))
        .collect()
}

pub(super) fn machine_paths(sources: &[Source]) -> Vec<Finding> {
    // Spelled in two parts, so that this file is no finding.
    let homes = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    let mut findings = Vec::new();
    for source in sources {
        for (n, line) in source.text.lines().enumerate() {
            if let Some(home) = homes.iter().find(|home| line.contains(*home)) {
                let at = format!("{}:{}", source.path, n + 1);
                findings.push(Finding::new(at, format!("`{home}…` is a path of one machine")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: impl Into<String>) -> Source {
        Source {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn only_the_known_entries_may_lie_at_the_top() {
        let sources = [
            source("gateway/src/lib.rs", ""),
            source("README.md", ""),
            source("scripts/x.sh", ""),
        ];
        let found = top(&sources);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].at, "scripts");
    }

    #[test]
    fn a_long_file_needs_its_reason_in_the_header() {
        let long = "//! A header.\n".to_owned() + &"x\n".repeat(LINES_MAX);
        let told = long.replace("A header", "A header. Long because it is one table");
        let late = "//! A header.\n".to_owned() + &"x\n".repeat(LINES_MAX) + "// Long because\n";
        let tests = "//! A header.\n".to_owned() + "#[cfg(test)]\n" + &"x\n".repeat(LINES_MAX);
        let sources = [
            source("a.rs", long),
            source("b.rs", told),
            source("c.rs", late),
            source("tested.rs", tests),
            source("d.json", "x\n".repeat(9000)),
        ];
        let at: Vec<String> = lengths(&sources).into_iter().map(|finding| finding.at).collect();
        assert_eq!(at, ["a.rs", "c.rs"]);
    }

    #[test]
    fn a_rust_file_begins_with_its_header() {
        let sources = [
            source("a.rs", "//! What it is.\n"),
            source("b.rs", "use x;\n"),
            source("c.ts", ""),
        ];
        assert_eq!(headers(&sources).len(), 1);
    }

    #[test]
    fn a_machines_path_is_found_with_its_line() {
        let text = format!("fine\nsee {}me/x\n", "/ho");
        assert_eq!(machine_paths(&[source("a.md", text)])[0].at, "a.md:2");
    }
}
