//! The database: every SQL statement of control is in this folder.
//!
//! SQLite in one file: WAL, `synchronous=FULL` (a lost commit could give an epoch out twice), foreign
//! keys on. One connection writes, a few read: SQLite has one writer anyway, and queueing for it in our
//! pool is fair where its own busy handler is not. Every write is a `BEGIN IMMEDIATE` transaction, so a
//! transaction that read something may rely on it until it commits.
//!
//! Statements are portable where they can be; rules are not here but in `domain`.

pub(crate) mod audit;
pub(crate) mod claims;
mod column;
pub(crate) mod connections;
pub(crate) mod devices;
pub(crate) mod hosts;
pub(crate) mod leases;
pub(crate) mod links;
pub(crate) mod users;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

/// File of the database in the data folder.
const FILE: &str = "control.db";
/// How long a statement waits for another process that holds the file, for example a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for a connection before it fails.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read at the same time; more wait.
const READERS_MAX: u32 = 4;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

/// The open database.
#[derive(Clone)]
pub(crate) struct Store {
    write: SqlitePool,
    read: SqlitePool,
}

/// The database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// A statement or a connection.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema.
    #[error("database schema: {0}")]
    Schema(#[from] MigrateError),
    /// A row says what the code never wrote.
    #[error("database: column {0} holds no such value")]
    Damaged(&'static str),
}

impl From<StoreError> for signaling::error::Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

/// A writing transaction. Dropping it undoes it.
pub(crate) type Write = Transaction<'static, Sqlite>;

impl Store {
    /// Opens the database in a folder, making or updating it.
    ///
    /// # Errors
    /// When the file cannot be used or was made by a newer version.
    pub(crate) async fn open(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join(FILE);
        // SQLite gives its log the rights of the database; neither is for others to read.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&file)
            .map_err(sqlx::Error::Io)?;
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
        Ok(Self { write, read })
    }

    /// Opens a database that is nowhere but in memory, on one connection.
    #[cfg(test)]
    pub(crate) async fn in_memory() -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let write = pool.connect_with(options).await?;
        MIGRATIONS.run(&write).await?;
        let read = write.clone();
        Ok(Self { write, read })
    }

    /// What a statement of a test finds.
    #[cfg(test)]
    pub(crate) async fn rows(&self, sql: &'static str) -> Result<Vec<sqlx::sqlite::SqliteRow>, StoreError> {
        Ok(sqlx::query(sql).fetch_all(&self.read).await?)
    }

    /// Runs statements of a test.
    #[cfg(test)]
    pub(crate) async fn run(&self, sql: String) -> Result<(), StoreError> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Starts a writing transaction.
    pub(crate) async fn begin(&self) -> Result<Write, StoreError> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Whether the database answers.
    pub(crate) async fn is_alive(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.read).await.is_ok()
    }

    /// Closes every connection; the file is then whole without its log.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}
