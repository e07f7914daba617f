//! What an admin wishes of a new link, taken in in one step: afterwards everything is within its bounds.
//!
//! ```text
//!   {"device_id": …} or {"selector": {"labels": {…}}}       one of the two
//!   name, app, not_before, expires_at, max_uses, max_connections, idle_timeout_s, max_duration_s, on_expiry
//! ```
//!
//! It does not know whether the device exists, and not how a link is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::LinkId;
use protocol::agent::App as DeviceApp;
use serde::Deserialize;
use signaling::error::{Code, Problem};

use crate::domain::labels::{Labels, Selector};
use crate::domain::link::{Link, State as LinkState, Target};
use crate::domain::policy::{OnExpiry, OutOfBounds, Policy};
use crate::domain::time::UnixMs;

/// Longest name, characters.
const NAME_MAX: usize = 100;
/// Longest package or activity name, bytes (Android holds package names to 223).
const COMPONENT_MAX: usize = 255;
/// Most uses that can be asked for; none means without end.
const USES_MAX: u32 = 1_000_000;
/// Most viewers of one session.
const CONNECTIONS_MAX: u32 = 10;

/// A new link, as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    name: Option<String>,
    device_id: Option<String>,
    selector: Option<WishedSelector>,
    app: Option<DeviceApp>,
    not_before: Option<String>,
    expires_at: Option<String>,
    max_uses: Option<u32>,
    max_connections: Option<u32>,
    idle_timeout_s: Option<u64>,
    max_duration_s: Option<u64>,
    on_expiry: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WishedSelector {
    labels: BTreeMap<String, String>,
}

/// New ends for a link; what is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extension {
    expires_at: Option<String>,
    max_duration_s: Option<u64>,
}

impl NewLink {
    /// The link that is wished for.
    ///
    /// # Errors
    /// `VALIDATION`, with a sentence about the first thing that is out of bounds.
    pub(crate) fn parse(self, id: LinkId, token_hint: &str, now: UnixMs) -> Result<Link, Problem> {
        let target = self.target()?;
        let name = self.name.unwrap_or_default();
        if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
            return refuse("A name has at most 100 characters and no control characters.");
        }
        if self.app.as_ref().is_some_and(|app| !is_app(app)) {
            return refuse(
                "app is a package like org.example.paint and, if need be, an activity like .Main.",
            );
        }
        let not_before = self.not_before.as_deref().map(|text| {
            UnixMs::parse(text).map_or_else(|| refuse("not_before is a time, like 2030-01-31T12:00:00Z."), Ok)
        });
        let not_before = not_before.transpose()?;
        let expires_at = self
            .expires_at
            .as_deref()
            .map(|text| future(text, now))
            .transpose()?;
        if !begins_before_it_ends(not_before, expires_at) {
            return refuse("expires_at is after not_before.");
        }
        if self.max_uses.is_some_and(|uses| !(1..=USES_MAX).contains(&uses)) {
            return refuse("max_uses is between 1 and 1000000, or left out for no limit.");
        }
        let max_connections = self.max_connections.unwrap_or(1);
        if !(1..=CONNECTIONS_MAX).contains(&max_connections) {
            return refuse("max_connections is between 1 and 10.");
        }
        let Some(on_expiry) = self
            .on_expiry
            .as_deref()
            .map_or(Some(OnExpiry::Cut), OnExpiry::parse)
        else {
            return refuse("on_expiry is cut or finish.");
        };
        let policy =
            Policy::parse(self.idle_timeout_s, self.max_duration_s, on_expiry).map_err(out_of_bounds)?;
        Ok(Link {
            id,
            name,
            token_hint: token_hint.to_owned(),
            target,
            app: self.app,
            state: LinkState::Active,
            not_before,
            expires_at,
            max_uses: self.max_uses,
            uses: 0,
            max_connections,
            policy,
            created_at: now,
        })
    }

    fn target(&self) -> Result<Target, Problem> {
        match (&self.device_id, &self.selector) {
            (Some(id), None) => match id.parse() {
                Ok(id) => Ok(Target::Device(id)),
                Err(_) => refuse("device_id is the id of a device."),
            },
            (None, Some(selector)) => Ok(Target::Any(Selector::of(labels(selector.labels.clone())?))),
            _ => refuse("Say which device: either device_id, or selector with labels."),
        }
    }
}

