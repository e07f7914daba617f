//! `Idempotency-Key`: a request whose answer was lost may be sent again, and changes nothing the second time.
//!
//! ```text
//!   key, same body     the first answer, also its secrets
//!   key, other body    422 VALIDATION
//!   key, at work       409 CONFLICT
//! ```
//!
//! A request with a key is worked on to its end, also when its client hangs up (`to_its_end`): whoever then asks again
//! finds the answer, and not a question that nobody works on.
//!
//! Follows draft-ietf-httpapi-idempotency-key-header-07. A refusal is not kept: what was refused may be asked again
//! under the same key. What is kept for how long is `store::answers`; opening a link keeps its own word (see `launch`).

use std::fmt::Display;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use signaling::error::{Code, Problem, current_id, on_behalf_of};
use uuid::Uuid;

use crate::app::{App, Shared};
use crate::domain::time::UnixMs;
use crate::secret::{Hash, Secret};
use crate::store::answers::{Answer, Known, Question};

/// Shortest and longest key, characters. A UUID has 36; of a shorter one it is not sure that nobody else has it.
const KEY_BOUNDS: (usize, usize) = (16, 255);
/// Where the key stands.
const HEADER: &str = "idempotency-key";
/// When to ask again for what is still at work, seconds.
const AT_WORK_RETRY_S: u32 = 1;

/// The hash of the request's key, if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdempotencyKey(pub Option<Hash>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(HEADER) else {
            return Ok(Self(None));
        };
        let (least, most) = KEY_BOUNDS;
        let good = (least..=most).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
        if !good {
            let detail = "An Idempotency-Key is 16 to 255 visible characters. A random UUID will do.";
            return Err(Problem::new(Code::Validation, detail));
        }
        Ok(Self(Some(Hash::of_bytes(value.as_bytes()))))
    }
}

impl IdempotencyKey {
    /// The question that somebody asks with this key: `what` he wants of which thing, and the hash of the body.
    pub(crate) fn question(self, asker: impl Display, what: &str, body: Hash) -> Option<Question> {
        self.0.map(|key| Question {
            scope: format!("{asker} {what}"),
            key,
            body,
        })
    }
}

/// Works on a request with a key in a task of its own: one whose client hangs up is dropped by the server otherwise,
/// wherever it is.
pub(crate) async fn to_its_end(State(app): State<Shared>, request: Request, next: Next) -> Response {
    if !request.headers().contains_key(HEADER) {
        return next.run(request).await;
    }
    let done = app
        .jobs
        .spawn(on_behalf_of(current_id(), next.run(request)))
        .await;
    done.unwrap_or_else(|panicked| Problem::internal(panicked).into_response())
}

/// What an answer shows once: something new for each question, and the same again for whoever repeats the question.
pub(crate) struct Once<'a> {
    app: &'a App,
    question: Option<&'a Question>,
    /// For whoever has no key.
    random: Secret,
}

impl<'a> Once<'a> {
    /// For a question, or for a request without a key.
    pub(crate) fn of(app: &'a App, question: Option<&'a Question>) -> Result<Self, Problem> {
        Ok(Self {
            app,
            question,
            random: Secret::generate().map_err(Problem::internal)?,
        })
    }

    /// The secret for `purpose`, if the question was first asked at `since`.
    pub(crate) fn secret(&self, purpose: &str, since: UnixMs) -> Secret {
        let sealed = |question: &Question| {
            self.app
                .seal
                .secret(purpose, &parts(question, &since.0.to_le_bytes()))
        };
        self.question.map_or_else(|| self.random.clone(), sealed)
    }

    /// The id for `purpose`, if the question was first asked at `since`.
    pub(crate) fn id(&self, purpose: &str, since: UnixMs) -> Uuid {
        let sealed = |question: &Question| {
            self.app
                .seal
                .id(purpose, &parts(question, &since.0.to_le_bytes()))
        };
        self.question.map_or_else(Uuid::now_v7, sealed)
    }
}

fn parts<'a>(question: &'a Question, since: &'a [u8]) -> [&'a [u8]; 3] {
    [question.scope.as_bytes(), &question.key.0, since]
}

/// An answer to be kept and sent.
pub(crate) fn answer(
    status: StatusCode,
    location: Option<String>,
    body: &impl Serialize,
) -> Result<Answer, Problem> {
    Ok(Answer {
        status: status.as_u16(),
        location,
        body: serde_json::to_string(body).map_err(Problem::internal)?,
    })
}

