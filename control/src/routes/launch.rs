//! Opening a link: describe, launch, watch, end. For people without an account.
//!
//! The token comes in the body, never in an address, and is exchanged for a cookie that only this
//! browser has: the binding. Whoever has the binding gets the session back after a reload; whoever has
//! only the token is told that it is open elsewhere.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{AppendHeaders, IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use protocol::agent::App as DeviceApp;
use protocol::{CloseReason, LinkId, SessionId};
use serde::{Deserialize, Serialize};
use signaling::error::{Code, Problem};

use super::idempotency::IdempotencyKey;
use super::request::{Json, Peer, Query, SameOrigin, cookie, guest};
use crate::app::{App, Shared};
use crate::domain::deadlines::{Ending, Outlook};
use crate::domain::lease::Event;
use crate::domain::link::{Link, Standing, Target};
use crate::domain::session::{Advance, Session, Stage};
use crate::domain::time::{Moment, UnixMs};
use crate::secret::{Hash, Secret};
use crate::store::audit::Actor;
use crate::store::claims::{Claim, Claimed, Refused};
use crate::store::{Store, StoreError};
use crate::watch::View;

/// How often a silent event stream says that it is alive, for proxies that cut silent ones.
const SSE_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser keeps a binding, also when it is closed in between. Not until the link's end, which may be moved,
/// and which a session may outlive. Where the lease is over it opens nothing, but says again to whom it belonged.
const BINDING_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// When a host may be back, seconds: its first wait before dialling again, and some.
pub(super) const OFFLINE_RETRY_S: u32 = 5;

#[derive(Deserialize)]
pub(crate) struct Token {
    token: String,
}

/// A link to open, or a session to come back to.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Launch {
    Link { token: String },
    Session { session_id: String },
}

#[derive(Deserialize)]
pub(crate) struct OfSession {
    #[serde(alias = "session")]
    pub session_id: String,
}

/// What the page needs to know, on every change.
#[derive(Debug, Serialize)]
struct Current {
    session_id: String,
    epoch: u64,
    /// The lease's state again, for clients that only look at one.
    state: &'static str,
    link_state: &'static str,
    lease_state: &'static str,
    session_state: &'static str,
    stage: &'static str,
    progress: u8,
    device: DeviceShown,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<DeviceApp>,
    /// How many others look on: the person on the device is to know.
    observers: u32,
    /// The end that comes whatever the holder does: as a time for people, as a duration for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_ms: Option<u64>,
    /// The end that is near.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<Warning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Warning {
    reason: &'static str,
    ends_in_ms: u64,
}

#[derive(Debug, Serialize)]
struct DeviceShown {
    name: String,
    width: u16,
    height: u16,
    /// Whether it is there: `ready`, `returning`, `lost`, or `unlinked` where nobody knows.
    state: &'static str,
}

impl Current {
    fn new(view: &View, now: Moment) -> Self {
        let View {
            session,
            advance,
            outlook,
            presence,
        } = view;
        let left = |ending: Ending| ending.at.since(now.steady);
        // What is over has no end to come any more.
        let Outlook { ends, warning } = if session.state.is_held() {
            *outlook
        } else {
            Outlook::default()
        };
        Self {
            session_id: session.id.to_string(),
            epoch: session.epoch.0,
            state: session.state.as_str(),
            link_state: session.link.standing(now.wall, session.state.is_held()).as_str(),
            lease_state: session.state.as_str(),
            session_state: session.own_state.as_str(),
            stage: advance.stage.as_str(),
            progress: advance.percent,
            device: DeviceShown {
                name: session.device_name.clone(),
                width: session.width,
                height: session.height,
                state: presence.unwrap_or_else(|| session.health.into()).as_str(),
            },
            app: session.app().cloned(),
            observers: session.observers,
            ends_at: ends.map(|ending| now.wall.plus(left(ending)).rfc3339()),
            ends_in_ms: ends.map(|ending| left(ending).as_millis() as u64),
            warning: warning.map(|ending| Warning {
                reason: ending.reason.as_str(),
                ends_in_ms: left(ending).as_millis() as u64,
            }),
            end_reason: session.state.reason().map(CloseReason::as_str),
        }
    }
}

/// Tells what a link opens, without opening it.
pub(crate) async fn describe(
    State(app): State<Shared>,
    peer: Peer,
    Json(body): Json<Token>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Described {
        link: LinkShown,
        /// Not known before the claim when any of several will do.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<DeviceName>,
        #[serde(skip_serializing_if = "Option::is_none")]
        app: Option<DeviceApp>,
    }
    #[derive(Serialize)]
    struct LinkShown {
        name: String,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_at: Option<String>,
    }
    #[derive(Serialize)]
    struct DeviceName {
        name: String,
    }
    app.limits.launch(peer.ip(), Instant::now())?;
    let found = app.store.link_by_token(Hash::of(&body.token)).await?;
    let (link, held) = found.ok_or_else(|| refusal(Refused::Unknown))?;
    let standing = link.standing(UnixMs::now(), held);
    if standing != Standing::Active {
        return Err(refusal(Refused::Over(standing)));
    }
    let device = match link.target {
        Target::Device(id) => app.store.device(id).await?,
        Target::Any(_) => None,
    };
    let Link {
        name,
        expires_at,
        app: opens,
        ..
    } = link;
    let link = LinkShown {
        name,
        state: standing.as_str(),
        expires_at: expires_at.map(UnixMs::rfc3339),
    };
    Ok(Answer(Described {
        link,
        device: device.map(|device| DeviceName { name: device.name }),
        app: opens,
    })
    .into_response())
}

