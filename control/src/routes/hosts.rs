//! Enrolling hosts.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use signaling::error::Problem;
use signaling::link::token::JoinToken;

use super::idempotency::{IdempotencyKey, Once, answer, once, respond_with};
use super::request::Admin;
use crate::app::Shared;
use crate::domain::time::UnixMs;
use crate::secret::Hash;
use crate::store::hosts::JOIN_TOKEN_LIFETIME;

/// A join token as it is kept among the answers: without the token.
#[derive(Serialize)]
struct NewToken {
    expires_at: String,
}

/// Makes a join token; it is shown here and never again.
pub(crate) async fn add_join_token(
    State(app): State<Shared>,
    admin: Admin,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let question = key.question(admin.user.id, "registration-tokens.create", Hash::of(""));
    let shown = Once::of(&app, question.as_ref())?;
    let work = async |since: UnixMs| {
        let secret = shown.secret("join token", since);
        app.store
            .add_join_token(secret.hash(), &admin.actor, since)
            .await?;
        let expires_at = since.plus(JOIN_TOKEN_LIFETIME).rfc3339();
        answer(StatusCode::CREATED, None, &NewToken { expires_at })
    };
    let (kept, since) = once(&app, question.as_ref(), UnixMs::now(), work).await?;
    let secret = shown.secret("join token", since);
    let token: JoinToken = format!("{}.{}", secret.reveal(), app.authority)
        .parse()
        .map_err(Problem::internal)?;
    respond_with(kept, "token", token.reveal())
}
