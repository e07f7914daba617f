//! Those who only watch: a plain WHEP player that the holder lets in, an operator who looks into a session.
//!
//! Both get a viewer token of the role observer, which the gateway gives pictures and takes no input from. Making one
//! is written down with who made it, and so is every connection that is opened with it (`store::connections`). It does
//! not know SDP.

use std::fmt::Display;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::agent::Role;
use serde::Serialize;
use signaling::error::{Code, Problem};

use super::idempotency::{IdempotencyKey, Once, answer, once, respond_with};
use super::launch::{OfSession, find, held_by, over};
use super::request::{Admin, Json, Peer, SameOrigin, guest};
use crate::app::Shared;
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::jobs::hang_up;
use crate::secret::Hash;
use crate::store::audit::Actor;
use crate::store::viewer_tokens::{NewViewerToken, Operator};

/// A viewer token as it is kept among the answers: without the token.
#[derive(Serialize)]
struct NewToken {
    role: &'static str,
    whep: String,
}

/// Somebody who wants a viewer token.
struct Asker<'a, D> {
    /// Whom an Idempotency-Key of his belongs to.
    name: D,
    /// The operator who looks in himself.
    operator: Option<Operator>,
    actor: &'a Actor,
}

/// Makes a token with which a plain WHEP player may watch this session.
pub(crate) async fn add_viewer_token(
    State(app): State<Shared>,
    peer: Peer,
    SameOrigin(headers): SameOrigin,
    key: IdempotencyKey,
    Json(of): Json<OfSession>,
) -> Result<Response, Problem> {
    app.limits.offer(peer.ip(), Instant::now())?;
    let session = held_by(&app, &headers, &of.session_id).await?;
    if session.link.max_connections < 2 {
        let detail = "This link is for one viewer only. Ask whoever sent it for one that lets others watch.";
        return Err(Problem::new(Code::ConnectionLimit, detail));
    }
    let asker = Asker {
        name: session.link.id,
        operator: None,
        actor: &guest(peer, session.link.id),
    };
    viewer_token(&app, &session, key, asker).await
}

/// Takes back every token that the holder gave away. Who watches with one is put out.
pub(crate) async fn take_back(
    State(app): State<Shared>,
    peer: Peer,
    SameOrigin(headers): SameOrigin,
    Json(of): Json<OfSession>,
) -> Result<StatusCode, Problem> {
    let session = held_by(&app, &headers, &of.session_id).await?;
    let actor = guest(peer, session.link.id);
    let now = UnixMs::now();
    let ended = app.store.take_viewer_tokens_back(session.lease, &actor, now);
    hang_up::all(&app, ended.await?);
    Ok(StatusCode::NO_CONTENT)
}

/// Lets an operator watch a session. It is written down, and so is each time that he looks.
pub(crate) async fn observe(
    State(app): State<Shared>,
    admin: Admin,
    key: IdempotencyKey,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let session = find(&app, &id).await?.ok_or_else(|| {
        Problem::new(
            Code::SessionNotFound,
            "There is no such session. Look at the list of devices.",
        )
    })?;
    let asker = Asker {
        name: admin.user.id,
        operator: Some(Operator {
            user: admin.user.id,
            signed_in: admin.token,
        }),
        actor: &admin.actor,
    };
    viewer_token(&app, &session, key, asker).await
}

async fn viewer_token<D: Display>(
    app: &Shared,
    session: &Session,
    key: IdempotencyKey,
    asker: Asker<'_, D>,
) -> Result<Response, Problem> {
    let body = Hash::of(&session.id.to_string());
    let question = key.question(asker.name, "viewer-tokens.create", body);
    let shown = Once::of(app, question.as_ref())?;
    let work = async |since| {
        if !session.state.is_held() {
            return Err(over());
        }
        let new = NewViewerToken {
            token: shown.secret("viewer token", since).hash(),
            lease: session.lease,
            role: Role::Observer,
            operator: asker.operator,
        };
        if !app.store.add_viewer_token(new, asker.actor, since).await? {
            let detail = "This session has as many viewer tokens as it may have. Use one of them.";
            return Err(Problem::new(Code::ConnectionLimit, detail));
        }
        let kept = NewToken {
            role: "observer",
            whep: format!("/whep/{}", session.id),
        };
        answer(StatusCode::CREATED, None, &kept)
    };
    let (kept, since) = once(app, question.as_ref(), UnixMs::now(), work).await?;
    let token = shown.secret("viewer token", since);
    respond_with(kept, "token", token.reveal().to_owned())
}
