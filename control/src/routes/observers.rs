//! Those who only watch: a plain WHEP player that the holder lets in, an operator who looks into a session.
//!
//! Both get a viewer token of the role observer, which the gateway gives pictures and takes no input from. Making one
//! is written down with who made it, and so is every connection that is opened with it (`store::connections`). It does
//! not know SDP.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::SessionId;
use protocol::agent::Role;
use serde::Serialize;
use signaling::error::{Code, Problem};
use uuid::Uuid;

use super::launch::{OfSession, held_by, over};
use super::request::{Admin, Json, Peer, SameOrigin, guest};
use crate::app::{App, Shared};
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::secret::Secret;
use crate::store::audit::Actor;
use crate::store::connections::NewViewerToken;

/// Makes a token with which a plain WHEP player may watch this session.
pub(crate) async fn add_viewer_token(
    State(app): State<Shared>,
    peer: Peer,
    SameOrigin(headers): SameOrigin,
    Json(of): Json<OfSession>,
) -> Result<Response, Problem> {
    let session = held_by(&app, &headers, &of.session_id).await?;
    viewer_token(&app, &session, None, &guest(peer, session.link.id)).await
}

/// Lets an operator watch a session. It is written down, and so is each time that he looks.
pub(crate) async fn observe(
    State(app): State<Shared>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let unknown = || {
        Problem::new(
            Code::SessionNotFound,
            "There is no such session. Look at the list of devices.",
        )
    };
    let id: SessionId = id.parse().map_err(|_| unknown())?;
    let session = app.store.session(id).await?.ok_or_else(unknown)?;
    viewer_token(&app, &session, Some(admin.user.id), &admin.actor).await
}

async fn viewer_token(
    app: &App,
    session: &Session,
    operator: Option<Uuid>,
    actor: &Actor,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct NewToken<'a> {
        token: &'a str,
        role: &'static str,
        whep: String,
    }
    if !session.state.is_held() {
        return Err(over());
    }
    let token = Secret::generate().map_err(Problem::internal)?;
    let new = NewViewerToken {
        token: token.hash(),
        lease: session.lease,
        role: Role::Observer,
        operator,
    };
    app.store.add_viewer_token(new, actor, UnixMs::now()).await?;
    let shown = NewToken {
        token: token.reveal(),
        role: "observer",
        whep: format!("/whep/{}", session.id),
    };
    Ok((StatusCode::CREATED, Answer(shown)).into_response())
}
