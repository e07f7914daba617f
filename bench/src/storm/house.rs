//! The house that the storm hits: controls, agents and simulated devices as processes of their own, with a database.
//!
//! ```text
//!   postgres? ─► control × C ─► device × N ─► agent × A   each a Part: killed by SIGKILL, started again as it was
//!                   │ REST, as an admin: who is online, which devices are ready, resets
//! ```
//!
//! It knows the command lines of the parts and nothing of their insides. Who dies when is not its business.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Answer, Client, Said};
use super::database::Source;
use super::part::{Part, Spec};
use super::peer::SCREEN;
use super::postgres::Cluster;
use super::{DatabaseKind, StormConfig};
use crate::ports::Ports;

/// From a start to all devices ready, in a debug build on a loaded machine.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(90);
/// How often readiness is asked for: finer than the times that are told.
const READY_POLL: Duration = Duration::from_millis(10);
/// What a control says whose database cannot be reached at its start.
const OUT_OF_REACH: &str = "the server cannot be reached";
/// The scrcpy version whose wire agent and devices speak here.
const SCRCPY: &str = "4.1";

/// What can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Postgres,
    Control,
    Device,
    Agent,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Postgres, Self::Control, Self::Device, Self::Agent];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Control => "control",
            Self::Device => "device",
            Self::Agent => "agent",
        }
    }
}

/// The running house.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) urls: Vec<String>,
    pub(crate) admin: Client,
    /// Texts that stand nowhere but where they belong.
    pub(crate) secrets: Vec<String>,
    pub(crate) devices: Vec<String>,
    pub(crate) source: Source,
    /// Where the devices' adb daemons listen.
    pub(crate) adb: Vec<String>,
    parts: Vec<(Kind, Part)>,
    cluster: Option<Cluster>,
    agents: usize,
    /// Held as long as anything may be started again.
    ports: Ports,
    folder: TempDir,
}

