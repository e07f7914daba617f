//! People who sign in, and the sessions that they are signed in with.

use std::net::IpAddr;
use std::time::Duration;

use uuid::Uuid;

use super::audit::{self, Actor, ActorKind, Deed};
use super::row::Row;
use super::statement::{args, statements};
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

statements! {
    /// Adds an admin if there is nobody.
    ADD_FIRST_ADMIN(Text, Text, Text, Number)
        "INSERT INTO users (id, login, password_hash, role, created_at)
         SELECT $1, $2, $3, 'admin', $4 WHERE NOT EXISTS (SELECT 1 FROM users)";
    ANY_USER() "SELECT id FROM users LIMIT 1";
    USER_BY_LOGIN(Text) "SELECT id, login, password_hash FROM users WHERE login = $1";
    SIGN_IN(Bytes, Text, Number, Number, Number)
        "INSERT INTO auth_sessions (token_hash, user_id, created_at, last_used_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)";
    USER_BY_TOKEN(Bytes, Number, Number)
        "SELECT u.id, u.login, s.last_used_at FROM auth_sessions s JOIN users u ON u.id = s.user_id
         WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.last_used_at > $3";
    SESSION_IS_USED(Number, Bytes) "UPDATE auth_sessions SET last_used_at = $1 WHERE token_hash = $2";
    SIGN_OUT(Bytes) "DELETE FROM auth_sessions WHERE token_hash = $1";
    FORGET_OLD_SESSIONS(Number, Number)
        "DELETE FROM auth_sessions WHERE expires_at <= $1 OR last_used_at <= $2";
}

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
        let values = args![&id, login, password_hash, now];
        let added = tx.run(&ADD_FIRST_ADMIN, values).await?;
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
        Ok(self.read.maybe(&ANY_USER, []).await?.is_some())
    }

    /// The user behind a login, and the password hash.
    pub(crate) async fn user_by_login(&self, login: &str) -> Result<Option<(User, String)>, StoreError> {
        let row = self.read.maybe(&USER_BY_LOGIN, args![login]).await?;
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
        tx.run(&SIGN_IN, args![token, user.id, now, now, ends]).await?;
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

    /// Notes that somebody could not sign in. What was typed is not written down: it may be a password.
    pub(crate) async fn sign_in_refused(
        &self,
        known: Option<Uuid>,
        from: IpAddr,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let actor = Actor {
            kind: ActorKind::User,
            id: None,
            ip: Some(from),
        };
        let known = known.map(|id| id.to_string());
        let deed = Deed {
            action: "auth.login",
            resource: "user",
            id: known.as_deref().unwrap_or("unknown"),
            result: "refused",
        };
        let mut tx = self.begin().await?;
        audit::record(&mut tx, &actor, deed, now).await?;
        tx.commit().await
    }

    /// The user behind a session token that is still good.
    pub(crate) async fn user_by_token(&self, token: Hash, now: UnixMs) -> Result<Option<User>, StoreError> {
        let idle_since = now.0 - IDLE.as_millis() as i64;
        let row = self
            .read
            .maybe(&USER_BY_TOKEN, args![token, now, idle_since])
            .await?;
        let Some(row) = row else { return Ok(None) };
        if row.time("last_used_at")?.plus(USE_GRANULARITY) < now {
            self.write.run(&SESSION_IS_USED, args![now, token]).await?;
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
        tx.run(&SIGN_OUT, args![token]).await?;
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
        let idle_since = now.0 - IDLE.as_millis() as i64;
        self.write
            .run(&FORGET_OLD_SESSIONS, args![now, idle_since])
            .await?;
        Ok(())
    }
}

fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.parsed("id")?,
        login: row.text("login")?,
    })
}
