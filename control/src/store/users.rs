//! People who sign in, and the sessions that they are signed in with.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::column::Columns as _;
use super::{Store, StoreError};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// A session that is not used for this long is over.
pub(crate) const IDLE: Duration = Duration::from_secs(12 * 3600);
/// A session is over after this in any case.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How old `last_used_at` may be before it is written again: a write for each request would cost
/// a disk sync each.
const USE_GRANULARITY: Duration = Duration::from_secs(60);

/// Somebody who may sign in. There is one role in this version: admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Their id.
    pub id: Uuid,
    /// What they type.
    pub login: String,
}

impl Store {
    /// Makes the first admin, if there is nobody yet. True when it did.
    pub(crate) async fn add_first_admin(
        &self,
        login: &str,
        password_hash: &str,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let id = Uuid::now_v7().to_string();
        let added = sqlx::query(
            "INSERT INTO users (id, login, password_hash, role, created_at)
             SELECT ?, ?, ?, 'admin', ? WHERE NOT EXISTS (SELECT 1 FROM users)",
        )
        .bind(&id)
        .bind(login)
        .bind(password_hash)
        .bind(now.0)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if added == 1 {
            let deed = Deed {
                action: "user.create",
                resource: "user",
                id: &id,
                result: "ok",
            };
            audit::record(&mut tx, &Actor::SYSTEM, deed, now).await?;
        }
        tx.commit().await?;
        Ok(added == 1)
    }

    /// Whether anybody can sign in.
    pub(crate) async fn has_users(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query("SELECT 1 FROM users LIMIT 1")
            .fetch_optional(&self.read)
            .await?
            .is_some())
    }

    /// The user behind a login, and the password hash.
    pub(crate) async fn user_by_login(&self, login: &str) -> Result<Option<(User, String)>, StoreError> {
        let row = sqlx::query("SELECT id, login, password_hash FROM users WHERE login = ?")
            .bind(login)
            .fetch_optional(&self.read)
            .await?;
        row.map(|row| Ok((user(&row)?, row.text("password_hash")?)))
            .transpose()
    }

    /// Starts a session. Returns when it is over at the latest.
    pub(crate) async fn sign_in(
        &self,
        user: &User,
        token: Hash,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<UnixMs, StoreError> {
        let ends = now.plus(LIFETIME);
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO auth_sessions (token_hash, user_id, created_at, last_used_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&token.0[..])
        .bind(user.id.to_string())
        .bind(now.0)
        .bind(now.0)
        .bind(ends.0)
        .execute(&mut *tx)
        .await?;
        let deed = Deed {
            action: "auth.login",
            resource: "user",
            id: &user.id.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(ends)
    }

    /// The user behind a session token that is still good.
    pub(crate) async fn user_by_token(&self, token: Hash, now: UnixMs) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(
            "SELECT u.id, u.login, s.last_used_at FROM auth_sessions s JOIN users u ON u.id = s.user_id
             WHERE s.token_hash = ? AND s.expires_at > ? AND s.last_used_at > ?",
        )
        .bind(&token.0[..])
        .bind(now.0)
        .bind(now.0 - IDLE.as_millis() as i64)
        .fetch_optional(&self.read)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if row.time("last_used_at")?.plus(USE_GRANULARITY) < now {
            sqlx::query("UPDATE auth_sessions SET last_used_at = ? WHERE token_hash = ?")
                .bind(now.0)
                .bind(&token.0[..])
                .execute(&self.write)
                .await?;
        }
        user(&row).map(Some)
    }

    /// Ends a session.
    pub(crate) async fn sign_out(
        &self,
        user: &User,
        token: Hash,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM auth_sessions WHERE token_hash = ?")
            .bind(&token.0[..])
            .execute(&mut *tx)
            .await?;
        let deed = Deed {
            action: "auth.logout",
            resource: "user",
            id: &user.id.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets sessions that are over.
    pub(crate) async fn forget_old_sessions(&self, now: UnixMs) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM auth_sessions WHERE expires_at <= ? OR last_used_at <= ?")
            .bind(now.0)
            .bind(now.0 - IDLE.as_millis() as i64)
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

fn user(row: &SqliteRow) -> Result<User, StoreError> {
    Ok(User {
        id: row.parsed("id")?,
        login: row.try_get("login")?,
    })
}
