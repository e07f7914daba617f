//! What is decided about one device: what to do when control asks, when a job ends, when the agent starts again.
//! Pure: values in, effects out. The agent's device task carries them out, and so does the simulation.
//!
//! ```text
//!   asked ──► Keep(mark) ── kept ──► Shut / Cut ─► Reply, Negotiate, or a job: Start · Join · Queue
//!   ended ──► Keep(mark) ── kept ──► Open? ─► Finish ─► StartNext
//!                 └──────── not kept: told to whoever asked, and nothing else is done
//!   went_away ──► Shut                 came_back ──► Open, or StartAlone after a boot
//!   witnessed ──► Keep(mark) ── kept ──► Shut        the device knows of a holder whom the fence does not
//! ```
//!
//! The fence rises on the disk before anything else is done for an epoch, so every chain of effects that moves it
//! begins with [`Effect::Keep`] and ends there until the disk has answered. One is kept at a time. A repeated
//! request joins the job that is at work on it, or gets the outcome that the fence remembers. One job runs and one
//! waits: a newer request takes the place of the one that waits.
//!
//! An epoch belongs to the first lease that it was asked for under. A control whose database was set back may give it
//! out once more: whoever asks under it then is refused, and sees nothing of the other one's.
//!
//! An agent's files may be older than what was done on the device. So whoever held it when they were written is let in
//! again only after the device was reached, and was not contradicted by its witness.
//!
//! It does not know disks, clocks, sockets, the gateway, or who asks (`A`).

mod holder;
mod pass;
mod work;

use protocol::agent::{Prepare, Refusal, RefusalCode, Reply, Reset, WhepOffer};
use protocol::{CloseReason, ConnectionId, Epoch, LeaseId};

use crate::fence::{FenceError, Mark, Stage};
use crate::fingers::PictureSize;
use crate::refusals::fence_refusal;
use crate::reset::witness::Witness;
pub use holder::{Boot, Holder, Presence};
pub use pass::Pass;
pub use work::{Asked, Outcome, Work, told};

/// What is to be done, in this order. `A` is whoever asked.
#[derive(Debug)]
pub enum Effect<A> {
    /// The disk has to hold this before anything that follows; it answers with [`Custody::kept`].
    Keep(Mark),
    /// The fence rose: people's input stops, and every connection of an older epoch ends.
    Shut(Epoch),
    /// The same, after these connections were told why.
    Cut {
        /// The fence.
        epoch: Epoch,
        /// Why.
        reason: CloseReason,
        /// Who is told.
        connections: Vec<ConnectionId>,
    },
    /// People of this epoch may act.
    Open(Epoch),
    /// The gateway decides about an offer.
    Negotiate(WhepOffer, A),
    /// There will be no such connection.
    NotConnected(ConnectionId),
    /// An answer without work.
    Reply(A, Reply),
    /// Work begins for somebody.
    Start(Work, A),
    /// Work begins that nobody asked for.
    StartAlone(Work),
    /// Somebody waits for the work that runs as well.
    Join(A),
    /// Somebody waits for the work that comes next, and whoever waited for another is told that it was overtaken.
    Queue(A),
    /// Somebody waits for the work that comes next as well.
    JoinNext(A),
    /// Everybody who waits for the work that ran is told.
    Finish(Reply),
    /// The work that waited begins, for those who wait for it.
    StartNext(Work),
}

/// The state of one device's custody.
#[derive(Debug)]
pub struct Custody<A> {
    mark: Mark,
    /// Whose the fence's epoch is, once somebody was named under it.
    lease: Option<LeaseId>,
    open: bool,
    disk: Disk<A>,
    running: Option<Work>,
    next: Option<Work>,
}

/// What the disk is at.
#[derive(Debug)]
enum Disk<A> {
    /// It holds the mark.
    Holds,
    /// It was asked to hold a mark, and something goes on once it does.
    Keeping(Mark, Then<A>),
    /// Nobody knows what it holds. Nothing is done any more until the agent starts again.
    Lost,
}

#[derive(Debug)]
enum Then<A> {
    /// Go on with a request whose epoch the fence has reached.
    Answer(Asked, A, Moved),
    /// End the job that ran.
    Finish(Reply),
    /// Nobody is let in.
    Shut,
}

/// What a request did to the fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// It rose to the request's epoch.
    Rose,
    /// It stood there.
    Stood,
}

impl<A> Custody<A> {
    /// Custody of a device whose fence the disk holds at `mark`. One that was prepared is prepared still: its holder
    /// goes on as soon as it is back.
    #[must_use]
    pub fn new(mark: Mark) -> Self {
        Self {
            mark,
            lease: mark.lease,
            open: false,
            disk: Disk::Holds,
            running: None,
            next: None,
        }
    }

    /// Where the fence stands, as the disk has it.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether people of the fence's epoch may act.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The work that runs.
    #[must_use]
    pub fn running(&self) -> Option<&Work> {
        self.running.as_ref()
    }

