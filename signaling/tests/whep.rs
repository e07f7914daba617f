//! The HTTP rules of the SDP exchange, over a backend that knows one session with one connection.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use protocol::agent::PatchKind;
use protocol::{ConnectionId, SessionId};
use signaling::error::{Code, Problem, with_request_id};
use signaling::whep::{self, Accepted, Backend, ETag, IceServer, Restarted};
use tower::ServiceExt as _;
use uuid::Uuid;

const OFFER: &str = "v=0\r\na=fingerprint:sha-256 AB\r\nm=video 9 X 96\r\na=rtpmap:96 H264/90000\r\n";
const TRICKLE: &str = "m=video 9 X\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
const RESTART: &str = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n";

fn session() -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(1))
}

fn connection() -> ConnectionId {
    ConnectionId::from_uuid(Uuid::from_u128(2))
}

#[derive(Clone)]
struct OneSession;

impl Backend for OneSession {
    type Viewer = ();

    async fn authorise(&self, asked: SessionId, request: &Parts) -> Result<(), Problem> {
        if asked != session() {
            return Err(Problem::new(Code::SessionNotFound, "No such session."));
        }
        match request.headers.get("authorization") {
            Some(token) if token == "Bearer viewer" => Ok(()),
            _ => Err(Problem::new(Code::AuthFailed, "Open the link first.")),
        }
    }

    async fn offer(&self, (): (), sdp: String) -> Result<Accepted, Problem> {
        assert_eq!(sdp, OFFER);
        Ok(Accepted {
            connection: connection(),
            sdp: "v=0 answer".to_owned(),
            etag: ETag::new("ice-1".to_owned()).unwrap(),
            ice_servers: vec![IceServer {
                url: "stun:stun.example.org".to_owned(),
                credential: None,
            }],
        })
    }

    async fn etag(&self, (): &(), asked: ConnectionId) -> Result<ETag, Problem> {
        if asked == connection() {
            Ok(ETag::new("ice-1".to_owned()).unwrap())
        } else {
            Err(Problem::new(Code::ConnectionNotFound, "No such connection."))
        }
    }

    async fn patch(
        &self,
        (): (),
        _: ConnectionId,
        kind: PatchKind,
        fragment: String,
    ) -> Result<Option<Restarted>, Problem> {
        match kind {
            PatchKind::Trickle => {
                assert_eq!(fragment, TRICKLE);
                Ok(None)
            }
            PatchKind::Restart => Ok(Some(Restarted {
                fragment: "a=ice-ufrag:efgh\r\n".to_owned(),
                etag: ETag::new("ice-2".to_owned()).unwrap(),
            })),
        }
    }

    async fn delete(&self, (): (), asked: ConnectionId) -> Result<(), Problem> {
        self.etag(&(), asked).await.map(drop)
    }
}

