//! PostgreSQL: one database for any number of controls.
//!
//! Transactions are READ COMMITTED and writers take turns: each starts with an advisory lock that its end gives back,
//! after the commit is on the disk. So a transaction may rely on what it read, as on SQLite, and there is no
//! deadlock to retry; that many claims are committed at once is what makes it fast (see `batch`).
//!
//! A server that loses commits could give an epoch out twice, so `synchronous_commit` is on whatever the server's
//! default is. A writer that hangs loses its turn: the server ends it. It knows no table.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Row as _};
use uuid::Uuid;

use super::{OpenError, READERS_MAX};

/// Starts a transaction and waits for the writers' turn. The number is "farglass" in ASCII; such locks belong to one
/// database of a server.
pub(super) const BEGIN: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(7377303453135106931)";
/// Connections that write: one has the turn, the rest wait for it together with the other replicas'. One listens.
const WRITERS_MAX: u32 = 4;
/// How long a request waits for a connection to read before it is told to come again. A server that is gone is tried
/// anew for as long, and nobody should wait for longer than a second to hear that: every request reads first.
const READ_TIMEOUT: Duration = Duration::from_millis(900);
/// How long it waits for a connection to write: for the writers before it, that is.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to come up before we say that the server is out of reach.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What every connection asks of the server. Waiting for a turn, a statement, and a transaction in which nothing
/// happens have an end: a replica that is stopped in the middle must not stop the others for longer.
const SETTINGS: [(&str, &str); 4] = [
    ("synchronous_commit", "on"),
    ("lock_timeout", "5s"),
    ("statement_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "5s"),
];

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// Connects, and makes or updates the tables: who writes, who reads.
pub(super) async fn open(options: PgConnectOptions, replica: Uuid) -> Result<(PgPool, PgPool), OpenError> {
    let options = options
        .application_name(&format!("farglass {replica}"))
        .options(SETTINGS);
    check(&options).await?;
    let pool = |max, timeout| PgPoolOptions::new().max_connections(max).acquire_timeout(timeout);
    let write = pool(WRITERS_MAX, WRITE_TIMEOUT)
        .connect_with(options.clone())
        .await?;
    MIGRATIONS.run(&write).await?;
    let read = pool(READERS_MAX, READ_TIMEOUT).connect_with(options).await?;
    Ok((write, read))
}

/// Fails with the reason if the server is out of reach or takes no writes: a pool would only say that it timed out.
async fn check(options: &PgConnectOptions) -> Result<(), OpenError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let mut connection = connected
        .map_err(|_| OpenError::Unreachable("it did not answer within 5 s".to_owned()))?
        .map_err(|error| OpenError::Unreachable(error.to_string()))?;
    let row = sqlx::query("SHOW transaction_read_only")
        .fetch_one(&mut connection)
        .await?;
    let read_only: String = row.try_get(0)?;
    connection.close().await?;
    if read_only == "on" {
        return Err(OpenError::ReadOnly);
    }
    Ok(())
}
