//! SQLite: one file, one connection that writes, a few that read, one that carries the log over (`checkpoint`).
//!
//! WAL and `synchronous=FULL`: a lost commit could give an epoch out twice. SQLite has one writer anyway, and
//! queueing for it in our pool is fair where its own busy handler is not. It knows no table.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::error::DatabaseError as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;

use super::{OpenError, READERS_MAX, checkpoint, migrations};

/// How long a request waits for a connection before it fails: for the writers before it, that is.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement waits for another process that holds the file, for example a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Primary result codes of SQLite (sqlite.org/rescode.html) that say nothing about the statement: BUSY, LOCKED, IOERR,
/// FULL, CANTOPEN.
const AWAY: [i64; 5] = [5, 6, 10, 13, 14];

/// Connections to one file.
pub(super) struct Opened {
    pub write: SqlitePool,
    pub read: SqlitePool,
    pub checkpoint: SqlitePool,
}

/// Opens a file, making or updating it.
pub(super) async fn open(file: &Path) -> Result<Opened, OpenError> {
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
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", checkpoint::LOG_MAX.to_string());
    let pool = |max| {
        SqlitePoolOptions::new()
            .max_connections(max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
    };
    let (committed, commits) = watch::channel(());
    let committed = Arc::new(committed);
    let write = pool(1).after_connect(move |connection, _| {
        let committed = committed.clone();
        Box::pin(async move {
            // It is called before each commit, and lets it go on.
            let tell = move || {
                committed.send_replace(());
                true
            };
            connection.lock_handle().await?.set_commit_hook(tell);
            Ok(())
        })
    });
    let write = write.connect_with(options.clone()).await?;
    migrations::sqlite().run(&write).await?;
    let checkpoint = checkpoint::start(options.clone(), commits);
    let read = pool(READERS_MAX).connect_with(options.read_only(true)).await?;
    Ok(Opened {
        write,
        read,
        checkpoint,
    })
}

/// Whether somebody else holds the file, or the disk does not serve.
pub(super) fn is_away(error: &SqliteError) -> bool {
    let code = error.code().and_then(|code| code.parse::<i64>().ok());
    // The low byte is the primary code, what is above it says more.
    code.is_some_and(|code| AWAY.contains(&(code & 0xff)))
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
    migrations::sqlite().run(&pool).await?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Executor as _};

    use super::*;
    use crate::store::StoreError;

    #[tokio::test]
    async fn a_file_that_somebody_else_holds_is_out_of_reach_and_no_fault_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("control.db");
        let Opened { write, .. } = open(&file).await.unwrap();
        write.execute("PRAGMA busy_timeout = 1").await.unwrap();
        let backup = SqliteConnectOptions::new().filename(&file).connect().await;
        let mut backup = backup.unwrap();
        backup.execute("BEGIN IMMEDIATE").await.unwrap();
        let error = write.begin_with("BEGIN IMMEDIATE").await.map(drop).unwrap_err();
        let error = StoreError::from(error);
        assert!(matches!(error, StoreError::Away(_)), "{error:?}");
    }
    #[tokio::test]
    async fn every_connection_that_writes_waits_for_the_disk_and_writes_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let opened = open(&folder.path().join("control.db")).await.unwrap();
        for (who, pool) in [("writer", &opened.write), ("checkpointer", &opened.checkpoint)] {
            let mut connection = pool.acquire().await.unwrap();
            let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode");
            assert_eq!(mode.fetch_one(&mut *connection).await.unwrap(), "wal", "{who}");
            // sqlite.org/pragma.html: 2 is FULL.
            for (pragma, wanted) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1)] {
                let is = sqlx::query_scalar::<_, i64>(pragma).fetch_one(&mut *connection);
                assert_eq!(is.await.unwrap(), wanted, "{who}: {pragma}");
            }
        }
    }
}
