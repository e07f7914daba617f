//! The SDP exchange of a viewer over HTTP: WHEP (draft-ietf-wish-whep), whose rules for PATCH, ETag and
//! DELETE are those of WHIP (RFC 9725).
//!
//! ```text
//! POST   /whep/{session}                application/sdp                    → 201 answer, Location, ETag
//! PATCH  /whep/{session}/{connection}   application/trickle-ice-sdpfrag
//!          If-Match: "<etag>"           more candidates                    → 204
//!          If-Match: *                  ICE restart                        → 200 fragment, ETag
//!          missing → 428                another ETag → 412
//! DELETE /whep/{session}/{connection}                                      → 200
//! OPTIONS either                                                           → 204
//! ```
//!
//! This file knows HTTP. Who may look at a session, and what an answer is, the [`Backend`] knows.
//! Cross-origin players may use it with a bearer token: the CORS answer allows any origin and never
//! credentials, so a cookie works only on our own pages.

use std::future::Future;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use protocol::agent::PatchKind;
use protocol::{ConnectionId, SessionId};

use crate::error::{Code, Problem};
use crate::offer::{self, OFFER_BYTES_MAX, OfferError};
use crate::sdpfrag::{FRAGMENT_BYTES_MAX, Fragment};

/// The media type of offers and answers.
pub const SDP: &str = "application/sdp";
/// The media type of trickled candidates.
pub const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// A server that helps ICE, for the `Link` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:` or `turn:` address.
    pub url: String,
    /// User name and password, for TURN.
    pub credential: Option<(String, String)>,
}

/// An accepted offer.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The new connection.
    pub connection: ConnectionId,
    /// The SDP answer.
    pub sdp: String,
    /// Names the ICE session.
    pub etag: ETag,
    /// Servers that the viewer may use.
    pub ice_servers: Vec<IceServer>,
}

/// A restarted ICE session.
#[derive(Debug, Clone)]
pub struct Restarted {
    /// The gateway's new credentials and candidates.
    pub fragment: String,
    /// Names the new ICE session.
    pub etag: ETag,
}

/// Names an ICE session: letters, digits, `+`, `/`, `-` and `_`, without the quotes that HTTP adds. An agent
/// takes its ICE user fragment, and `+` and `/` are among ICE's characters (RFC 8839).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// Takes an agent's tag; none when it could not stand in a header.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
        ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then_some(Self(text))
    }

    /// Without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&format!("\"{}\"", self.0)).expect("letters and digits are a header value")
    }
}

/// Who may look, and what happens.
pub trait Backend: Clone + Send + Sync + 'static {
    /// The proof that somebody may look at a session.
    type Viewer: Send + Sync;

    /// Checks the cookie or bearer token.
    fn authorise(
        &self,
        session: SessionId,
        request: &Parts,
    ) -> impl Future<Output = Result<Self::Viewer, Problem>> + Send;

    /// Hands an offer on.
    fn offer(
        &self,
        viewer: Self::Viewer,
        sdp: String,
    ) -> impl Future<Output = Result<Accepted, Problem>> + Send;

    /// The ETag of a connection of this viewer.
    fn etag(
        &self,
        viewer: &Self::Viewer,
        connection: ConnectionId,
    ) -> impl Future<Output = Result<ETag, Problem>> + Send;

    /// Hands candidates or a restart on; a restart must come back with its new session.
    fn patch(
        &self,
        viewer: Self::Viewer,
        connection: ConnectionId,
        kind: PatchKind,
        fragment: String,
    ) -> impl Future<Output = Result<Option<Restarted>, Problem>> + Send;

    /// Ends a connection of this viewer.
    fn delete(
        &self,
        viewer: Self::Viewer,
        connection: ConnectionId,
    ) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// The routes below `/whep`.
pub fn router<B: Backend>(backend: B) -> Router {
    Router::new()
        .route("/whep/{session}", post(post_offer::<B>).options(preflight))
        .route(
            "/whep/{session}/{connection}",
            patch(patch_ice::<B>).delete(delete::<B>).options(preflight),
        )
        .method_not_allowed_fallback(async || {
            Problem::new(
                Code::MethodNotAllowed,
                "This address knows POST, PATCH, DELETE and OPTIONS.",
            )
        })
        .layer(map_response(cors))
        .with_state(backend)
}

