//! `farglass bench storm` and `farglass bench revoke`: their arguments become the storm's config, reports go to stdout.
//!
//! Without `--seed` one is drawn; it is told at once, so that a run that hangs can be planned again too. A storm that
//! found violations ends with exit code 1.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ::bench::storm::{DatabaseKind, RevokeConfig, StormConfig, storm};
use anyhow::Context as _;

/// Arguments of `farglass bench storm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to kill for; a quiet moment of some seconds follows.
    #[arg(long, default_value_t = 60)]
    seconds: u32,

    /// Plans the same storm again; drawn when it is not given.
    #[arg(long)]
    seed: Option<u64>,

    /// What is under control; a PostgreSQL is started for it, and killed too.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,

    /// Hosts.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2))]
    agents: u8,

    /// Devices of each host.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=4))]
    devices: u8,

    /// Controls; two share a PostgreSQL.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2))]
    controls: u8,

    /// Let a Chromium watch a device while control and database are dead, and count the frames.
    #[arg(long)]
    media: bool,

    /// Leave logs and data behind, also when nothing was broken.
    #[arg(long)]
    keep: bool,

    /// Write the report here too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Arguments of `farglass bench revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct RevokeArgs {
    /// How many sessions to revoke; 100 give a 99th percentile.
    #[arg(long, default_value_t = 100)]
    revokes: u32,

    /// Decides how long each finger moves before.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// What is under control.
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

impl From<Database> for DatabaseKind {
    fn from(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::Sqlite,
            Database::Postgres => Self::Postgres,
        }
    }
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let drawn = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |now| u64::from(now.subsec_nanos()))
    };
    let config = StormConfig {
        binary: std::env::current_exe().context("this program cannot find itself")?,
        seconds: args.seconds,
        seed: args.seed.unwrap_or_else(drawn),
        database: args.database.into(),
        agents: args.agents,
        devices: args.devices,
        controls: args.controls,
        media: args.media,
        keep: args.keep,
    };
    let report = storm(config).await?;
    writeln!(std::io::stdout(), "{report}").context("stdout cannot be written")?;
    if let Some(file) = &args.json {
        let text = serde_json::to_vec_pretty(&report)?;
        std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    anyhow::ensure!(
        report.violations.is_empty(),
        "{} violations; the same plan again: --seed {}",
        report.violations.len(),
        report.seed
    );
    Ok(())
}

pub(crate) async fn revoke(args: RevokeArgs) -> anyhow::Result<()> {
    let config = RevokeConfig {
        binary: std::env::current_exe().context("this program cannot find itself")?,
        revokes: args.revokes,
        seed: args.seed,
        database: args.database.into(),
    };
    let report = ::bench::storm::revoke(&config).await?;
    write!(std::io::stdout(), "{report}").context("stdout cannot be written")
}
