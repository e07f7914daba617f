//! Links: made, listed, found by their token's hash.

use std::time::Duration;

use protocol::LinkId;
use uuid::Uuid;

use super::audit::{self, Actor, Deed};
use super::row::Row;
use super::statement::{args, statements};
use super::{Store, StoreError};
use crate::domain::labels::{Labels, Selector};
use crate::domain::link::{Link, State, Target};
use crate::domain::policy::{OnExpiry, Policy};
use crate::domain::time::UnixMs;
use crate::secret::Hash;

/// Links in one listing; older ones are left out until listings have pages.
const LIST_MAX: i64 = 500;

/// The columns that [`link`] reads: of `links` under the name `k`, or under the name that is given.
macro_rules! link_columns {
    () => {
        $crate::store::links::link_columns!("k.")
    };
    ($of:literal) => {
        concat!(
            $of,
            "id, ",
            $of,
            "name, ",
            $of,
            "token_hint, ",
            $of,
            "device_id, ",
            $of,
            "selector, ",
            $of,
            "package, ",
            $of,
            "activity, ",
            $of,
            "state, ",
            $of,
            "not_before, ",
            $of,
            "expires_at, ",
            $of,
            "max_uses, ",
            $of,
            "uses, ",
            $of,
            "max_connections, ",
            $of,
            "idle_timeout_s, ",
            $of,
            "max_duration_s, ",
            $of,
            "on_expiry, ",
            $of,
            "created_at"
        )
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
            "SELECT ", $crate::store::links::link_columns!(), ", CAST(CASE WHEN EXISTS (SELECT 1 FROM leases l
                 WHERE l.link_id = k.id AND l.state IN ('preparing', 'active', 'grace')) THEN 1 ELSE 0 END AS BIGINT) AS held
             FROM links k WHERE ",
            $tail
        )
    };
}
pub(super) use held_where;

statements! {
    ADD_LINK(Text, Text, Bytes, Text, Text, Text, Text, Text, Number, Number, Number, Number, Number, Number, Text, Text, Number)
        "INSERT INTO links (id, name, token_hash, token_hint, device_id, selector, package, activity, state, not_before,
             expires_at, max_uses, uses, max_connections, idle_timeout_s, max_duration_s, on_expiry, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, $10, $11, 0, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (id) DO NOTHING";
    EXTEND(Number, Number, Text)
        "UPDATE links SET expires_at = COALESCE($1, expires_at), max_duration_s = COALESCE($2, max_duration_s)
         WHERE id = $3 AND state IN ('active', 'paused')";
    LINKS(Number) held_where!("k.state <> 'deleted' ORDER BY k.created_at DESC, k.id DESC LIMIT $1");
    LINK(Text) held_where!("k.id = $1 AND k.state <> 'deleted'");
    LINK_BY_TOKEN(Bytes) held_where!("k.token_hash = $1 AND k.state <> 'deleted'");
}

/// A link, and whether somebody holds a lease through it now.
pub(crate) type Held = (Link, bool);

impl Store {
    /// Keeps a new link. One that is kept already stays as it is.
    pub(crate) async fn add_link(
        &self,
        link: &Link,
        token: Hash,
        creator: Uuid,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let id = link.id.to_string();
        let (device, selector) = match &link.target {
            Target::Device(device) => (Some(*device), None),
            Target::Any(selector) => (None, Some(selector.labels().to_json())),
        };
        let values = args![
            &id,
            &link.name,
            token,
            &link.token_hint,
            device,
            selector,
            link.app.as_ref().map(|app| &app.package),
            link.app.as_ref().and_then(|app| app.activity.as_ref()),
            link.not_before,
            link.expires_at,
            link.max_uses,
            link.max_connections,
            seconds(link.policy.idle_timeout),
            link.policy.max_duration.map(seconds),
            link.policy.on_expiry.as_str(),
            creator,
            link.created_at,
        ];
        if tx.run(&ADD_LINK, values).await? == 0 {
            return Ok(());
        }
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

    /// Moves the end of a link, the greatest length of its sessions, or both. False when it is over for good.
    pub(crate) async fn extend_link(
        &self,
        id: LinkId,
        expires_at: Option<UnixMs>,
        max_duration: Option<Duration>,
        actor: &Actor,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if tx
            .run(&EXTEND, args![expires_at, max_duration.map(seconds), id])
            .await?
            != 1
        {
            return Ok(false);
        }
        let deed = Deed {
            action: "link.extend",
            resource: "link",
            id: &id.to_string(),
            result: "ok",
        };
        audit::record(&mut tx, actor, deed, now).await?;
        tx.commit().await?;
        Ok(true)
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
    let damaged = StoreError::Damaged;
    let seconds = |name| Ok::<_, StoreError>(row.maybe_number(name)?.map(Duration::from_secs));
    let selector = row.maybe_text("selector")?;
    let target = match (row.maybe_parsed("device_id")?, selector) {
        (Some(device), None) => Target::Device(device),
        (None, Some(text)) => Target::Any(Selector::of(
            Labels::from_json(&text).ok_or(damaged("links.selector"))?,
        )),
        _ => return Err(damaged("links.device_id")),
    };
    Ok(Link {
        id: row.parsed("id")?,
        name: row.text("name")?,
        token_hint: row.text("token_hint")?,
        target,
        app: row.app()?,
        state: State::parse(&row.text("state")?).ok_or(damaged("links.state"))?,
        not_before: row.maybe_time("not_before")?,
        expires_at: row.maybe_time("expires_at")?,
        max_uses: row.maybe_number("max_uses")?,
        uses: row.number("uses")?,
        max_connections: row.number("max_connections")?,
        policy: Policy {
            idle_timeout: seconds("idle_timeout_s")?.ok_or(damaged("links.idle_timeout_s"))?,
            max_duration: seconds("max_duration_s")?,
            on_expiry: OnExpiry::parse(&row.text("on_expiry")?).ok_or(damaged("links.on_expiry"))?,
        },
        created_at: UnixMs(row.number("created_at")?),
    })
}

/// Whole seconds, as they are kept.
fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Reads what `held_where` selects.
pub(super) fn held(row: &Row) -> Result<Held, StoreError> {
    Ok((link(row)?, row.truth("held")?))
}
