//! Calls and words that have a better way in this house. A rule says where it holds and what to do instead;
//! there are no exceptions by comment: a new exception is a line of `EXCEPTIONS`, with its reason, where it is
//! read, and one that no line needs any more is found.

use super::{Finding, Source};

/// Where a rule holds.
#[derive(Clone, Copy)]
enum Where {
    /// Rust under these folders, but not in these files, and not in tests.
    RustIn(&'static [&'static str], &'static [&'static str]),
    /// Rust outside of these folders, tests too.
    RustOutside(&'static [&'static str]),
    /// All Rust.
    Rust,
    /// Rust tests: `tests/` folders and what follows `#[cfg(test)]`.
    RustTests,
    /// Everything under `web/`.
    Web,
    /// All code.
    Code,
}

struct Rule {
    /// Any of these words.
    words: &'static [&'static str],
    holds: Where,
    instead: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["Instant::now", "SystemTime::now"],
        holds: Where::RustIn(&["gateway/src/"], &["gateway/src/driver.rs"]),
        instead: "the engine is told the time: `now` is an argument, driver.rs alone reads the clock",
    },
    Rule {
        words: &[
            "Instant::now",
            "SystemTime::now",
            "tokio::",
            "std::net",
            "std::fs",
        ],
        holds: Where::RustIn(&["signaling/protocol/src/", "host-agent/scrcpy/src/"], &[]),
        instead: "a wire crate has no clock and no I/O: values in, values out",
    },
    Rule {
        words: &["UdpSocket", "TcpStream", "TcpListener"],
        holds: Where::RustIn(&["gateway/src/"], &["gateway/src/driver.rs"]),
        instead: "driver.rs owns the gateway's socket",
    },
    Rule {
        words: &[
            "unbounded_channel(",
            "mpsc::unbounded",
            "mpsc::channel()",
            "channel::unbounded",
        ],
        holds: Where::Rust,
        instead: "every queue has a named limit and says which end loses",
    },
    Rule {
        words: &["thread::sleep("],
        holds: Where::RustTests,
        instead: "wait for the fact, with a deadline, or use virtual time",
    },
    Rule {
        words: &["time::sleep("],
        holds: Where::RustTests,
        instead: "wait for the fact, with a deadline, or use virtual time",
    },
    Rule {
        words: &[
            "sqlx::query",
            "sqlx::query_as",
            "sqlx::query_scalar",
            "sqlx::query_with",
        ],
        holds: Where::RustOutside(&["control/src/store/"]),
        instead: "a query is a method of the store, beside the others on its table",
    },
    Rule {
        words: &["#[ignore"],
        holds: Where::Rust,
        instead: "a test that does not run proves nothing",
    },
    Rule {
        words: &["waitForTimeout(", ".skip(", ".only(", "{@html", "innerHTML"],
        holds: Where::Web,
        instead: "wait for facts; run every test; let the framework escape",
    },
    Rule {
        words: &["TODO", "FIXME", "XXX"],
        holds: Where::Code,
        instead: "do it, or write it where open work is kept",
    },
];

/// A line that may do what a rule bans.
struct Exception {
    path: &'static str,
    /// The banned call with enough around it to be this one only.
    line: &'static str,
    /// Why the rule's better way is none here.
    reason: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        path: "bench/tests/browser.rs",
        line: "tokio::time::sleep(LOOK_AGAIN)",
        reason: "the page is asked until a deadline how many frames it showed: to ask at once again would cost it frames",
    },
    Exception {
        path: "bench/tests/browser.rs",
        line: "tokio::time::sleep(schedule.next_pause())",
        reason: "a person's pauses between taps, which the measurement is about",
    },
    Exception {
        path: "bench/tests/browser.rs",
        line: "tokio::time::sleep(Duration::from_millis(20))",
        reason: "somebody else's orphans tell nobody that they ended: the table of processes is asked until a deadline",
    },
    Exception {
        path: "host-agent/src/rig.rs",
        line: "tokio::time::sleep(LOOK_AGAIN)",
        reason: "the device's dump is asked until a deadline, as any adb user has to",
    },
];

/// This file spells what it bans.
const THIS: &str = "deploy/xtask/src/tidy/banned.rs";

pub(super) fn calls(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path != THIS) {
        findings.extend(unneeded(source));
        for rule in RULES.iter().filter(|rule| rule.holds.in_file(source)) {
            for (n, line) in rule.holds.lines(source) {
                let code = line.split("//").next().unwrap_or(line);
                // Words of open work stand in comments; calls do not.
                let seen = if matches!(rule.holds, Where::Code) {
                    line
                } else {
                    code
                };
                let excepted = exceptions(source).any(|exception| seen.contains(exception.line));
                let word = rule.words.iter().find(|word| has_word(seen, word));
                if let Some(word) = word.filter(|_| !excepted) {
                    let at = format!("{}:{}", source.path, n + 1);
                    findings.push(Finding::new(at, format!("`{word}`: {}", rule.instead)));
                }
            }
        }
    }
    findings
}

fn exceptions(source: &Source) -> impl Iterator<Item = &'static Exception> {
    EXCEPTIONS
        .iter()
        .filter(|exception| exception.path == source.path)
}

/// Exceptions for this file that nothing in it needs.
fn unneeded(source: &Source) -> impl Iterator<Item = Finding> {
    exceptions(source)
        .filter(|exception| !source.text.contains(exception.line))
        .map(|exception| {
            let what = format!(
                "has no `{}` any more ({}): take the exception out of tidy/banned.rs",
                exception.line, exception.reason
            );
            Finding::new(exception.path, what)
        })
}

