//! The doctor: looks at a host and at devices before anybody depends on them, and says for each thing that is not well
//! what to do about it.
//!
//! ```text
//!   host.rs     Docker · KVM · binder · UDP port · adb key · control's link      ┐
//!   device.rs   adb · boot · Android · server file · encoders · audio            ├─► Report ─► printed, or as JSON
//!   main program: control over HTTP, the clock                                   ┘
//! ```
//!
//! Every check does what the product will do (opens the device, binds the port, asks the server on the device), so that
//! what is found is true and not guessed from versions. `Fails` means that something that was asked for cannot work;
//! a warning is about what only some set-ups need. It changes nothing but a file on the device that it removes again.

mod audio;
mod device;
mod host;
mod link;
mod servers;

use std::fmt;

pub use device::{ServerFile, device};
pub use host::{Places, adb_key, host, media_port};
pub use link::link;
pub use servers::{KNOWN_SERVERS, known_version};

/// Entry point for fuzzing: any bytes as what devices, Docker and control answer the doctor.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    for check in device::read_any(bytes) {
        assert!(!check.found.is_empty(), "{} tells nothing", check.name);
    }
    let _ = host::version_in(bytes);
    link::fuzz(bytes);
}

/// How one thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at; stays the same from release to release.
    pub name: &'static str,
    /// What was found, for a person.
    pub found: String,
    /// Whether that is good.
    pub verdict: Verdict,
}

/// Whether something is good, and if not what to do: one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Ok,
    /// It is not, and some set-ups do without it.
    Warning(String),
    /// It is not, and what was asked for does not work without it.
    Fails(String),
}

impl Check {
    /// It is as it should be.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, found, Verdict::Ok)
    }

    /// It is not as it should be; some do without it.
    pub fn warning(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(name, found, Verdict::Warning(cure.into()))
    }

    /// It does not work.
    pub fn fails(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(name, found, Verdict::Fails(cure.into()))
    }

    fn new(name: &'static str, found: impl Into<String>, verdict: Verdict) -> Self {
        let found = found.into();
        Self { name, found, verdict }
    }
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning(_) => "warning",
            Self::Fails(_) => "fails",
        }
    }

    /// What to do.
    #[must_use]
    pub fn cure(&self) -> Option<&str> {
        match self {
            Self::Ok => None,
            Self::Warning(cure) | Self::Fails(cure) => Some(cure),
        }
    }
}

impl fmt::Display for Check {
    /// One line, and a second one with the cure where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8}{:<16}{}", self.verdict.word(), self.name, self.found)?;
        match self.verdict.cure() {
            Some(cure) => write!(f, "\n{:<24}{cure}", ""),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
