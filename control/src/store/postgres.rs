//! PostgreSQL: one database for any number of controls.
//!
//! Transactions are READ COMMITTED and writers take turns: each starts with an advisory lock that its end gives back,
//! after the commit is on the disk. So a transaction may rely on what it read, as on SQLite, and there is no
//! deadlock to retry; that many claims are committed at once is what makes it fast (see `batch`).
//!
//! A server that loses commits could give an epoch out twice, so `synchronous_commit` is on whatever the server's
//! default is. One that takes its place, or is put back from a backup, may have lost them all the same: before anything
//! is written to a server that was not there before, epochs are raised above all that were given out (`generation`).
//! A writer that hangs loses its turn: the server ends it. It knows no table.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Row as _, Transaction};
use uuid::Uuid;

use super::{OpenError, READERS_MAX, generation, migrations};
use crate::domain::time::UnixMs;

/// Waits for the writers' turn. The number is "farglass" in ASCII; such locks belong to one database of a server. It is
/// a statement of the transaction and no part of its BEGIN: when the turn does not come the driver knows that there is
/// something to roll back.
const TURN: &str = "SELECT pg_advisory_xact_lock(7377303453135106931)";
/// Connections that write: one has the turn, the rest wait for it together with the other replicas'. One listens.
const WRITERS_MAX: u32 = 4;
/// How long a request waits for a connection to read before it is told to come again. A server that is gone is tried
/// anew for as long, and nobody should wait for longer than a second to hear that: every request reads first.
pub const READ_TIMEOUT: Duration = Duration::from_millis(900);
/// How long it waits for a connection to write: for the writers before it, that is.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after its last use a connection is taken to stand: far shorter than any restart of a server takes.
const TRUSTED_FOR: Duration = Duration::from_millis(50);
/// How long a connection may take to come up before we say that the server is out of reach.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What every connection asks of the server. Waiting for a turn, a statement, and a transaction in which nothing
/// happens have an end: a replica that is stopped in the middle must not stop the others for longer.
///
/// A plan is made once for each connection and kept, and it is the one that SQLite makes, from row to row by the indexes:
/// every statement has them. Left to itself the server plans each of the first five times, and a plan that it made while
/// a table was still small reads all of it, again and again, when it is not any more.
const SETTINGS: [(&str, &str); 11] = [
    ("synchronous_commit", "on"),
    ("lock_timeout", "5s"),
    ("statement_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // A page that an index has in order would be read whole, to its last row, and sorted.
    ("enable_bitmapscan", "off"),
    ("enable_sort", "off"),
    // It would take what is switched off for very dear, and compile it.
    ("jit", "off"),
];

/// What the connection that makes or updates the tables asks for instead: a step that rewrites a table takes what it
/// takes, and another replica waits for it.
const UNHURRIED: [(&str, &str); 2] = [("lock_timeout", "0"), ("statement_timeout", "0")];
/// What another server says of itself, and the same one that was started anew: when that was, in microseconds.
const SERVER: &str = "SELECT CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 AS BIGINT)";

/// Codes of PostgreSQL (its manual, appendix A) that say nothing about the statement: whole classes for connections,
/// resources and an operator's intervention; a turn that did not come, or came and was not used; a deadlock; a standby.
const AWAY: [&str; 7] = ["08", "53", "57", "55P03", "25P03", "40P01", "25006"];

/// Connects, and makes or updates the tables: who writes, who reads.
pub(super) async fn open(
    options: PgConnectOptions,
    replica: Uuid,
    read_timeout: Duration,
) -> Result<(PgPool, PgPool), OpenError> {
    let options = options.application_name(&name_of(replica)).options(SETTINGS);
    check(&options).await?;
    let pool = |max, timeout| {
        // One that was not used for a while is asked whether it still stands before it is used: after the server was
        // restarted a person would else be told to come again once for every connection that was left. One that was
        // used a moment ago is not: each claim would wait for that three times.
        PgPoolOptions::new()
            .max_connections(max)
            .acquire_timeout(timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for >= TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
    };
    let mut migrating = unhurried(options.clone()).connect().await?;
    migrations::postgres().run(&mut migrating).await?;
    migrating.close().await?;
    let known = Known::default();
    let write = pool(WRITERS_MAX, WRITE_TIMEOUT)
        .after_connect(move |connection, _| {
            let known = known.clone();
            Box::pin(async move { known.meets(connection).await })
        })
        .connect_with(options.clone())
        .await?;
    let read = pool(READERS_MAX, read_timeout).connect_lazy_with(options);
    first(&read).await?;
    Ok((write, read))
}

/// The first connection of a pool whose requests wait for less than one may take to come up: a start waits for longer.
async fn first(pool: &PgPool) -> Result<(), OpenError> {
    let begun = Instant::now();
    loop {
        match pool.acquire().await {
            Ok(_) => return Ok(()),
            Err(sqlx::Error::PoolTimedOut) if begun.elapsed() < CONNECT_TIMEOUT => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// What the connections of a replica are called.
pub(super) fn name_of(replica: Uuid) -> String {
    format!("farglass {replica}")
}

/// The server that this process writes to.
#[derive(Debug, Clone, Default)]
struct Known(Arc<Mutex<Option<i64>>>);

impl Known {
    /// A new connection, before it is used: on a server that is not the known one a new generation of epochs begins.
    /// Commits that it has lost took with them epochs that agents may have acted for.
    async fn meets(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let server: i64 = sqlx::query(SERVER)
            .fetch_one(&mut *connection)
            .await?
            .try_get(0)?;
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some_and(|known| known != server) {
            let begun = sqlx::query(generation::BEGIN.sql).bind(UnixMs::now().0);
            begun.execute(&mut *connection).await?;
            tracing::warn!(
                "the database's server is another one or was started anew; epochs rise above all before"
            );
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }
}

fn unhurried(options: PgConnectOptions) -> PgConnectOptions {
    options.options(UNHURRIED)
}

/// Starts a transaction and waits for the writers' turn. To be run until its end.
pub(super) async fn begin(pool: PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    sqlx::query(TURN).execute(&mut *tx).await?;
    Ok(tx)
}

/// Whether a code says that the server cannot do anything now, or not this.
pub(super) fn is_away(code: &str) -> bool {
    AWAY.iter().any(|away| code.starts_with(away))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::postgres::PgConnection;
    use sqlx::{Connection as _, Executor as _};

    use super::*;
    use crate::postgres_child::Postgres as Server;
    use crate::store::{Store, StoreError};

    /// Far below the 5 s after which the server itself takes a turn away.
    const SOON: Duration = Duration::from_secs(2);

    /// A store, and somebody else on its server.
    async fn beside() -> (Server, Store, PgConnection) {
        let server = Server::start();
        let store = Store::open(
            server.url().parse().unwrap(),
            Uuid::nil(),
            crate::support::READ_TIMEOUT,
        )
        .await
        .unwrap();
        let other = PgConnection::connect(&server.url()).await.unwrap();
        (server, store, other)
    }

    /// Waits until somebody waits for the turn, and does something to them.
    async fn to_who_waits(other: &mut PgConnection, what: &str) {
        let sql = format!("SELECT {what} FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
        while sqlx::query(sqlx::AssertSqlSafe(sql.clone()))
            .fetch_all(&mut *other)
            .await
            .unwrap()
            .is_empty()
        {}
    }

    #[tokio::test]
    async fn whoever_goes_while_waiting_for_the_writers_turn_leaves_it_to_the_next() {
        let (_server, store, mut other) = beside().await;
        let first = store.begin().await.unwrap();
        let waits = tokio::spawn({
            let store = store.clone();
            async move { store.begin().await.map(drop) }
        });
        to_who_waits(&mut other, "pid").await;
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
        first.commit().await.unwrap();
        let third = tokio::time::timeout(SOON, store.begin()).await;
        third.expect("nobody has the turn").unwrap();
    }

    #[tokio::test]
    async fn a_turn_that_did_not_come_spoils_no_connection_for_the_next_writes() {
        let (_server, store, mut other) = beside().await;
        // A replica that stands still in the middle of a write.
        let hold = TURN.replace("xact_lock", "lock");
        other
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(hold)))
            .await
            .unwrap();
        let waits = tokio::spawn({
            let store = store.clone();
            async move { store.begin().await.map(drop) }
        });
        // As the server does it after `lock_timeout`, without the wait.
        to_who_waits(&mut other, "pg_cancel_backend(pid)").await;
        let late = waits.await.unwrap();
        assert!(matches!(late, Err(StoreError::Away(_))), "{late:?}");
        other.close().await.unwrap();
        for _ in 0..=WRITERS_MAX {
            store.begin().await.unwrap().commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_tables_are_made_without_hurry() {
        let server = Server::start();
        let options: PgConnectOptions = server.url().parse().unwrap();
        let mut migrating = unhurried(options.options(SETTINGS)).connect().await.unwrap();
        for setting in ["lock_timeout", "statement_timeout"] {
            let show = sqlx::AssertSqlSafe(format!("SHOW {setting}"));
            let row = sqlx::query(show).fetch_one(&mut migrating).await.unwrap();
            assert_eq!(row.get::<String, _>(0), "0", "{setting}");
        }
    }
    #[tokio::test]
    async fn a_commit_waits_for_the_disk_whatever_the_server_the_database_or_the_role_would_have() {
        let server = Server::start();
        let mut other = PgConnection::connect(&server.url()).await.unwrap();
        for off in [
            "ALTER SYSTEM SET synchronous_commit = off",
            "ALTER DATABASE postgres SET synchronous_commit = off",
            "ALTER ROLE farglass SET synchronous_commit = off",
            "SELECT pg_reload_conf()",
        ] {
            other.execute(off).await.unwrap();
        }
        let mut plain = PgConnection::connect(&server.url()).await.unwrap();
        let show = "SHOW synchronous_commit";
        let unasked: String = sqlx::query_scalar(show).fetch_one(&mut plain).await.unwrap();
        assert_eq!(unasked, "off");

        let options = server.url().parse().unwrap();
        let (write, _read) = open(options, Uuid::nil(), crate::support::READ_TIMEOUT)
            .await
            .unwrap();
        let mut writers = Vec::new();
        for _ in 0..WRITERS_MAX {
            writers.push(write.acquire().await.unwrap());
        }
        for writer in &mut writers {
            let is: String = sqlx::query_scalar(show).fetch_one(&mut **writer).await.unwrap();
            assert_eq!(is, "on");
        }
    }
}
