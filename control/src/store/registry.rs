//! The registry: every statement of the store, prepared on both databases.
//!
//! A statement that names a table, a column or a function which one of them does not have, takes another number or
//! kind of arguments than it says, or gives columns of other names or kinds on the other database, fails here. A file
//! that has statements and is not listed fails as well.
//!
//! sqlx's own macros check against one database while they compile, so two dialects would need the crate twice and a
//! server to build it; a test needs neither, and checks the same.

use std::path::Path;

use sqlx::postgres::Postgres;
use sqlx::{
    AssertSqlSafe, Column as _, Either, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _,
};

use super::address::Address;
use super::database::Pool;
use super::statement::{Kind, Listed};
use super::*;
use crate::postgres_child::Postgres as Server;

/// The statements of each file.
const FILES: [(&str, &[Listed]); 15] = [
    ("answers.rs", answers::STATEMENTS),
    ("audit.rs", audit::STATEMENTS),
    ("claims.rs", claims::STATEMENTS),
    ("connections.rs", connections::STATEMENTS),
    ("devices.rs", devices::STATEMENTS),
    ("generation.rs", generation::STATEMENTS),
    ("hosts.rs", hosts::STATEMENTS),
    ("leases.rs", leases::STATEMENTS),
    ("links.rs", links::STATEMENTS),
    ("live.rs", live::STATEMENTS),
    ("mod.rs", STATEMENTS),
    ("replicas.rs", replicas::STATEMENTS),
    ("retention.rs", retention::STATEMENTS),
    ("users.rs", users::STATEMENTS),
    ("viewer_tokens.rs", viewer_tokens::STATEMENTS),
];

/// What a database says about a statement: its parameters' kinds where it knows them, and its columns.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    takes: usize,
    columns: Vec<(String, Option<Kind>)>,
}

fn all() -> impl Iterator<Item = &'static Listed> {
    FILES.iter().flat_map(|(_, statements)| statements.iter())
}

fn kind(of: &str) -> Option<Kind> {
    match of {
        "TEXT" => Some(Kind::Text),
        "INTEGER" | "INT8" => Some(Kind::Number),
        "BLOB" | "BYTEA" => Some(Kind::Bytes),
        // An expression of SQLite has no kind until it is evaluated.
        "NULL" => None,
        other => panic!("a column is {other}, which no row reads"),
    }
}

/// What both databases say; an error names the statement.
async fn ask(store: &Store, listed: &Listed) -> Said {
    match &store.write {
        Pool::Sqlite(pool) => {
            let sql = AssertSqlSafe(listed.sql).into_sql_str();
            let prepared = pool
                .prepare(sql)
                .await
                .unwrap_or_else(|error| refused(listed, &error));
            let Some(Either::Right(takes)) = prepared.parameters() else {
                panic!("{}: SQLite counts parameters", listed.name)
            };
            // It counts those of each thing done at once, which share them.
            let takes = if listed.sql == listed.postgres {
                takes
            } else {
                takes.min(listed.takes.len())
            };
            let columns = prepared.columns().iter();
            let columns = columns.map(|column| (column.name().to_owned(), kind(column.type_info().name())));
            Said {
                takes,
                columns: columns.collect(),
            }
        }
        Pool::Postgres(pool) => {
            let sql = AssertSqlSafe(listed.postgres).into_sql_str();
            let types: Vec<_> = listed.takes.iter().map(|kind| declared(*kind)).collect();
            let prepared = pool.prepare_with(sql, &types).await;
            let prepared = prepared.unwrap_or_else(|error| refused(listed, &error));
            let Some(Either::Left(takes)) = prepared.parameters() else {
                panic!("{}: PostgreSQL tells parameters", listed.name)
            };
            assert_eq!(takes, types, "{}", listed.name);
            let takes = takes.len();
            let columns = prepared.columns().iter();
            let columns = columns.map(|column| (column.name().to_owned(), kind(column.type_info().name())));
            Said {
                takes,
                columns: columns.collect(),
            }
        }
    }
}

fn refused(listed: &Listed, error: &sqlx::Error) -> ! {
    panic!("{} is refused: {error}\n{}", listed.name, listed.sql)
}

fn declared(kind: Kind) -> <Postgres as sqlx::Database>::TypeInfo {
    use sqlx::Type;
    match kind {
        Kind::Text => <String as Type<Postgres>>::type_info(),
        Kind::Number => <i64 as Type<Postgres>>::type_info(),
        Kind::Bytes => <Vec<u8> as Type<Postgres>>::type_info(),
    }
}

