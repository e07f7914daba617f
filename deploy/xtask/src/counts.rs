//! How many tests a runner ran, read from its closing lines. Each runner has one reader, pinned by a sample of
//! its real output; output without such a line is an error, so that "no test ran" cannot pass as success.

use anyhow::Context as _;

/// Tests of one runner or of many.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
}

/// The last line that begins with `word`.
fn closing<'a>(output: &'a str, word: &str) -> Option<&'a str> {
    output
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with(word))
}

/// `Summary [ 0.768s] 12 tests run: 11 passed (1 slow), 1 failed, 0 skipped`
pub(crate) fn nextest(output: &str) -> anyhow::Result<Counts> {
    let line = closing(output, "Summary [").context("nextest closed without a summary")?;
    let run = before(line, "tests run")
        .or_else(|| before(line, "test run"))
        .context("nextest's summary")?;
    let passed = before(line, "passed").unwrap_or(0);
    // Failed, timed out and not executed alike.
    Ok(Counts {
        passed,
        failed: run.saturating_sub(passed),
    })
}

/// `Tests  1 failed | 33 passed (34)`
pub(crate) fn vitest(output: &str) -> anyhow::Result<Counts> {
    let line = closing(output, "Tests  ").context("vitest closed without a count")?;
    Ok(Counts {
        passed: before(line, "passed").unwrap_or(0),
        failed: before(line, "failed").unwrap_or(0),
    })
}

/// `# pass 3` and its like of node's test runner, one a line, in TAP (`#`) or for people (`ℹ`).
pub(crate) fn node(output: &str) -> anyhow::Result<Counts> {
    let of = |word: &str| {
        output.lines().rev().find_map(|line| {
            let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
            rest.strip_prefix(word)?.trim().parse::<u32>().ok()
        })
    };
    let passed = of("pass ").context("node closed without a count")?;
    Ok(Counts {
        passed,
        failed: of("fail ").unwrap_or(0) + of("cancelled ").unwrap_or(0),
    })
}

/// The number that stands before `word`.
fn before(line: &str, word: &str) -> Option<u32> {
    let (head, _) = line.split_once(&format!(" {word}"))?;
    head.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(passed, failed)`, or none when the output has no count.
    fn read(reader: fn(&str) -> anyhow::Result<Counts>, output: &str) -> Option<(u32, u32)> {
        let Counts { passed, failed } = reader(output).ok()?;
        Some((passed, failed))
    }

    #[test]
    fn nextest_is_read_with_failures_and_time_outs() {
        let good = "────\n     Summary [   0.768s] 12 tests run: 12 passed, 0 skipped\n";
        assert_eq!(read(nextest, good), Some((12, 0)));
        let bad = "     Summary [  61.0s] 40 tests run: 36 passed (2 slow), 3 failed, 1 timed out, 2 skipped\n  FAIL x\n";
        assert_eq!(read(nextest, bad), Some((36, 4)));
        let one = "     Summary [   0.1s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(read(nextest, one), Some((1, 0)));
        assert_eq!(read(nextest, "error: no tests to run"), None);
    }

    #[test]
    fn vitest_is_read() {
        let good = " Test Files  3 passed (3)\n      Tests  34 passed (34)\n   Start at  10:31:00\n";
        assert_eq!(read(vitest, good), Some((34, 0)));
        let bad = " Test Files  1 failed | 2 passed (3)\n      Tests  1 failed | 33 passed (34)\n";
        assert_eq!(read(vitest, bad), Some((33, 1)));
        assert_eq!(read(vitest, "No test files found"), None);
    }

    #[test]
    fn nodes_runner_is_read_in_both_its_forms() {
        let tap = "# tests 4\n# suites 1\n# pass 3\n# fail 1\n# cancelled 0\n# skipped 0\n";
        assert_eq!(read(node, tap), Some((3, 1)));
        let people = "ℹ tests 3\nℹ pass 3\nℹ fail 0\nℹ cancelled 0\n";
        assert_eq!(read(node, people), Some((3, 0)));
        assert_eq!(read(node, "Could not find 'x'"), None);
    }
}