impl Where {
    fn in_file(self, source: &Source) -> bool {
        match self {
            Self::RustIn(folders, but) => {
                source.is_rust()
                    && folders.iter().any(|folder| source.path.starts_with(folder))
                    && !but.contains(&source.path.as_str())
            }
            Self::RustOutside(folders) => {
                source.is_rust() && !folders.iter().any(|folder| source.path.starts_with(folder))
            }
            Self::Rust | Self::RustTests => source.is_rust(),
            Self::Web => source.path.starts_with("web/") && source.is_code(),
            Self::Code => source.is_code(),
        }
    }

    fn lines<'a>(self, source: &'a Source) -> Box<dyn Iterator<Item = (usize, &'a str)> + 'a> {
        let lines = source.text.lines().enumerate();
        // Tests have a folder or a file of their own, or are the last thing in a file; a rig is for tests only.
        let all_tests = ["/tests/", "/sim/"]
            .iter()
            .any(|folder| source.path.contains(folder))
            || ["tests.rs", "/rig.rs"]
                .iter()
                .any(|file| source.path.ends_with(file));
        let first_test = source.text.lines().position(|line| line.trim() == "#[cfg(test)]");
        match self {
            Self::RustIn(..) if all_tests => Box::new(std::iter::empty()),
            Self::RustIn(..) => Box::new(lines.take(first_test.unwrap_or(usize::MAX))),
            Self::RustTests if all_tests => Box::new(lines),
            Self::RustTests => Box::new(lines.skip(first_test.unwrap_or(usize::MAX))),
            Self::Rust | Self::RustOutside(_) | Self::Web | Self::Code => Box::new(lines),
        }
    }
}

/// `word` in `line`, not as the middle of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts = !word.starts_with(is_name) || !before.is_some_and(is_name);
        let ends = !word.ends_with(is_name) || !after.is_some_and(is_name);
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        calls(&[Source {
            path: path.into(),
            text: text.into(),
        }])
        .len()
    }

    #[test]
    fn the_gateway_reads_the_clock_only_in_its_driver_and_in_tests() {
        let text = "fn f() { let t = Instant::now(); }\n";
        assert_eq!(found("gateway/src/engine.rs", text), 1);
        assert_eq!(found("gateway/src/driver.rs", text), 0);
        assert_eq!(found("control/src/app.rs", text), 0);
        assert_eq!(
            found(
                "gateway/src/engine.rs",
                &format!("#[cfg(test)]\nmod tests {{ {text} }}")
            ),
            0
        );
        assert_eq!(found("gateway/tests/common.rs", text), 0);
        assert_eq!(found("gateway/src/input/tests.rs", text), 0);
        assert_eq!(
            found("gateway/src/engine.rs", "// Instant::now is not called here\n"),
            0
        );
    }

    #[test]
    fn unbounded_queues_and_sleeping_tests_are_found() {
        assert_eq!(
            found("control/src/app.rs", "let (a, b) = mpsc::unbounded_channel();"),
            1
        );
        assert_eq!(
            found("control/src/app.rs", "let (a, b) = std::sync::mpsc::channel();"),
            1
        );
        assert_eq!(
            found("control/src/app.rs", "let (a, b) = mpsc::channel(LIMIT);"),
            0
        );
        assert_eq!(found("control/tests/links.rs", "std::thread::sleep(d);"), 1);
        assert_eq!(found("control/src/app.rs", "std::thread::sleep(d);"), 0);
        assert_eq!(
            found("control/src/app.rs", "#[cfg(test)]\nfn t() { thread::sleep(d); }"),
            1
        );
    }

    #[test]
    fn a_test_does_not_sleep_unless_an_exception_says_why() {
        let nap = "tokio::time::sleep(NAP).await;";
        assert_eq!(found("control/tests/links.rs", nap), 1);
        assert_eq!(found("control/sim/world.rs", nap), 1);
        assert_eq!(found("control/src/rig.rs", nap), 1);
        assert_eq!(found("control/src/app.rs", nap), 0);
        assert_eq!(
            found(
                "control/src/app.rs",
                "#[cfg(test)]\nfn t() { time::sleep(d).await; }"
            ),
            1
        );
        let look = "tokio::time::sleep(LOOK_AGAIN).await;";
        assert_eq!(found("host-agent/src/rig.rs", look), 0);
        assert_eq!(found("control/src/rig.rs", look), 1);
        assert_eq!(
            found("host-agent/src/rig.rs", &format!("{look}\n{nap}")),
            1,
            "an exception is for its line only"
        );
        assert_eq!(
            found("host-agent/src/rig.rs", "fn nothing() {}"),
            1,
            "an exception that is not needed any more"
        );
    }

    #[test]
    fn queries_stand_in_the_store() {
        let query = "sqlx::query(\"SELECT 1\").execute(pool).await";
        assert_eq!(found("control/src/store/links.rs", query), 0);
        assert_eq!(found("control/src/routes/links.rs", query), 1);
        assert_eq!(found("control/tests/links.rs", query), 1);
        assert_eq!(found("control/src/app.rs", "sqlx::query_as::<_, Row>(text)"), 1);
    }

    #[test]
    fn words_of_open_work_are_found_in_comments_but_not_inside_names() {
        let word = "TO".to_owned() + "DO";
        assert_eq!(found("web/viewer/src/a.ts", &format!("// {word}: later")), 1);
        assert_eq!(found("web/viewer/src/a.ts", &format!("const {word}S = [];")), 0);
    }
}
