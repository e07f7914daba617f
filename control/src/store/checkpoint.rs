//! The checkpointer: carries what SQLite's log holds over into the database file, beside whoever writes.
//!
//! ```text
//!   a commit ── pages ──► log (control.db-wal) ── LOG_DUE pages ──► PASSIVE, on a connection of its own ──► control.db
//!                          ▲                                             │ again, until nothing is left
//!                          └──── the next commit begins it anew ◄────────┘
//! ```
//!
//! SQLite by itself has the commit that makes the log a thousand pages long carry them over: about every hundredth claim
//! waits for hundreds of writes and two syncs of the disk more than the others. What is durable does not depend on any
//! of this: a commit is on the disk once the log is, and the log is read when the file is opened.
//!
//! A checkpointer that does not come through leaves the log to grow to [`LOG_MAX`]; from there on commits carry it over
//! themselves again. It knows no table, and nothing of what is written.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row as _, SqlitePool};
use tokio::sync::watch;

/// Pages that are worth being carried over: 4 MiB, as SQLite has it. More at once would keep the disk from the next commit
/// for longer.
const LOG_DUE: i64 = 1000;
/// Pages at which a commit carries them over itself. Whoever reads for long, say a backup, keeps the log from being begun
/// anew: it then grows beyond this until he is done, as it does by SQLite's own ways.
pub(super) const LOG_MAX: i64 = 4 * LOG_DUE;
/// How often the log is looked at while there are commits: a few hundred claims make it as long as is due.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often what was written meanwhile is carried over as well. A commit begins the log anew when nothing is left; if
/// there is always something, the next look tries again.
const ROUNDS_MAX: u32 = 8;

/// Pages in the log, and how many of them were carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Log {
    pages: i64,
    carried: i64,
}

/// Starts a checkpointer for a file. `commits` changes with every commit, and ends with those who write. Closing what it
/// gives stops it.
pub(super) fn start(options: SqliteConnectOptions, commits: watch::Receiver<()>) -> SqlitePool {
    let own = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    tokio::spawn(run(own.clone(), commits));
    own
}

async fn run(own: SqlitePool, mut commits: watch::Receiver<()>) {
    while commits.changed().await.is_ok() {
        // More commits in the meantime are one look.
        tokio::time::sleep(LOOK_EVERY).await;
        match look(&own).await {
            Ok(()) => {}
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) => {
                tracing::warn!(%error, "the database's log could not be carried over; it is tried again");
            }
        }
    }
}

/// Carries the log over, if it is long enough.
async fn look(own: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut log = ask(own, "PRAGMA wal_checkpoint(NOOP)").await?;
    if log.pages - log.carried < LOG_DUE {
        return Ok(());
    }
    for _ in 0..ROUNDS_MAX {
        log = ask(own, "PRAGMA wal_checkpoint(PASSIVE)").await?;
        if log.carried == log.pages {
            break;
        }
    }
    tracing::debug!(log.pages, log.carried, "the log was carried over");
    Ok(())
}

async fn ask(own: &SqlitePool, checkpoint: &'static str) -> Result<Log, sqlx::Error> {
    let row = sqlx::query(checkpoint).fetch_one(own).await?;
    Ok(Log {
        pages: row.try_get("log")?,
        carried: row.try_get("checkpointed")?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use sqlx::Executor as _;

    use super::*;
    use crate::store::sqlite::{self, Opened};

    /// Generous: it is done in a tenth of a second.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// Writes a thousand pages in one commit.
    async fn writes(write: &SqlitePool) {
        let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                    INSERT INTO filler SELECT zeroblob(4000) FROM n";
        write.execute(rows).await.unwrap();
    }

    /// A file with a table to fill, and somebody who only looks at the log.
    async fn opened(folder: &Path) -> (Opened, SqlitePool) {
        let file = folder.join("control.db");
        let opened = sqlite::open(&file).await.unwrap();
        opened
            .write
            .execute("CREATE TABLE filler (filling BLOB)")
            .await
            .unwrap();
        let looks = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file));
        (opened, looks.await.unwrap())
    }

    async fn log(looks: &SqlitePool) -> Log {
        ask(looks, "PRAGMA wal_checkpoint(NOOP)").await.unwrap()
    }

    #[tokio::test]
    async fn the_log_is_carried_over_beside_who_writes_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (Opened { write, .. }, looks) = opened(folder.path()).await;
        writes(&write).await;
        let before = log(&looks).await;
        assert!(LOG_DUE < before.pages && before.pages < LOG_MAX, "{before:?}");
        let carried = async {
            while log(&looks).await.carried < before.pages {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, carried)
            .await
            .expect("it is carried over");
        // Who has carried all of it over may hold on to it for one more write.
        let anew = async {
            while log(&looks).await.pages >= LOG_DUE {
                let delete = "DELETE FROM filler WHERE rowid = (SELECT MIN(rowid) FROM filler)";
                write.execute(delete).await.unwrap();
            }
        };
        tokio::time::timeout(DEADLINE, anew)
            .await
            .expect("it is begun anew");
    }

    #[tokio::test]
    async fn without_a_checkpointer_the_log_comes_to_its_end_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (
            Opened {
                write, checkpoint, ..
            },
            looks,
        ) = opened(folder.path()).await;
        checkpoint.close().await;
        let mut longest = 0;
        for _ in 0..2 * LOG_MAX / 1000 {
            writes(&write).await;
            longest = longest.max(log(&looks).await.pages);
        }
        assert!(longest > LOG_DUE, "nobody carries it over before: {longest}");
        assert!(longest < LOG_MAX + 1100, "one commit more at most: {longest}");
    }
}
