//! The one door to a database's rows: SQLite's and PostgreSQL's own command-line tools, read-only.
//!
//! ```text
//!   SELECT … ─┬─ sqlite3 -readonly -json FILE ─┬─► JSON rows
//!             └─ psql -At URL, json_agg ───────┘
//!   every file of the database, byte by byte ────► whether a secret is in it
//! ```
//!
//! Rows are read beside the product, not through it: what looks for lies does not ask the one who may lie. It does
//! not judge them (`rows.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;

use super::rows::{Fence, Rows};

const DEVICES: &str =
    "SELECT id, name, occupancy, epoch, quarantine_reason AS why FROM devices WHERE lifecycle <> 'gone'";
const LEASES: &str =
    "SELECT l.id, l.device_id, l.link_id, s.id AS session, l.epoch, l.release_epoch, l.state, l.reason, l.left_as
     FROM leases l LEFT JOIN sessions s ON s.lease_id = l.id";
const LINKS: &str = "SELECT id, max_uses FROM links";
const AUDIT: &str = "SELECT action, resource_id, count(*) AS n FROM audit_log GROUP BY action, resource_id";

/// Where the rows are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The file.
    Sqlite(PathBuf),
    /// The address, and the folder of the cluster.
    Postgres { url: String, folder: PathBuf },
}

impl Source {
    /// Everything at one moment, with the fences of these agents' data folders.
    pub(crate) fn rows(&self, agents: &[PathBuf]) -> anyhow::Result<Rows> {
        let mut rows = Rows {
            devices: self.select(DEVICES)?,
            leases: self.select(LEASES)?,
            links: self.select(LINKS)?,
            audit: self.select(AUDIT)?,
            ..Rows::default()
        };
        for agent in agents {
            for entry in fs::read_dir(agent.join("devices"))? {
                let folder = entry?.path();
                let id: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("device.json"))?)?;
                let id = id["id"].as_str().context("a device.json without an id")?;
                if let Ok(bytes) = fs::read(folder.join("fence.json")) {
                    let fence: Fence = serde_json::from_slice(&bytes)
                        .with_context(|| format!("the fence in {} is torn", folder.display()))?;
                    rows.fences.insert(id.to_owned(), fence);
                }
            }
        }
        Ok(rows)
    }

    fn select<T: DeserializeOwned>(&self, sql: &str) -> anyhow::Result<Vec<T>> {
        let mut command = match self {
            Self::Sqlite(file) => {
                let mut command = Command::new("sqlite3");
                command.args(["-readonly", "-json"]).arg(file).arg(sql);
                command
            }
            Self::Postgres { url, .. } => {
                let sql = format!("SELECT coalesce(json_agg(r), '[]') FROM ({sql}) r");
                let mut command = Command::new("psql");
                command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", &sql, url]);
                command
            }
        };
        let program = command.get_program().to_string_lossy().into_owned();
        let output = command.output().with_context(|| {
            format!("{program} cannot be started; on Debian: apt-get install sqlite3 postgresql-client")
        })?;
        if !output.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
        // Without a row sqlite3 prints nothing.
        let text = String::from_utf8(output.stdout)?;
        let text = if text.trim().is_empty() { "[]" } else { &text };
        serde_json::from_str(text).with_context(|| format!("{program} printed {text}"))
    }

    /// Files of the database that hold one of these texts.
    pub(crate) fn holding(&self, secrets: &[String]) -> anyhow::Result<Vec<PathBuf>> {
        match self {
            Self::Sqlite(file) => {
                let mut found = Vec::new();
                for suffix in ["", "-wal", "-shm", "-journal"] {
                    let mut name = file.clone().into_os_string();
                    name.push(suffix);
                    found.extend(holding(Path::new(&name), secrets)?);
                }
                Ok(found)
            }
            Self::Postgres { folder, .. } => holding(folder, secrets),
        }
    }
}

/// Which files at or below `path` hold one of these texts. One that is gone meanwhile holds nothing.
pub(crate) fn holding(path: &Path, secrets: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_dir() {
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            found.extend(holding(&entry?.path(), secrets)?);
        }
        return Ok(found);
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    Ok(if holds(&bytes, secrets) {
        vec![path.to_owned()]
    } else {
        Vec::new()
    })
}

/// Looks for all texts in one pass: secrets are told apart by their first eight bytes.
fn holds(bytes: &[u8], secrets: &[String]) -> bool {
    let heads: std::collections::HashMap<[u8; HEAD], &str> = secrets
        .iter()
        .filter_map(|secret| Some((*secret.as_bytes().first_chunk()?, secret.as_str())))
        .collect();
    bytes.windows(HEAD).enumerate().any(|(at, window)| {
        let head: [u8; HEAD] = window.try_into().unwrap_or_default();
        heads
            .get(&head)
            .is_some_and(|secret| bytes[at..].starts_with(secret.as_bytes()))
    })
}

/// Bytes that tell two random secrets apart.
const HEAD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_stands_and_its_beginning_alone_is_none() {
        let secrets = ["abcdefghijkl".to_owned(), "mnopqrstuvwx".to_owned()];
        assert!(holds(b"..abcdefghijkl", &secrets));
        assert!(holds(b"mnopqrstuvwx..", &secrets));
        assert!(!holds(b"..abcdefghijk.mnopqrst", &secrets));
        assert!(!holds(b"", &secrets));
    }

    #[test]
    fn files_below_a_folder_that_hold_a_secret_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/log"), "token=abcdefghijkl").unwrap();
        fs::write(folder.path().join("clean"), "token_hash=…").unwrap();
        let found = holding(folder.path(), &["abcdefghijkl".to_owned()]).unwrap();
        assert_eq!(found, [folder.path().join("deep/log")]);
    }

    #[test]
    fn rows_of_a_file_are_read_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db");
        let made = Command::new("sqlite3")
            .arg(&file)
            .arg("CREATE TABLE links (id TEXT, max_uses INTEGER); INSERT INTO links VALUES ('a', 1), ('b', NULL);")
            .status();
        assert!(made.unwrap().success());
        let source = Source::Sqlite(file);
        let links: Vec<super::super::rows::LinkRow> = source.select(LINKS).unwrap();
        let read: Vec<_> = links
            .iter()
            .map(|link| (link.id.as_str(), link.max_uses))
            .collect();
        assert_eq!(read, [("a", Some(1)), ("b", None)]);
        let none: Vec<super::super::rows::LinkRow> =
            source.select("SELECT * FROM links WHERE id = 'c'").unwrap();
        assert!(none.is_empty());
    }
}
