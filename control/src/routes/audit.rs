//! The audit log, for admins: who did what to which thing, the newest first, in pages.
//!
//! ```text
//!   GET /audit?limit&cursor&action&resource_id  ──►  { items: [row, …], next_cursor? }
//! ```
//!
//! A page's `next_cursor` asks for the rows before it; there is none behind the oldest. Rows are only ever appended,
//! so that pages neither overlap nor leave a row out while others are written. It cannot be changed from here.

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use signaling::error::{Code, Problem};

use super::request::{Admin, Query};
use crate::app::Shared;
use crate::store::audit::{Entry, Wanted};

/// Rows of a page, if nobody says how many.
const PAGE: u32 = 100;
/// Rows of a page at most: some 150 KiB of JSON. Who asks for more is refused.
const PAGE_MAX: u32 = 500;

/// Which rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    limit: Option<u32>,
    cursor: Option<String>,
    action: Option<String>,
    resource_id: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Page {
    items: Vec<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    timestamp: String,
    actor_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<String>,
    action: String,
    resource_type: String,
    resource_id: String,
    result: String,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<String>,
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.to_string(),
            timestamp: entry.at.rfc3339(),
            actor_kind: entry.actor_kind,
            actor_id: entry.actor_id,
            action: entry.action,
            resource_type: entry.resource_type,
            resource_id: entry.resource_id,
            result: entry.result,
            request_id: entry.request_id,
            ip_address: entry.ip,
        }
    }
}

impl Wish {
    /// One row more than the page has: whether there is another page.
    fn parse(self) -> Result<(Wanted, usize), Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&limit) {
            let detail = format!("A page has 1 to {PAGE_MAX} rows.");
            return Err(Problem::new(Code::Validation, detail));
        }
        let bad = |_| Problem::new(Code::Validation, "This cursor is of no page. Begin without one.");
        let before = self.cursor.map(|text| text.parse::<i64>().map_err(bad));
        let wanted = Wanted {
            before: before.transpose()?,
            action: self.action,
            resource: self.resource_id,
            most: limit + 1,
        };
        Ok((wanted, limit as usize))
    }
}

pub(crate) async fn list(
    State(app): State<Shared>,
    _: Admin,
    Query(wish): Query<Wish>,
) -> Result<Answer<Page>, Problem> {
    let (wanted, limit) = wish.parse()?;
    let mut entries = app.store.audited(wanted).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = entries.last().filter(|_| more).map(|entry| entry.id.to_string());
    let items = entries.into_iter().map(Shown::from).collect();
    Ok(Answer(Page { items, next_cursor }))
}
