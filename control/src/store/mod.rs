//! The database: every SQL statement of control is in this folder.
//!
//! ```text
//!   claims links leases connections devices hosts users audit    the tables: named statements, rows to types
//!                              │
//!                batch                                           writes that share a commit
//!   statement ── database ── row                                 one text, two databases
//!                   │
//!          sqlite ──┴── postgres                                 how each is opened and how its writers take turns
//!             │
//!        checkpoint                                              SQLite's log, carried over beside the writers
//! ```
//!
//! A write that relies on what it read is a transaction in which no other such one writes ([`Store::begin`]); only
//! statements that are a whole change by themselves are run outside of one. Who gets a device is still decided by conditional UPDATEs and unique indexes alone: they hold even
//! where that promise is broken. Rules are not here but in `domain`.

pub(crate) mod address;
pub(crate) mod answers;
pub(crate) mod audit;
mod batch;
mod checkpoint;
pub(crate) mod claims;
pub(crate) mod connections;
pub(crate) mod constraint;
mod database;
pub(crate) mod devices;
pub(crate) mod feed;
mod generation;
pub(crate) mod hosts;
pub(crate) mod leases;
pub(crate) mod links;
pub(crate) mod live;
mod migrations;
mod postgres;
#[cfg(test)]
mod registry;
pub(crate) mod replicas;
pub(crate) mod retention;
pub(crate) mod row;
mod sqlite;
pub(crate) mod statement;
#[cfg(test)]
mod tls_tests;
pub(crate) mod users;
pub(crate) mod viewer_tokens;

use std::sync::Arc;
use std::time::Duration;

use signaling::error::{Code, Problem, current_id};
use sqlx::SqlitePool;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqliteError;
use uuid::Uuid;

use address::Address;
use batch::Queue;
use constraint::Constraint;
use database::Pool;
pub(crate) use database::Write;
pub use postgres::READ_TIMEOUT;
use statement::statements;

/// When somebody may come again who found the database out of reach or too many others waiting, seconds.
const RETRY_S: u32 = 1;
/// Connections that read at the same time; more wait.
const READERS_MAX: u32 = 4;

statements! {
    /// Whether the database answers.
    IS_ALIVE() "SELECT CAST(1 AS BIGINT) AS alive";
}

/// The open database.
#[derive(Clone)]
pub(crate) struct Store {
    write: Pool,
    read: Pool,
    /// The connection over which the log of a file of SQLite is carried over.
    checkpoint: Option<SqlitePool>,
    /// Writes that share their commits; none in memory, where nothing is synced.
    queue: Option<Arc<Queue>>,
}

/// The database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// A statement or a connection.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// A constraint refused what was asked for.
    #[error("database: the constraint {0:?} refuses this")]
    Refused(Constraint),
    /// It is out of reach, or too busy to answer.
    #[error("database out of reach: {0}")]
    Away(sqlx::Error),
    /// More writes wait than may.
    #[error("database: too many writes wait")]
    Busy,
    /// The commit that this write shared with others failed.
    #[error("{0}")]
    Together(Arc<StoreError>),
    /// A row says what the code never wrote.
    #[error("database: column {0} holds no such value")]
    Damaged(&'static str),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(Constraint::of);
        match constraint {
            Some(constraint) => Self::Refused(constraint),
            None if is_away(&error) => Self::Away(error),
            None => Self::Database(error),
        }
    }
}

impl StoreError {
    /// Whether the same may well succeed later.
    pub(crate) fn is_away(&self) -> bool {
        match self {
            Self::Away(_) | Self::Busy => true,
            Self::Together(shared) => shared.is_away(),
            Self::Database(_) | Self::Refused(_) | Self::Damaged(_) => false,
        }
    }
}

/// Whether the database is out of reach, rather than against what was asked of it.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => match error.try_downcast_ref::<SqliteError>() {
            Some(error) => sqlite::is_away(error),
            None => error.code().is_some_and(|code| postgres::is_away(&code)),
        },
        _ => false,
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Refused(constraint) => constraint.problem(),
            StoreError::Busy => Self::new(
                Code::RateLimited,
                "Too many people at once. Try again in a moment.",
            )
            .retry_after(RETRY_S),
            StoreError::Away(_) => {
                tracing::error!(request.id = %current_id(), %error, "the database is out of reach");
                Self::new(
                    Code::Unavailable,
                    "We cannot look that up right now. Try again in a moment.",
                )
                .retry_after(RETRY_S)
            }
            StoreError::Together(shared) => Self::from(&**shared),
            StoreError::Database(_) | StoreError::Damaged(_) => Self::internal(error),
        }
    }
}

/// The database cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OpenError {
    /// The file is not there to be written.
    #[error("the file cannot be opened for writing: {0}")]
    File(std::io::Error),
    /// No server, or not for us.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// A standby, or a server that was told to take no writes.
    #[error("the server takes no writes; it may be a standby: name the primary")]
    ReadOnly,
    /// The tables are of a version that this program does not know.
    #[error(
        "it was made by a newer version of Farglass (step {0}); use that version or a backup from before"
    )]
    TooNew(i64),
    /// The tables cannot be made or updated.
    #[error("its tables cannot be made or updated: {0}")]
    Schema(MigrateError),
    /// A statement or a connection.
    #[error("{0}")]
    Database(#[from] sqlx::Error),
}

impl From<MigrateError> for OpenError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::TooNew(version),
            other => Self::Schema(other),
        }
    }
}

impl Store {
    /// Opens a database, making or updating its tables. `replica` is what other controls know this one by.
    ///
    /// # Errors
    /// When it cannot be reached or written, or was made by a newer version.
    pub(crate) async fn open(
        address: Address,
        replica: Uuid,
        read_timeout: Duration,
    ) -> Result<Self, OpenError> {
        let (write, read, checkpoint) = match address {
            Address::Sqlite(file) => {
                let opened = sqlite::open(&file).await?;
                let checkpoint = Some(opened.checkpoint);
                (Pool::Sqlite(opened.write), Pool::Sqlite(opened.read), checkpoint)
            }
            Address::Postgres(options) => {
                let (write, read) = postgres::open(*options, replica, read_timeout).await?;
                (Pool::Postgres(write), Pool::Postgres(read), None)
            }
        };
        Ok(Self {
            write,
            read,
            checkpoint,
            queue: Some(Arc::default()),
        })
    }

    /// Opens a database that is nowhere but in memory, on one connection.
    #[cfg(test)]
    pub(crate) async fn in_memory() -> Result<Self, OpenError> {
        let pool = Pool::Sqlite(sqlite::in_memory().await?);
        Ok(Self {
            write: pool.clone(),
            read: pool,
            checkpoint: None,
            queue: None,
        })
    }

    /// What a statement of a test finds.
    #[cfg(test)]
    pub(crate) async fn rows(&self, sql: &'static str) -> Result<Vec<row::Row>, StoreError> {
        self.read.rows(sql).await
    }

    /// Runs statements of a test.
    #[cfg(test)]
    pub(crate) async fn run(&self, sql: String) -> Result<(), StoreError> {
        self.write.batch(sql).await
    }

    /// Whether other controls may share it.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.write, Pool::Postgres(_))
    }

    /// Starts a writing transaction; nobody else writes until it ends.
    pub(crate) async fn begin(&self) -> Result<Write, StoreError> {
        self.write.begin().await
    }

    /// Whether the database answers.
    pub(crate) async fn is_alive(&self) -> bool {
        self.read.one(&IS_ALIVE, []).await.is_ok()
    }

    /// Closes every connection; a file of SQLite is then whole without its log.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.close().await;
        }
        self.write.close().await;
    }
}
