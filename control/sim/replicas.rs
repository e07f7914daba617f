//! Two controls on one store, as on PostgreSQL: nothing else is shared, and people speak to either of them.
//!
//! ```text
//!   people ──► one, by the dice ── rows ──► others_are_told ──► news: late, or lost ──► the other: as `replica::hear`
//!                 │  the link is at the other: calls ─────────► news ──► serves ──► the agent
//!                 └◄────────────────────── replies ◄─────────── news ◄──────────────────┘
//! ```
//!
//! Each has its own memory, its own sweep and its own death. The agent has one link, to either; a control whose link is
//! gone may learn of it late, while the agent has dialled the other one. It is `self.control` whose turn it is. Rules are
//! the store's and `crate::replica`'s; that one finds the other silent (`others`, `line`) is left to their own tests.

use std::mem::swap;
use std::time::Duration;

use protocol::agent::{Reply, Request};
use signaling::link::call::CallError;
use signaling::link::token::Fingerprint;
use uuid::Uuid;

use super::control_side::{Call, Memory};
use super::invariants::Rows;
use super::mutants::Mutant;
use super::network::{CallId, Seat};
use super::violation::{Checked, Violation};
use super::world::World;
use crate::hosts::Said;
use crate::replica;
use crate::store::feed::News;

/// Worlds of a hundred with two controls.
const PAIRS: u64 = 30;
/// Links of a hundred whose end control learns late.
const LATE: u64 = 50;
/// How long a call may take that another control makes; the world ends it by its own clock.
const DEADLINE: Duration = Duration::from_secs(10);

/// The certificate authority that both have.
pub(super) fn authority() -> Fingerprint {
    Fingerprint::of(b"authority")
}

/// What stands in the table of calls for it.
fn named(id: CallId) -> Uuid {
    Uuid::from_u128(u128::from(id))
}

fn call_of(id: Uuid) -> CallId {
    id.as_u128() as CallId
}

