//! Links: made, listed, found by their token's hash.

use protocol::LinkId;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::column::Columns as _;
use super::{Store, StoreError};
use crate::domain::link::{Link, State};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Links in one listing; older ones are left out until listings have pages.
const LIST_MAX: i64 = 500;

/// A link, and whether somebody holds a lease through it now.
pub(crate) type Held = (Link, bool);

impl Store {
    /// Keeps a new link.
    pub(crate) async fn add_link(
        &self,
        link: &Link,
        token: Hash,
        creator: Uuid,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let id = link.id.to_string();
        sqlx::query(
            "INSERT INTO links (id, name, token_hash, token_hint, device_id, package, activity, state, expires_at,
                 max_uses, uses, max_connections, created_by, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, 'active', ?, ?, 0, ?, ?, ?)",
        )
        .bind(&id)
        .bind(&link.name)
        .bind(&token.0[..])
        .bind(&link.token_hint)
        .bind(link.device.to_string())
        .bind(link.app.as_ref().map(|app| &app.package))
        .bind(link.app.as_ref().and_then(|app| app.activity.as_ref()))
        .bind(link.expires_at.map(|at| at.0))
        .bind(link.max_uses.map(i64::from))
        .bind(i64::from(link.max_connections))
        .bind(creator.to_string())
        .bind(link.created_at.0)
        .execute(&mut *tx)
        .await?;
        let deed = Deed {
            action: "link.create",
            resource: "link",
            id: &id,
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, link.created_at).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The newest links that are not deleted.
    pub(crate) async fn links(&self) -> Result<Vec<Held>, StoreError> {
        let rows = sqlx::query(
            "SELECT k.*, EXISTS (SELECT 1 FROM leases l WHERE l.link_id = k.id AND l.state IN ('preparing', 'active', 'grace')) AS held
             FROM links k WHERE k.state <> 'deleted' ORDER BY k.created_at DESC, k.id DESC LIMIT ?",
        )
        .bind(LIST_MAX)
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(held).collect()
    }

    /// One link, unless it is deleted.
    pub(crate) async fn link(&self, id: LinkId) -> Result<Option<Held>, StoreError> {
        let row = sqlx::query(
            "SELECT k.*, EXISTS (SELECT 1 FROM leases l WHERE l.link_id = k.id AND l.state IN ('preparing', 'active', 'grace')) AS held
             FROM links k WHERE k.id = ? AND k.state <> 'deleted'",
        )
        .bind(id.to_string())
        .fetch_optional(&self.read)
        .await?;
        row.as_ref().map(held).transpose()
    }

    /// The link that a token opens, unless it is deleted.
    pub(crate) async fn link_by_token(&self, token: Hash) -> Result<Option<Held>, StoreError> {
        let row = sqlx::query(
            "SELECT k.*, EXISTS (SELECT 1 FROM leases l WHERE l.link_id = k.id AND l.state IN ('preparing', 'active', 'grace')) AS held
             FROM links k WHERE k.token_hash = ? AND k.state <> 'deleted'",
        )
        .bind(&token.0[..])
        .fetch_optional(&self.read)
        .await?;
        row.as_ref().map(held).transpose()
    }
}

/// Reads the columns of `links`, in any statement that selects all of them.
pub(super) fn link(row: &SqliteRow) -> Result<Link, StoreError> {
    Ok(Link {
        id: row.parsed("id")?,
        name: row.text("name")?,
        token_hint: row.text("token_hint")?,
        device: row.parsed("device_id")?,
        app: row.app()?,
        state: state(&row.text("state")?)?,
        expires_at: row.maybe_time("expires_at")?,
        max_uses: row.maybe_number("max_uses")?,
        uses: row.number("uses")?,
        max_connections: row.number("max_connections")?,
        created_at: UnixMs(row.number("created_at")?),
    })
}

pub(super) fn state(text: &str) -> Result<State, StoreError> {
    match text {
        "active" => Ok(State::Active),
        "revoked" => Ok(State::Revoked),
        "deleted" => Ok(State::Deleted),
        _ => Err(StoreError::Damaged("links.state")),
    }
}

pub(super) const fn state_name(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Revoked => "revoked",
        State::Deleted => "deleted",
    }
}

fn held(row: &SqliteRow) -> Result<Held, StoreError> {
    Ok((link(row)?, row.number::<i64>("held")? != 0))
}
