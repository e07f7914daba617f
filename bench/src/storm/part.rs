//! One process of a storm: started, killed by SIGKILL, started again with the same words.
//!
//! ```text
//!   Spec ── start ──► running ── kill: SIGKILL, wait ──► down ── start ──► …       its words go on in one log
//! ```
//!
//! It is killed as a power cut would: nobody gets to clean up. The wait right after leaves no zombie that could
//! hold a lock file. It does not know what it runs.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// Log lines of ours from this level on, so that whatever a log could give away is in it.
const LOG_LEVELS: &str = "info,control=debug,signaling=debug,host_agent=debug,gateway=debug";
/// Lines of a log that an error shows.
const LAST_LINES: usize = 30;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
}

impl Spec {
    pub(crate) fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
        }
    }

    /// One more word on the command line.
    pub(crate) fn word(mut self, word: impl Into<OsString>) -> Self {
        self.args.push(word.into());
        self
    }

    /// An option and its value.
    pub(crate) fn with(self, option: &str, value: impl AsRef<Path>) -> Self {
        self.word(option).word(value.as_ref())
    }
}

/// A process that may be down.
#[derive(Debug)]
pub(crate) struct Part {
    spec: Spec,
    log: PathBuf,
    child: Option<Child>,
}

impl Part {
    /// Nothing runs before [`Self::start`]. The log is `FOLDER/NAME.log`.
    pub(crate) fn new(spec: Spec, folder: &Path) -> Self {
        let log = folder.join(format!("{}.log", spec.name));
        Self {
            spec,
            log,
            child: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// The last line of its log that holds these words.
    pub(crate) fn last_line(&self, words: &str) -> Option<String> {
        let log = std::fs::read(&self.log).ok()?;
        let log = String::from_utf8_lossy(&log);
        log.lines().rfind(|line| line.contains(words)).map(str::to_owned)
    }

    /// Starts it.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = self.command(&log)?.spawn();
        self.child =
            Some(child.with_context(|| format!("{} cannot be started", self.spec.program.display()))?);
        Ok(())
    }

    fn command(&self, log: &File) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.spec.program);
        command
            .args(&self.spec.args)
            .env("RUST_LOG", LOG_LEVELS)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        Ok(command)
    }

    /// Kills it at once. Nothing happens to one that is down.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself in this moment.
            drop(child.kill());
            drop(child.wait());
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.child.is_none()
    }

    /// How it ended although nobody killed it; none while it runs or is down.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(format!(
            "{} ended by itself ({status}):\n{}",
            self.spec.name,
            self.last_words()
        ))
    }

    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_part_is_gone_and_starts_again_on_the_same_log() {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec::new("part", "/bin/sh")
            .word("-c")
            .word("echo up; exec sleep 1000");
        let mut part = Part::new(spec, folder.path());
        for _ in 0..2 {
            assert!(part.is_down());
            part.start().unwrap();
            assert_eq!(part.ended(), None);
            part.kill();
        }
        assert_eq!(part.ended(), None, "killed by us is no end of its own");
    }

    #[test]
    fn a_part_that_ends_by_itself_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec::new("part", "/bin/sh")
            .word("-c")
            .word("echo no room >&2; exit 3");
        let mut part = Part::new(spec, folder.path());
        part.start().unwrap();
        let told = loop {
            if let Some(told) = part.ended() {
                break told;
            }
        };
        assert!(
            told.contains("exit status: 3") && told.ends_with("no room"),
            "{told}"
        );
    }
}
