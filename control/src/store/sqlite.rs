//! SQLite: one file, one connection that writes, a few that read.
//!
//! WAL and `synchronous=FULL`: a lost commit could give an epoch out twice. SQLite has one writer anyway, and
//! queueing for it in our pool is fair where its own busy handler is not. It knows no table.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{OpenError, READERS_MAX};

/// How long a request waits for a connection before it fails: for the writers before it, that is.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement waits for another process that holds the file, for example a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

/// Opens a file, making or updating it: who writes, who reads.
pub(super) async fn open(file: &Path) -> Result<(SqlitePool, SqlitePool), OpenError> {
    // SQLite gives its log the rights of the database; neither is for others to read.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)
        .map_err(OpenError::File)?;
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = |max| {
        SqlitePoolOptions::new()
            .max_connections(max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
    };
    let write = pool(1).connect_with(options.clone()).await?;
    MIGRATIONS.run(&write).await?;
    let read = pool(READERS_MAX).connect_with(options.read_only(true)).await?;
    Ok((write, read))
}

/// Opens a database that is nowhere but in memory, on one connection.
#[cfg(test)]
pub(super) async fn in_memory() -> Result<SqlitePool, OpenError> {
    let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false);
    let pool = pool.connect_with(options).await?;
    MIGRATIONS.run(&pool).await?;
    Ok(pool)
}
