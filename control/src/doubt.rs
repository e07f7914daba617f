//! Doubt about a host that dials while another replica has its link: whether that link still answers.
//!
//! ```text
//!   a host greets B, rows say A ──► B: does its link at you answer? ──► A: something came over it just now ─► yes: ALARM
//!                                                                        it is closed, or nothing came      ─► no
//!                                                                        A is gone, or sees nothing         ─► (silence)
//! ```
//!
//! An agent has one link: it has closed the last one, or heard nothing over it for seconds, before it dials again. Where
//! both answer, two have its certificate, and one of them stole it. From which address each comes says nothing: an agent
//! may reach two replicas over two networks. A thief who could take the row would be told of every lease of the host's
//! devices, and could answer that they are clean. It does not know how links come about.

use std::time::Duration;

use dashmap::DashMap;
use protocol::HostId;
use signaling::link::KEEP_ALIVE;
use signaling::link::server::Host;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::app::Shared;
use crate::store::StoreError;
use crate::store::feed::Word;

/// How long a link is listened to: an agent that lives touches it this often, and one packet or two may be lost.
const LISTEN: Duration = KEEP_ALIVE.saturating_mul(3);
/// How long the other replica's word is waited for. Without one it is gone, or cannot hear us.
const WAIT: Duration = LISTEN.saturating_add(Duration::from_millis(1_500));

/// What was asked and is waited for: no more than there are hosts that dial.
#[derive(Debug, Default)]
pub(crate) struct Doubts(DashMap<Uuid, oneshot::Sender<bool>>);

impl Doubts {
    /// The other replica's word.
    pub(crate) fn told(&self, id: Uuid, answers: bool) {
        if let Some((_, waits)) = self.0.remove(&id) {
            // It may have given up.
            let _ = waits.send(answers);
        }
    }
}

/// The other replica over whose link a host still answers, if there is one. To be asked under the host's turn.
pub(crate) async fn still_answers(app: &Shared, host: HostId) -> Result<Option<Uuid>, StoreError> {
    if !app.replica.may_have_others() {
        return Ok(None);
    }
    let Some(other) = app.store.linked_to(host, app.replica.id).await? else {
        return Ok(None);
    };
    let (id, (tell, told)) = (Uuid::now_v7(), oneshot::channel());
    app.replica.doubts.0.insert(id, tell);
    app.replica.tell(Word::Answers(id, host, other));
    let told = tokio::time::timeout(WAIT, told).await;
    app.replica.doubts.0.remove(&id);
    Ok(matches!(told, Ok(Ok(true))).then_some(other))
}

/// Another replica doubts a link of ours, if we are whom it asks.
pub(crate) fn asked(app: &Shared, id: Uuid, host: HostId, whom: Uuid) {
    if whom != app.replica.id {
        return;
    }
    let (link, shared) = (app.hosts.get(host), app.clone());
    app.jobs.spawn(async move {
        let answers = match link {
            Some(link) => answers(&link).await,
            None => false,
        };
        shared.replica.tell(Word::Answered(id, answers));
    });
}

/// Whether something comes over a link from now on.
async fn answers(link: &Host) -> bool {
    tokio::time::timeout(LISTEN, link.heard()).await.unwrap_or(false)
}