    /// Control asks for something. `picture` is the size of the picture that is filmed now, if there is one.
    pub fn asked(&mut self, asked: Asked, asker: A, picture: Option<PictureSize>) -> Vec<Effect<A>> {
        match self.disk {
            Disk::Holds => {}
            Disk::Keeping(..) => {
                let busy = refusal(RefusalCode::Busy, &"the device's fence is being written");
                return vec![Effect::Reply(asker, busy)];
            }
            Disk::Lost => return refused(&asked, asker, &FenceError::Lost),
        }
        let epoch = asked.epoch();
        match self.mark.raised(epoch) {
            Err(error) => refused(&asked, asker, &error),
            Ok(None) if self.belongs_to_another(asked.lease()) => {
                refused(&asked, asker, &FenceError::Taken(epoch))
            }
            Ok(Some(mark)) => self.keep(mark, Then::Answer(asked, asker, Moved::Rose)),
            // At the fence: an operator's reset, or a repeated request. What is cleaned again is not clean meanwhile.
            Ok(None) if matches!(asked, Asked::Release(..)) && self.must_fall() => {
                let mark = Mark {
                    epoch,
                    stage: Stage::Raised,
                    lease: None,
                };
                self.keep(mark, Then::Answer(asked, asker, Moved::Stood))
            }
            Ok(None) => self.answer(asked, asker, Moved::Stood, picture),
        }
    }

    /// Whether the fence's epoch is somebody else's.
    fn belongs_to_another(&self, lease: Option<LeaseId>) -> bool {
        let both = self.lease.zip(lease);
        both.is_some_and(|(whose, lease)| whose != lease)
    }

    fn must_fall(&self) -> bool {
        !matches!(self.mark.stage, Stage::Clean | Stage::Raised)
    }

    fn keep(&mut self, mark: Mark, then: Then<A>) -> Vec<Effect<A>> {
        self.disk = Disk::Keeping(mark, then);
        vec![Effect::Keep(mark)]
    }

    /// The disk has the mark of the last [`Effect::Keep`], or could not take it.
    pub fn kept(&mut self, kept: Result<(), FenceError>, picture: Option<PictureSize>) -> Vec<Effect<A>> {
        let after = if matches!(kept, Err(FenceError::Lost)) {
            Disk::Lost
        } else {
            Disk::Holds
        };
        let Disk::Keeping(mark, then) = std::mem::replace(&mut self.disk, after) else {
            return Vec::new();
        };
        match (kept, then) {
            (Ok(()), Then::Answer(asked, asker, moved)) => {
                self.mark = mark;
                self.answer(asked, asker, moved, picture)
            }
            (Ok(()), Then::Finish(reply)) => {
                self.mark = mark;
                self.finish(reply)
            }
            (Ok(()), Then::Shut) => {
                self.mark = mark;
                self.lease = None;
                self.shut()
            }
            (Err(_), Then::Shut) => {
                // What the fence says is not true, and it cannot be told so.
                self.disk = Disk::Lost;
                self.shut()
            }
            (Err(error), Then::Answer(asked, asker, _)) => refused(&asked, asker, &error),
            (Err(error), Then::Finish(_)) => self.finish(refusal(fence_refusal(&error), &error)),
        }
    }

    /// The fence stands at the request's epoch.
    fn answer(
        &mut self,
        asked: Asked,
        asker: A,
        moved: Moved,
        picture: Option<PictureSize>,
    ) -> Vec<Effect<A>> {
        let mut effects = Vec::new();
        let epoch = asked.epoch();
        self.lease = match moved {
            Moved::Rose => asked.lease(),
            Moved::Stood => self.lease.or(asked.lease()),
        };
        match asked {
            Asked::Release(request, connections) => {
                if moved == Moved::Stood && self.mark.stage == Stage::Clean {
                    return vec![Effect::Reply(asker, Reply::Released)];
                }
                self.open = false;
                effects.push(Effect::Cut {
                    epoch,
                    reason: request.reason,
                    connections,
                });
                effects.push(self.enqueue(Work::Release(request), asker));
            }
            Asked::Prepare(request) => {
                effects.extend(self.shut_if(moved));
                effects.push(self.prepare(request, asker, picture));
            }
            Asked::Offer(offer) => {
                effects.extend(self.shut_if(moved));
                effects.push(Effect::Negotiate(offer, asker));
            }
        }
        effects
    }

    fn shut_if(&mut self, moved: Moved) -> Option<Effect<A>> {
        (moved == Moved::Rose).then(|| {
            self.open = false;
            Effect::Shut(self.mark.epoch)
        })
    }

    fn prepare(&mut self, request: Prepare, asker: A, picture: Option<PictureSize>) -> Effect<A> {
        let work = match (self.mark.stage, picture) {
            (Stage::Prepared, Some(PictureSize { width, height })) if self.open => {
                return Effect::Reply(asker, Reply::Prepared { width, height });
            }
            // Out of reach, or just coming back: nobody is told that he may act before he may.
            (Stage::Prepared, _) => Work::Resume(request),
            // Somebody was here and no wipe came to its end: only the full one vouches for the device.
            (Stage::Raised, _) if request.reset != Reset::Keep => Work::Prepare(Prepare {
                reset: Reset::Full,
                ..request
            }),
            // Cleaned for the last epoch, and nobody was let in since: there is nothing to clean again.
            (Stage::Fresh, _) => Work::Fresh(Prepare {
                reset: Reset::Keep,
                ..request
            }),
            _ => Work::Prepare(request),
        };
        self.enqueue(work, asker)
    }

