//! Group commit: writes that wait at the same time share a transaction, and so the disk's sync.
//!
//! ```text
//!   claims, steps ──► queue ──► the writer ── BEGIN ─┬─ SAVEPOINT, one, RELEASE or ROLLBACK TO ─┬─ COMMIT ──► answers
//!                                 takes all          └─ … at most BATCH_MAX of them ────────────┘   one sync
//! ```
//!
//! While one batch is synced the next one gathers, so a claim waits for the rest of one commit and for its own. Nobody
//! is answered before the commit: what was granted is on the disk. The writer is a task, so that somebody who goes
//! away cannot undo the claims of others; it ends when the queue is empty, and whoever still waits when it ends otherwise
//! is told to come again. It does not know what the writes are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// Since when it waits.
    fn since(&self) -> Instant;
    /// Answers, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), Arc<StoreError>>);
}

struct Task<F, T> {
    work: Option<F>,
    since: Instant,
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
            since: Instant::now(),
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

    /// At most this many of the writes that wait.
    fn take(&self, most: usize) -> Vec<Box<dyn Job>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.jobs.len().min(most);
        waiting.jobs.drain(..count).collect()
    }

    /// Whether the writer may go, because nobody waits. The next one who comes starts another.
    fn is_done(&self) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.writing = !waiting.jobs.is_empty();
        !waiting.writing
    }
}

/// The one who writes. When it ends before all are served, by a panic, nobody may wait for it.
struct Writer {
    queue: Arc<Queue>,
    /// Whether the queue has let it go: there may be a successor already.
    is_done: bool,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut waiting = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.writing = false;
        // Without its sender an answer is that somebody should come again.
        waiting.jobs.clear();
    }
}

/// Writes batches until nobody waits.
async fn write(queue: Arc<Queue>, pool: Pool) {
    let mut writer = Writer {
        queue,
        is_done: false,
    };
    loop {
        writer.is_done = writer.queue.is_done();
        if writer.is_done {
            return;
        }
        let start = Instant::now();
        // What comes while a transaction is being opened is still taken along.
        let opened = pool.begin_to_the_end().await;
        let (jobs, committed) = match opened {
            Ok(tx) => {
                let begun = start.elapsed();
                let mut jobs = writer.queue.take(BATCH_MAX);
                let committed = commit(tx, &mut jobs, begun).await.map_err(Arc::new);
                (jobs, committed)
            }
            // The next ones would wait as long, one batch after the other, to hear the same.
            Err(error) => (writer.queue.take(QUEUE_MAX), Err(Arc::new(error))),
        };
        for job in jobs {
            job.answer(committed.clone());
        }
    }
}

/// Does every write, and commits those that are kept. `begun`: how long it took to get here.
async fn commit(mut tx: Write, jobs: &mut [Box<dyn Job>], begun: Duration) -> Result<(), StoreError> {
    let waited = jobs.first().map(|job| job.since().elapsed());
    let start = Instant::now();
    let kept = work(&mut tx, jobs).await?;
    let worked = start.elapsed();
    if kept {
        tx.commit().await?;
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(
            writes = jobs.len() as u64,
            waited_us = us(waited.unwrap_or_default()),
            begun_us = us(begun),
            worked_us = us(worked),
            committed_us = us(start.elapsed() - worked),
            "written together"
        );
    }
    Ok(())
}

/// Does every write; whether there is anything to be kept. Among others each is behind a savepoint, whose end and the next
/// one's begin are one question to the server.
async fn work(tx: &mut Write, jobs: &mut [Box<dyn Job>]) -> Result<bool, StoreError> {
    if let [job] = jobs {
        return Ok(job.work(tx).await);
    }
    let mut kept = false;
    let last = jobs.len() - 1;
    tx.mark("SAVEPOINT one").await?;
    for (at, job) in jobs.iter_mut().enumerate() {
        let keep = job.work(tx).await;
        match keep {
            true if at == last => {}
            true => tx.mark("RELEASE SAVEPOINT one; SAVEPOINT one").await?,
            // It stays, for the next one.
            false => tx.mark("ROLLBACK TO SAVEPOINT one").await?,
        }
        kept |= keep;
    }
    Ok(kept)
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

    fn since(&self) -> Instant {
        self.since
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

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::domain::link::Target;
    use crate::rig::{Rig, after, on_both};
    use crate::store::claims::Claimed;

    on_both![
        a_write_that_panics_leaves_the_next_ones_to_another_writer,
        claims_that_wait_at_the_same_time_share_their_commits,
    ];

    /// What this thread logs.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Log {
        /// How many writes each commit was for.
        fn commits(&self) -> Vec<usize> {
            let said = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let together = said.lines().filter(|line| line.contains("written together"));
            let writes = together.map(|line| line.split("writes=").nth(1).unwrap());
            writes
                .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
                .collect()
        }
    }

    async fn claims_that_wait_at_the_same_time_share_their_commits(rig: Rig) {
        let fleet = rig.fleet(48, after(1)).await;
        for device in &fleet {
            rig.link_to(&device.to_string(), Target::Device(*device)).await;
        }
        let log = Log::default();
        let hearing = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(log.clone())
            .with_max_level(tracing::Level::DEBUG)
            .finish();
        let _hearing = tracing::subscriber::set_default(hearing);
        // Somebody writes for as long as it takes all of them to come.
        let other = rig.app.store.begin().await.unwrap();
        let tokens: Vec<_> = fleet.iter().map(ToString::to_string).collect();
        let mut claims = join_all(tokens.iter().map(|token| rig.claim(token, token, after(2))));
        assert!((&mut claims).now_or_never().is_none(), "they wait");
        other.commit().await.unwrap();
        let claimed = claims.await;
        let is_granted = |claimed: &Claimed| matches!(claimed, Claimed::Granted(_));
        assert!(claimed.iter().all(is_granted), "{claimed:?}");
        assert_eq!(log.commits(), [32, 16], "48 grants wait for the disk twice");
    }

    async fn a_write_that_panics_leaves_the_next_ones_to_another_writer(rig: Rig) {
        let store = &rig.app.store;
        let write = |panics: bool| {
            store.together(move |_| {
                Box::pin(async move {
                    assert!(!panics, "as the test wants it");
                    Ok(Verdict::Undo(()))
                })
            })
        };
        let (first, behind) = futures_util::future::join(write(true), write(false)).await;
        assert!(matches!(first, Err(StoreError::Busy)), "{first:?}");
        // It shared the batch, or came after it.
        assert!(matches!(behind, Ok(()) | Err(StoreError::Busy)), "{behind:?}");
        let next = tokio::time::timeout(std::time::Duration::from_secs(5), write(false)).await;
        next.expect("somebody writes").unwrap();
    }

    #[tokio::test]
    async fn when_the_database_is_away_all_who_wait_are_told_at_once() {
        let rig = Rig::new().await;
        let store = &rig.app.store;
        store.close().await;
        let told = (0..3 * BATCH_MAX)
            .map(|_| store.together::<_, ()>(|_| Box::pin(async { Ok(Verdict::Undo(())) })));
        let told = futures_util::future::join_all(told).await;
        let causes: Vec<_> = told
            .into_iter()
            .map(|told| match told {
                Err(StoreError::Together(cause)) => Arc::as_ptr(&cause),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(causes.iter().all(|cause| *cause == causes[0]), "one look for all");
    }
}