async fn post_offer<B: Backend>(
    State(backend): State<B>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let session: SessionId = session.parse().map_err(|_| no_session())?;
    let (parts, body) = request.into_parts();
    let viewer = backend.authorise(session, &parts).await?;
    expect_type(&parts.headers, SDP)?;
    let sdp = text(body, OFFER_BYTES_MAX).await?;
    offer::check(&sdp).map_err(|error| match error {
        OfferError::NoVideo | OfferError::NoH264 => {
            let detail = "This browser offers no H.264 video. Use a current Chrome, Edge, Firefox or Safari.";
            Problem::new(Code::CodecUnsupported, detail)
        }
        other => Problem::new(Code::Validation, format!("The offer is not usable: {other}.")),
    })?;
    let accepted = backend.offer(viewer, sdp).await?;
    let location = format!("/whep/{session}/{}", accepted.connection);
    let mut response = (StatusCode::CREATED, accepted.sdp).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(
        header::LOCATION,
        HeaderValue::from_str(&location).expect("ids are ASCII"),
    );
    headers.insert(header::ETAG, accepted.etag.header());
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(SDP_FRAGMENT));
    for server in &accepted.ice_servers {
        match ice_link(server) {
            Some(link) => drop(headers.append(header::LINK, link)),
            None => tracing::warn!("an ICE server does not fit in a Link header and was left out"),
        }
    }
    Ok(response)
}

async fn patch_ice<B: Backend>(
    State(backend): State<B>,
    Path((session, connection)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (session, connection) = ids(&session, &connection)?;
    let (parts, body) = request.into_parts();
    let viewer = backend.authorise(session, &parts).await?;
    let current = backend.etag(&viewer, connection).await?;
    expect_type(&parts.headers, SDP_FRAGMENT)?;
    let kind = match IfMatch::read(&parts.headers) {
        None => {
            let detail = "Send If-Match with the ETag of the answer, or * to restart ICE.";
            return Err(Problem::new(Code::PreconditionRequired, detail));
        }
        Some(IfMatch::Any) => PatchKind::Restart,
        Some(IfMatch::Tags(tags)) if tags.contains(&current.0) => PatchKind::Trickle,
        Some(IfMatch::Tags(_)) => {
            let detail = "ICE was restarted since. Send the newest ETag, or * to restart ICE again.";
            return Err(Problem::new(Code::PreconditionFailed, detail));
        }
    };
    let fragment = Fragment::parse(&text(body, FRAGMENT_BYTES_MAX).await?).map_err(|error| {
        Problem::new(
            Code::Validation,
            format!("The candidates are not usable: {error}."),
        )
    })?;
    if kind == PatchKind::Restart && !fragment.has_credentials() {
        let detail = "An ICE restart must bring a=ice-ufrag and a=ice-pwd.";
        return Err(Problem::new(Code::Validation, detail));
    }
    match backend
        .patch(viewer, connection, kind, fragment.to_string())
        .await?
    {
        None => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(Restarted { fragment, etag }) => {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static(SDP_FRAGMENT));
            Ok((StatusCode::OK, [kind, (header::ETAG, etag.header())], fragment).into_response())
        }
    }
}

async fn delete<B: Backend>(
    State(backend): State<B>,
    Path((session, connection)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (session, connection) = ids(&session, &connection)?;
    let (parts, _) = request.into_parts();
    let viewer = backend.authorise(session, &parts).await?;
    backend.delete(viewer, connection).await?;
    Ok(StatusCode::OK)
}

async fn preflight() -> Response {
    let allow = HeaderValue::from_static("POST, PATCH, DELETE, OPTIONS");
    let headers = [
        (header::ALLOW, allow.clone()),
        (header::ACCESS_CONTROL_ALLOW_METHODS, allow),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Authorization, Content-Type, If-Match"),
        ),
        // As long as browsers keep it at most (Chromium: two hours).
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200")),
        (
            HeaderName::from_static("accept-post"),
            HeaderValue::from_static(SDP),
        ),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn cors(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let expose = HeaderValue::from_static("Location, ETag, Link, Accept-Patch, Retry-After, X-Request-Id");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose);
    response
}

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// An `If-Match` header (RFC 9110, section 13.1.1).
#[derive(Debug, PartialEq, Eq)]
enum IfMatch {
    Any,
    /// The strong tags, without quotes. Weak and damaged ones never match and are left out.
    Tags(Vec<String>),
}

impl IfMatch {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
        values.peek()?;
        let mut tags = Vec::new();
        for value in values {
            let value = value.to_str().unwrap_or_default().trim();
            if value == "*" {
                return Some(Self::Any);
            }
            let strong = value
                .split(',')
                .filter_map(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"'));
            tags.extend(strong.map(str::to_owned));
        }
        Some(Self::Tags(tags))
    }
}

fn expect_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), Problem> {
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(wanted) {
        Ok(())
    } else {
        Err(Problem::new(Code::Unsupported, format!("Send this as {wanted}.")))
    }
}

