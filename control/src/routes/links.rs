//! Links, for admins. A link's address is shown once, when it is made.

use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use protocol::LinkId;
use protocol::agent::App as DeviceApp;
use serde::Serialize;
use signaling::error::{Code, Problem};

use super::devices::Items;
use super::idempotency::{IdempotencyKey, Once, answer, once, respond, respond_with};
use super::link_wish::{Extension, NewLink};
use super::request::{Admin, Told};
use crate::app::{App, Shared};
use crate::domain::link::{Event, Link, Target};
use crate::domain::time::UnixMs;
use crate::secret::{Hash, Secret};
use crate::store::answers::Answer as Kept;

#[derive(Serialize)]
struct Shown {
    id: String,
    name: String,
    token_hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<ShownSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<DeviceApp>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    expires_at: Option<String>,
    max_uses: Option<u32>,
    uses: u32,
    max_connections: u32,
    idle_timeout_s: u64,
    max_duration_s: Option<u64>,
    on_expiry: &'static str,
    created_at: String,
}

#[derive(Serialize)]
struct ShownSelector {
    labels: BTreeMap<String, String>,
}

impl Shown {
    fn new(link: Link, held: bool, now: UnixMs) -> Self {
        let state = link.standing(now, held).as_str();
        let (device_id, selector) = match link.target {
            Target::Device(device) => (Some(device.to_string()), None),
            Target::Any(selector) => {
                let labels = selector.labels().pairs().clone();
                (None, Some(ShownSelector { labels }))
            }
        };
        Self {
            id: link.id.to_string(),
            state,
            device_id,
            selector,
            not_before: link.not_before.map(UnixMs::rfc3339),
            expires_at: link.expires_at.map(UnixMs::rfc3339),
            max_uses: link.max_uses,
            uses: link.uses,
            max_connections: link.max_connections,
            idle_timeout_s: link.policy.idle_timeout.as_secs(),
            max_duration_s: link.policy.max_duration.map(|max| max.as_secs()),
            on_expiry: link.policy.on_expiry.as_str(),
            created_at: link.created_at.rfc3339(),
            name: link.name,
            token_hint: link.token_hint,
            app: link.app,
        }
    }
}

pub(crate) async fn create(
    State(app): State<Shared>,
    admin: Admin,
    key: IdempotencyKey,
    told: Told<NewLink>,
) -> Result<Response, Problem> {
    let question = key.question(admin.user.id, "links.create", told.hash);
    let shown = Once::of(&app, question.as_ref())?;
    let make = async |since: UnixMs| {
        let id = LinkId::from_uuid(shown.id("link id", since));
        let token = shown.secret("link token", since);
        make(&app, &admin, told.value, id, &token, since).await
    };
    let (kept, since) = once(&app, question.as_ref(), UnixMs::now(), make).await?;
    // What is kept has no address in it: that is shown to nobody but whoever has the key.
    let url = app.link_url(shown.secret("link token", since).reveal());
    respond_with(kept, "url", url)
}

async fn make(
    app: &App,
    admin: &Admin,
    wish: NewLink,
    id: LinkId,
    token: &Secret,
    now: UnixMs,
) -> Result<Kept, Problem> {
    let location = Some(format!("/api/v1/links/{id}"));
    // Made before, by a control that died before it kept the answer.
    if let Some((link, held)) = app.store.link(id).await? {
        return answer(StatusCode::CREATED, location, &Shown::new(link, held, now));
    }
    let link = wish.parse(id, token.hint(), now)?;
    if let Target::Device(device) = link.target
        && app.store.device(device).await?.is_none()
    {
        return Err(Problem::new(
            Code::DeviceNotFound,
            "There is no such device. Look at the list of devices.",
        ));
    }
    app.store
        .add_link(&link, token.hash(), admin.user.id, &admin.actor)
        .await?;
    answer(StatusCode::CREATED, location, &Shown::new(link, false, now))
}

pub(crate) async fn list(State(app): State<Shared>, _: Admin) -> Result<Response, Problem> {
    let now = UnixMs::now();
    let links = app.store.links().await?;
    let items = links
        .into_iter()
        .map(|(link, held)| Shown::new(link, held, now))
        .collect();
    Ok(Answer(Items { items }).into_response())
}

pub(crate) async fn show(
    State(app): State<Shared>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (link, held) = app.store.link(parse_id(&id)?).await?.ok_or_else(unknown)?;
    Ok(Answer(Shown::new(link, held, UnixMs::now())).into_response())
}

/// The route that does this to a link.
pub(crate) fn doing(event: Event) -> MethodRouter<Shared> {
    post(
        move |State(app): State<Shared>, admin: Admin, key: IdempotencyKey, Path(id): Path<String>| async move {
            change(&app, &admin, key, parse_id(&id)?, event).await
        },
    )
}

/// Cuts a link off and hides it.
pub(crate) async fn delete(
    State(app): State<Shared>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    apply(&app, &admin, parse_id(&id)?, Event::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Moves the end of a link and the greatest length of its sessions, also of the one that runs.
pub(crate) async fn extend(
    State(app): State<Shared>,
    admin: Admin,
    key: IdempotencyKey,
    Path(id): Path<String>,
    told: Told<Extension>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    let question = key.question(admin.user.id, &format!("links.extend {id}"), told.hash);
    // As of the first time: an end that was given as a time must not have passed meanwhile.
    let work = async |since| {
        let (link, _) = app.store.link(id).await?.ok_or_else(unknown)?;
        let (expires_at, max_duration) = told.value.parse(&link, since)?;
        let extended = app
            .store
            .extend_link(id, expires_at, max_duration, &admin.actor, since);
        if !extended.await? {
            let detail = "A link that was revoked stays revoked. Make a new one.";
            return Err(Problem::new(Code::LinkRevoked, detail));
        }
        let (link, held) = app.store.link(id).await?.ok_or_else(unknown)?;
        answer(StatusCode::OK, None, &Shown::new(link, held, since))
    };
    let (kept, _) = once(&app, question.as_ref(), UnixMs::now(), work).await?;
    Ok(respond(kept))
}

async fn change(
    app: &Shared,
    admin: &Admin,
    key: IdempotencyKey,
    id: LinkId,
    event: Event,
) -> Result<Response, Problem> {
    let now = UnixMs::now();
    let body = Hash::of(&format!("{id} {event:?}"));
    let question = key.question(admin.user.id, "links.change", body);
    // Each of these changes nothing the second time.
    let work = async |_| {
        apply(app, admin, id, event).await?;
        let (link, held) = app.store.link(id).await?.ok_or_else(unknown)?;
        answer(StatusCode::OK, None, &Shown::new(link, held, now))
    };
    let (kept, _) = once(app, question.as_ref(), now, work).await?;
    Ok(respond(kept))
}

async fn apply(app: &Shared, admin: &Admin, id: LinkId, event: Event) -> Result<(), Problem> {
    let cut = app
        .store
        .change_link(id, event, &admin.actor, UnixMs::now())
        .await?
        .ok_or_else(unknown)?;
    if let Some(session) = cut {
        App::changed(app, session);
    }
    Ok(())
}

fn parse_id(id: &str) -> Result<LinkId, Problem> {
    id.parse().map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::new(
        Code::LinkNotFound,
        "There is no such link. Look at the list of links.",
    )
}
