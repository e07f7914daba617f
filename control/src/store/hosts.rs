//! Hosts that are enrolled, and the tokens that enrol them.

use std::time::Duration;

use protocol::HostId;
use signaling::link::token::Fingerprint;
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::statement::{args, statements};
use super::{Store, StoreError};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// How long a join token is good.
pub(crate) const JOIN_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

statements! {
    ADD_JOIN_TOKEN(Bytes, Number, Number)
        "INSERT INTO join_tokens (token_hash, created_at, expires_at) VALUES ($1, $2, $3)
         ON CONFLICT (token_hash) DO NOTHING";
    ENROLLED_HOST(Number) "SELECT id FROM hosts WHERE state = 'enrolled' AND certificate_ends_at > $1 LIMIT 1";
    JOIN_TOKEN(Bytes) "SELECT expires_at, used_at FROM join_tokens WHERE token_hash = $1";
    HOST_BY_KEY(Bytes) "SELECT id, state FROM hosts WHERE key_hash = $1";
    USE_JOIN_TOKEN(Number, Bytes) "UPDATE join_tokens SET used_at = $1 WHERE token_hash = $2";
    ENROL(Text, Text, Bytes, Number, Number)
        "INSERT INTO hosts (id, name, key_hash, state, certificate_ends_at, created_at)
         VALUES ($1, $2, $3, 'enrolled', $4, $5)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, certificate_ends_at = excluded.certificate_ends_at";
    GREET(Number, Text, Bytes)
        "UPDATE hosts SET last_seen_at = $1 WHERE id = $2 AND key_hash = $3 AND state = 'enrolled'";
    RENEW(Number, Text) "UPDATE hosts SET certificate_ends_at = $1 WHERE id = $2 AND state = 'enrolled'";
}

/// Why a host may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinRefused {
    /// No such token, or its time is over.
    Unknown,
    /// Somebody used it before: a mistake or a theft.
    Used,
    /// The host was retired.
    Retired,
}

/// A host to be enrolled.
pub(crate) struct NewHost<'a> {
    /// Hash of the secret half of its token.
    pub token: Hash,
    /// Hash of its key: the same key is the same host.
    pub key: Fingerprint,
    /// For people.
    pub name: &'a str,
    /// When the certificate that it gets ends.
    pub certificate_ends: UnixMs,
}

impl Store {
    /// Keeps a new join token. One that is kept already stays as it is.
    pub(crate) async fn add_join_token(
        &self,
        token: Hash,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let values = args![token, now, now.plus(JOIN_TOKEN_LIFETIME)];
        if tx.run(&ADD_JOIN_TOKEN, values).await? == 0 {
            return Ok(());
        }
        let deed = Deed {
            action: "join_token.create",
            resource: "join_token",
            id: "",
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether some host can come back with the certificate that it has.
    pub(crate) async fn has_enrolled_host(&self, now: UnixMs) -> Result<bool, StoreError> {
        Ok(self.read.maybe(&ENROLLED_HOST, args![now]).await?.is_some())
    }

    /// Uses a join token up and enrols a host, or recognises it by its key.
    pub(crate) async fn join(
        &self,
        host: NewHost<'_>,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Result<HostId, JoinRefused>, StoreError> {
        let mut tx = self.begin().await?;
        let token = tx.maybe(&JOIN_TOKEN, args![host.token]).await?;
        let known = tx.maybe(&HOST_BY_KEY, args![host.key]).await?;
        let (refused, id) = match (&token, &known) {
            (None, _) => (Some(JoinRefused::Unknown), HostId::from_uuid(Uuid::nil())),
            (Some(token), _) if token.maybe_time("used_at")?.is_some() => {
                (Some(JoinRefused::Used), HostId::from_uuid(Uuid::nil()))
            }
            (Some(token), _) if token.time("expires_at")? <= now => {
                (Some(JoinRefused::Unknown), HostId::from_uuid(Uuid::nil()))
            }
            (Some(_), Some(known)) if known.text("state")? == "retired" => {
                (Some(JoinRefused::Retired), known.parsed("id")?)
            }
            (Some(_), Some(known)) => (None, known.parsed("id")?),
            (Some(_), None) => (None, HostId::from_uuid(Uuid::now_v7())),
        };
        let id_text = id.to_string();
        let result = match refused {
            None => "ok",
            Some(JoinRefused::Unknown) => "token_unknown",
            Some(JoinRefused::Used) => "token_used",
            Some(JoinRefused::Retired) => "host_retired",
        };
        let deed = Deed {
            action: "host.join",
            resource: "host",
            id: &id_text,
            result,
        };
        audit::record(&mut tx, actor, deed, now).await?;
        if refused.is_none() {
            tx.run(&USE_JOIN_TOKEN, args![now, host.token]).await?;
            let values = args![id, host.name, host.key, host.certificate_ends, now];
            tx.run(&ENROL, values).await?;
        }
        tx.commit().await?;
        Ok(refused.map_or(Ok(id), Err))
    }

    /// Whether a host with this id and key is enrolled; notes that it was seen.
    pub(crate) async fn greet_host(
        &self,
        id: HostId,
        key: Fingerprint,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        Ok(self.write.run(&GREET, args![now, id, key]).await? == 1)
    }

    /// Notes that a host gets a younger certificate. False when it may not.
    pub(crate) async fn renew_host(&self, id: HostId, ends: UnixMs) -> Result<bool, StoreError> {
        Ok(self.write.run(&RENEW, args![ends, id]).await? == 1)
    }
}
