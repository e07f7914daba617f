//! Viewers: who may exchange SDP for a session, and with which agent.
//!
//! The HTTP rules are `signaling::whep`. A viewer proves itself with the binding cookie (it may touch)
//! or with a viewer token (it may only watch); both belong to exactly one lease and epoch.

use std::time::{Duration, Instant};

use axum::http::Method;
use axum::http::request::Parts;
use protocol::agent::{
    CloseConnection, ConnectionEvent, ConnectionState, PatchKind, RefusalCode, Role, WhepOffer, WhepPatch,
};
use protocol::{CloseReason, ConnectionId, LeaseId, SessionId};
use signaling::error::{Code, Problem, current_id, on_behalf_of};
use signaling::link::call::{Call, CallError};
use signaling::whep::{Accepted, Backend, ETag, Restarted};

use super::launch::{binding_name, over};
use super::request::{Peer, bearer, check_origin, cookie, guest};
use crate::app::{App, Shared};
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::jobs::hang_up;
use crate::replica::Reach;
use crate::secret::Hash;
use crate::store::audit::{Actor, ActorKind};
use crate::store::connections::{Noted, Owner};

/// An agent answers an offer within this, or not at all.
const OFFER_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait before the end of an offer is written again: a server that was restarted is back within half a second.
const WRITE_RETRY: Duration = Duration::from_millis(250);
/// When a host may be back, seconds.
const OFFLINE_RETRY_S: u32 = 2;

/// Operators who look into one session at the same time; one more is refused. The link's own limit is the holder's.
const OPERATORS_MAX: u32 = 4;

/// The backend of `signaling::whep`.
#[derive(Clone)]
pub(crate) struct Viewers(pub(crate) Shared);

/// Somebody who may look at a session.
pub(crate) struct Viewer {
    session: Session,
    owner: Owner,
    /// Who, for the audit log.
    actor: Actor,
}

impl Backend for Viewers {
    type Viewer = Viewer;

    async fn authorise(&self, session: SessionId, request: &Parts) -> Result<Viewer, Problem> {
        let app = &self.0;
        let peer = request.extensions.get::<Peer>().copied();
        let peer = peer.ok_or_else(|| Problem::internal("a request without its peer's address"))?;
        app.limits.offer(peer.ip(), Instant::now())?;
        let session = app.store.session(session).await?.ok_or_else(|| {
            Problem::new(
                Code::SessionNotFound,
                "There is no such session. Open the link again.",
            )
        })?;
        let unknown = || {
            Problem::new(
                Code::AuthFailed,
                "This browser may not see this session. Open the link first.",
            )
        };
        let lease = session.lease;
        let owner = if let Some(hash) = bearer(&request.headers) {
            app.store
                .viewer(hash, lease, UnixMs::now())
                .await?
                .ok_or_else(unknown)?
        } else {
            let hash = cookie(&request.headers, &binding_name(session.link.id)).ok_or_else(unknown)?;
            check_origin(app, request)?;
            holder(&session, hash).ok_or_else(unknown)?
        };
        let actor = match owner.operator {
            Some(user) => Actor {
                kind: ActorKind::User,
                id: Some(user.to_string()),
                ip: Some(peer.ip()),
            },
            None => guest(peer, session.link.id),
        };
        // Whoever tidies up after himself may do so late.
        if may_connect(&session) || request.method == Method::DELETE {
            Ok(Viewer {
                session,
                owner,
                actor,
            })
        } else {
            Err(over())
        }
    }

    /// In a task of its own: a viewer who goes away in the middle leaves nothing half done.
    async fn offer(&self, viewer: Viewer, sdp: String) -> Result<Accepted, Problem> {
        let own = self.clone();
        let work = async move { own.negotiate(viewer, sdp).await };
        let done = self.0.jobs.spawn(on_behalf_of(current_id(), work)).await;
        done.unwrap_or_else(|panicked| Err(Problem::internal(panicked)))
    }

    async fn etag(&self, viewer: &Viewer, connection: ConnectionId) -> Result<ETag, Problem> {
        let etag = self.0.store.etag(connection, viewer.owner).await?;
        etag.and_then(ETag::new).ok_or_else(gone)
    }