impl World<'_> {
    /// Whether this world has two.
    pub(super) fn has_two(&mut self) -> bool {
        let drawn = self.dice.percent(PAIRS);
        drawn || matches!(self.mutant, Some(Mutant::SweepByMemory | Mutant::NoticesTrusted))
    }

    pub(super) const fn seats(&self) -> &'static [Seat] {
        match self.is_pair {
            true => &[Seat::First, Seat::Second],
            false => &[Seat::First],
        }
    }

    pub(super) async fn controls_start(&mut self) -> Checked {
        for seat in self.seats() {
            self.turn_to(*seat);
            self.control_starts().await?;
        }
        Ok(())
    }

    pub(super) fn controls_die(&mut self) {
        for seat in self.seats() {
            self.turn_to(*seat);
            self.control_dies();
        }
    }

    pub(super) fn turn_to(&mut self, seat: Seat) {
        if self.control.seat != seat {
            swap(&mut self.control, &mut self.other);
            swap(&mut self.stays, &mut self.others_stays);
        }
    }

    /// It is the turn of one that lives, if one does.
    pub(super) fn somebodys_turn(&mut self) {
        if self.is_pair && (!self.control.up || (self.other.up && self.dice.percent(50))) {
            self.turn_to(self.other.seat);
        }
    }

    pub(super) const fn controls_are_up(&self) -> bool {
        self.control.up && (self.other.up || !self.is_pair)
    }

    /// Whether a control is to start now; then it is its turn.
    pub(super) fn a_control_is_due(&mut self) -> bool {
        if self.controls_are_up() {
            return false;
        }
        if self.control.up {
            if !self.network.linked && self.dice.percent(50) {
                return false;
            }
            self.turn_to(self.other.seat);
        }
        true
    }

    /// The control that an agent reaches.
    pub(super) fn dials(&mut self) -> Seat {
        self.somebodys_turn();
        self.control.seat
    }

    /// The link is gone, and the control that had it learns of it, at once or late.
    pub(super) async fn link_breaks(&mut self) -> Checked {
        self.network.cut();
        self.turn_to(self.network.at);
        if self.is_pair && self.faults && self.dice.percent(LATE) {
            return Ok(());
        }
        self.link_is_lost().await
    }

    /// Every control closes the link that it has, or takes itself to have.
    pub(super) async fn links_are_closed(&mut self) -> Checked {
        self.network.cut();
        for seat in self.seats() {
            self.turn_to(*seat);
            self.link_is_lost().await?;
        }
        Ok(())
    }

    /// A control that takes itself to have a link which is gone.
    pub(super) fn somebody_is_wrong(&self) -> Option<Seat> {
        let has = |seat| self.network.linked && self.network.at == seat;
        let wrong = |control: &&Memory| control.up && control.host_up && !has(control.seat);
        let found = [&self.control, &self.other].into_iter().find(wrong);
        found.map(|control| control.seat)
    }

    /// It learns that it is gone.
    pub(super) async fn somebody_learns(&mut self) -> Checked {
        match self.somebody_is_wrong() {
            Some(seat) => {
                self.note(|| format!("control {seat:?} learns that its link is gone"));
                self.turn_to(seat);
                self.link_is_lost().await
            }
            None => Ok(()),
        }
    }

    /// Whether some control has the host's link, by the rows.
    pub(super) async fn reaches_the_host(&self) -> Result<bool, Violation> {
        if self.control.host_up || !self.is_pair {
            return Ok(self.control.host_up);
        }
        let elsewhere = self.ground.store.linked_elsewhere(self.control.id).await?;
        Ok(elsewhere.contains(&self.ground.host))
    }

    /// Asks the agent, over the own link or through the control that has it, as `replica::Reach`. False when none has.
    pub(super) async fn asks(&mut self, call: Call, request: Request) -> Result<bool, Violation> {
        if self.control.host_up || !self.is_pair {
            let up = self.control.host_up;
            self.call(call, request);
            return Ok(up);
        }
        let (store, host, now) = (&self.ground.store, self.ground.host, self.now());
        let Some(there) = store.linked_to(host, self.control.id).await? else {
            return Ok(false);
        };
        self.calls_made += 1;
        let id = self.calls_made;
        store.add_call(named(id), host, &request, DEADLINE, now).await?;
        self.control.calls.insert(id, call);
        self.control.asked.insert(id, there);
        self.tells_the_other(News::Call(named(id), host));
        Ok(true)
    }

    /// The agent answered what the other control wants to know, or did not.
    pub(super) async fn serves_with(&mut self, asked: CallId, answered: Result<Reply, CallError>) -> Checked {
        let reply = replica::served(answered);
        self.ground.store.answer_call(named(asked), &reply).await?;
        self.tells_the_other(News::Reply(named(asked)));
        Ok(())
    }

    /// What came of a call that the other control makes. `told`: whether somebody said that there is something.
    pub(super) async fn is_answered(&mut self, id: CallId, told: bool) -> Checked {
        self.control.asked.remove(&id);
        let Some(call) = self.control.calls.remove(&id) else {
            return Ok(());
        };
        let taken = self.ground.store.take_call(named(id)).await?;
        let answered = replica::taken(taken, told).map(drop);
        self.conclude(call, answered, true).await
    }

    fn tells_the_other(&mut self, news: News) {
        if self.other.up && self.other.listens {
            self.other.news.push_back(news);
        }
    }

    /// The database tells of every lease that was changed, as its triggers do.
    pub(super) fn others_are_told(&mut self, before: &Rows, after: &Rows) {
        if self.is_pair {
            let mut changed = after.changed_since(before);
            changed.sort_by_key(|lease| self.ledger.epoch_of(*lease));
            for lease in changed {
                self.tells_the_other(News::Lease(lease));
            }
        }
    }

    pub(super) fn news_waits(&self) -> bool {
        [&self.control, &self.other]
            .iter()
            .any(|control| !control.news.is_empty())
    }

    /// A control hears what it was told.
    pub(super) async fn news_arrives(&mut self) -> Result<bool, Violation> {
        if self.control.news.is_empty() {
            self.turn_to(self.other.seat);
        }
        let Some(news) = self.control.news.pop_front() else {
            return Ok(false);
        };
        self.note(|| format!("control {:?} is told of {news:?}", self.control.seat));
        match news {
            News::Lease(lease) => {
                let changed = self.ground.store.session_of(lease).await?;
                if let Some(changed) = changed.filter(|_| self.control.host_up) {
                    self.follow(&changed).await?;
                }
            }
            News::Call(id, _) => self.serves(id).await?,
            News::Reply(id) => self.is_answered(call_of(id), true).await?,
            News::Word(_) => {}
        }
        Ok(true)
    }

    /// Asks the agent what the other control wants to know, unless that is being done.
    async fn serves(&mut self, id: Uuid) -> Checked {
        let same = |call: &Call| matches!(call, Call::Serve(asked) if *asked == call_of(id));
        if !self.control.host_up || self.control.calls.values().any(same) {
            return Ok(());
        }
        if let Some((request, _)) = self.ground.store.open_call(id).await? {
            self.call(Call::Serve(call_of(id)), request);
        }
        Ok(())
    }

    /// What brings the notices breaks, with those that were on their way.
    pub(super) fn nobody_is_told(&mut self) {
        self.note(|| format!("control {:?} is told nothing any more", self.control.seat));
        self.control.listens = false;
        self.control.news.clear();
    }

    /// It listens again, and looks at everything that may have been told, as `replica::listen`.
    pub(super) async fn listens_again(&mut self) -> Checked {
        if !self.is_pair || self.control.listens {
            return Ok(());
        }
        self.control.listens = true;
        self.control.said = Said::default();
        let (store, host, id) = (self.ground.store.clone(), self.ground.host, self.control.id);
        let mut live = store.live().await?;
        live.retain(|_| self.control.host_up);
        live.sort_by_key(|session| self.at(session.device));
        for session in live {
            self.follow(&session).await?;
        }
        let mut open = store.open_calls(id).await?;
        open.sort_unstable();
        for (call, _) in open {
            self.serves(call).await?;
        }
        for (call, there) in self.control.asked.clone() {
            let is_open = store.open_call(named(call)).await?.is_some();
            if !is_open || store.linked_to(host, id).await? != Some(there) {
                self.is_answered(call, true).await?;
            }
        }
        Ok(())
    }
}