    /// Starts work, or lets it wait for the one before it, which ends at its next effect.
    fn enqueue(&mut self, work: Work, asker: A) -> Effect<A> {
        if self
            .running
            .as_ref()
            .is_some_and(|running| running.answers(&work))
        {
            return Effect::Join(asker);
        }
        if self.next.as_ref().is_some_and(|next| next.answers(&work)) {
            return Effect::JoinNext(asker);
        }
        if self.running.is_none() {
            self.running = Some(work.clone());
            return Effect::Start(work, asker);
        }
        self.next = Some(work);
        Effect::Queue(asker)
    }

    /// The work that runs has ended.
    pub fn ended(&mut self, outcome: Outcome) -> Vec<Effect<A>> {
        let Some(work) = &self.running else {
            return Vec::new();
        };
        let Outcome { stage, reply } = outcome;
        // Whoever is to be cut off is not let in before, and nobody was let in on what is cleaned next.
        if matches!(reply, Reply::Prepared { .. }) && self.next.is_some() {
            return self.finish(overtaken());
        }
        // What was kept, or cleaned of its apps' data alone, is not vouched for: the fence stays where it is.
        let Some(stage) = stage.filter(|stage| *stage != Stage::Clean || work.vouches()) else {
            return self.finish(reply);
        };
        if let Disk::Lost = self.disk {
            let error = FenceError::Lost;
            return self.finish(refusal(fence_refusal(&error), &error));
        }
        match self.mark.reached(work.reaches(stage)) {
            Ok(Some(mark)) => self.keep(mark, Then::Finish(reply)),
            Ok(None) => self.finish(reply),
            // The fence has moved on: what was done counts for nobody.
            Err(error) => self.finish(refusal(fence_refusal(&error), &error)),
        }
    }

    /// Whether somebody holds the device and nothing is at work on it.
    fn is_held_at_rest(&self) -> bool {
        let rests = self.running.is_none() && self.next.is_none() && matches!(self.disk, Disk::Holds);
        rests && self.mark.stage == Stage::Prepared
    }

    /// The device was reached, and says who was let in last. To be told between two chains of effects, before anybody is
    /// let in.
    pub fn witnessed(&mut self, witness: Option<Witness>) -> Vec<Effect<A>> {
        let contradicted = witness.and_then(|witness| witness.against(self.mark));
        match (contradicted, &self.disk) {
            (Some(mark), Disk::Holds) => self.keep(mark, Then::Shut),
            _ => Vec::new(),
        }
    }

    fn shut(&mut self) -> Vec<Effect<A>> {
        self.open = false;
        vec![Effect::Shut(self.mark.epoch)]
    }

    /// The device is out of reach: nobody's touch belongs to what may be there when it comes back.
    pub fn went_away(&mut self) -> Option<Effect<A>> {
        (self.is_held_at_rest() && self.open).then(|| {
            self.open = false;
            Effect::Shut(self.mark.epoch)
        })
    }

    /// The device is filmed again. `again` is what its holder was given, if the device has booted since.
    pub fn came_back(&mut self, again: Option<&Prepare>) -> Option<Effect<A>> {
        if !self.is_held_at_rest() || self.open {
            return None;
        }
        Some(match again {
            Some(request) => {
                let work = Work::Return(request.clone());
                self.running = Some(work.clone());
                Effect::StartAlone(work)
            }
            None => {
                self.open = true;
                Effect::Open(self.mark.epoch)
            }
        })
    }

    fn finish(&mut self, reply: Reply) -> Vec<Effect<A>> {
        let mut effects = Vec::new();
        self.running = None;
        if let Reply::Prepared { .. } = reply {
            self.open = true;
            effects.push(Effect::Open(self.mark.epoch));
        }
        effects.push(Effect::Finish(reply));
        if let Some(work) = self.next.take() {
            self.running = Some(work.clone());
            effects.push(Effect::StartNext(work));
        }
        effects
    }
}

fn refused<A>(asked: &Asked, asker: A, error: &FenceError) -> Vec<Effect<A>> {
    let mut effects = vec![Effect::Reply(asker, refusal(fence_refusal(error), error))];
    if let Asked::Offer(offer) = asked {
        effects.push(Effect::NotConnected(offer.connection));
    }
    effects
}

fn refusal(code: RefusalCode, detail: &dyn std::fmt::Display) -> Reply {
    Reply::Refused(Refusal {
        code,
        detail: detail.to_string(),
    })
}

/// What whoever waited for overtaken work is told.
#[must_use]
pub fn overtaken() -> Reply {
    refusal(RefusalCode::StaleEpoch, &"a newer request took its place")
}

#[cfg(test)]
#[path = "custody_tests.rs"]
mod tests;