/// Opens a link, or comes back to a session.
pub(crate) async fn launch(
    State(app): State<Shared>,
    peer: Peer,
    SameOrigin(headers): SameOrigin,
    key: IdempotencyKey,
    Json(body): Json<Launch>,
) -> Result<Response, Problem> {
    app.limits.launch(peer.ip(), Instant::now())?;
    match body {
        Launch::Link { token } => claim(&app, peer, &headers, key, &token).await,
        Launch::Session { session_id } => {
            let session = come_back(&app, peer, &headers, &session_id).await?;
            Ok((StatusCode::OK, current(&app, &session)).into_response())
        }
    }
}

async fn claim(
    app: &Shared,
    peer: Peer,
    headers: &HeaderMap,
    key: IdempotencyKey,
    token: &str,
) -> Result<Response, Problem> {
    let token = Hash::of(token);
    // The cookie's name needs the link's id; that the link is still there is judged by the claim.
    let found = app.store.link_by_token(token).await?;
    let (link, _) = found.ok_or_else(|| refusal(Refused::Unknown))?;
    let fresh = match key.0 {
        // Whoever repeats this request is given the same cookie, and is known by it.
        Some(key) => app.seal.secret("binding", &[&token.0, &key.0]),
        None => Secret::generate().map_err(Problem::internal)?,
    };
    let presented = cookie(headers, &binding_name(link.id));
    let claim = Claim {
        token,
        presented,
        fresh: fresh.hash(),
        repeatable: key.0.is_some(),
        actor: &guest(peer, link.id),
    };
    let session = match app.store.claim(claim, UnixMs::now()).await? {
        Claimed::Granted(session) | Claimed::Resumed(session) => session,
        Claimed::Refused(refused) => return Err(refusal(refused)),
    };
    let answer = current(app, &session);
    let bound_afresh = session.is_bound_to(fresh.hash().0);
    // Also when it was granted before: whoever asked then may have gone before he was heard.
    App::set_about(app, session);
    if !bound_afresh {
        return Ok((StatusCode::OK, answer).into_response());
    }
    let (name, seconds) = (binding_name(link.id), BINDING_KEPT.as_secs());
    let cookie = format!(
        "{name}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict",
        fresh.reveal()
    );
    let cookie = AppendHeaders([("set-cookie", cookie)]);
    Ok((StatusCode::ACCEPTED, cookie, answer).into_response())
}

async fn come_back(app: &Shared, peer: Peer, headers: &HeaderMap, id: &str) -> Result<Session, Problem> {
    let session = held_by(app, headers, id).await?;
    if session.state.is_held() {
        let binding = Hash(session.binding);
        if let Some(resumed) = app
            .store
            .resume(session.id, binding, &guest(peer, session.link.id), UnixMs::now())
            .await?
        {
            app.watches.publish(&resumed);
            return Ok(resumed);
        }
    }
    // Over: the page shows why.
    Ok(session)
}

/// How a session is now.
pub(crate) async fn show(
    State(app): State<Shared>,
    SameOrigin(headers): SameOrigin,
    Query(of): Query<OfSession>,
) -> Result<Response, Problem> {
    let session = held_by(&app, &headers, &of.session_id).await?;
    Ok(current(&app, &session).into_response())
}

/// How a session is, now and on every change, until it is over. A stage that was passed while nobody looked is told
/// before the one that followed it.
pub(crate) async fn events(
    State(app): State<Shared>,
    SameOrigin(headers): SameOrigin,
    Query(of): Query<OfSession>,
) -> Result<Response, Problem> {
    let session = held_by(&app, &headers, &of.session_id).await?;
    let mut views = app.watches.follow(&session);
    views.mark_changed();
    let keep_alive = KeepAlive::new().interval(SSE_KEEP_ALIVE);
    Ok(Sse::new(states(views, app.clone()))
        .keep_alive(keep_alive)
        .into_response())
}

