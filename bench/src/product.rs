//! The product under test: a whole `farglass up` of its own, or one that runs already; and the one
//! door to its REST interface.
//!
//! ```text
//!  Start  { binary }      temp folder, free port ─► farglass up ─► up.json, GET /api/v1/health = 200
//!  Target { url, admin }  GET /api/v1/health = 200
//!       └─► login ─► an idle device ─► POST /links {app: latency target} ─► the link's URL
//! ```
//!
//! Both ends of every measured time are read on one machine's clock, so a target must run on this
//! machine. Dropping a started product sends SIGTERM, waits, and kills what is left.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid as OsPid;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ports::Ports;
use crate::procs::Pid;

/// The app whose every frame carries a barcode.
pub const LATENCY_TARGET: &str = "dev.farglass.latency";

/// From starting `farglass up` to all devices ready, in a debug build on a loaded machine.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How often readiness is asked for.
const READY_POLL: Duration = Duration::from_millis(50);
/// `farglass up` ends its children in a few seconds; then what is left is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// One request on loopback.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// A link of the bench lives as long as any run; it is deleted at the end of each.
const LINK_NAME: &str = "bench";

/// Which product to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// Starts `BINARY up` with a free port and a temporary folder.
    Start {
        /// The `farglass` binary.
        binary: PathBuf,
    },
    /// Uses a running one on this machine.
    Target {
        /// For example `http://localhost:3000`.
        url: String,
        /// An `up.json`, or a file with `{"login":…,"password":…}`.
        admin: PathBuf,
    },
}

/// A product that is ready.
#[derive(Debug)]
pub struct Running {
    /// Its version, as it says itself.
    pub version: String,
    api: Api,
    started: Option<Up>,
}

impl Running {
    /// Starts the product or connects to it, and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the message holds what it printed last.
    pub async fn ready(product: &Product) -> anyhow::Result<Self> {
        match product {
            Product::Start { binary } => {
                let mut up = Up::start(binary)?;
                let (access, version) = up.ready().await?;
                let api = Api::login(&access.url, &access.admin).await?;
                Ok(Self {
                    version,
                    api,
                    started: Some(up),
                })
            }
            Product::Target { url, admin } => {
                let url = url.trim_end_matches('/');
                check_is_here(url)?;
                let admin = read_admin(admin)?;
                let version = health(&reqwest::Client::new(), url).await?.map_err(|reason| {
                    anyhow!("{url} is not ready ({reason}); wait until its /api/v1/health answers 200")
                })?;
                Ok(Self {
                    version,
                    api: Api::login(url, &admin).await?,
                    started: None,
                })
            }
        }
    }

    /// Makes a link to the latency target on an idle device.
    ///
    /// # Errors
    /// When no device is idle.
    pub async fn latency_link(&self) -> anyhow::Result<Link> {
        let devices: Items<Device> = self.api.call(Method::GET, "/api/v1/devices", None).await?;
        let states: Vec<String> = devices
            .items
            .iter()
            .map(|device| format!("{}: {}", device.name, device.status))
            .collect();
        let device = devices
            .items
            .into_iter()
            .find(|device| device.status == "idle")
            .with_context(|| format!("no device is idle ({}); end a session first", states.join(", ")))?;
        let body = json!({
            "name": LINK_NAME, "device_id": device.id, "app": { "package": LATENCY_TARGET },
        });
        let made: MadeLink = self.api.call(Method::POST, "/api/v1/links", Some(body)).await?;
        Ok(Link {
            id: made.id,
            url: made.url,
            device: device.name,
            model: device.model.unwrap_or_default(),
        })
    }

    /// Deletes the bench's link, which ends its session.
    ///
    /// # Errors
    /// When the product refuses.
    pub async fn delete(&self, link: &Link) -> anyhow::Result<()> {
        self.api
            .send(Method::DELETE, &format!("/api/v1/links/{}", link.id), None)
            .await
            .map(drop)
    }

    /// The process that was started, if this is our own.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.started.as_ref().map(|up| Pid(up.child.id()))
    }
}

/// A link for the browser.
#[derive(Debug, Clone)]
pub struct Link {
    id: String,
    /// What a person would open.
    pub url: String,
    /// The device's name.
    pub device: String,
    /// The device's model; empty if it has none.
    pub model: String,
}

/// An own `farglass up`.
#[derive(Debug)]
struct Up {
    child: Child,
    url: String,
    folder: TempDir,
    _ports: Ports,
}

impl Up {
    fn start(binary: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("farglass-bench-").tempdir()?;
        let log = File::create(folder.path().join(LOG))?;
        let mut ports = Ports::default();
        let port = ports.free()?;
        let child = Command::new(binary)
            .args(["up", "--port", &port.to_string(), "--data"])
            .arg(folder.path().join(DATA))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {} up", binary.display()))?;
        Ok(Self {
            child,
            url: format!("http://localhost:{port}"),
            folder,
            _ports: ports,
        })
    }

