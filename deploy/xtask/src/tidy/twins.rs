//! The wire between viewer and gateway exists twice, in Rust and in TypeScript, held together by golden bytes.
//! A vector file that only one side reads, or a message file without its twin, would let them drift apart.

use super::{Finding, Source};

const VECTORS: &str = "signaling/protocol/vectors/";
const RUST: &str = "signaling/protocol/src/";
const RUST_TESTS: &str = "signaling/protocol/tests/";
const TS: &str = "web/shared/src/wire/";
const TS_TESTS: &str = "web/shared/tests/";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for vector in sources {
        let Some(name) = vector
            .path
            .strip_prefix(VECTORS)
            .and_then(|name| name.strip_suffix(".json"))
        else {
            continue;
        };
        for (what, path) in [
            ("Rust", format!("{RUST}{name}.rs")),
            ("TypeScript", format!("{TS}{name}.ts")),
        ] {
            if !sources.iter().any(|source| source.path == path) {
                findings.push(Finding::new(
                    &vector.path,
                    format!("has no {what} side at {path}"),
                ));
            }
        }
        for tests in [RUST_TESTS, TS_TESTS] {
            let reads = sources
                .iter()
                .filter(|source| source.path.starts_with(tests))
                .any(|source| source.text.contains("vectors") && names(&source.text, name));
            if !reads {
                findings.push(Finding::new(
                    &vector.path,
                    format!("is read by no test under {tests}"),
                ));
            }
        }
    }
    findings
}

/// `name` as a file or as a string of its own.
fn names(text: &str, name: &str) -> bool {
    [format!("{name}.json"), format!("\"{name}\""), format!("'{name}'")]
        .iter()
        .any(|form| text.contains(form))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn a_vector_file_needs_both_sides_and_both_tests() {
        let mut sources = vec![
            source("signaling/protocol/vectors/input.json", "[]"),
            source("signaling/protocol/src/input.rs", ""),
            source("signaling/protocol/tests/golden.rs", "vectors(\"input\")"),
            source("web/shared/src/wire/input.ts", ""),
            source("web/shared/tests/wire.test.ts", "vectors('input')"),
        ];
        assert_eq!(check(&sources), []);
        sources.truncate(3);
        let found = check(&sources);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
