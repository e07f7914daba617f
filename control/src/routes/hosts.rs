//! Enrolling hosts.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use signaling::error::Problem;
use signaling::link::token::JoinToken;

use super::request::Admin;
use crate::app::Shared;
use crate::domain::time::UnixMs;
use crate::secret::Hash;
use crate::store::hosts::JOIN_TOKEN_LIFETIME;

#[derive(Serialize)]
pub(crate) struct NewToken {
    token: String,
    expires_at: String,
}

/// Makes a join token; it is shown here and never again.
pub(crate) async fn add_join_token(
    State(app): State<Shared>,
    admin: Admin,
) -> Result<(StatusCode, Answer<NewToken>), Problem> {
    let now = UnixMs::now();
    let token = JoinToken::generate(app.authority).map_err(Problem::internal)?;
    app.store
        .add_join_token(Hash::of(token.secret()), &admin.actor, now)
        .await?;
    let expires_at = now.plus(JOIN_TOKEN_LIFETIME).rfc3339();
    Ok((
        StatusCode::CREATED,
        Answer(NewToken {
            token: token.reveal(),
            expires_at,
        }),
    ))
}