    async fn patch(
        &self,
        viewer: Viewer,
        connection: ConnectionId,
        kind: PatchKind,
        fragment: String,
    ) -> Result<Option<Restarted>, Problem> {
        let Session { device, epoch, .. } = viewer.session;
        let patched = self
            .ask(
                &viewer.session,
                WhepPatch {
                    connection,
                    device,
                    epoch,
                    kind,
                    fragment,
                },
            )
            .await?;
        match (kind, patched.fragment, patched.etag.and_then(ETag::new)) {
            (PatchKind::Trickle, ..) => Ok(None),
            (PatchKind::Restart, Some(fragment), Some(etag)) => {
                self.0.store.set_etag(connection, etag.as_str()).await?;
                Ok(Some(Restarted { fragment, etag }))
            }
            (PatchKind::Restart, ..) => Err(Problem::internal("an agent restarted ICE without saying how")),
        }
    }

    /// What is over stays over: a DELETE whose answer was lost, or that comes after the gateway's own goodbye or the
    /// lease's end, is answered as the first (RFC 9110, section 9.2.2; RFC 9725 does not say). Only what this viewer
    /// never had is not found.
    async fn delete(&self, viewer: Viewer, connection: ConnectionId) -> Result<(), Problem> {
        let live = self.0.store.is_live(connection, viewer.owner).await?;
        if !live.ok_or_else(gone)? {
            return Ok(());
        }
        let Session {
            device, epoch, host, ..
        } = viewer.session;
        let reason = CloseReason::ClientLeft;
        let close = close_of(&viewer.session, connection, reason);
        match self.ask(&viewer.session, close).await {
            // The agent knew before control did.
            Err(problem) if [Code::ConnectionNotFound, Code::LeaseLost].contains(&problem.code()) => {}
            other => other?,
        }
        // The agent says so too, on its own stream; whoever asks next should not depend on which is first.
        let state = ConnectionState::Closed { reason };
        let closed = ConnectionEvent {
            connection,
            device,
            epoch,
            state,
        };
        let changed = self
            .0
            .store
            .connection_changed(host, &closed, UnixMs::now())
            .await?;
        if let Noted::Known(Some(changed)) = changed {
            App::changed(&self.0, changed);
        }
        Ok(())
    }
}

impl Viewers {
    /// Makes a connection and has the agent answer its offer.
    async fn negotiate(&self, viewer: Viewer, sdp: String) -> Result<Accepted, Problem> {
        let (
            app,
            Viewer {
                session,
                owner,
                actor,
            },
        ) = (&self.0, viewer);
        let opened = app
            .store
            .open_connection(owner, most(&owner, &session), &actor, UnixMs::now())
            .await?;
        let opened = opened.ok_or_else(|| {
            Problem::new(
                Code::ConnectionLimit,
                "This session has as many viewers as its link allows.",
            )
        })?;
        let offer = offer_of(&session, &owner, opened.id, sdp);
        for connection in opened.replaced {
            self.hang_up(&session, connection, CloseReason::Replaced);
        }
        let answered = self.answered(&session, owner, offer).await;
        if answered.is_err() {
            self.forget(opened.id, owner.lease).await;
        }
        answered
    }

    /// The agent's answer to an offer, once it is noted.
    async fn answered(&self, session: &Session, owner: Owner, offer: WhepOffer) -> Result<Accepted, Problem> {
        let (app, connection) = (&self.0, offer.connection);
        if owner.role == Role::Observer
            && let Some(seen) = app.store.session(session.id).await?
        {
            // Before the observer can see anything.
            app.watches.publish(&seen);
        }
        let answer = self.ask(session, offer).await?;
        let etag = ETag::new(answer.etag).ok_or_else(|| Problem::internal("an agent's ETag is damaged"))?;
        let noted = app
            .store
            .answered(connection, etag.as_str(), UnixMs::now())
            .await?;
        if let Err(reason) = noted {
            // Only now the agent is sure to have it: what closed it may have overtaken the offer.
            self.hang_up(session, connection, reason);
            return Err(superseded(reason));
        }
        Ok(Accepted {
            connection,
            sdp: answer.sdp,
            etag,
            ice_servers: Vec::new(),
        })
    }

