//! What routes read from a request: a JSON body, the peer's address, a cookie, a bearer token, an admin.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum_extra::extract::CookieJar;
use protocol::LinkId;
use serde::de::DeserializeOwned;
use signaling::error::{Code, Problem};
use signaling::origin;

use crate::app::Shared;
use crate::domain::time::UnixMs;
use crate::proxies::Proxies;
use crate::secret::Hash;
use crate::store::audit::{Actor, ActorKind};
use crate::store::users::User;

/// Longest JSON body, bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Cookie of people who signed in.
pub(crate) const SESSION_COOKIE: &str = "__Host-fg_session";
/// What every cookie of ours starts with.
const COOKIE_PREFIX: &str = "__Host-fg_";

/// A JSON body.
pub(crate) struct Json<T>(pub T);

/// A JSON body, and the hash of its bytes.
pub(crate) struct Told<T> {
    /// What it says.
    pub value: T,
    /// What it says, to the byte.
    pub hash: Hash,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let told = Told::from_request(request, state).await?;
        Ok(Self(told.value))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = kind
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Problem::new(Code::Unsupported, "Send this as application/json."));
        }
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        let body = body.map_err(|_| Problem::new(Code::TooLarge, "Send at most 64 KiB."))?;
        // The parser's words may quote the body, and with it a token; its position is enough.
        let value = serde_json::from_slice(&body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let detail = format!("The body is not what this address takes (line {line}, column {column}).");
            Problem::new(Code::Validation, detail)
        })?;
        let hash = Hash::of_bytes(&body);
        Ok(Self { value, hash })
    }
}

/// What stands behind the question mark.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        let bad = |_| {
            Problem::new(
                Code::Validation,
                "The address lacks a parameter, or has one that is not usable.",
            )
        };
        query.map(|axum::extract::Query(query)| Self(query)).map_err(bad)
    }
}

/// The address that a request comes from: of the person, as far as our proxies know it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub IpAddr);

impl Peer {
    pub(crate) fn ip(self) -> IpAddr {
        self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Self>().copied();
        peer.ok_or_else(|| Problem::internal("a request without its peer's address"))
    }
}

/// The hash of a cookie of ours, if the request has it.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<Hash> {
    CookieJar::from_headers(headers)
        .get(name)
        .map(|cookie| Hash::of(cookie.value()))
}

/// The hash of the bearer token, if the request has one.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<Hash> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Hash::of(token.trim()))
}

/// Makes sure that a request that brings a cookie of ours comes from a page of ours.
pub(crate) fn check_origin(app: &Shared, parts: &Parts) -> Result<(), Problem> {
    let ours = CookieJar::from_headers(&parts.headers)
        .iter()
        .any(|cookie| cookie.name().starts_with(COOKIE_PREFIX));
    if ours {
        origin::check(&parts.method, &parts.headers, &app.origins)
    } else {
        Ok(())
    }
}

/// A request whose cookies, if it has any, may be used. The proof that [`check_origin`] ran.
pub(crate) struct SameOrigin(pub HeaderMap);

impl FromRequestParts<Shared> for SameOrigin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        check_origin(app, parts)?;
        Ok(Self(parts.headers.clone()))
    }
}

/// Somebody who signed in and may do everything.
pub(crate) struct Admin {
    /// Who.
    pub user: User,
    /// The session's token.
    pub token: Hash,
    /// For the audit log.
    pub actor: Actor,
}

impl FromRequestParts<Shared> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let token = match bearer(&parts.headers) {
            Some(token) => token,
            None => {
                let token = cookie(&parts.headers, SESSION_COOKIE).ok_or_else(not_signed_in)?;
                check_origin(app, parts)?;
                token
            }
        };
        let peer = Peer::from_request_parts(parts, app).await?;
        let user = app
            .store
            .user_by_token(token, UnixMs::now())
            .await?
            .ok_or_else(not_signed_in)?;
        let actor = Actor {
            kind: ActorKind::User,
            id: Some(user.id.to_string()),
            ip: Some(peer.ip()),
        };
        Ok(Self { user, token, actor })
    }
}

/// Somebody with a link.
pub(crate) fn guest(peer: Peer, link: LinkId) -> Actor {
    Actor {
        kind: ActorKind::Link,
        id: Some(link.to_string()),
        ip: Some(peer.ip()),
    }
}

fn not_signed_in() -> Problem {
    Problem::new(
        Code::AuthFailed,
        "Sign in first: the session is missing, unknown or over.",
    )
}

/// Entry point for fuzzing: any bytes as the headers that strangers send.
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = header::HeaderValue::from_bytes(line) {
            headers.append(header::AUTHORIZATION, value.clone());
            headers.append(header::COOKIE, value.clone());
            headers.append("x-forwarded-for", value);
        }
    }
    let ours = (Ipv4Addr::LOCALHOST, 1).into();
    let _ = Proxies::new(vec![IpAddr::from(Ipv4Addr::LOCALHOST).into()]).person(ours, &headers);
    let _ = (bearer(&headers), cookie(&headers, SESSION_COOKIE));
}