async fn text(body: Body, bytes_max: usize) -> Result<String, Problem> {
    let too_large = |_| Problem::new(Code::TooLarge, format!("Send at most {} KiB.", bytes_max / 1024));
    let bytes = to_bytes(body, bytes_max).await.map_err(too_large)?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::new(Code::Validation, "SDP is UTF-8 text."))
}

fn ids(session: &str, connection: &str) -> Result<(SessionId, ConnectionId), Problem> {
    let session = session.parse().map_err(|_| no_session())?;
    let missing = |_| {
        Problem::new(
            Code::ConnectionNotFound,
            "This connection is over. Post a new offer.",
        )
    };
    Ok((session, connection.parse().map_err(missing)?))
}

fn no_session() -> Problem {
    Problem::new(
        Code::SessionNotFound,
        "There is no such session. Open the link again.",
    )
}

fn ice_link(server: &IceServer) -> Option<HeaderValue> {
    let quotable = |text: &str| !text.contains(['"', '\\', '<', '>']);
    let mut link = format!("<{}>; rel=\"ice-server\"", server.url);
    let mut safe = quotable(&server.url);
    if let Some((username, password)) = &server.credential {
        safe &= quotable(username) && quotable(password);
        link.push_str(&format!(
            "; username=\"{username}\"; credential=\"{password}\"; credential-type=\"password\""
        ));
    }
    HeaderValue::from_str(&link).ok().filter(|_| safe)
}

/// Entry point for fuzzing: any bytes as the headers of a PATCH.
#[doc(hidden)]
pub fn fuzz_if_match(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::IF_MATCH, value);
        }
    }
    if let Some(IfMatch::Tags(tags)) = IfMatch::read(&headers) {
        assert!(
            tags.iter()
                .all(|tag| ETag::new(tag.clone()).is_none_or(|etag| etag.as_str() == tag))
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(values: &[&str]) -> Option<IfMatch> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, value.parse().unwrap());
        }
        IfMatch::read(&headers)
    }

    #[test]
    fn if_match_knows_strong_tags_lists_and_the_star() {
        let tags = |tags: &[&str]| Some(IfMatch::Tags(tags.iter().map(|&tag| tag.to_owned()).collect()));
        assert_eq!(if_match(&[]), None);
        assert_eq!(if_match(&["*"]), Some(IfMatch::Any));
        assert_eq!(if_match(&["\"a\""]), tags(&["a"]));
        assert_eq!(if_match(&["\"a\", \"b\"", "\"c\""]), tags(&["a", "b", "c"]));
        assert_eq!(if_match(&["W/\"a\""]), tags(&[]));
        assert_eq!(if_match(&["a"]), tags(&[]));
        assert_eq!(if_match(&["\""]), tags(&[]));
    }

    #[test]
    fn a_tag_takes_all_of_ices_characters_and_nothing_that_could_break_a_header() {
        assert_eq!(ETag::new("aZ0+/-_".to_owned()).unwrap().header(), "\"aZ0+/-_\"");
        for text in ["", "a\"b", "a b", "a\r\n", "ä", &"x".repeat(65)] {
            assert_eq!(ETag::new(text.to_owned()), None, "{text:?}");
        }
    }

    #[test]
    fn an_ice_server_becomes_a_link_header_or_nothing() {
        let turn = |password: &str| IceServer {
            url: "turn:turn.example.org?transport=udp".to_owned(),
            credential: Some(("user".to_owned(), password.to_owned())),
        };
        assert_eq!(
            ice_link(&turn("secret")).unwrap(),
            "<turn:turn.example.org?transport=udp>; rel=\"ice-server\"; username=\"user\"; \
             credential=\"secret\"; credential-type=\"password\""
        );
        assert_eq!(ice_link(&turn("a\"; b=\"c")), None);
    }
}
