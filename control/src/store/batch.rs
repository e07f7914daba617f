//! Group commit: writes that wait at the same time share a transaction, and so the disk's sync.
//!
//! ```text
//!   claims, steps ──► queue ──► the writer ── BEGIN ─┬─ SAVEPOINT, one, RELEASE or ROLLBACK TO ─┬─ COMMIT ──► answers
//!                                 takes all          └─ … at most BATCH_MAX of them ────────────┘   one sync
//! ```
//!
//! While one batch is synced the next one gathers, so a claim waits for the rest of one commit and for its own. Nobody
//! is answered before the commit: what was granted is on the disk. The writer is a task, so that somebody who goes
//! away cannot undo the claims of others; it ends when the queue is empty. It does not know what the writes are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use signaling::error::{current_id, on_behalf_of};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::database::{Pool, Write};
use super::{Store, StoreError};

/// Writes in one transaction. More would let the first one wait for the work of the last for longer than for the disk.
const BATCH_MAX: usize = 32;
/// Writes that wait; one more is refused, and its sender told to come again.
const QUEUE_MAX: usize = 1024;

/// What a write came to.
pub(crate) enum Verdict<T> {
    /// It is to be kept.
    Keep(T),
    /// It is to be undone.
    Undo(T),
}

/// The writes that wait, and whether somebody is writing.
#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    writing: bool,
}

/// A write, whatever it gives.
trait Job: Send {
    /// Does it; whether it is to be kept.
    fn work<'t>(&'t mut self, tx: &'t mut Write) -> BoxFuture<'t, bool>;
    /// Answers, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), Arc<StoreError>>);
}

struct Task<F, T> {
    work: Option<F>,
    /// On whose behalf: audit rows name the request.
    request: Uuid,
    given: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl Store {
    /// Does a write together with others that wait.
    pub(super) async fn together<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'t> FnOnce(&'t mut Write) -> BoxFuture<'t, Result<Verdict<T>, StoreError>> + Send + 'static,
        T: Send + 'static,
    {
        let Some(queue) = &self.queue else {
            return alone(&self.write, work).await;
        };
        let (reply, answer) = oneshot::channel();
        let job = Task {
            work: Some(work),
            request: current_id(),
            given: None,
            reply,
        };
        if queue.push(Box::new(job))? {
            tokio::spawn(write(queue.clone(), self.write.clone()));
        }
        // The writer answers everybody whom it took; a sender that is gone is a runtime that stops.
        answer.await.unwrap_or(Err(StoreError::Busy))
    }
}

/// The same in a transaction of its own.
async fn alone<F, T>(pool: &Pool, work: F) -> Result<T, StoreError>
where
    F: for<'t> FnOnce(&'t mut Write) -> BoxFuture<'t, Result<Verdict<T>, StoreError>>,
{
    let mut tx = pool.begin().await?;
    match work(&mut tx).await? {
        Verdict::Keep(given) => {
            tx.commit().await?;
            Ok(given)
        }
        Verdict::Undo(given) => Ok(given),
    }
}

impl Queue {
    /// Adds a write. True when nobody writes: the caller starts the writer.
    fn push(&self, job: Box<dyn Job>) -> Result<bool, StoreError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.jobs.len() >= QUEUE_MAX {
            return Err(StoreError::Busy);
        }
        waiting.jobs.push_back(job);
        Ok(!std::mem::replace(&mut waiting.writing, true))
    }

    /// The writes that wait; none when the writer may go.
    fn take(&self) -> Vec<Box<dyn Job>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.jobs.len().min(BATCH_MAX);
        waiting.writing = count > 0;
        waiting.jobs.drain(..count).collect()
    }
}

/// Writes batches until nobody waits.
async fn write(queue: Arc<Queue>, pool: Pool) {
    loop {
        // What comes while a transaction is being opened is still taken along.
        let opened = pool.begin().await;
        let mut jobs = queue.take();
        if jobs.is_empty() {
            return;
        }
        let committed = match opened {
            Ok(tx) => commit(tx, &mut jobs).await.map_err(Arc::new),
            Err(error) => Err(Arc::new(error)),
        };
        for job in jobs {
            job.answer(committed.clone());
        }
    }
}

/// Does every write behind a savepoint, and commits those that are kept.
async fn commit(mut tx: Write, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let mut kept = false;
    for job in jobs.iter_mut() {
        tx.mark("SAVEPOINT one").await?;
        let keep = job.work(&mut tx).await;
        tx.mark(if keep {
            "RELEASE SAVEPOINT one"
        } else {
            "ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one"
        })
        .await?;
        kept |= keep;
    }
    if kept { tx.commit().await } else { Ok(()) }
}

impl<F, T> Job for Task<F, T>
where
    F: for<'t> FnOnce(&'t mut Write) -> BoxFuture<'t, Result<Verdict<T>, StoreError>> + Send,
    T: Send,
{
    fn work<'t>(&'t mut self, tx: &'t mut Write) -> BoxFuture<'t, bool> {
        Box::pin(async move {
            let work = self.work.take().expect("a write is done once");
            let (keep, given) = match on_behalf_of(self.request, work(tx)).await {
                Ok(Verdict::Keep(given)) => (true, Ok(given)),
                Ok(Verdict::Undo(given)) => (false, Ok(given)),
                Err(error) => (false, Err(error)),
            };
            self.given = Some(given);
            keep
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), Arc<StoreError>>) {
        let answer = match (committed, self.given) {
            (Ok(()), Some(given)) => given,
            (Ok(()), None) => Err(StoreError::Busy),
            (Err(error), _) => Err(StoreError::Together(error)),
        };
        // Whoever asked may be gone.
        let _ = self.reply.send(answer);
    }
}
