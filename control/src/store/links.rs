//! Links: made, listed, found by their token's hash.

use protocol::LinkId;
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::row::Row;
use super::statement::{args, statements};
use super::{Store, StoreError};
use crate::domain::link::{Link, State};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Links in one listing; older ones are left out until listings have pages.
const LIST_MAX: i64 = 500;

/// The columns that [`link`] reads, of `links` under the name `k`.
macro_rules! link_columns {
    () => {
        "k.id, k.name, k.token_hint, k.device_id, k.package, k.activity, k.state, k.expires_at, k.max_uses, k.uses,
         k.max_connections, k.created_at"
    };
}
pub(super) use link_columns;

/// Everything about links; append a WHERE.
macro_rules! link_where {
    ($tail:literal) => {
        concat!(
            "SELECT ",
            $crate::store::links::link_columns!(),
            " FROM links k WHERE ",
            $tail
        )
    };
}
pub(super) use link_where;

/// The same, and whether somebody holds a lease through it.
macro_rules! held_where {
    ($tail:literal) => {
        concat!(
            "SELECT ", link_columns!(), ", CAST(CASE WHEN EXISTS (SELECT 1 FROM leases l
                 WHERE l.link_id = k.id AND l.state IN ('preparing', 'active', 'grace')) THEN 1 ELSE 0 END AS BIGINT) AS held
             FROM links k WHERE ",
            $tail
        )
    };
}

statements! {
    ADD_LINK(Text, Text, Bytes, Text, Text, Text, Text, Number, Number, Number, Text, Number)
        "INSERT INTO links (id, name, token_hash, token_hint, device_id, package, activity, state, expires_at,
             max_uses, uses, max_connections, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $9, 0, $10, $11, $12)";
    LINKS(Number) held_where!("k.state <> 'deleted' ORDER BY k.created_at DESC, k.id DESC LIMIT $1");
    LINK(Text) held_where!("k.id = $1 AND k.state <> 'deleted'");
    LINK_BY_TOKEN(Bytes) held_where!("k.token_hash = $1 AND k.state <> 'deleted'");
}

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
        let values = args![
            &id,
            &link.name,
            token,
            &link.token_hint,
            link.device,
            link.app.as_ref().map(|app| &app.package),
            link.app.as_ref().and_then(|app| app.activity.as_ref()),
            link.expires_at,
            link.max_uses,
            link.max_connections,
            creator,
            link.created_at,
        ];
        tx.run(&ADD_LINK, values).await?;
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
        let rows = self.read.all(&LINKS, args![LIST_MAX]).await?;
        rows.iter().map(held).collect()
    }

    /// One link, unless it is deleted.
    pub(crate) async fn link(&self, id: LinkId) -> Result<Option<Held>, StoreError> {
        let row = self.read.maybe(&LINK, args![id]).await?;
        row.as_ref().map(held).transpose()
    }

    /// The link that a token opens, unless it is deleted.
    pub(crate) async fn link_by_token(&self, token: Hash) -> Result<Option<Held>, StoreError> {
        let row = self.read.maybe(&LINK_BY_TOKEN, args![token]).await?;
        row.as_ref().map(held).transpose()
    }
}

/// Reads the columns of `links`, in any statement that selects all of them.
pub(super) fn link(row: &Row) -> Result<Link, StoreError> {
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

fn held(row: &Row) -> Result<Held, StoreError> {
    Ok((link(row)?, row.truth("held")?))
}
