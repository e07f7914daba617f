//! Hosts that are enrolled, and the tokens that enrol them.

use std::time::Duration;

use protocol::HostId;
use signaling::link::token::Fingerprint;
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::column::Columns as _;
use super::{Store, StoreError};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// How long a join token is good.
pub(crate) const JOIN_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

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
    /// Keeps a new join token.
    pub(crate) async fn add_join_token(
        &self,
        token: Hash,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO join_tokens (token_hash, created_at, expires_at) VALUES (?, ?, ?)")
            .bind(&token.0[..])
            .bind(now.0)
            .bind(now.plus(JOIN_TOKEN_LIFETIME).0)
            .execute(&mut *tx)
            .await?;
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
        let row = sqlx::query("SELECT 1 FROM hosts WHERE state = 'enrolled' AND certificate_ends_at > ?")
            .bind(now.0)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.is_some())
    }

    /// Uses a join token up and enrols a host, or recognises it by its key.
    pub(crate) async fn join(
        &self,
        host: NewHost<'_>,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<Result<HostId, JoinRefused>, StoreError> {
        let mut tx = self.begin().await?;
        let token = sqlx::query("SELECT expires_at, used_at FROM join_tokens WHERE token_hash = ?")
            .bind(&host.token.0[..])
            .fetch_optional(&mut *tx)
            .await?;
        let known = sqlx::query("SELECT id, state FROM hosts WHERE key_hash = ?")
            .bind(&host.key.0[..])
            .fetch_optional(&mut *tx)
            .await?;
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
            sqlx::query("UPDATE join_tokens SET used_at = ? WHERE token_hash = ?")
                .bind(now.0)
                .bind(&host.token.0[..])
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "INSERT INTO hosts (id, name, key_hash, state, certificate_ends_at, created_at)
                 VALUES (?, ?, ?, 'enrolled', ?, ?)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, certificate_ends_at = excluded.certificate_ends_at",
            )
            .bind(&id_text)
            .bind(host.name)
            .bind(&host.key.0[..])
            .bind(host.certificate_ends.0)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
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
        let known = sqlx::query(
            "UPDATE hosts SET last_seen_at = ? WHERE id = ? AND key_hash = ? AND state = 'enrolled'",
        )
        .bind(now.0)
        .bind(id.to_string())
        .bind(&key.0[..])
        .execute(&self.write)
        .await?;
        Ok(known.rows_affected() == 1)
    }

    /// Notes that a host gets a younger certificate. False when it may not.
    pub(crate) async fn renew_host(&self, id: HostId, ends: UnixMs) -> Result<bool, StoreError> {
        let renewed =
            sqlx::query("UPDATE hosts SET certificate_ends_at = ? WHERE id = ? AND state = 'enrolled'")
                .bind(ends.0)
                .bind(id.to_string())
                .execute(&self.write)
                .await?;
        Ok(renewed.rows_affected() == 1)
    }
}
