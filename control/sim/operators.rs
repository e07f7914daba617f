//! Operators: they cut links off, close them for a while, move their end, name devices, have them cleaned; and what a
//! link lets in.
//!
//! ```text
//!   an operator's word ──► Store ──► links, devices ──► a claim: was the gate open, by the rows of before?
//! ```
//!
//! The rules are `domain::link` and the claim's own conditions; here they are only called and looked at.

use std::time::Duration;

use protocol::LinkId;

use super::ground::{DEVICES, LINKS, own_labels};
use super::mutants::Mutant;
use super::violation::Invariant::I8;
use super::violation::{Checked, Violation};
use super::world::World;
use crate::domain::link::{self, Link, Standing, Target};
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::store::audit::Actor;

/// How far an operator moves the end of a link, milliseconds.
const EXTENSION: (u64, u64) = (1_000, 90_000);
/// And the greatest length of its sessions.
const LENGTH: Duration = Duration::from_secs(80);

/// A link before somebody opens it.
pub(super) struct Gate {
    at: usize,
    /// None when it is deleted.
    link: Option<Link>,
    now: UnixMs,
}

impl World<'_> {
    /// An operator does something to a link or a device.
    pub(super) async fn operators_act(&mut self) -> Checked {
        let link = self.dice.below(LINKS);
        match self.dice.below(8) {
            0..3 => self.changes(link, link::Event::Pause).await,
            3..6 => self.changes(link, link::Event::Resume).await,
            6 => self.extends(link).await,
            _ => self.names().await,
        }
    }

    async fn changes(&mut self, link: usize, event: link::Event) -> Checked {
        self.note(|| format!("an operator does {event:?} to link {link}"));
        let id = self.ground.links[link];
        let cut = self
            .ground
            .store
            .change_link(id, event, &Actor::SYSTEM, self.now());
        self.committed(cut.await?.flatten()).await
    }

    /// An operator moves the end of a link.
    async fn extends(&mut self, link: usize) -> Checked {
        let id = self.ground.links[link];
        let by = self.dice.between(EXTENSION.0, EXTENSION.1);
        let end = self.now().plus(Duration::from_millis(by));
        let length = self.dice.percent(50).then_some(LENGTH);
        let store = &self.ground.store;
        let extended = store.extend_link(id, Some(end), length, &Actor::SYSTEM, self.now());
        let extended = extended.await?;
        self.note(|| format!("link {link} is extended by {by} ms: {extended}"));
        if extended && self.mutant == Some(Mutant::ExtensionRevives) {
            self.sql(&format!(
                "UPDATE leases SET state = 'active', release_epoch = NULL, reason = NULL
                 WHERE link_id = '{id}' AND state = 'releasing'"
            ))
            .await;
        }
        Ok(())
    }

    /// An admin gives a device labels of his own, or takes them away.
    async fn names(&mut self) -> Checked {
        let (at, moved) = (self.dice.below(DEVICES), self.dice.percent(50));
        self.note(|| format!("device {at} is in another room: {moved}"));
        let labels = own_labels(moved);
        let id = self.devices[at].id;
        let set = self
            .ground
            .store
            .set_own_labels(id, &labels, &Actor::SYSTEM, self.now());
        set.await?;
        Ok(())
    }

    /// How the gate stands before somebody opens a link.
    pub(super) async fn gate_before(&mut self, at: usize) -> Result<Gate, Violation> {
        let (id, now) = (self.ground.links[at], self.now());
        let link = self.ground.store.link(id).await?.map(|(link, _)| link);
        let broken = match self.mutant {
            Some(Mutant::PauseIgnored) => "state = CASE WHEN state = 'paused' THEN 'active' ELSE state END",
            Some(Mutant::UsesCountedLate) => "uses = 0",
            Some(Mutant::BeginIgnored) => "not_before = NULL",
            Some(Mutant::LabelsIgnored) => "selector = CASE WHEN selector IS NULL THEN NULL ELSE '{}' END",
            _ => "",
        };
        if !broken.is_empty() {
            self.sql(&format!("UPDATE links SET {broken} WHERE id = '{id}'"))
                .await;
        }
        Ok(Gate { at, link, now })
    }

    /// What a mutant took away is put back.
    pub(super) async fn gate_after(&mut self, gate: &Gate) {
        let Some(link) = &gate.link else { return };
        let back = match (self.mutant, &link.target) {
            (Some(Mutant::PauseIgnored), _) => {
                format!(
                    "state = CASE WHEN state = 'active' THEN '{}' ELSE state END",
                    link.state.as_str()
                )
            }
            (Some(Mutant::UsesCountedLate), _) => format!("uses = uses + {}", link.uses),
            (Some(Mutant::BeginIgnored), _) => match link.not_before {
                Some(begin) => format!("not_before = {}", begin.0),
                None => return,
            },
            (Some(Mutant::LabelsIgnored), Target::Any(selector)) => {
                format!("selector = '{}'", selector.labels().to_json())
            }
            _ => return,
        };
        self.sql(&format!(
            "UPDATE links SET {back} WHERE id = '{}'",
            self.ground.links[gate.at]
        ))
        .await;
    }

    /// I8: nobody is let in through a link that is closed, used up, over, or not for this device.
    pub(super) async fn gate_was_open(&self, gate: &Gate, granted: &Session) -> Checked {
        let Some(link) = &gate.link else {
            return self
                .eyes
                .broken(I8, || format!("link {} is deleted, and was granted", gate.at));
        };
        let standing = link.standing(gate.now, false);
        if standing != Standing::Active {
            self.eyes.broken(I8, || {
                format!(
                    "link {} is {standing:?}, and the lease at {} was granted",
                    gate.at, granted.epoch
                )
            })?;
        }
        if let Some(max) = link.max_uses {
            let used = self.uses_of(link).await?;
            if used > max as usize {
                self.eyes
                    .broken(I8, || format!("link {} is used {used} times of {max}", gate.at))?;
            }
        }
        if let Target::Any(selector) = &link.target {
            let device = self.ground.store.device(granted.device).await?;
            if !device.is_some_and(|device| selector.matches(&device.labels())) {
                self.eyes.broken(I8, || {
                    format!(
                        "link {} let somebody in on device {}",
                        gate.at,
                        self.at(granted.device)
                    )
                })?;
            }
        }
        Ok(())
    }

    /// How often a link was used, by its leases: a set-up that failed gave its use back.
    async fn uses_of(&self, link: &Link) -> Result<usize, Violation> {
        let leases = "SELECT link_id FROM leases WHERE reason IS NULL OR reason <> 'setup_failed'";
        let mut uses = 0;
        for row in self.ground.store.rows(leases).await? {
            uses += usize::from(row.parsed::<LinkId>("link_id")? == link.id);
        }
        Ok(uses)
    }

    /// An operator cuts a link off.
    pub(super) async fn revokes(&mut self, link: usize) -> Checked {
        let id = self.ground.links[link];
        if self.mutant == Some(Mutant::RevokeWithoutCut) {
            let revoked = format!("UPDATE links SET state = 'revoked' WHERE id = '{id}'");
            self.sql(&revoked).await;
            return Ok(());
        }
        let cut = self
            .ground
            .store
            .change_link(id, link::Event::Revoke, &Actor::SYSTEM, self.now())
            .await?;
        self.note(|| format!("link {link} is revoked"));
        if let Some(Some(session)) = cut
            && !self.control_dies_here()
        {
            self.follow(&session).await?;
        }
        Ok(())
    }

    /// An operator has a quarantined device cleaned.
    pub(super) async fn operator_resets(&mut self, at: usize) -> Checked {
        let (device, now) = (self.devices[at].id, self.now());
        if !self.reaches_the_host().await? {
            return Ok(());
        }
        let started = self
            .ground
            .store
            .reset_device(device, &Actor::SYSTEM, now)
            .await?;
        if let Some(order) = started
            && !self.control_dies_here()
        {
            self.follow_order(order);
        }
        Ok(())
    }
}
