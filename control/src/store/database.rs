//! The two databases behind one face: pools, transactions, and the four ways to run a statement.
//!
//! ```text
//!                      run            maybe            one             all
//!                  rows changed   at most a row    exactly a row    every row
//!   Pool    each statement is its own transaction
//!   Write   one transaction after the other: nobody else writes until it ends
//! ```
//!
//! It knows no table. This is the one file where a statement meets a driver.

use sqlx::database::Database;
use sqlx::postgres::Postgres;
use sqlx::query::Query;
use sqlx::sqlite::Sqlite;
use sqlx::{Encode, Executor as _, PgPool, SqlitePool, Transaction, Type};

use super::StoreError;
use super::postgres;
use super::row::Row;
use super::statement::{Kind, Statement, Value};

/// Connections of either database.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A writing transaction. Dropping it undoes it.
#[derive(Debug)]
pub(crate) enum Write {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Pool {
    /// Starts a writing transaction. What it reads stays true until it ends: on SQLite because it is `IMMEDIATE`,
    /// on PostgreSQL because writers of every replica take turns.
    pub(super) async fn begin(&self) -> Result<Write, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Write::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => {
                // In a task of its own: the driver counts a transaction only once its BEGIN was answered, and would
                // put the connection of whoever goes away before that back as it is, with the turn in an open
                // transaction. What nobody takes from the task is rolled back.
                let begun = tokio::spawn(postgres::begin(pool.clone())).await;
                Write::Postgres(begun.map_err(|_| sqlx::Error::WorkerCrashed)??)
            }
        })
    }

    /// The same, for who runs it to its end whatever happens: a task that nobody cancels.
    pub(super) async fn begin_to_the_end(&self) -> Result<Write, StoreError> {
        match self {
            Self::Sqlite(_) => self.begin().await,
            Self::Postgres(pool) => Ok(Write::Postgres(postgres::begin(pool.clone()).await?)),
        }
    }

    /// Closes every connection.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Write {
    /// Makes everything that was written durable and visible.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Runs a text without arguments, which only a savepoint is.
    pub(super) async fn mark(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => (&mut **tx).execute(sqlx::raw_sql(sql)).await.map(drop)?,
            Self::Postgres(tx) => (&mut **tx).execute(sqlx::raw_sql(sql)).await.map(drop)?,
        }
        Ok(())
    }
}

macro_rules! runs_statements {
    ($name:ident, ($($own:tt)+), |$it:ident| $executor:expr) => {
        impl $name {
            /// How many rows a statement changed.
            pub(crate) async fn run<const N: usize>(
                $($own)+ self,
                statement: &'static Statement<N>,
                values: [Value; N],
            ) -> Result<u64, StoreError> {
                Ok(match self {
                    Self::Sqlite($it) => bound(statement.sql, statement, values).execute($executor).await?.rows_affected(),
                    Self::Postgres($it) => bound(statement.postgres, statement, values).execute($executor).await?.rows_affected(),
                })
            }

            /// The row that a statement finds, or none.
            pub(crate) async fn maybe<const N: usize>(
                $($own)+ self,
                statement: &'static Statement<N>,
                values: [Value; N],
            ) -> Result<Option<Row>, StoreError> {
                Ok(match self {
                    Self::Sqlite($it) => bound(statement.sql, statement, values).fetch_optional($executor).await?.map(Row::Sqlite),
                    Self::Postgres($it) => bound(statement.postgres, statement, values).fetch_optional($executor).await?.map(Row::Postgres),
                })
            }

            /// The row that a statement finds; that there is one is sure.
            pub(crate) async fn one<const N: usize>(
                $($own)+ self,
                statement: &'static Statement<N>,
                values: [Value; N],
            ) -> Result<Row, StoreError> {
                Ok(match self {
                    Self::Sqlite($it) => Row::Sqlite(bound(statement.sql, statement, values).fetch_one($executor).await?),
                    Self::Postgres($it) => Row::Postgres(bound(statement.postgres, statement, values).fetch_one($executor).await?),
                })
            }

            /// Every row that a statement finds.
            pub(crate) async fn all<const N: usize>(
                $($own)+ self,
                statement: &'static Statement<N>,
                values: [Value; N],
            ) -> Result<Vec<Row>, StoreError> {
                Ok(match self {
                    Self::Sqlite($it) => {
                        let rows = bound(statement.sql, statement, values).fetch_all($executor).await?;
                        rows.into_iter().map(Row::Sqlite).collect()
                    }
                    Self::Postgres($it) => {
                        let rows = bound(statement.postgres, statement, values).fetch_all($executor).await?;
                        rows.into_iter().map(Row::Postgres).collect()
                    }
                })
            }
        }
    };
}

runs_statements!(Pool, (&), |pool| pool);
runs_statements!(Write, (&mut), |tx| &mut **tx);

/// A statement's text for one of the databases, with its arguments.
fn bound<DB: Database, const N: usize>(
    sql: &'static str,
    statement: &'static Statement<N>,
    values: [Value; N],
) -> Query<'static, DB, DB::Arguments>
where
    Option<String>: for<'q> Encode<'q, DB> + Type<DB>,
    Option<i64>: for<'q> Encode<'q, DB> + Type<DB>,
    Option<Vec<u8>>: for<'q> Encode<'q, DB> + Type<DB>,
{
    let mut query = sqlx::query(sql);
    for (value, kind) in values.into_iter().zip(statement.takes) {
        debug_assert!(value.fits(*kind), "{statement:?} does not take {value:?}");
        query = match (value, kind) {
            (Value::Text(text), _) => query.bind(Some(text)),
            (Value::Number(number), _) => query.bind(Some(number)),
            (Value::Bytes(bytes), _) => query.bind(Some(bytes)),
            (Value::Null, Kind::Text) => query.bind(None::<String>),
            (Value::Null, Kind::Number) => query.bind(None::<i64>),
            (Value::Null, Kind::Bytes) => query.bind(None::<Vec<u8>>),
        };
    }
    query
}

#[cfg(test)]
impl Pool {
    /// What a text of a test finds.
    pub(super) async fn rows(&self, sql: &'static str) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => {
                let rows = sqlx::query(sql).fetch_all(pool).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(pool) => {
                let rows = sqlx::query(sql).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Runs texts of a test.
    pub(super) async fn batch(&self, sql: String) -> Result<(), StoreError> {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        match self {
            Self::Sqlite(pool) => sql.execute(pool).await.map(drop)?,
            Self::Postgres(pool) => sql.execute(pool).await.map(drop)?,
        }
        Ok(())
    }
}
