//! Signing in and out.

use std::time::Instant;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Argon2, Params};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use signaling::error::{Code, Problem};

use super::request::{Admin, Json, Peer, SESSION_COOKIE};
use crate::app::Shared;
use crate::domain::time::UnixMs;
use crate::jobs::hang_up;
use crate::secret::Secret;
use crate::store::audit::{Actor, ActorKind};
use crate::store::users::{LIFETIME, User};

/// Longest password that is hashed, bytes; hashing is made to be slow.
const PASSWORD_BYTES_MAX: usize = 1024;

#[derive(Deserialize)]
pub(crate) struct Login {
    login: String,
    password: String,
}

#[derive(Serialize)]
struct Person {
    id: String,
    login: String,
    role: &'static str,
}

impl From<User> for Person {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            login: user.login,
            role: "admin",
        }
    }
}

pub(crate) async fn login(
    State(app): State<Shared>,
    peer: Peer,
    Json(login): Json<Login>,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct SignedIn<'a> {
        token: &'a str,
        expires_at: String,
        user: Person,
    }
    app.limits.login(peer.ip(), &login.login, Instant::now())?;
    let found = app.store.user_by_login(&login.login).await?;
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
    let known = user.as_ref().map(|user| user.id);
    let matches = tokio::task::spawn_blocking(move || verify(&login.password, hash.as_deref())).await;
    let user = match (matches.map_err(Problem::internal)?, user) {
        (true, Some(user)) => user,
        _ => {
            app.store.sign_in_refused(known, peer.ip(), UnixMs::now()).await?;
            return Err(Problem::new(Code::AuthFailed, "Login or password is wrong."));
        }
    };
    let token = Secret::generate().map_err(Problem::internal)?;
    let actor = Actor {
        kind: ActorKind::User,
        id: Some(user.id.to_string()),
        ip: Some(peer.ip()),
    };
    let ends = app
        .store
        .sign_in(&user, token.hash(), &actor, UnixMs::now())
        .await?;
    let seconds = LIFETIME.as_secs();
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict",
        token.reveal()
    );
    let body = SignedIn {
        token: token.reveal(),
        expires_at: ends.rfc3339(),
        user: user.into(),
    };
    Ok((AppendHeaders([("set-cookie", cookie)]), Answer(body)).into_response())
}

pub(crate) async fn logout(State(app): State<Shared>, admin: Admin) -> Result<Response, Problem> {
    app.store
        .sign_out(&admin.user, admin.token, &admin.actor, UnixMs::now())
        .await?;
    hang_up::all(&app, app.store.end_unsigned_looks(UnixMs::now()).await?);
    let cookie = format!("{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    Ok((StatusCode::NO_CONTENT, AppendHeaders([("set-cookie", cookie)])).into_response())
}

pub(crate) async fn me(admin: Admin) -> Response {
    Answer(Person::from(admin.user)).into_response()
}

/// argon2id with the memory and passes that OWASP names as its second choice: 19 MiB, 2, 1.
fn argon2() -> Argon2<'static> {
    Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        Params::DEFAULT,
    )
}

/// Hashes a password. Takes some tens of milliseconds on purpose.
pub(crate) fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| argon2::password_hash::Error::Crypto)?;
    let salt = SaltString::encode_b64(&salt)?;
    Ok(argon2().hash_password(password.as_bytes(), &salt)?.to_string())
}

/// Checks a password; an unknown login costs the same time as a wrong password.
fn verify(password: &str, known: Option<&str>) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    match known.map(PasswordHash::new) {
        Some(Ok(hash)) => argon2().verify_password(password.as_bytes(), &hash).is_ok(),
        Some(Err(_)) => false,
        None => {
            // Only its time is wanted.
            let _ = hash(password);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_passes() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse", Some(&hash)));
        assert!(!verify("wrong horse", Some(&hash)));
        assert!(!verify("correct horse", None));
        assert!(!verify("correct horse", Some("damaged")));
        assert!(!verify(&"x".repeat(PASSWORD_BYTES_MAX + 1), Some(&hash)));
    }
}