impl Extension {
    /// The new end and the new greatest length of this link; none for what stays.
    ///
    /// # Errors
    /// `VALIDATION`, when a value is out of bounds or nothing is asked for.
    pub(crate) fn parse(
        self,
        link: &Link,
        now: UnixMs,
    ) -> Result<(Option<UnixMs>, Option<Duration>), Problem> {
        if self.expires_at.is_none() && self.max_duration_s.is_none() {
            return refuse("Say what to extend: expires_at, max_duration_s, or both.");
        }
        let expires_at = self
            .expires_at
            .as_deref()
            .map(|text| future(text, now))
            .transpose()?;
        if !begins_before_it_ends(link.not_before, expires_at) {
            return refuse("expires_at is after not_before.");
        }
        let length = Policy::parse(None, self.max_duration_s, OnExpiry::Cut).map_err(out_of_bounds)?;
        Ok((expires_at, length.max_duration))
    }
}

/// Labels from outside.
pub(crate) fn labels(pairs: BTreeMap<String, String>) -> Result<Labels, Problem> {
    let what = "labels are at most 16 pairs of short words: letters, digits, and dots, dashes or underscores between.";
    Labels::parse(pairs).map_or_else(|| refuse(what), Ok)
}

fn begins_before_it_ends(begin: Option<UnixMs>, end: Option<UnixMs>) -> bool {
    begin.zip(end).is_none_or(|(begin, end)| begin < end)
}

fn future(text: &str, now: UnixMs) -> Result<UnixMs, Problem> {
    UnixMs::parse(text).filter(|at| *at > now).map_or_else(
        || refuse("expires_at is a time in the future, like 2030-01-31T12:00:00Z."),
        Ok,
    )
}

fn out_of_bounds(what: OutOfBounds) -> Problem {
    let detail = match what {
        OutOfBounds::IdleTimeout => "idle_timeout_s is between 2 and 86400.",
        OutOfBounds::MaxDuration => "max_duration_s is between 2 and 604800, or left out for no limit.",
    };
    Problem::new(Code::Validation, detail)
}

fn refuse<T>(what: &'static str) -> Result<T, Problem> {
    Err(Problem::new(Code::Validation, what))
}

/// Names as Android allows them; nothing that a shell would look at twice.
fn is_app(app: &DeviceApp) -> bool {
    let word = |part: &str, extra: &[u8]| {
        part.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
    };
    let package = app.package.len() <= COMPONENT_MAX
        && app.package.contains('.')
        && app.package.split('.').all(|part| word(part, b"_"));
    let activity = app.activity.as_ref().is_none_or(|activity| {
        let name = activity.strip_prefix('.').unwrap_or(activity);
        activity.len() <= COMPONENT_MAX && name.split('.').all(|part| word(part, b"_$"))
    });
    package && activity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_android_names_pass_as_an_app() {
        let app = |package: &str, activity: Option<&str>| {
            is_app(&DeviceApp {
                package: package.to_owned(),
                activity: activity.map(str::to_owned),
            })
        };
        assert!(app("org.example.paint", None));
        assert!(app("org.example.paint_2", Some(".Main")));
        assert!(app("org.example.paint", Some("org.example.paint.Main$Inner")));
        for bad in [
            "",
            "paint",
            "org.",
            ".org",
            "org.2d",
            "org.a;reboot",
            "org.a b",
            "org.$(id)",
            "org.ä",
        ] {
            assert!(!app(bad, None), "{bad}");
        }
        for bad in ["", ".", "a b", "a;b", "-a", "../a"] {
            assert!(!app("org.example", Some(bad)), "{bad}");
        }
    }
}
