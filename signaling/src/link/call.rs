//! Which reply belongs to which request.
//!
//! `protocol::agent` lists requests and replies as two flat enums, because that is what travels. Here
//! each request gets its own reply type, so that control cannot wait for the wrong one and an agent's
//! wrong answer is a fault of the agent, in one place.

use protocol::agent::{
    CloseConnection, Prepare, Progress, Refusal, Release, Reply, Request, Response, WhepOffer, WhepPatch,
};

use super::codec::{CodecError, Reader, write};

/// A request of control with its reply.
pub trait Call: Send {
    /// What a good answer holds.
    type Done: Send;

    /// The request on the wire.
    fn into_request(self) -> Request;

    /// The answer, if it is one to this request.
    fn done(reply: Reply) -> Option<Self::Done>;
}

/// The device is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// The agent accepted an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The SDP answer.
    pub sdp: String,
    /// Names the ICE session.
    pub etag: String,
}

/// The agent took a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patched {
    /// New credentials and candidates, after a restart.
    pub fragment: Option<String>,
    /// The new ICE session, after a restart.
    pub etag: Option<String>,
}

macro_rules! calls {
    ($($request:ident -> $done:ty { $($reply:pat => $value:expr),* $(,)? })*) => {$(
        impl Call for $request {
            type Done = $done;

            fn into_request(self) -> Request {
                Request::$request(self)
            }

            fn done(reply: Reply) -> Option<$done> {
                match reply {
                    $($reply => Some($value),)*
                    _ => None,
                }
            }
        }
    )*};
}

calls! {
    Prepare -> Prepared { Reply::Prepared { width, height } => Prepared { width, height } }
    Release -> () { Reply::Released => () }
    WhepOffer -> Answer { Reply::Answer { sdp, etag } => Answer { sdp, etag } }
    WhepPatch -> Patched { Reply::Patched { fragment, etag } => Patched { fragment, etag } }
    CloseConnection -> () { Reply::Closed => () }
}

/// Any request, for whoever passes on what another one asks.
impl Call for Request {
    type Done = Reply;

    fn into_request(self) -> Request {
        self
    }

    fn done(reply: Reply) -> Option<Reply> {
        Some(reply)
    }
}

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The agent said no.
    #[error("the agent refused ({:?}): {}", .0.code, .0.detail)]
    Refused(Refusal),
    /// The link is down or broke; whether the agent acted is not known.
    #[error("the link to the agent broke: {0}")]
    Lost(String),
    /// No answer in time; whether the agent acted is not known.
    #[error("the agent did not answer in time")]
    TimedOut,
    /// The answer belongs to another request.
    #[error("the agent's answer belongs to another request")]
    Protocol,
}

/// Runs one call on a connection, without a deadline of its own.
pub(super) async fn run<C: Call>(
    connection: &quinn::Connection,
    call: C,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<C::Done, CallError> {
    let lost = |error: CodecError| CallError::Lost(error.to_string());
    let (mut send, receive) = connection
        .open_bi()
        .await
        .map_err(|error| CallError::Lost(error.to_string()))?;
    write(&mut send, &call.into_request()).await.map_err(lost)?;
    // Finishing an open stream of ours cannot fail; a broken one shows in the next read.
    let _ = send.finish();
    let mut reader = Reader::new(receive);
    loop {
        match reader.expect::<Response>().await.map_err(lost)? {
            Response::Progress(step) => progress(step),
            Response::Reply(Reply::Refused(refusal)) => return Err(CallError::Refused(refusal)),
            Response::Reply(reply) => return C::done(reply).ok_or(CallError::Protocol),
        }
    }
}
