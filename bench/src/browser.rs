//! The one door to Chromium: finds it, starts it headless with a fresh profile, drives one page, and
//! leaves nothing behind.
//!
//! ```text
//!   launch ──► chromium --remote-debugging-port=0 --user-data-dir=PROFILE
//!                 │ writes PROFILE/DevToolsActivePort: "PORT\n/devtools/browser/ID"
//!   connect ──────┘ ──► Target.createTarget ──► Target.attachToTarget(flatten) ──► session
//!   close: Browser.close, wait · Drop: SIGKILL to its process group, profile removed
//! ```
//!
//! A real browser with its own vsync: switches that lift the frame limit make timing worse, not better.
//! Knows nothing of the product. DevTools Protocol 1.3.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use nix::sys::signal::{Signal, killpg};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::devtools::{DevTools, Session};
use crate::procs::{self, Pid};

/// Cold start of a browser on a loaded two-core machine takes about three seconds.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often the browser's port file is looked for while it starts.
const START_POLL: Duration = Duration::from_millis(20);
/// Any call that does not wait for a fact in the page. Beside other work a browser may not get a word in for half a minute.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// A browser that does not end by itself within this is killed: at its end it writes its profile, and disks may be busy.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// Places where Linux distributions put it.
const PLACES: [&str; 5] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
    "/snap/bin/chromium",
];

const SWITCHES: [&str; 9] = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "about:blank",
];

/// Finds Chromium: `wanted` if given, else where distributions put it.
///
/// # Errors
/// When it is not there; the message says what to install.
pub fn find(wanted: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = wanted {
        if path.is_file() {
            return Ok(path.to_owned());
        }
        bail!("there is no Chromium at {}", path.display());
    }
    match PLACES.iter().map(Path::new).find(|path| path.is_file()) {
        Some(path) => Ok(path.to_owned()),
        None => bail!(
            "Chromium was not found (looked for {}). On Debian: apt-get install chromium; elsewhere name it \
             with --chromium FILE",
            PLACES.join(", ")
        ),
    }
}

/// Pixels of the browser's window.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// A running Chromium with one page.
#[derive(Debug)]
pub struct Browser {
    devtools: DevTools,
    session: Session,
    version: String,
    process: Process,
}

impl Browser {
    /// Starts `executable` and opens an empty page in which `scripts` run before any page's own.
    ///
    /// # Errors
    /// When it does not start within [`START_LIMIT`]; the message ends with what it printed.
    pub async fn launch(executable: &Path, window: Window, scripts: &[&str]) -> anyhow::Result<Self> {
        let mut process = Process::start(executable, window)?;
        let mut devtools = DevTools::connect(&process.devtools_url().await?).await?;
        let version = devtools
            .call(None, "Browser.getVersion", json!({}), CALL_LIMIT)
            .await?;
        let target = json!({ "url": "about:blank" });
        let target = devtools
            .call(None, "Target.createTarget", target, CALL_LIMIT)
            .await?;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = devtools
            .call(None, "Target.attachToTarget", target, CALL_LIMIT)
            .await?;
        let session = Session(text(&attached, "sessionId")?);
        let mut browser = Self {
            devtools,
            session,
            version: text(&version, "product")?,
            process,
        };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await?;
        }
        for script in scripts {
            browser
                .call(
                    "Page.addScriptToEvaluateOnNewDocument",
                    json!({ "source": script }),
                )
                .await?;
        }
        Ok(browser)
    }

    /// Goes to an address and returns when the document has begun.
    ///
    /// # Errors
    /// When nothing answers there.
    pub async fn navigate(&mut self, url: &str) -> anyhow::Result<()> {
        let result = self.call("Page.navigate", json!({ "url": url })).await?;
        match result.get("errorText").and_then(Value::as_str) {
            Some(reason) => bail!("Chromium cannot open the page: {reason}"),
            None => Ok(()),
        }
    }

    /// Evaluates an expression in the page, waits up to `limit` if it is a promise, and returns its
    /// value.
    ///
    /// # Errors
    /// When it throws, takes longer, or its value has another shape than `T`.
    pub async fn evaluate<T: DeserializeOwned>(
        &mut self,
        expression: &str,
        limit: Duration,
    ) -> anyhow::Result<T> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let limit = limit + CALL_LIMIT;
        let mut result = self
            .devtools
            .call(Some(&self.session), "Runtime.evaluate", params, limit)
            .await?;
        if let Some(thrown) = result.get("exceptionDetails") {
            let text = thrown
                .pointer("/exception/description")
                .or_else(|| thrown.get("text"));
            bail!(
                "the page threw at `{expression}`: {}",
                text.and_then(Value::as_str).unwrap_or("no reason")
            );
        }
        serde_json::from_value(result["result"]["value"].take())
            .with_context(|| format!("`{expression}` gave a value of another shape"))
    }

    /// Puts a finger down, in CSS pixels of the page.
    ///
    /// # Errors
    /// When the page does not take it.
    pub async fn finger_down(&mut self, x: f64, y: f64) -> anyhow::Result<()> {
        let touch = json!({ "type": "touchStart", "touchPoints": [{ "x": x, "y": y, "id": 0 }] });
        self.call("Input.dispatchTouchEvent", touch).await.map(drop)
    }

    /// Moves the finger that is down.
    ///
    /// # Errors
    /// When the page does not take it.
    pub async fn finger_move(&mut self, x: f64, y: f64) -> anyhow::Result<()> {
        let touch = json!({ "type": "touchMove", "touchPoints": [{ "x": x, "y": y, "id": 0 }] });
        self.call("Input.dispatchTouchEvent", touch).await.map(drop)
    }

    /// Lifts the finger.
    ///
    /// # Errors
    /// When the page does not take it.
    pub async fn finger_up(&mut self) -> anyhow::Result<()> {
        let touch = json!({ "type": "touchEnd", "touchPoints": [] });
        self.call("Input.dispatchTouchEvent", touch).await.map(drop)
    }

    /// The page as a PNG.
    ///
    /// # Errors
    /// When the page cannot be drawn.
    pub async fn screenshot(&mut self) -> anyhow::Result<Vec<u8>> {
        let result = self
            .call("Page.captureScreenshot", json!({ "format": "png" }))
            .await?;
        let png = text(&result, "data")?;
        base64::engine::general_purpose::STANDARD
            .decode(png)
            .context("the screenshot is not base64")
    }

    /// Ends the browser and waits until it is gone.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn close(mut self) -> anyhow::Result<()> {
        // It may close the socket before it answers; what counts is that the process ends.
        drop(
            self.devtools
                .call(None, "Browser.close", json!({}), CLOSE_LIMIT)
                .await,
        );
        self.process.ended().await
    }

    /// For example `Chrome/156.0.8078.79`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The browser's main process; all others are its descendants.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid(self.process.child.id())
    }

    /// What the page complained about lately, for an error message.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let text = |params: &Value| {
            [
                "/entry/text",
                "/exceptionDetails/exception/description",
                "/exceptionDetails/text",
                "/args/0/value",
            ]
            .iter()
            .find_map(|path| params.pointer(path)?.as_str().map(str::to_owned))
        };
        self.devtools
            .events()
            .filter_map(|event| text(&event.params))
            .collect()
    }

    async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.devtools
            .call(Some(&self.session), method, params, CALL_LIMIT)
            .await
    }
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("Chromium's answer has no {field}"))
}

