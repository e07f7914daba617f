//! A PostgreSQL of the storm's own: a fresh cluster in a folder of its own, its server a child that can be killed.
//!
//! ```text
//!   initdb ──► FOLDER ──► postgres -D FOLDER -p PORT ── SIGKILL ──► started again until it takes connections
//! ```
//!
//! A server that was killed leaves its backends behind for a moment; until they are gone the next one refuses to
//! start, and is simply started again. `postgres` does not run as root: there it runs as the user `postgres`. It
//! knows no table.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::part::{Part, Spec};
use crate::procs;

/// Where Debian keeps the server's programs, newest last.
const DEBIAN: &str = "/usr/lib/postgresql";
/// From a start to the first connection: crash recovery took half a second, and disks may be busy.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How often a server that starts is asked.
const START_POLL: Duration = Duration::from_millis(20);

/// A cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: TempDir,
    port: u16,
    programs: PathBuf,
}

impl Cluster {
    /// Makes a cluster that nobody else uses.
    pub(crate) fn make(port: u16) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("farglass-storm-pg-").tempdir()?;
        let cluster = Self {
            folder,
            port,
            programs: programs()?,
        };
        if procs::is_root() {
            // The user's number is not ours to look up: the system's own tool knows it.
            let given = Command::new("chown")
                .arg("postgres:")
                .arg(cluster.folder.path())
                .status()?;
            anyhow::ensure!(
                given.success(),
                "there is no user postgres to run PostgreSQL; on Debian: apt-get install postgresql"
            );
        }
        let spec = cluster
            .as_its_user("initdb", "initdb")
            .word("-D")
            .word(cluster.data());
        let args = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"];
        let output = Command::new(&spec.program)
            .args(&spec.args)
            .args(args)
            .current_dir(cluster.folder.path())
            .output()?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(cluster)
    }

    /// The server.
    pub(crate) fn server(&self) -> Spec {
        self.as_its_user("postgres", "postgres")
            .word("-D")
            .word(self.data())
            .with("-p", self.port.to_string())
            .with("-c", "listen_addresses=127.0.0.1")
            .with("-c", "unix_socket_directories=")
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the server until it takes connections.
    pub(crate) async fn start(&self, part: &mut Part) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        part.start()?;
        loop {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            if part.ended().is_some() {
                part.kill();
                part.start()?;
            }
            if Instant::now() > deadline {
                bail!(
                    "PostgreSQL does not start within {START_LIMIT:?}:\n{}",
                    part.last_words()
                );
            }
            tokio::time::sleep(START_POLL).await;
        }
    }

    fn as_its_user(&self, name: &str, program: &str) -> Spec {
        let program = self.programs.join(program);
        if !procs::is_root() {
            return Spec::new(name, program);
        }
        // The server ends with whoever started it, however that ends.
        Spec::new(name, "setpriv")
            .word("--reuid=postgres")
            .word("--regid=postgres")
            .word("--clear-groups")
            .with("--pdeathsig", "KILL")
            .word(program)
    }
}

fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("postgres").is_file())
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).filter(|bin| is_server(bin)));
    found
        .into_iter()
        .find(|bin| is_server(bin))
        .context("PostgreSQL's server was not found; on Debian: apt-get install postgresql")
}

fn is_server(bin: &Path) -> bool {
    ["postgres", "initdb", "pg_isready"]
        .iter()
        .all(|program| bin.join(program).is_file())
}
