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
//! devices, and could answer that they are clean. Nobody waits for a replica that died: it has no connection to the
//! database any more. It does not know how links come about.

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

/// How long a link is listened to: an agent that lives touches it this often, and packets may be lost.
const LISTEN: Duration = KEEP_ALIVE.saturating_mul(5);
/// How long the other replica's word is waited for, half of what an agent waits for its welcome. Without one it is
/// stopped, or cannot hear us.
const WAIT: Duration = LISTEN.saturating_mul(2);

/// What was asked and is waited for: no more than there are hosts that dial.
#[derive(Debug)]
pub(crate) struct Doubts {
    asked: DashMap<Uuid, oneshot::Sender<bool>>,
    listen: Duration,
    wait: Duration,
}

impl Default for Doubts {
    fn default() -> Self {
        Self::patient(LISTEN, WAIT)
    }
}

impl Doubts {
    /// With other times than people wait for.
    pub(crate) fn patient(listen: Duration, wait: Duration) -> Self {
        let asked = DashMap::new();
        Self { asked, listen, wait }
    }

    /// The other replica's word.
    pub(crate) fn told(&self, id: Uuid, answers: bool) {
        if let Some((_, waits)) = self.asked.remove(&id) {
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
    if !app.store.is_connected(other).await? {
        return Ok(None);
    }
    let (id, (tell, told), doubts) = (Uuid::now_v7(), oneshot::channel(), &app.replica.doubts);
    doubts.asked.insert(id, tell);
    app.replica.tell(Word::Answers(id, host, other));
    let told = tokio::time::timeout(doubts.wait, told).await;
    doubts.asked.remove(&id);
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
            Some(link) => answers(&link, shared.replica.doubts.listen).await,
            None => false,
        };
        shared.replica.tell(Word::Answered(id, answers));
    });
}

/// Whether something comes over a link from now on.
async fn answers(link: &Host, listen: Duration) -> bool {
    tokio::time::timeout(listen, link.heard()).await.unwrap_or(false)
}
