//! Control's looks through its leases: what is due, and what the rows ask of it.
//!
//! ```text
//!   held ──► Deadlines (jobs::sweep::Looks) ──► due ──► end_due ──► follow
//!   Undone::read ──► leases, resets, cuts ──► calls, unless control is at them
//! ```
//!
//! In production there are two a second; here they are events like others, far fewer, and between them control is taken
//! to have looked all the while. Only where the database is away `Looks` measures how long nobody could look. What is due
//! is ended one after the other, so that control can die in between.

use protocol::CloseReason;
use protocol::agent::Request;

use super::control_side::{Call, Memory};
use super::mutants::Mutant;
use super::violation::Checked;
use super::world::World;
use crate::domain::deadlines::Look;
use crate::domain::device::Reset;
use crate::domain::lease::Event;
use crate::domain::session::Session;
use crate::domain::time::Moment;
use crate::jobs::duty::Duty;
use crate::jobs::sweep::{Looks, Undone};
use crate::jobs::{cut_off, sweep};

impl World<'_> {
    /// Control looks through its leases.
    pub(super) async fn sweeps(&mut self) -> Checked {
        self.sweeps_with(None).await
    }

    /// The same; `looks`: what the look before left, where time is counted in which it could not look.
    pub(super) async fn sweeps_with(&mut self, looks: Option<&mut Looks>) -> Checked {
        let held = self.ground.store.held().await?;
        let now = self.moment();
        self.stays.swept(&held, self.monotonic, self.wall);
        let deadlines = &mut self.control.deadlines;
        let mut look = match looks {
            Some(looks) => looks.at(&held, deadlines, now.steady, now),
            None => deadlines.look(&held, now),
        };
        look.due.sort_by_key(|(lease, _)| self.ledger.epoch_of(*lease));
        if self.dice.percent(30) {
            let spent = self.control.deadlines.spent(&held, now.steady);
            self.ground.store.note_spent(&spent).await?;
        }
        self.forgets(&mut look);
        self.trusts_its_memory(&mut look, held, now);
        let mut ended = Vec::new();
        for due in std::mem::take(&mut look.due) {
            look.due = vec![due];
            for over in sweep::end_due(&self.ground.store, &look, now.wall).await {
                ended.push(over?);
            }
            if self.control_dies_here() {
                self.sweeping = false;
                return Ok(());
            }
        }
        ended.sort_by_key(|session| self.at(session.device));
        for session in ended {
            self.follow(&session).await?;
        }
        self.takes_up_what_is_owed().await
    }

    /// As `sweep::take_up_what_is_owed`.
    async fn takes_up_what_is_owed(&mut self) -> Checked {
        if self.mutant == Some(Mutant::NoticesTrusted) {
            return Ok(());
        }
        let Memory {
            host_up,
            duties,
            said,
            ..
        } = &self.control;
        let is_below = |order: &Reset| *host_up && said.is_below(order.device, order.epoch);
        let mut owed = Undone::read(&self.ground.store, duties, |_| *host_up, is_below).await?;
        owed.leases.sort_by_key(|session| self.at(session.device));
        for session in owed.leases {
            self.follow(&session).await?;
        }
        owed.resets.sort_by_key(|order| self.at(order.device));
        for order in owed.resets {
            self.follow_order(order);
        }
        owed.cuts.sort_by_key(|order| self.at(order.device));
        for order in owed.cuts {
            if self.mutant != Some(Mutant::QuarantineNotCut)
                && self.takes_up(Duty::CutOff(order.device, order.epoch))
            {
                self.call(Call::CutOff(order), Request::Release(cut_off::request(&order)));
            }
        }
        Ok(())
    }

    /// What a mutant ends besides: by what its last look saw, whatever the rows say by now.
    fn trusts_its_memory(&mut self, look: &mut Look, held: Vec<Session>, now: Moment) {
        if self.mutant == Some(Mutant::SweepByMemory) {
            let (deadlines, last) = &mut self.control.remembered;
            let remembered = deadlines.look(&std::mem::replace(last, held), now);
            let over = Event::End(CloseReason::LeaseEnded);
            let due = remembered.due.into_iter().map(|(lease, _)| (lease, over));
            look.due.extend(due);
        }
    }

    /// What a mutant does not end.
    fn forgets(&self, look: &mut Look) {
        let of_link = |event: &Event| *event == Event::End(CloseReason::LinkExpired);
        match self.mutant {
            Some(Mutant::DeadlinesForgotten) => look.due.retain(|(_, event)| of_link(event)),
            Some(Mutant::LinkEndForgotten) => look.due.retain(|(_, event)| !of_link(event)),
            _ => {}
        }
    }
}
