//! What custody decided, carried out: the fence on the disk, the hand and the gateway, jobs, answers.
//!
//! ```text
//!   asked, ended ──► custody ──► effects, one after the other ──► Keep: the disk ── kept ──► custody ──► more effects
//! ```
//!
//! People's input stops at the hand before the gateway hears of it, and whoever is cut is told why before the fence
//! ends his connection. The disk is waited for on a thread of its own; requests wait meanwhile, input does not pass
//! here. It decides nothing.

use std::collections::VecDeque;

use gateway::Gate;
use protocol::{CloseReason, ConnectionId, Epoch};

use crate::asker::{Asker, Askers};
use crate::custody::{Asked, Effect, Pass, Work, overtaken};
use crate::fence::{FenceError, Mark};
use crate::fingers::PictureSize;
use crate::job::{self, Ended};

use super::Device;

impl Device {
    /// Control asks for something.
    pub(super) async fn asked(&mut self, asked: Asked, asker: Asker) {
        let effects = self.custody.asked(asked, asker, self.picture());
        self.carry_out(effects).await;
    }

    /// The job that ran has ended.
    pub(super) async fn ended(&mut self, ended: Ended) {
        if let Some(work) = self.custody.running().cloned() {
            self.note_holder(&work, &ended).await;
        }
        let effects = self.custody.ended(ended.outcome);
        self.carry_out(effects).await;
    }

    /// Does what was decided, in its order.
    pub(super) async fn carry_out(&mut self, effects: Vec<Effect<Asker>>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Keep(mark) => {
                    let kept = self.keep(mark).await;
                    effects.extend(self.custody.kept(kept, self.picture()));
                }
                Effect::Shut(epoch) => self.gate(epoch, Gate::Closed),
                Effect::Cut {
                    epoch,
                    reason,
                    connections,
                } => self.cut(epoch, reason, &connections),
                Effect::Open(epoch) => self.gate(epoch, Gate::Open),
                Effect::Negotiate(offer, asker) => self.negotiate(offer, asker).await,
                Effect::NotConnected(connection) => self.not_connected(connection).await,
                Effect::Reply(asker, reply) => asker.reply(reply),
                Effect::Start(work, asker) => {
                    let askers = Askers::default();
                    askers.join(asker);
                    self.start(work, askers);
                }
                Effect::StartAlone(work) => self.start(work, Askers::default()),
                Effect::Join(asker) => {
                    if let Some(running) = &self.running {
                        running.askers.join(asker);
                    }
                }
                Effect::Queue(asker) => {
                    std::mem::take(&mut self.waiting).reply(&overtaken());
                    self.waiting.join(asker);
                }
                Effect::JoinNext(asker) => self.waiting.join(asker),
                Effect::Finish(reply) => {
                    if let Some(running) = self.running.take() {
                        running.askers.reply(&reply);
                    }
                }
                Effect::StartNext(work) => {
                    let askers = std::mem::take(&mut self.waiting);
                    self.start(work, askers);
                }
            }
        }
    }

    fn start(&mut self, work: Work, askers: Askers) {
        let prepared = self.holder.boot_under(work.epoch());
        self.running = Some(job::start(work, prepared, askers, self.reach.clone()));
    }

    /// The size of the picture that is filmed now.
    fn picture(&self) -> Option<PictureSize> {
        self.reach.seen.frame.borrow().size
    }

    /// Whether people of this epoch may see and touch the device; people of an older one may not in any case.
    fn gate(&self, epoch: Epoch, gate: Gate) {
        let open = gate == Gate::Open;
        self.pass.send_replace(Pass { epoch, open });
        self.common.gateway.set_fence(self.id, epoch, gate);
    }

    fn cut(&self, epoch: Epoch, reason: CloseReason, connections: &[ConnectionId]) {
        self.pass.send_replace(Pass { epoch, open: false });
        for connection in connections {
            self.common.gateway.close(*connection, reason);
        }
        self.common.gateway.set_fence(self.id, epoch, Gate::Closed);
    }

    /// Has the disk hold a mark, on a thread that may wait for it.
    async fn keep(&mut self, mark: Mark) -> Result<(), FenceError> {
        let mut fence = self.fence.take().ok_or(FenceError::Lost)?;
        let kept = tokio::task::spawn_blocking(move || {
            let kept = fence.keep(mark);
            (fence, kept)
        });
        let (fence, kept) = kept.await.map_err(|_| FenceError::Lost)?;
        self.fence = Some(fence);
        kept
    }
}