/// One request; `headers` are `name: value` lines.
async fn send(method: Method, path: &str, headers: &[&str], body: impl Into<Body>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for line in headers {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let router: Router = whep::router(OneSession).layer(axum::middleware::from_fn(with_request_id));
    router.oneshot(request.body(body.into()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.into()).unwrap()
}

fn session_path() -> String {
    format!("/whep/{}", session())
}

fn connection_path() -> String {
    format!("/whep/{}/{}", session(), connection())
}

const TOKEN: &str = "authorization: Bearer viewer";
const SDP: &str = "content-type: application/sdp";
const FRAGMENT: &str = "content-type: application/trickle-ice-sdpfrag";

#[tokio::test]
async fn an_offer_is_answered_with_everything_a_player_needs() {
    let response = send(Method::POST, &session_path(), &[TOKEN, SDP], OFFER).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/sdp");
    assert_eq!(header("location"), connection_path());
    assert_eq!(header("etag"), "\"ice-1\"");
    assert_eq!(header("accept-patch"), "application/trickle-ice-sdpfrag");
    assert_eq!(header("link"), "<stun:stun.example.org>; rel=\"ice-server\"");
    assert!(header("access-control-expose-headers").contains("Location, ETag, Link"));
    assert_eq!(text(response).await, "v=0 answer");
}

#[tokio::test]
async fn a_bad_post_gets_the_status_that_says_why() {
    let big = "v".repeat(32 * 1024 + 1);
    let no_h264 = OFFER.replace("H264", "VP8");
    let other = format!("/whep/{}", Uuid::nil());
    let cases: [(&str, &[&str], &str, u16, &str); 8] = [
        (&session_path(), &[SDP], OFFER, 401, "AUTH_FAILED"),
        (&other, &[TOKEN, SDP], OFFER, 404, "SESSION_NOT_FOUND"),
        ("/whep/nonsense", &[TOKEN, SDP], OFFER, 404, "SESSION_NOT_FOUND"),
        (&session_path(), &[TOKEN], OFFER, 415, "UNSUPPORTED"),
        (
            &session_path(),
            &[TOKEN, "content-type: text/plain"],
            OFFER,
            415,
            "UNSUPPORTED",
        ),
        (&session_path(), &[TOKEN, SDP], "hello", 422, "VALIDATION"),
        (&session_path(), &[TOKEN, SDP], &no_h264, 422, "CODEC_UNSUPPORTED"),
        (&session_path(), &[TOKEN, SDP], &big, 413, "TOO_LARGE"),
    ];
    for (path, headers, body, status, code) in cases {
        let response = send(Method::POST, path, headers, body.to_owned()).await;
        assert_eq!(response.status(), status, "{code}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let problem: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["request_id"], id);
    }
}

#[tokio::test]
async fn a_patch_is_trickle_restart_or_refused_by_its_if_match() {
    let cases: [(&[&str], &str, u16); 10] = [
        (&["if-match: \"ice-1\""], TRICKLE, 204),
        (&["if-match: \"ice-0\", \"ice-1\""], TRICKLE, 204),
        (&["if-match: *"], RESTART, 200),
        (&["if-match: *"], TRICKLE, 422),
        (&[], TRICKLE, 428),
        (&["if-match: \"ice-0\""], TRICKLE, 412),
        (&["if-match: W/\"ice-1\""], TRICKLE, 412),
        (&["if-match: ice-1"], TRICKLE, 412),
        (&["if-match: \"ice-1\""], "nonsense", 422),
        (&["if-match: \"ice-1\", \"ice-2\""], TRICKLE, 204),
    ];
    for (headers, body, status) in cases {
        let all: Vec<_> = [TOKEN, FRAGMENT].iter().chain(headers).copied().collect();
        let response = send(Method::PATCH, &connection_path(), &all, body).await;
        assert_eq!(response.status(), status, "{headers:?} {body:?}");
        if status == 200 {
            assert_eq!(response.headers()["etag"], "\"ice-2\"");
            assert_eq!(
                response.headers()["content-type"],
                "application/trickle-ice-sdpfrag"
            );
            assert_eq!(text(response).await, "a=ice-ufrag:efgh\r\n");
        }
    }
    let wrong_type = send(
        Method::PATCH,
        &connection_path(),
        &[TOKEN, SDP, "if-match: *"],
        RESTART,
    )
    .await;
    assert_eq!(wrong_type.status(), 415);
    let unknown = format!("{}/{}", session_path(), Uuid::nil());
    let unknown = send(
        Method::PATCH,
        &unknown,
        &[TOKEN, FRAGMENT, "if-match: *"],
        RESTART,
    )
    .await;
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn a_connection_is_ended_by_delete() {
    let response = send(Method::DELETE, &connection_path(), &[TOKEN], "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        send(Method::DELETE, &connection_path(), &[], "").await.status(),
        401
    );
}

#[tokio::test]
async fn a_player_on_another_origin_may_ask_but_never_with_a_cookie() {
    for path in [session_path(), connection_path()] {
        let response = send(Method::OPTIONS, &path, &["origin: https://player.example"], "").await;
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-credentials")
        );
        let allowed = response.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap();
        assert!(
            ["Authorization", "Content-Type", "If-Match"]
                .iter()
                .all(|name| allowed.contains(name))
        );
    }
}

#[tokio::test]
async fn another_method_is_refused() {
    let response = send(Method::GET, &session_path(), &[TOKEN], "").await;
    assert_eq!(response.status(), 405);
    assert!(text(response).await.contains("METHOD_NOT_ALLOWED"));
}