impl House {
    /// Starts everything and waits until all devices are ready.
    pub(crate) async fn start(config: &StormConfig) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("farglass-storm-").tempdir()?;
        let mut ports = Ports::default();
        let urls = (0..config.controls).map(|_| Ok(format!("http://127.0.0.1:{}", ports.free()?)));
        let urls = urls.collect::<anyhow::Result<Vec<_>>>()?;
        let cluster = match config.database {
            DatabaseKind::Sqlite => None,
            DatabaseKind::Postgres => Some(Cluster::make(ports.free()?)?),
        };
        let source = match &cluster {
            None => Source::Sqlite(folder.path().join("control-0/control.db")),
            Some(cluster) => Source::Postgres {
                url: cluster.url(),
                folder: cluster.data(),
            },
        };
        let mut house = Self {
            admin: Client::new(&urls, 1)?,
            urls,
            secrets: Vec::new(),
            devices: Vec::new(),
            source,
            adb: Vec::new(),
            parts: Vec::new(),
            cluster,
            agents: usize::from(config.agents),
            ports,
            folder,
        };
        house.plan(config)?;
        house.first_start(config).await?;
        Ok(house)
    }

    fn plan(&mut self, config: &StormConfig) -> anyhow::Result<()> {
        let folder = self.folder.path().to_owned();
        std::fs::create_dir(folder.join("logs"))?;
        std::fs::write(
            folder.join("scrcpy-server"),
            format!("farglass-scrcpy-stand-in {SCRCPY}\n"),
        )?;
        let house = |name: String, word: &str| {
            Spec::new(name, &config.binary)
                .word(word)
                .with("--die-with", std::process::id().to_string())
        };
        let addresses: Vec<_> = self.urls.iter().map(|url| url.replace("http://", "")).collect();
        let mut specs = Vec::new();
        if let Some(cluster) = &self.cluster {
            specs.push((Kind::Postgres, cluster.server()));
        }
        for (at, address) in addresses.iter().enumerate() {
            let name = format!("control-{at}");
            let mut control = house(name.clone(), "control")
                .with("--listen", address)
                .with("--data", folder.join(name));
            if at == 0 {
                control = control.with("--join-token-file", folder.join("join-0"));
            }
            if let Some(cluster) = &self.cluster {
                control = control.with("--database", cluster.url());
            }
            specs.push((Kind::Control, control));
        }
        let mut agents = Vec::new();
        for agent in 0..self.agents {
            let mut spec = house(format!("agent-{agent}"), "agent")
                .with("--control", addresses.join(","))
                .with("--join-token-file", folder.join(format!("join-{agent}")))
                .with("--data", self.agent_folder(agent))
                .with("--name", format!("host {agent}"))
                .with("--scrcpy-server", folder.join("scrcpy-server"))
                .with("--scrcpy-version", SCRCPY)
                .with("--media", "127.0.0.1:0");
            for device in 0..config.devices {
                let (name, port) = (format!("device-{agent}-{device}"), self.ports.free()?);
                self.adb.push(format!("127.0.0.1:{port}"));
                spec = spec.with("--device", format!("{name}=127.0.0.1:{port}"));
                let device = house(name.clone(), "device")
                    .with("--adb-port", port.to_string())
                    .with("--size", format!("{}x{}", SCREEN.0, SCREEN.1))
                    .with("--name", name);
                specs.push((Kind::Device, device));
            }
            agents.push((Kind::Agent, spec));
        }
        specs.extend(agents);
        let logs = folder.join("logs");
        let parts = specs
            .into_iter()
            .map(|(kind, spec)| (kind, Part::new(spec, &logs)));
        self.parts = parts.collect();
        Ok(())
    }

    async fn first_start(&mut self, config: &StormConfig) -> anyhow::Result<()> {
        let before_agents = self.parts.iter().position(|(kind, _)| *kind == Kind::Agent);
        let before_agents = before_agents.context("a storm has an agent")?;
        let mut signed_in = false;
        for part in 0..before_agents {
            if signed_in && self.parts[part].0 == Kind::Control {
                self.share_authority(part)?;
            }
            self.start_part(part).await?;
            if !signed_in && self.parts[part].0 == Kind::Control {
                self.sign_in().await?;
                signed_in = true;
            }
        }
        for agent in 0..self.agents {
            // Control has written the first token by itself; it knows nothing of a second host.
            if agent > 0 {
                let made = self.asked(&self.admin.post("/api/v1/registration-tokens", &json!({})).await)?;
                let file = self.folder.path().join(format!("join-{agent}"));
                std::fs::write(file, made.text("token"))?;
            }
            let file = self.folder.path().join(format!("join-{agent}"));
            let token = std::fs::read_to_string(file)?;
            self.secrets.extend(token.split('.').next().map(str::to_owned));
            self.start_part(before_agents + agent).await?;
        }
        let wanted = self.agents * usize::from(config.devices);
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            if let Some(devices) = self.seen().await.filter(|devices| devices.len() == wanted)
                && devices.iter().all(|device| device.is_ready)
            {
                self.devices = devices.into_iter().map(|device| device.id).collect();
                return Ok(());
            }
            self.nobody_ended()?;
            anyhow::ensure!(
                Instant::now() < deadline,
                "the house was not ready within {READY_LIMIT:?}"
            );
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Agents know one authority: a further control gets the first one's.
    fn share_authority(&self, part: usize) -> anyhow::Result<()> {
        let (first, own) = ("control-0", self.parts[part].1.name());
        let own = self.folder.path().join(own);
        std::fs::create_dir_all(&own)?;
        for file in ["authority.pem", "authority.key"] {
            std::fs::copy(self.folder.path().join(first).join(file), own.join(file))?;
        }
        Ok(())
    }

    async fn sign_in(&mut self) -> anyhow::Result<()> {
        let file = self.folder.path().join("control-0/admin.json");
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            self.nobody_ended()?;
            let admin = std::fs::read(&file)
                .ok()
                .and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if let Some(admin) = admin
                && let Said::Answer(answer) = self.admin.at(0).post("/api/v1/auth/login", &admin).await
                && answer.is_success()
            {
                self.secrets.extend(admin["password"].as_str().map(str::to_owned));
                self.secrets.push(answer.text("token").to_owned());
                self.admin = self.admin.clone().signed_in(answer.text("token"));
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "control let nobody in within {READY_LIMIT:?}"
            );
            tokio::time::sleep(READY_POLL).await;
        }
    }

    fn asked(&self, said: &Said) -> anyhow::Result<Answer> {
        match said {
            Said::Answer(answer) if answer.is_success() => Ok(answer.clone()),
            other => bail!("control said {other:?}:\n{}", self.last_words(Kind::Control)),
        }
    }

    /// What can be killed, in the order in which it is started.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.parts.iter().map(|(kind, _)| *kind).collect()
    }

    pub(crate) fn kill(&mut self, part: usize) {
        self.parts[part].1.kill();
    }

    pub(crate) fn is_down(&self, part: usize) -> bool {
        self.parts[part].1.is_down()
    }

    pub(crate) async fn start_part(&mut self, part: usize) -> anyhow::Result<()> {
        let (kind, part) = &mut self.parts[part];
        match &self.cluster {
            Some(cluster) if *kind == Kind::Postgres => cluster.start(part).await,
            _ => part.start(),
        }
    }

    /// Fails when a part has ended although nobody killed it. A control that started while its PostgreSQL was down says
    /// so and ends, and is started again as by any service manager.
    pub(crate) fn nobody_ended(&mut self) -> anyhow::Result<()> {
        for (kind, part) in &mut self.parts {
            let Some(told) = part.ended() else { continue };
            let found_no_database = *kind == Kind::Control && told.contains(OUT_OF_REACH);
            anyhow::ensure!(self.cluster.is_some() && found_no_database, told);
            part.start()?;
        }
        Ok(())
    }

    /// The devices as control shows them; none while it does not answer.
    pub(crate) async fn seen(&self) -> Option<Vec<Seen>> {
        seen(&self.admin).await
    }

    /// Waits until every control that runs shows every device as ready, and has heard of those in `before` again, later
    /// than that. False when that does not come.
    pub(crate) async fn recovered(&mut self, before: &[Seen]) -> anyhow::Result<bool> {
        let start = Instant::now();
        while start.elapsed() < READY_LIMIT {
            if self.is_whole(before).await {
                return Ok(true);
            }
            self.nobody_ended()?;
            tokio::time::sleep(READY_POLL).await;
        }
        Ok(false)
    }

    async fn is_whole(&self, before: &[Seen]) -> bool {
        let controls = self.parts.iter().filter(|(kind, _)| *kind == Kind::Control);
        for (at, (_, control)) in controls.enumerate() {
            if control.is_down() {
                continue;
            }
            let Some(now) = seen(&self.admin.at(at)).await else {
                return false;
            };
            let is_back = |device: &Seen| device.is_ready && device.is_later_than(before);
            if now.len() != self.devices.len() || !now.iter().all(is_back) {
                return false;
            }
        }
        true
    }

    /// Those of these devices that have to be heard of again when these parts are killed now: what nothing happens to says
    /// nothing new.
    pub(crate) fn concerned(&self, struck: &[(usize, Kind)], seen: Vec<Seen>) -> Vec<Seen> {
        let mut hosts = Vec::new();
        let mut names = Vec::new();
        for &(part, kind) in struck {
            let part = &self.parts[part].1;
            match kind {
                Kind::Postgres => {}
                Kind::Device => names.push(part.name().to_owned()),
                Kind::Agent => hosts.push(part.name().replace("agent", "device") + "-"),
                Kind::Control => hosts.extend(self.linked_to(part.name())),
            }
        }
        seen.into_iter()
            .filter(|device| {
                names.contains(&device.name)
                    || hosts.iter().any(|host| device.name.starts_with(host.as_str()))
            })
            .collect()
    }

    /// How the names of the devices begin whose agents dialled this control last.
    fn linked_to(&self, control: &str) -> Vec<String> {
        let at = control.rsplit('-').next().and_then(|at| at.parse::<usize>().ok());
        let url = at.and_then(|at| self.urls.get(at));
        let address = url.map(|url| url.replace("http://", "")).unwrap_or_default();
        let agents = self.parts.iter().filter(|(kind, _)| *kind == Kind::Agent);
        agents
            .filter(|(_, agent)| {
                let linked = agent.last_line("linked to control");
                linked.is_none_or(|line| line.contains(&address))
            })
            .map(|(_, agent)| agent.name().replace("agent", "device") + "-")
            .collect()
    }

    pub(crate) fn agent_folder(&self, agent: usize) -> PathBuf {
        self.folder.path().join(format!("agent-{agent}"))
    }

    pub(crate) fn agent_folders(&self) -> Vec<PathBuf> {
        (0..self.agents).map(|agent| self.agent_folder(agent)).collect()
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    pub(crate) fn last_words(&self, kind: Kind) -> String {
        let parts = self.parts.iter().filter(|(of, _)| *of == kind);
        parts
            .map(|(_, part)| part.last_words())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Keeps the folder with all logs for whoever has to look.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }
}

async fn seen(admin: &Client) -> Option<Vec<Seen>> {
    let Said::Answer(answer) = admin.get("/api/v1/devices").await else {
        return None;
    };
    let items = answer.body["items"].as_array()?;
    Some(items.iter().map(Seen::of).collect())
}

/// A device as control shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) occupancy: String,
    pub(crate) is_ready: bool,
    /// RFC 3339 in UTC with milliseconds: later is greater.
    seen_at: String,
}

impl Seen {
    fn of(item: &Value) -> Self {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        Self {
            id: text("id"),
            name: text("name"),
            occupancy: text("occupancy"),
            is_ready: text("lifecycle") == "ready" && text("health") != "offline",
            seen_at: text("seen_at"),
        }
    }

    fn is_later_than(&self, before: &[Self]) -> bool {
        let before = before.iter().find(|before| before.id == self.id);
        before.is_none_or(|before| self.seen_at > before.seen_at)
    }
}
