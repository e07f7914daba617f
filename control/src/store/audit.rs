//! The audit log: one row for every change that somebody made, in the same transaction as the change; read in pages,
//! the newest row first.

use std::net::IpAddr;

use signaling::error::current_id;

use super::row::Row;
use super::statement::{args, statements};
use super::{Store, StoreError, Write};
use crate::domain::time::UnixMs;

statements! {
    /// Appends a row.
    RECORD(Number, Text, Text, Text, Text, Text, Text, Text, Text)
        "INSERT INTO audit_log (at, actor_kind, actor_id, action, resource_type, resource_id, result, request_id, ip)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    /// A page; what is not asked for is left out by the index of ids alone.
    PAGE(Number, Text, Text, Number)
        "SELECT id, at, actor_kind, actor_id, action, resource_type, resource_id, result, request_id, ip FROM audit_log
         WHERE id < $1 AND action = COALESCE($2, action) AND resource_id = COALESCE($3, resource_id)
         ORDER BY id DESC LIMIT $4";
}

/// A row, as it is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Rises with every row.
    pub id: i64,
    /// When it was written.
    pub at: UnixMs,
    /// `user`, `link`, `host` or `system`.
    pub actor_kind: String,
    /// Which one, where that is known.
    pub actor_id: Option<String>,
    /// `noun.verb`.
    pub action: String,
    /// What kind of thing it was done to.
    pub resource_type: String,
    /// Which one.
    pub resource_id: String,
    /// `ok`, or why.
    pub result: String,
    /// The request that brought it about; nil where none did.
    pub request_id: String,
    /// From where.
    pub ip: Option<String>,
}

/// Which rows are asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Older than this row; none for the newest.
    pub before: Option<i64>,
    /// Of this action.
    pub action: Option<String>,
    /// About this thing.
    pub resource: Option<String>,
    /// As many at most.
    pub most: u32,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// What kind of somebody.
    pub kind: ActorKind,
    /// Which one, where that is known.
    pub id: Option<String>,
    /// From where.
    pub ip: Option<IpAddr>,
}

/// The kinds of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActorKind {
    /// A person or program that signed in.
    User,
    /// Somebody with a link.
    Link,
    /// A host.
    Host,
    /// Control itself: a deadline passed.
    System,
}

impl ActorKind {
    /// The name in the database.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Link => "link",
            Self::Host => "host",
            Self::System => "system",
        }
    }
}

impl Actor {
    /// Control itself.
    pub(crate) const SYSTEM: Self = Self {
        kind: ActorKind::System,
        id: None,
        ip: None,
    };
}

/// What was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    /// `noun.verb`.
    pub action: &'static str,
    /// What kind of thing it was done to.
    pub resource: &'static str,
    /// Which one.
    pub id: &'a str,
    /// `ok`, or why it was refused.
    pub result: &'a str,
}

impl Store {
    /// Rows of the audit log, the newest first.
    pub(crate) async fn audited(&self, wanted: Wanted) -> Result<Vec<Entry>, StoreError> {
        let Wanted {
            before,
            action,
            resource,
            most,
        } = wanted;
        let values = args![before.unwrap_or(i64::MAX), action, resource, most];
        let rows = self.read.all(&PAGE, values).await?;
        rows.iter().map(entry).collect()
    }
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        id: row.number("id")?,
        at: row.time("at")?,
        actor_kind: row.text("actor_kind")?,
        actor_id: row.maybe_text("actor_id")?,
        action: row.text("action")?,
        resource_type: row.text("resource_type")?,
        resource_id: row.text("resource_id")?,
        result: row.text("result")?,
        request_id: row.text("request_id")?,
        ip: row.maybe_text("ip")?,
    })
}

pub(super) async fn record(
    tx: &mut Write,
    actor: &Actor,
    deed: Deed<'_>,
    now: UnixMs,
) -> Result<(), StoreError> {
    let values = args![
        now,
        actor.kind.as_str(),
        actor.id.as_ref(),
        deed.action,
        deed.resource,
        deed.id,
        deed.result,
        current_id().to_string(),
        actor.ip.map(|ip| ip.to_string()),
    ];
    tx.run(&RECORD, values).await?;
    Ok(())
}