    /// Waits until the health says ready and the access file is written.
    async fn ready(&mut self) -> anyhow::Result<(Access, String)> {
        let deadline = Instant::now() + READY_LIMIT;
        let client = reqwest::Client::new();
        let file = self.folder.path().join(DATA).join("up.json");
        loop {
            let reason = match health(&client, &self.url).await {
                Ok(Ok(version)) if file.is_file() => match serde_json::from_slice(&fs::read(&file)?) {
                    Ok(access) => return Ok((access, version)),
                    Err(error) => format!("{} is not complete: {error}", file.display()),
                },
                Ok(Ok(_)) => format!("{} is not written", file.display()),
                Ok(Err(reason)) => reason,
                Err(error) => format!("{error:#}"),
            };
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "farglass up ended while starting ({status}):\n{}",
                    self.last_words()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "farglass up was not ready within {READY_LIMIT:?} ({reason}):\n{}",
                    self.last_words()
                );
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()).map(OsPid::from_raw) else {
            return;
        };
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end in this very moment: no such process is no failure.
            let _ = kill(pid, Signal::SIGTERM);
            let deadline = Instant::now() + STOP_LIMIT;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(READY_POLL);
            }
        }
        let _ = killpg(pid, Signal::SIGKILL);
        drop(self.child.wait());
    }
}

const LOG: &str = "up.log";
const DATA: &str = "data";

/// What `up.json` says.
#[derive(Debug, Deserialize)]
struct Access {
    url: String,
    admin: Admin,
}

#[derive(Debug, Clone, Deserialize)]
struct Admin {
    login: String,
    password: String,
}

fn read_admin(file: &Path) -> anyhow::Result<Admin> {
    let text = fs::read_to_string(file).with_context(|| {
        format!(
            "cannot read {}; --admin takes the up.json of the target",
            file.display()
        )
    })?;
    let mut value: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let admin = match value.get_mut("admin") {
        Some(admin) => admin.take(),
        None => value,
    };
    serde_json::from_value(admin)
        .with_context(|| format!("{} holds no admin login and password", file.display()))
}

fn check_is_here(url: &str) -> anyhow::Result<()> {
    let host = url
        .strip_prefix("http://")
        .map(|rest| rest.split(['/', ':']).next().unwrap_or(rest));
    match host {
        Some("localhost" | "127.0.0.1") => Ok(()),
        _ => bail!(
            "{url}: the target must run on this machine (http://localhost:PORT), because the time of drawing \
             and the time of display are read on one clock"
        ),
    }
}

/// The product's version when it is ready, else why it is not.
async fn health(client: &reqwest::Client, url: &str) -> anyhow::Result<Result<String, String>> {
    let response = client
        .get(format!("{url}/api/v1/health"))
        .timeout(REQUEST_LIMIT)
        .send()
        .await
        .with_context(|| format!("nothing answers at {url}"))?;
    let status = response.status();
    let body = response.text().await?;
    if status != StatusCode::OK {
        return Ok(Err(format!("{status} {body}")));
    }
    let body: Value = serde_json::from_str(&body).with_context(|| format!("{url} is no Farglass"))?;
    Ok(Ok(body["version"].as_str().unwrap_or("unknown").to_owned()))
}

/// REST calls with an admin's token.
#[derive(Debug)]
struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    async fn login(url: &str, admin: &Admin) -> anyhow::Result<Self> {
        let mut api = Self {
            client: reqwest::Client::new(),
            url: url.to_owned(),
            token: String::new(),
        };
        let body = json!({ "login": admin.login, "password": admin.password });
        let login: Login = api.call(Method::POST, "/api/v1/auth/login", Some(body)).await?;
        api.token = login.token;
        Ok(api)
    }

    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<T> {
        let text = self.send(method, path, body).await?;
        serde_json::from_str(&text).with_context(|| format!("{path} answered in another shape"))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<String> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.url))
            .timeout(REQUEST_LIMIT);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{method} {path} answered {status}: {text}");
        }
        Ok(text)
    }
}

#[derive(Debug, Deserialize)]
struct Login {
    token: String,
}

#[derive(Debug, Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Device {
    id: String,
    name: String,
    model: Option<String>,
    status: String,
}

#[derive(Debug, Deserialize)]
struct MadeLink {
    id: String,
    url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_on_another_machine_is_refused_with_the_reason() {
        for url in [
            "https://localhost:3000",
            "http://10.0.0.7:3000",
            "localhost:3000",
            "http://localhost.example",
        ] {
            let error = check_is_here(url).unwrap_err().to_string();
            assert!(error.contains("on this machine"), "{error}");
        }
        for url in [
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "http://localhost",
        ] {
            check_is_here(url).unwrap();
        }
    }

    #[test]
    fn an_admin_is_read_from_up_json_or_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin.json");
        for text in [
            r#"{"url":"u","admin":{"login":"a","password":"b"}}"#,
            r#"{"login":"a","password":"b"}"#,
        ] {
            fs::write(&file, text).unwrap();
            let admin = read_admin(&file).unwrap();
            assert_eq!((admin.login.as_str(), admin.password.as_str()), ("a", "b"));
        }
    }

    #[test]
    fn an_admin_file_that_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin.json");
        assert!(
            read_admin(&file)
                .unwrap_err()
                .to_string()
                .contains("--admin takes the up.json")
        );
        fs::write(&file, "{}").unwrap();
        assert!(
            read_admin(&file)
                .unwrap_err()
                .to_string()
                .contains("no admin login")
        );
    }

    #[tokio::test]
    async fn a_product_that_ends_while_starting_is_told_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let fake = folder.path().join("farglass");
        fs::write(&fake, "#!/bin/sh\necho the folder is read-only >&2\nexit 4\n").unwrap();
        fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = Running::ready(&Product::Start { binary: fake })
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ended while starting") && error.ends_with("read-only"),
            "{error}"
        );
    }
}