/// Does the work, or finds the answer of the first time. `work` is told when the question was first asked, and
/// must bear being done twice as of the same time.
pub(crate) async fn once<W, F>(
    app: &Shared,
    question: Option<&Question>,
    now: UnixMs,
    work: W,
) -> Result<(Answer, UnixMs), Problem>
where
    W: FnOnce(UnixMs) -> F,
    F: Future<Output = Result<Answer, Problem>>,
{
    let Some(question) = question else {
        return Ok((work(now).await?, now));
    };
    let turn = match app.store.ask(question, now).await? {
        Known::Answer(answer, since) => return Ok((answer, since)),
        Known::Nothing(turn) => turn,
        Known::AtWork => {
            let detail =
                "The first request with this Idempotency-Key is still at work. Ask again in a moment.";
            return Err(Problem::new(Code::Conflict, detail).retry_after(AT_WORK_RETRY_S));
        }
        Known::Misused => {
            let detail = "This Idempotency-Key was used for another request. Use a new one.";
            return Err(Problem::new(Code::Validation, detail));
        }
    };
    match work(turn.since).await {
        Ok(answer) => {
            app.store.keep_answer(question, turn, &answer).await?;
            Ok((answer, turn.since))
        }
        Err(problem) => {
            if let Err(error) = app.store.drop_question(question, turn).await {
                tracing::warn!(%error, "a refused request could not be forgotten; its key is at work for a while");
            }
            Err(problem)
        }
    }
}

/// The answer as a response that also shows what is not kept.
pub(crate) fn respond_with(mut answer: Answer, field: &str, secret: String) -> Result<Response, Problem> {
    let mut shown: serde_json::Value = serde_json::from_str(&answer.body).map_err(Problem::internal)?;
    shown[field] = secret.into();
    answer.body = shown.to_string();
    Ok(respond(answer))
}

/// The answer as a response.
pub(crate) fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let kind = HeaderValue::from_static("application/json");
    let mut response = (status, [(header::CONTENT_TYPE, kind)], answer.body).into_response();
    if let Some(location) = answer.location.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use axum::routing::post;
    use axum::{Router, middleware};
    use tokio::sync::Notify;
    use tower::ServiceExt as _;

    use super::*;
    use crate::rig::{Rig, on_both};

    on_both![a_request_whose_client_hung_up_is_done_and_its_repetition_finds_the_answer];

    /// Work that has begun, and goes on when it is told to.
    #[derive(Clone, Default)]
    struct Work {
        begun: Arc<Notify>,
        go: Arc<Notify>,
    }

    async fn ask(app: Shared, key: IdempotencyKey, work: Work) -> Result<Response, Problem> {
        let question = key.question("somebody", "something", Hash::of("body"));
        let work = async |_| {
            work.begun.notify_one();
            work.go.notified().await;
            answer(StatusCode::OK, None, &"done")
        };
        let (kept, _) = once(&app, question.as_ref(), UnixMs::now(), work).await?;
        Ok(respond(kept))
    }

    async fn a_request_whose_client_hung_up_is_done_and_its_repetition_finds_the_answer(rig: Rig) {
        let (app, work) = (rig.app.clone(), Work::default());
        let at_work = work.clone();
        let route = post(move |State(app), key| ask(app, key, at_work.clone()));
        let layer = middleware::from_fn_with_state(app.clone(), to_its_end);
        let router = Router::new()
            .route("/", route)
            .layer(layer)
            .with_state(app.clone());
        let request = || {
            let request = axum::http::Request::post("/").header(HEADER, "0123456789abcdef");
            request.body(Body::empty()).unwrap()
        };

        let mut first = Box::pin(router.clone().oneshot(request()));
        let begun = work.begun.notified();
        tokio::pin!(begun);
        std::future::poll_fn(|context| {
            assert!(first.as_mut().poll(context).is_pending(), "it waits for its work");
            begun.as_mut().poll(context)
        })
        .await;
        drop(first);
        work.go.notify_one();
        app.jobs.close();
        app.jobs.wait().await;

        let again = router.oneshot(request()).await.unwrap();
        assert_eq!(again.status(), StatusCode::OK);
        let body = to_bytes(again.into_body(), 64).await.unwrap();
        assert_eq!(body, "\"done\"");
    }
}
