//! Links, for admins. A link's address is shown once, when it is made.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::LinkId;
use protocol::agent::App as DeviceApp;
use serde::{Deserialize, Serialize};
use signaling::error::{Code, Problem};
use uuid::Uuid;

use super::devices::Items;
use super::request::{Admin, Json};
use crate::app::{App, Shared};
use crate::domain::link::{Event, Link, State as LinkState};
use crate::domain::time::UnixMs;
use crate::secret::Secret;

/// Longest name, characters.
const NAME_MAX: usize = 100;
/// Longest package or activity name, bytes (Android holds package names to 223).
const COMPONENT_MAX: usize = 255;
/// Most uses that can be asked for; none means without end.
const USES_MAX: u32 = 1_000_000;
/// Most viewers of one session.
const CONNECTIONS_MAX: u32 = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    name: Option<String>,
    device_id: String,
    app: Option<DeviceApp>,
    expires_at: Option<String>,
    max_uses: Option<u32>,
    max_connections: Option<u32>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    /// Only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    name: String,
    token_hint: String,
    device_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<DeviceApp>,
    state: &'static str,
    expires_at: Option<String>,
    max_uses: Option<u32>,
    uses: u32,
    max_connections: u32,
    created_at: String,
}

impl Shown {
    fn new(link: Link, held: bool, now: UnixMs) -> Self {
        Self {
            id: link.id.to_string(),
            url: None,
            state: link.standing(now, held).as_str(),
            device_id: link.device.to_string(),
            expires_at: link.expires_at.map(UnixMs::rfc3339),
            max_uses: link.max_uses,
            uses: link.uses,
            max_connections: link.max_connections,
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
    Json(wish): Json<NewLink>,
) -> Result<Response, Problem> {
    let now = UnixMs::now();
    let token = Secret::generate().map_err(Problem::internal)?;
    let link = parse(wish, token.hint(), now)?;
    if app.store.device(link.device).await?.is_none() {
        return Err(Problem::new(
            Code::DeviceNotFound,
            "There is no such device. Look at the list of devices.",
        ));
    }
    app.store
        .add_link(&link, token.hash(), admin.user.id, &admin.actor)
        .await?;
    let location = format!("/api/v1/links/{}", link.id);
    let mut shown = Shown::new(link, false, now);
    shown.url = Some(app.link_url(token.reveal()));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Answer(shown)).into_response())
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

/// Cuts a link off. Media and input of its holder end with it.
pub(crate) async fn revoke(
    State(app): State<Shared>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    cut(&app, &admin, id, Event::Revoke).await?;
    let (link, held) = app.store.link(id).await?.ok_or_else(unknown)?;
    Ok(Answer(Shown::new(link, held, UnixMs::now())).into_response())
}

/// Cuts a link off and hides it.
pub(crate) async fn delete(
    State(app): State<Shared>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    cut(&app, &admin, parse_id(&id)?, Event::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cut(app: &Shared, admin: &Admin, id: LinkId, event: Event) -> Result<(), Problem> {
    let cut = app
        .store
        .cut_link(id, event, &admin.actor, UnixMs::now())
        .await?
        .ok_or_else(unknown)?;
    if let Some(session) = cut {
        App::changed(app, session);
    }
    Ok(())
}

fn parse(wish: NewLink, token_hint: &str, now: UnixMs) -> Result<Link, Problem> {
    let refuse = |what: &'static str| Problem::new(Code::Validation, what);
    let name = wish.name.unwrap_or_default();
    if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(refuse(
            "A name has at most 100 characters and no control characters.",
        ));
    }
    let expires_at = wish.expires_at.as_deref().map(|text| {
        UnixMs::parse(text)
            .filter(|at| *at > now)
            .ok_or_else(|| refuse("expires_at is a time in the future, like 2030-01-31T12:00:00Z."))
    });
    if wish.max_uses.is_some_and(|uses| !(1..=USES_MAX).contains(&uses)) {
        return Err(refuse(
            "max_uses is between 1 and 1000000, or left out for no limit.",
        ));
    }
    let max_connections = wish.max_connections.unwrap_or(1);
    if !(1..=CONNECTIONS_MAX).contains(&max_connections) {
        return Err(refuse("max_connections is between 1 and 10."));
    }
    if wish.app.as_ref().is_some_and(|app| !is_app(app)) {
        return Err(refuse(
            "app is a package like org.example.paint and, if need be, an activity like .Main.",
        ));
    }
    Ok(Link {
        id: LinkId::from_uuid(Uuid::now_v7()),
        name,
        token_hint: token_hint.to_owned(),
        device: wish
            .device_id
            .parse()
            .map_err(|_| refuse("device_id is the id of a device."))?,
        app: wish.app,
        state: LinkState::Active,
        expires_at: expires_at.transpose()?,
        max_uses: wish.max_uses,
        uses: 0,
        max_connections,
        created_at: now,
    })
}

/// Names as Android allows them; nothing that a shell would look at twice.
fn is_app(app: &DeviceApp) -> bool {
    let word = |part: &str, extra: &[u8]| {
        part.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
    };
    let package = app.package.len() <= COMPONENT_MAX
        && app.package.contains('.')
        && app.package.split('.').all(|part| word(part, b"_"));
    let activity = app.activity.as_ref().is_none_or(|activity| {
        let name = activity.strip_prefix('.').unwrap_or(activity);
        activity.len() <= COMPONENT_MAX && name.split('.').all(|part| word(part, b"_$"))
    });
    package && activity
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_android_names_pass_as_an_app() {
        let app = |package: &str, activity: Option<&str>| {
            is_app(&DeviceApp {
                package: package.to_owned(),
                activity: activity.map(str::to_owned),
            })
        };
        assert!(app("org.example.paint", None));
        assert!(app("org.example.paint_2", Some(".Main")));
        assert!(app("org.example.paint", Some("org.example.paint.Main$Inner")));
        for bad in [
            "",
            "paint",
            "org.",
            ".org",
            "org.2d",
            "org.a;reboot",
            "org.a b",
            "org.$(id)",
            "org.ä",
        ] {
            assert!(!app(bad, None), "{bad}");
        }
        for bad in ["", ".", "a b", "a;b", "-a", "../a"] {
            assert!(!app("org.example", Some(bad)), "{bad}");
        }
    }
}