    /// Notes that an offer came to nothing, as soon as the database takes it: the connection that it was to replace is
    /// closed already, and nobody else would find that its lease has no holder any more.
    async fn forget(&self, connection: ConnectionId, lease: LeaseId) {
        let app = &self.0;
        loop {
            match app.store.drop_connection(connection, lease, UnixMs::now()).await {
                Ok(Some(changed)) => return App::changed(app, changed),
                Ok(None) => return,
                Err(error) if error.is_away() && !app.stop.is_cancelled() => {
                    tracing::warn!(connection.id = %connection, %error, "the end of an offer waits for the database");
                    tokio::time::sleep(WRITE_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(connection.id = %connection, %error, "the end of an offer could not be noted");
                    return;
                }
            }
        }
    }

    /// Asks the session's agent; its refusals become sentences for the viewer.
    async fn ask<C: Call>(&self, session: &Session, call: C) -> Result<C::Done, Problem> {
        let offline = || {
            let detail = "The device's host is not linked right now. The page tries again by itself.";
            Problem::new(Code::DeviceOffline, detail).retry_after(OFFLINE_RETRY_S)
        };
        let host = Reach::to(&self.0, session.host).await?.ok_or_else(offline)?;
        host.call(call, OFFER_TIMEOUT).await.map_err(|error| match error {
            CallError::Refused(refusal) => match refusal.code {
                RefusalCode::StaleEpoch => over(),
                RefusalCode::ConnectionNotFound => gone(),
                RefusalCode::BadSdp => Problem::new(Code::Validation, "The device's host cannot use this SDP."),
                RefusalCode::CodecUnsupported => {
                    Problem::new(Code::CodecUnsupported, "Device and browser have no H.264 in common.")
                }
                RefusalCode::DeviceOffline | RefusalCode::DeviceNotFound | RefusalCode::Busy => offline(),
                _ => {
                    tracing::warn!(session.id = %session.id, code = ?refusal.code, why = %refusal.detail, "an agent refused a viewer");
                    Problem::new(Code::StreamError, "The device's host could not start the stream. Reload the page.")
                }
            },
            CallError::Lost(_) => offline(),
            CallError::TimedOut => Problem::new(Code::CommandTimeout, "The device's host did not answer. Reload the page."),
            other => Problem::internal(other),
        })
    }

    /// Has the agent end a connection that is over here, without waiting for it.
    fn hang_up(&self, session: &Session, connection: ConnectionId, reason: CloseReason) {
        hang_up::spawn(&self.0, session.host, close_of(session, connection, reason));
    }
}

/// Whoever presents a cookie with this hash, if he holds the session.
pub(crate) fn holder(session: &Session, presented: Hash) -> Option<Owner> {
    session.is_bound_to(presented.0).then_some(Owner {
        lease: session.lease,
        hash: presented,
        role: Role::Controller,
        operator: None,
    })
}

/// Whether anybody may connect to it: what is over has no device any more.
pub(crate) const fn may_connect(session: &Session) -> bool {
    session.state.is_held()
}

/// How many viewers of this one's kind a session may have.
pub(crate) const fn most(owner: &Owner, session: &Session) -> u32 {
    match (owner.operator, owner.role) {
        (Some(_), _) => OPERATORS_MAX,
        // One of the link's connections is the holder's, whoever else is there.
        (None, Role::Observer) => session.link.max_connections - 1,
        (None, Role::Controller) => 1,
    }
}

/// What the agent is asked for when a viewer was let in.
pub(crate) fn offer_of(session: &Session, owner: &Owner, connection: ConnectionId, sdp: String) -> WhepOffer {
    WhepOffer {
        connection,
        session: session.id,
        lease: Some(session.lease),
        device: session.device,
        epoch: session.epoch,
        role: owner.role,
        sdp,
    }
}

/// What the agent is asked for when a connection to a session is over here.
pub(crate) const fn close_of(
    session: &Session,
    connection: ConnectionId,
    reason: CloseReason,
) -> CloseConnection {
    CloseConnection {
        connection,
        device: session.device,
        epoch: session.epoch,
        reason,
    }
}

/// The connection was over before its offer was answered.
fn superseded(reason: CloseReason) -> Problem {
    let (code, detail) = match reason {
        CloseReason::Replaced => (
            Code::ConnectionNotFound,
            "Another connection took this one's place.",
        ),
        CloseReason::HostLost | CloseReason::Error => (
            Code::DeviceOffline,
            "The device's host was away for a moment. The page tries again by itself.",
        ),
        _ => return over(),
    };
    Problem::new(code, detail).retry_after(OFFLINE_RETRY_S)
}

/// The viewer has no such connection, or has it no more.
fn gone() -> Problem {
    Problem::new(
        Code::ConnectionNotFound,
        "This connection is over. Post a new offer.",
    )
}
