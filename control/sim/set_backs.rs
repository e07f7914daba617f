//! What an operator or a failing server does to what is kept: backups, databases that are put back or away, folders of
//! agents that are older than what was done since.
//!
//! ```text
//!   backup ─┬─► database put back, control started anew     the clock set right, or behind
//!           ├─► database put back under a control that lives  a standby took over, without the last commits
//!           └─► the agent's folder put back, alone or with the database
//!   database away ── for so long nobody could look ──► jobs::sweep::Looks
//! ```

use host_agent::fence::Stage;

use super::agent_side::Device;
use super::ground::TABLES;
use super::mutants::Mutant;
use super::violation::{Checked, Violation};
use super::world::World;
use crate::jobs::sweep::Looks;

/// Restores of a hundred after which the clock is behind what it showed before.
const BEHIND: u64 = 25;
/// By how much, milliseconds.
const BEHIND_BY: (u64, u64) = (1, 7_200_000);
/// How long a database is away, milliseconds.
const AWAY: (u64, u64) = (3_000, 70_000);

impl World<'_> {
    /// Copies the database and the agent's folder away.
    pub(super) async fn back_up(&mut self) {
        self.copy("main", "kept").await;
        self.devices.iter_mut().for_each(Device::back_up);
        self.backed_up = true;
    }

    /// Few worlds have a backup of the right moment, and put it back when somebody has left something since: the mutants
    /// that do not heed the witness have one each. Whether it is put back.
    pub(super) async fn it_hurts(&mut self) -> Result<bool, Violation> {
        // Clean for the one, held for the other.
        let held = match self.mutant {
            Some(Mutant::WitnessIgnored) => false,
            Some(Mutant::WitnessNamesNobody) => true,
            _ => return Ok(false),
        };
        if self.hurt || !self.control.up {
            return Ok(false);
        }
        if !self.backed_up {
            let is_held = |device: &Device| device.mark().stage == Stage::Prepared;
            if !held || self.devices.iter().any(is_held) {
                self.back_up().await;
            }
            return Ok(false);
        }
        let others = |device: &Device| {
            let mut traces = device.phone.traces().into_iter();
            match device.kept.held_at() {
                Some(epoch) => held && traces.any(|trace| trace != epoch),
                None => !held && traces.next().is_some(),
            }
        };
        self.hurt = self.devices.iter().any(others) && self.dice.percent(30);
        if self.hurt {
            self.something_is_set_back().await?;
        }
        Ok(self.hurt)
    }

    /// Something of the backup is put back.
    pub(super) async fn something_is_set_back(&mut self) -> Checked {
        let forgotten = [Mutant::WitnessIgnored, Mutant::WitnessNamesNobody];
        if self.mutant.is_some_and(|mutant| forgotten.contains(&mutant)) {
            return self.restore(true).await;
        }
        if self.mutant == Some(Mutant::GenerationGoesOn) && self.control.up {
            return self.another_server().await;
        }
        match self.dice.below(5) {
            0..3 => self.restore(false).await,
            3 if self.control.up => self.another_server().await,
            3 => self.restore(false).await,
            _ => {
                self.note(|| "the agent's folder is put back".to_owned());
                self.agent_dies();
                self.devices.iter_mut().for_each(Device::restore);
                Ok(())
            }
        }
    }

    /// Control dies, and starts on the older database. Whoever puts a backup back sets the clock first, if he thinks of it.
    async fn restore(&mut self, both: bool) -> Checked {
        self.note(|| "the backup is put back".to_owned());
        self.controls_die();
        // The agents may go down with it; their fences stay ahead of what is put back, unless they are put back as well.
        if self.dice.percent(60) || both {
            self.agent_dies();
            if self.dice.percent(50) || both {
                self.devices.iter_mut().for_each(Device::restore);
            }
        }
        if self.dice.percent(BEHIND) {
            let by = self.dice.between(BEHIND_BY.0, BEHIND_BY.1);
            self.note(|| format!("the clock is {by} ms behind"));
            self.wall = self.wall_max - by as i64;
        } else {
            self.wall = self.wall.max(self.wall_max) + 1;
        }
        self.database_is_older().await?;
        self.control_starts().await?;
        if self.dice.percent(30) {
            self.control_dies();
            return self.control_starts().await;
        }
        Ok(())
    }

    /// A server takes over that lacks the last commits, a look among them, and control goes on: a generation begins, and
    /// every host dials again (`set_back` in replica.rs).
    async fn another_server(&mut self) -> Checked {
        self.note(|| "another server takes the database's place".to_owned());
        self.database_is_older().await?;
        if self.mutant != Some(Mutant::GenerationGoesOn) {
            self.ground.store.begin_generation(self.now()).await?;
        }
        self.stays.database_is_older();
        self.others_stays.database_is_older();
        self.links_are_closed().await?;
        for session in self.ground.store.live().await? {
            self.follow(&session).await?;
        }
        Ok(())
    }

    async fn database_is_older(&mut self) -> Checked {
        self.copy("kept", "main").await;
        // The database forgot whom it granted what.
        self.granted_for.clear();
        self.before = self.look().await?;
        if self.wall < self.wall_max {
            // By a clock that is behind nobody can tell what was given out: then the agents have to.
            self.ledger.back_to(&self.before);
        }
        Ok(())
    }

    /// The database is away for a while: control looks before it and after it, and nobody could come back meanwhile.
    pub(super) async fn database_is_away(&mut self) -> Checked {
        let away = self.dice.between(AWAY.0, AWAY.1);
        let mut looks = Looks::default();
        self.sweeping = true;
        self.sweeps_with(Some(&mut looks)).await?;
        self.check(true).await?;
        if !self.control.up {
            return Ok(());
        }
        self.note(|| format!("the database is away for {away} ms"));
        self.pass(away);
        if self.mutant == Some(Mutant::AbsenceCounted) {
            looks = Looks::default();
        }
        self.stays.missed(away, self.monotonic);
        self.sweeping = true;
        self.sweeps_with(Some(&mut looks)).await
    }

    pub(super) async fn copy(&self, from: &str, to: &str) {
        let mut sql = String::new();
        for table in TABLES.iter().rev() {
            sql += &format!("DELETE FROM {to}.{table};");
        }
        for table in TABLES {
            sql += &format!("INSERT INTO {to}.{table} SELECT * FROM {from}.{table};");
        }
        self.sql(&format!("BEGIN; {sql} COMMIT")).await;
    }
}
