//! The one document that every failed HTTP request is answered with (RFC 9457).
//!
//! ```text
//! HTTP/1.1 410 Gone                     content-type: application/problem+json
//! { "type": "/problems/link-expired", "title": "Link expired", "status": 410,
//!   "detail": "This link is no longer valid. Ask whoever sent it for a new one.",
//!   "code": "LINK_EXPIRED", "request_id": "0197…" }
//! ```
//!
//! `code` is for programs and never changes its meaning; `detail` is a sentence for the person in
//! front of the page and says what to do. Causes on our side are logged here, once, with the request's
//! id, and never shown. Details never hold tokens, addresses or SDP.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

/// The id of a request, in answers and logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

macro_rules! codes {
    ($($name:ident $code:literal $status:ident $title:literal;)*) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The status that goes with it.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// A few words for a heading.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    AuthFailed "AUTH_FAILED" UNAUTHORIZED "Not signed in";
    Forbidden "FORBIDDEN" FORBIDDEN "Not allowed";
    NotFound "NOT_FOUND" NOT_FOUND "Not found";
    MethodNotAllowed "METHOD_NOT_ALLOWED" METHOD_NOT_ALLOWED "Method not allowed";
    Validation "VALIDATION" UNPROCESSABLE_ENTITY "Not usable";
    TooLarge "TOO_LARGE" PAYLOAD_TOO_LARGE "Too large";
    Unsupported "UNSUPPORTED" UNSUPPORTED_MEDIA_TYPE "Wrong content type";
    PreconditionRequired "PRECONDITION_REQUIRED" PRECONDITION_REQUIRED "If-Match is missing";
    PreconditionFailed "PRECONDITION_FAILED" PRECONDITION_FAILED "If-Match is out of date";
    RateLimited "RATE_LIMITED" TOO_MANY_REQUESTS "Too many requests";
    LinkNotFound "LINK_NOT_FOUND" NOT_FOUND "Unknown link";
    LinkExpired "LINK_EXPIRED" GONE "Link expired";
    LinkRevoked "LINK_REVOKED" GONE "Link revoked";
    LinkExhausted "LINK_EXHAUSTED" GONE "Link used up";
    LinkPaused "LINK_PAUSED" CONFLICT "Link paused";
    LinkScheduled "LINK_SCHEDULED" CONFLICT "Link not open yet";
    LinkBoundElsewhere "LINK_BOUND_ELSEWHERE" CONFLICT "Link open elsewhere";
    DeviceNotFound "DEVICE_NOT_FOUND" NOT_FOUND "Unknown device";
    DeviceInUse "DEVICE_IN_USE" CONFLICT "Device in use";
    DeviceOffline "DEVICE_OFFLINE" SERVICE_UNAVAILABLE "Device offline";
    SessionNotFound "SESSION_NOT_FOUND" NOT_FOUND "Unknown session";
    LeaseLost "LEASE_LOST" GONE "Session over";
    ConnectionNotFound "CONNECTION_NOT_FOUND" NOT_FOUND "Unknown connection";
    ConnectionLimit "CONNECTION_LIMIT" CONFLICT "Too many viewers";
    CodecUnsupported "CODEC_UNSUPPORTED" UNPROCESSABLE_ENTITY "No H.264";
    StreamError "STREAM_ERROR" BAD_GATEWAY "The device's host failed";
    CommandTimeout "COMMAND_TIMEOUT" GATEWAY_TIMEOUT "The device's host did not answer";
    Conflict "CONFLICT" CONFLICT "Conflict";
    Unavailable "UNAVAILABLE" SERVICE_UNAVAILABLE "Not available";
    Internal "INTERNAL" INTERNAL_SERVER_ERROR "Our fault";
}

/// A failed request.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem and a sentence that says what to do.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after_s: None,
        }
    }

    /// A defect or outage on our side: the cause is logged, the person gets the request's id.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(request.id = %current_id(), %cause, "a request failed on our side");
        let detail = "Something failed on our side. Try again; if it stays, report the request id.";
        Self::new(Code::Internal, detail)
    }

    /// Says when to come back, seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// What went wrong, for programs.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Document<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            code: &'a str,
            request_id: String,
        }
        let status = self.code.status();
        let document = Document {
            r#type: format!(
                "/problems/{}",
                self.code.as_str().to_ascii_lowercase().replace('_', "-")
            ),
            title: self.code.title(),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id: current_id().to_string(),
        };
        let body = serde_json::to_vec(&document).expect("strings and a number are JSON");
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

tokio::task_local! {
    static CURRENT: Uuid;
}

/// The id of the request that this task is working on; nil outside of one.
#[must_use]
pub fn current_id() -> Uuid {
    CURRENT.try_with(|id| *id).unwrap_or_default()
}

/// Does something for the request with this id, where it is done by another task than the request's own.
pub async fn on_behalf_of<T>(id: Uuid, work: impl Future<Output = T>) -> T {
    CURRENT.scope(id, work).await
}

/// Middleware: gives each request an id, for [`Problem`], the logs and the answer's header.
pub async fn with_request_id(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    let mut response = CURRENT.scope(id, next.run(request)).await;
    let value = HeaderValue::from_str(&id.to_string()).expect("a UUID is ASCII");
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_its_own_name() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[tokio::test]
    async fn a_problem_is_the_document_that_clients_know() {
        let id = Uuid::from_u128(5);
        let problem = Problem::new(Code::LinkExpired, "Ask for a new link.").retry_after(3);
        let response = CURRENT.scope(id, async { problem.into_response() }).await;
        assert_eq!(response.status(), 410);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "3");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "type": "/problems/link-expired",
            "title": "Link expired",
            "status": 410,
            "detail": "Ask for a new link.",
            "code": "LINK_EXPIRED",
            "request_id": id.to_string(),
        });
        assert_eq!(document, expected);
    }
}
