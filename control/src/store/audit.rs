//! The audit log: one row for every change that somebody made, in the same transaction as the change.

use std::net::IpAddr;

use signaling::error::current_id;

use super::statement::{args, statements};
use super::{StoreError, Write};
use crate::domain::time::UnixMs;

statements! {
    /// Appends a row.
    RECORD(Number, Text, Text, Text, Text, Text, Text, Text, Text)
        "INSERT INTO audit_log (at, actor_kind, actor_id, action, resource_type, resource_id, result, request_id, ip)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
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

pub(super) async fn record(
    tx: &mut Write,
    actor: &Actor,
    deed: Deed<'_>,
    now: UnixMs,
) -> Result<(), StoreError> {
    let kind = match actor.kind {
        ActorKind::User => "user",
        ActorKind::Link => "link",
        ActorKind::Host => "host",
        ActorKind::System => "system",
    };
    let values = args![
        now,
        kind,
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