#[tokio::test]
async fn every_statement_is_understood_alike_by_both_databases() {
    let server = Server::start();
    let address: Address = server.url().parse().unwrap();
    let postgres = Store::open(address, Uuid::nil(), crate::support::READ_TIMEOUT)
        .await
        .unwrap();
    let sqlite = Store::in_memory().await.unwrap();
    for listed in all() {
        let (here, there) = (ask(&sqlite, listed).await, ask(&postgres, listed).await);
        assert_eq!(here.takes, listed.takes.len(), "{}: SQLite's count", listed.name);
        assert_eq!(here.takes, there.takes, "{}", listed.name);
        assert_eq!(here.columns.len(), there.columns.len(), "{}", listed.name);
        for (mut ours, theirs) in here.columns.into_iter().zip(there.columns) {
            ours.1 = ours.1.or(theirs.1);
            assert_eq!(ours, theirs, "{}", listed.name);
        }
    }
}

#[test]
fn every_file_with_statements_is_in_the_registry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let has = text.lines().any(|line| line == "statements! {");
        let name = path.file_name().unwrap().to_str().unwrap();
        let listed = FILES.iter().any(|(file, _)| *file == name);
        assert_eq!(has, listed, "{name}");
    }
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let server = Server::start();
    let address: Address = server.url().parse().unwrap();
    let postgres = Store::open(address, Uuid::nil(), crate::support::READ_TIMEOUT)
        .await
        .unwrap();
    let sqlite = Store::in_memory().await.unwrap();
    let ours = sqlite
        .rows(
            "SELECT m.name || '.' || c.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> '_sqlx_migrations' ORDER BY 1",
        )
        .await
        .unwrap();
    let theirs = postgres
        .rows(
            "SELECT table_name || '.' || column_name AS name FROM information_schema.columns
             WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' ORDER BY 1",
        )
        .await
        .unwrap();
    let names = |rows: Vec<row::Row>| {
        rows.iter()
            .map(|row| row.text("name").unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(ours), names(theirs));
}

/// Tables that only ever grow: reading all of one takes ever longer.
const GROWING: [&str; 5] = ["leases", "sessions", "connections", "viewer_tokens", "audit_log"];

/// Run once, or once in a while, where nobody waits for it.
const SELDOM: [&str; 2] = ["ADD_FIRST_ADMIN", "FORGET_VIEWER_TOKENS"];

#[tokio::test]
async fn no_statement_reads_the_whole_of_a_table_that_only_grows() {
    let store = Store::in_memory().await.unwrap();
    let Pool::Sqlite(pool) = &store.read else {
        panic!("in memory there is SQLite")
    };
    let mut scans = Vec::new();
    let often = all().filter(|listed| !SELDOM.contains(&listed.name));
    // Of things done at once each has its own plan; to explain the first would do the others.
    for (listed, one) in often.flat_map(|listed| listed.sql.split(';').map(move |one| (listed, one))) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {one}"));
        for row in sqlx::query(explain).fetch_all(pool).await.unwrap() {
            let step: String = sqlx::Row::get(&row, "detail");
            // An alias is all that the plan tells of a table.
            let scanned = step.strip_prefix("SCAN ").filter(|of| !of.contains("USING"));
            let table = scanned.map(|alias| match alias {
                "l" => "leases",
                "s" => "sessions",
                "c" => "connections",
                other => other,
            });
            if table.is_some_and(|table| GROWING.contains(&table)) {
                scans.push(format!("{}: {step}", listed.name));
            }
        }
    }
    assert_eq!(scans, [""; 0]);
}

#[tokio::test]
async fn postgresql_goes_by_the_indexes_also_where_it_planned_while_tables_were_empty() {
    let server = Server::start();
    let store = Store::open(
        server.url().parse().unwrap(),
        Uuid::nil(),
        crate::support::READ_TIMEOUT,
    )
    .await
    .unwrap();
    let Pool::Postgres(pool) = &store.read else {
        panic!("it is PostgreSQL")
    };
    let mut connection = pool.acquire().await.unwrap();
    let mut scans = Vec::new();
    for listed in all().filter(|listed| !SELDOM.contains(&listed.name)) {
        let types = listed.takes.iter().map(|kind| match kind {
            Kind::Text => "TEXT",
            Kind::Number => "BIGINT",
            Kind::Bytes => "BYTEA",
        });
        let types = types.collect::<Vec<_>>().join(", ");
        let (types, nothing) = match listed.takes.len() {
            0 => (String::new(), String::new()),
            many => (
                format!("({types})"),
                format!("({})", vec!["NULL"; many].join(", ")),
            ),
        };
        let prepare = format!("DEALLOCATE ALL; PREPARE asked {types} AS {}", listed.postgres);
        let prepare = sqlx::raw_sql(AssertSqlSafe(prepare));
        prepare.execute(&mut *connection).await.unwrap();
        let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE asked {nothing}")));
        for row in explain.fetch_all(&mut *connection).await.unwrap() {
            let step: String = sqlx::Row::get(&row, 0);
            let table = step
                .split_once("Seq Scan on ")
                .map(|(_, rest)| rest.split(' ').next());
            if table.flatten().is_some_and(|table| GROWING.contains(&table)) {
                scans.push(format!("{}: {step}", listed.name));
            }
        }
    }
    assert_eq!(scans, [""; 0]);
}
