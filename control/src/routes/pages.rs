//! The viewer's files: built by the web workspace, put into the binary by a release build, read from
//! disk by a debug build.
//!
//! `/`, `/l` and `/s/{id}` are all the same page, which finds out itself where it is. Files under
//! `/assets/` have their hash in their name and are kept for good; everything else is asked for again.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use signaling::error::{Code, Problem};

#[derive(RustEmbed)]
#[folder = "../web/viewer/dist"]
struct Viewer;

const PAGE: &str = "index.html";
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The page.
pub(crate) async fn page() -> Response {
    file(PAGE).unwrap_or_else(|| {
        let detail = "The viewer is not built. Run `npm ci && npm run build` in the folder web, then reload.";
        (StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
    })
}

/// Any other address: a file of the viewer, or nothing.
pub(crate) async fn asset(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let found = if request.method().is_safe() {
        file(path)
    } else {
        None
    };
    found.unwrap_or_else(|| {
        Problem::new(
            Code::NotFound,
            "There is nothing at this address. Start at the first page.",
        )
        .into_response()
    })
}

fn file(path: &str) -> Option<Response> {
    let file = Viewer::get(path)?;
    let kind = HeaderValue::from_str(file.metadata.mimetype()).ok()?;
    let keep = if path.starts_with("assets/") {
        FOR_GOOD
    } else {
        ASK_AGAIN
    };
    let body = match file.data {
        Cow::Borrowed(bytes) => bytes.into_response(),
        Cow::Owned(bytes) => bytes.into_response(),
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)];
    Some((headers, body.into_body()).into_response())
}