/// The operating system's side: a process group and a profile folder. Dropping it ends both.
#[derive(Debug)]
struct Process {
    child: Child,
    profile: TempDir,
}

impl Process {
    fn start(executable: &Path, window: Window) -> anyhow::Result<Self> {
        let profile = tempfile::Builder::new()
            .prefix("farglass-bench-chromium-")
            .tempdir()?;
        let log = File::create(profile.path().join(LOG))?;
        let mut command = Command::new(executable);
        command
            .args(SWITCHES)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={},{}", window.width, window.height))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        if procs::is_root() {
            // Chromium refuses to run as root with its sandbox.
            command.arg("--no-sandbox");
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", executable.display()))?;
        Ok(Self { child, profile })
    }

    /// Waits for the file in which the browser says where it listens.
    async fn devtools_url(&mut self) -> anyhow::Result<String> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let file = fs::read_to_string(self.profile.path().join("DevToolsActivePort")).unwrap_or_default();
            if let Some((port, path)) = file.split_once('\n').filter(|(_, path)| path.starts_with('/')) {
                return Ok(format!("ws://127.0.0.1:{port}{}", path.trim_end()));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("Chromium ended while starting ({status}):\n{}", self.last_words());
            }
            if Instant::now() > deadline {
                bail!(
                    "Chromium did not start within {START_LIMIT:?}:\n{}",
                    self.last_words()
                );
            }
            sleep(START_POLL).await;
        }
    }

    async fn ended(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + CLOSE_LIMIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("Chromium did not end within {CLOSE_LIMIT:?} and was killed");
            }
            sleep(START_POLL).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.profile.path().join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).map(nix::unistd::Pid::from_raw);
        if let Ok(group) = group {
            // Nothing left to kill is what we want.
            let _ = killpg(group, Signal::SIGKILL);
        }
        drop(self.child.wait());
    }
}

const LOG: &str = "chromium.log";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chromium_that_is_not_there_is_named() {
        let error = find(Some(Path::new("/nowhere/chromium"))).unwrap_err();
        assert_eq!(error.to_string(), "there is no Chromium at /nowhere/chromium");
    }

    #[tokio::test]
    async fn a_program_that_is_no_browser_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("chromium");
        fs::write(&fake, "#!/bin/sh\necho no display >&2\nexit 3\n").unwrap();
        fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let window = Window {
            width: 100,
            height: 100,
        };
        let error = Browser::launch(&fake, window, &[]).await.unwrap_err().to_string();
        assert!(
            error.contains("ended while starting") && error.ends_with("no display"),
            "{error}"
        );
    }
}