fn states(
    views: tokio::sync::watch::Receiver<View>,
    app: Shared,
) -> impl Stream<Item = Result<SseEvent, Infallible>> {
    let told = None::<Stage>;
    let changes = stream::unfold((views, app, told), |(mut views, app, told)| async move {
        if told == Some(Stage::Ended) {
            return None;
        }
        tokio::select! {
            changed = views.changed() => changed.ok()?,
            () = app.stop.cancelled() => return None,
        }
        let view = views.borrow_and_update().clone();
        let now = app.now();
        let stage = view.advance.stage;
        let passed = told.unwrap_or(stage).between(stage).map(|stage| View {
            advance: Advance::begun(stage),
            ..view.clone()
        });
        let events: Vec<_> = passed
            .chain([view.clone()])
            .map(|view| Ok(event(&view, now)))
            .collect();
        Some((stream::iter(events), (views, app, Some(stage))))
    });
    changes.flatten()
}

fn event(view: &View, now: Moment) -> SseEvent {
    let json = serde_json::to_string(&Current::new(view, now)).expect("strings and numbers are JSON");
    SseEvent::default().event("state").data(json)
}

/// The holder is done.
pub(crate) async fn end(
    State(app): State<Shared>,
    peer: Peer,
    SameOrigin(headers): SameOrigin,
    Json(of): Json<OfSession>,
) -> Result<Response, Problem> {
    let session = held_by(&app, &headers, &of.session_id).await?;
    let actor = guest(peer, session.link.id);
    let session = match leave(&app.store, &session, &actor, UnixMs::now()).await? {
        Some(ended) => {
            App::changed(&app, ended.clone());
            ended
        }
        None => session,
    };
    Ok(current(&app, &session).into_response())
}

/// Ends what a holder is done with. None when it was over already.
pub(crate) async fn leave(
    store: &Store,
    session: &Session,
    holder: &Actor,
    now: UnixMs,
) -> Result<Option<Session>, StoreError> {
    let event = Event::End(CloseReason::LeaseEnded);
    store.step(session.lease, event, holder, now).await
}

/// The session, if this browser has its binding. Everybody else is told that there is none.
pub(crate) async fn held_by(app: &Shared, headers: &HeaderMap, id: &str) -> Result<Session, Problem> {
    let unknown = || {
        Problem::new(
            Code::SessionNotFound,
            "This browser has no such session. Open the link again.",
        )
    };
    let session = find(app, id).await?.ok_or_else(unknown)?;
    let presented = cookie(headers, &binding_name(session.link.id));
    let presented = presented.map(|cookie| cookie.0);
    session.shown_to(presented).ok_or_else(unknown)
}

/// The session with this id, if the text is one.
pub(crate) async fn find(app: &App, id: &str) -> Result<Option<Session>, Problem> {
    match id.parse::<SessionId>() {
        Ok(id) => Ok(app.store.session(id).await?),
        Err(_) => Ok(None),
    }
}

fn current(app: &Shared, session: &Session) -> Answer<Current> {
    Answer(Current::new(&app.watches.view(session), app.now()))
}

/// The cookie that binds a link to a browser. The last twelve digits of the id are its random ones.
pub(crate) fn binding_name(link: LinkId) -> String {
    let digits = link.uuid().simple().to_string();
    format!("__Host-fg_{}", &digits[digits.len() - 12..])
}

/// The session is over for this lease.
pub(crate) fn over() -> Problem {
    Problem::new(Code::LeaseLost, "This session is over. Open the link again.")
}

fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::Unknown => Problem::new(
            Code::LinkNotFound,
            "This link does not exist. Check that it was copied whole, or ask whoever sent it.",
        ),
        Refused::Over(Standing::Expired) => Problem::new(
            Code::LinkExpired,
            "This link's time is over. Ask whoever sent it for a new one.",
        ),
        Refused::Over(Standing::Revoked) => Problem::new(
            Code::LinkRevoked,
            "This link was revoked. Ask whoever sent it for a new one.",
        ),
        Refused::Over(Standing::Paused) => Problem::new(
            Code::LinkPaused,
            "This link is closed for a while. Try again later, or ask whoever sent it.",
        ),
        Refused::Over(Standing::Scheduled { from }) => {
            let detail = format!("This link opens at {}. Come back then.", from.rfc3339());
            let wait = UnixMs::now().until(from).as_secs().saturating_add(1);
            Problem::new(Code::LinkScheduled, detail).retry_after(u32::try_from(wait).unwrap_or(u32::MAX))
        }
        Refused::Over(Standing::Exhausted | Standing::Active) => Problem::new(
            Code::LinkExhausted,
            "This link was used up. Ask whoever sent it for a new one.",
        ),
        Refused::BoundElsewhere => Problem::new(
            Code::LinkBoundElsewhere,
            "This link is open in another browser. Close it there and wait half a minute.",
        ),
        Refused::DeviceInUse => Problem::new(
            Code::DeviceInUse,
            "Somebody is using this device, or it is being cleaned. Try again in a minute.",
        ),
        Refused::DeviceOffline => {
            let detail = "This device is offline. Try again in a moment, or tell whoever sent the link.";
            Problem::new(Code::DeviceOffline, detail).retry_after(OFFLINE_RETRY_S)
        }
    }
}
