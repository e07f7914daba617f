//! The end of a world: nothing fails any more, and everything has to come to its own end.
//!
//! ```text
//!   round: who is down starts ─► everything is delivered, obeyed, worked ─► 15 s pass ─► control sweeps ─► I11?
//! ```
//!
//! It knows no rule but that one.

use protocol::CloseReason;

use super::ground::DEVICES;
use super::violation::Checked;
use super::world::World;

/// Rounds at most: each delivers everything, lets every job end, and lets some time pass.
const ROUNDS: usize = 14;
/// Time that passes in a round, milliseconds.
const ROUND_MS: u64 = 15_000;

impl World<'_> {
    /// Lets everything come to its end.
    pub(super) async fn rest(&mut self) -> Checked {
        self.note(|| "rest".to_owned());
        self.faults = false;
        if self.dice.percent(50) {
            self.everybody_leaves();
        }
        for _ in 0..ROUNDS {
            self.everything_is_up().await?;
            self.agent_reports();
            self.everything_arrives().await?;
            self.agent_finishes().await?;
            self.pass(ROUND_MS);
            for seat in self.seats() {
                self.turn_to(*seat);
                while self.nothing_comes() && !self.control.calls.is_empty() {
                    self.call_times_out().await?;
                    self.check(true).await?;
                }
                self.sweeping = true;
                self.sweeps().await?;
                self.check(true).await?;
                self.sweeping = false;
            }
            let quiet = self.nothing_comes() && self.hangs().is_none();
            if quiet && self.stray().await?.is_none() {
                return Ok(());
            }
        }
        self.no_stray_stays().await?;
        self.nothing_hangs()
    }

    /// Whether nothing is on its way to anybody.
    fn nothing_comes(&self) -> bool {
        self.network.flying.is_empty() && !self.news_waits()
    }

    fn everybody_leaves(&mut self) {
        for at in 0..DEVICES {
            while let Some(viewer) = self.devices[at].viewers.first().copied() {
                self.close_viewer(at, viewer.connection, CloseReason::ClientLeft);
            }
        }
    }

    async fn everything_is_up(&mut self) -> Checked {
        if !self.agent_is_up() {
            self.agent_starts()?;
        }
        for seat in self.seats() {
            self.turn_to(*seat);
            if !self.control.up {
                self.control_starts().await?;
            }
            self.listens_again().await?;
            self.check(true).await?;
        }
        if !self.network.linked {
            self.link_rises();
        }
        if self.is_pair {
            self.somebody_learns().await?;
        }
        for at in 0..DEVICES {
            if !self.devices[at].there {
                self.device_comes(at);
            }
            if !self.devices[at].reached {
                self.device_is_reached(at)?;
            }
        }
        Ok(())
    }

    async fn everything_arrives(&mut self) -> Checked {
        while !self.network.flying.is_empty() || self.news_waits() {
            while self.news_waits() {
                self.news_arrives().await?;
                self.check(true).await?;
            }
            if self.network.flying.is_empty() {
                break;
            }
            let changed = self.deliver(0).await?;
            self.check(changed).await?;
            for at in 0..DEVICES {
                self.agent_obeys(at)?;
            }
        }
        Ok(())
    }

    async fn agent_finishes(&mut self) -> Checked {
        for at in 0..DEVICES {
            // A gateway gives up whoever does not come.
            let absent = self.devices[at].viewers.iter().filter(|viewer| !viewer.up);
            for connection in absent.map(|viewer| viewer.connection).collect::<Vec<_>>() {
                self.close_viewer(at, connection, CloseReason::IceFailed);
            }
            while !self.devices[at].inbox.is_empty() {
                self.agent_obeys(at)?;
            }
            while self.devices[at].running.is_some() {
                self.agent_works(at)?;
            }
        }
        self.check(false).await
    }
}
