//! What happens next in a world: the dice choose among what can happen, so that few events come to nothing.
//!
//! ```text
//!   event ─┬─ who is down comes back
//!          ├─ something arrives         one of what flies, mostly the oldest
//!          ├─ the agent obeys, works    a device that has something to do; some steps at once
//!          ├─ viewers come, act, leave  those that there are
//!          ├─ people act                mostly those who hold a lease
//!          └─ something fails           a crash, a link, a clock, a backup, a message, a device, a database
//! ```
//!
//! Each world has a temper: in some much fails and much time passes, in others people get far. It knows no rule: what an event comes to is decided by the code under test.

use super::agent_side::Device;
use super::ground::{DEVICES, LINKS};
use super::mutants::Mutant;
use super::network::Message;
use super::violation::{Checked, Violation};
use super::world::{PEOPLE, World};

/// Chance in a hundred that whoever makes a connection or ends a session holds a lease.
const HOLDERS: u64 = 85;
/// The furthest that a clock usually jumps, milliseconds: an hour, as a summer time does.
const JUMP_MAX: u64 = 3_600_000;
/// The furthest that it jumps when it was never set, milliseconds: about a year.
const LEAP_MAX: u64 = 32_000_000_000;

/// What may happen next.
#[derive(Clone, Copy)]
enum Chance {
    Back,
    Arrives,
    Obeys,
    Works,
    ViewerArrives,
    Touches,
    Leaves,
    PeopleAct,
    Fails,
    Reports,
    Plugged,
    Reached,
    /// A control is told by the other one, or by the database.
    Told,
    /// A control listens again.
    Listens,
    /// A control hears that its link is gone, or that the agent has another one.
    Learns,
}

impl World<'_> {
    /// One event. Whether control's rows may have changed.
    pub(super) async fn event(&mut self) -> Result<bool, Violation> {
        let ms = self.dice_ms();
        self.pass(ms);
        if self.it_hurts().await? {
            return Ok(true);
        }
        self.somebodys_turn();
        match self.chance() {
            Chance::Back => return self.somebody_is_back().await,
            Chance::Arrives => return self.something_arrives().await,
            Chance::PeopleAct => return self.people_act().await,
            Chance::Fails => return self.something_fails().await,
            Chance::Told => return self.news_arrives().await,
            Chance::Listens => {
                self.listens_again().await?;
                return Ok(true);
            }
            Chance::Learns => {
                self.somebody_learns().await?;
                return Ok(true);
            }
            Chance::Works => self.agent_goes_on()?,
            Chance::Reports => self.agent_reports(),
            Chance::Plugged => {
                if let Some(at) = self.draw(is_away) {
                    self.device_comes(at);
                }
            }
            Chance::Reached => {
                if let Some(at) = self.draw(is_found) {
                    self.device_is_reached(at)?;
                }
            }
            Chance::Obeys => {
                if let Some(at) = self.draw(has_orders) {
                    self.agent_obeys(at)?;
                }
            }
            Chance::ViewerArrives => {
                if let Some(at) = self.draw(is_awaited) {
                    self.viewer_arrives(at);
                }
            }
            Chance::Touches => {
                if let Some(at) = self.draw(is_watched) {
                    self.touches(at)?;
                }
            }
            Chance::Leaves => {
                if let Some(at) = self.draw(is_watched) {
                    let viewer = self.devices[at].viewers[0];
                    self.close_viewer(at, viewer.connection, protocol::CloseReason::ClientLeft);
                }
            }
        }
        Ok(false)
    }

    /// One of what can happen now.
    fn chance(&mut self) -> Chance {
        let any = |of: fn(&Device) -> bool| self.devices.iter().any(of);
        let all_up = self.agent_is_up() && self.controls_are_up() && self.network.linked;
        let chances = [
            (Chance::Back, 20, !all_up),
            (Chance::Arrives, 28, !self.network.flying.is_empty()),
            (Chance::Obeys, 12, any(has_orders)),
            (Chance::Works, 12, any(is_at_work)),
            (Chance::ViewerArrives, 10, any(is_awaited)),
            (Chance::Touches, 10, any(is_watched)),
            (Chance::Leaves, 2, any(is_watched)),
            (Chance::PeopleAct, 18, self.control.up),
            (Chance::Fails, 4 * self.temper, true),
            (Chance::Reports, 3, self.control.host_up || self.other.host_up),
            (Chance::Told, 14, self.news_waits()),
            (
                Chance::Listens,
                6,
                self.is_pair && self.control.up && !self.control.listens,
            ),
            (
                Chance::Learns,
                5,
                self.is_pair && self.somebody_is_wrong().is_some(),
            ),
            (Chance::Plugged, 10, any(is_away)),
            (Chance::Reached, 20, any(is_found)),
        ];
        let possible = chances.into_iter().filter(|(_, _, possible)| *possible);
        let sum = possible.clone().map(|(_, weight, _)| weight).sum::<u64>();
        let mut drawn = self.dice.throw() % sum.max(1);
        for (chance, weight, _) in possible {
            if drawn < weight {
                return chance;
            }
            drawn -= weight;
        }
        Chance::Reports
    }

    /// A device of which something is true, if there is one.
    fn draw(&mut self, of: impl Fn(&Device) -> bool) -> Option<usize> {
        let found: Vec<usize> = (0..self.devices.len())
            .filter(|at| of(&self.devices[*at]))
            .collect();
        let drawn = self.dice.below(found.len());
        found.get(drawn).copied()
    }

    async fn somebody_is_back(&mut self) -> Result<bool, Violation> {
        if !self.agent_is_up() {
            self.note(|| "agent starts".to_owned());
            self.agent_starts()?;
            return Ok(false);
        }
        if self.a_control_is_due() {
            self.control_starts().await?;
            return Ok(true);
        }
        self.note(|| "the link rises".to_owned());
        self.link_rises();
        Ok(false)
    }

    /// An agent does the next steps of its work, and often what comes after it at once.
    fn agent_goes_on(&mut self) -> Checked {
        let Some(at) = self.draw(is_at_work) else {
            return Ok(());
        };
        self.agent_works(at)?;
        if self.dice.percent(50) {
            self.agent_obeys(at)?;
            self.agent_works(at)?;
        }
        Ok(())
    }

    async fn people_act(&mut self) -> Result<bool, Violation> {
        let (who, link) = (self.dice.below(PEOPLE), self.dice.below(LINKS));
        match self.dice.below(27) {
            0..6 => self.claims(who, link).await?,
            6..14 => {
                let (who, link) = self.holder().unwrap_or((who, link));
                self.offers(who, link).await?;
            }
            14..16 => {
                let (holder, link) = self.holder().unwrap_or((who, link));
                // A stranger may know a session as well as its holder.
                let who = if self.dice.percent(50) { holder } else { who };
                self.ends(who, link).await?;
            }
            16..18 => {
                let at = self.dice.below(DEVICES);
                let quarantined = (0..DEVICES).find(|at| self.before.is_quarantined(self.devices[*at].id));
                self.operator_resets(quarantined.unwrap_or(at)).await?;
            }
            18..21 => self.operators_act().await?,
            21..23 => {
                let (who, link) = self.holder().unwrap_or((who, link));
                self.observes(who, link).await?;
            }
            _ => {
                self.sweeping = true;
                self.sweeps().await?;
            }
        }
        Ok(true)
    }

    /// Mostly somebody who holds a lease, and through which link.
    fn holder(&mut self) -> Option<(usize, usize)> {
        if !self.dice.percent(HOLDERS) {
            return None;
        }
        let people = self.people.iter().enumerate();
        let cookies = people.flat_map(|(who, person)| {
            let links = person.cookies.iter().enumerate();
            links.filter_map(move |(link, cookie)| Some((who, link, cookie.as_ref()?.lease)))
        });
        let held: Vec<(usize, usize)> = cookies
            .filter(|(_, _, lease)| self.before.is_held(*lease))
            .map(|(who, link, _)| (who, link))
            .collect();
        let drawn = self.dice.below(held.len());
        held.get(drawn).copied()
    }

    async fn something_fails(&mut self) -> Result<bool, Violation> {
        // Without backups nobody would miss what a device says of itself, nor what a new server begins.
        let of_backups = [
            Mutant::WitnessIgnored,
            Mutant::WitnessNamesNobody,
            Mutant::GenerationGoesOn,
        ];
        let more_backups = self.mutant.is_some_and(|mutant| of_backups.contains(&mutant));
        let drawn = match self.dice.below(20) {
            18 if more_backups => 9,
            19 if more_backups => 10,
            drawn => drawn,
        };
        match drawn {
            0..2 => self.agent_dies(),
            2..4 if self.control.up => self.control_dies(),
            4 => {
                self.note(|| "the link breaks".to_owned());
                self.link_breaks().await?;
                return Ok(true);
            }
            5 if self.control.up => {
                self.call_times_out().await?;
                return Ok(true);
            }
            6 if self.control.up => {
                let link = self.dice.below(LINKS);
                self.revokes(link).await?;
                return Ok(true);
            }
            7 => self.clocks_jump(),
            8 => {
                let passed = self.dice.between(1_000, 120_000);
                self.note(|| format!("{passed} ms pass"));
                self.pass(passed);
            }
            9 if !self.backed_up && self.control.up => {
                self.note(|| "a backup is made".to_owned());
                self.back_up().await;
            }
            10 if self.backed_up => {
                self.something_is_set_back().await?;
                return Ok(true);
            }
            11 if self.is_pair => self.nobody_is_told(),
            11..14 if !self.network.flying.is_empty() => return self.something_is_lost().await,
            14..18 if !self.network.flying.is_empty() => {
                let twice = self.dice.below(self.network.flying.len());
                let message = self.network.flying[twice].clone();
                if !matches!(message, Message::Hello(_)) {
                    self.network.flying.push(message);
                }
            }
            18 => {
                if let Some(at) = self.draw(|device| device.there) {
                    self.device_goes(at)?;
                }
            }
            19 if self.control.up => {
                self.database_is_away().await?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    /// A wall clock is set, ahead or back: control's, the agent's, or both.
    fn clocks_jump(&mut self) {
        let most = if self.dice.percent(20) { LEAP_MAX } else { JUMP_MAX };
        let far = self.dice.between(1_000, most) as i64;
        let jump = if self.dice.percent(50) { far } else { -far };
        let whose = self.dice.below(3);
        self.note(|| {
            format!(
                "a wall clock jumps by {jump} ms: control's {}, the agent's {}",
                whose != 1,
                whose != 0
            )
        });
        if whose != 1 {
            self.wall += jump;
            self.wall_max = self.wall_max.max(self.wall);
        }
        if whose != 0 {
            self.agent_wall += jump;
        }
    }

    /// A message is lost. Only requests and answers have streams of their own; the rest is lost with its link.
    async fn something_is_lost(&mut self) -> Result<bool, Violation> {
        let lost = self.dice.below(self.network.flying.len());
        let message = self.network.flying.remove(lost);
        if matches!(message, Message::Request(..) | Message::Answer(..)) {
            return Ok(false);
        }
        self.link_breaks().await?;
        Ok(true)
    }

    async fn something_arrives(&mut self) -> Result<bool, Violation> {
        if self.network.flying.is_empty() {
            return Ok(false);
        }
        let which = if self.dice.percent(70) {
            0
        } else {
            self.dice.below(self.network.flying.len())
        };
        self.deliver(self.network.arrives(which)).await
    }

    fn dice_ms(&mut self) -> u64 {
        if self.dice.percent(1 + self.temper) {
            self.dice.between(1_000, 40_000)
        } else {
            self.dice.between(0, 400)
        }
    }
}

fn has_orders(device: &Device) -> bool {
    !device.inbox.is_empty()
}

fn is_at_work(device: &Device) -> bool {
    device.running.is_some()
}

fn is_away(device: &Device) -> bool {
    !device.there
}

/// The agent lives and could reach it.
fn is_found(device: &Device) -> bool {
    device.there && !device.reached && device.fence.is_some()
}

fn is_awaited(device: &Device) -> bool {
    device.viewers.iter().any(|viewer| !viewer.up)
}

fn is_watched(device: &Device) -> bool {
    device.viewers.iter().any(|viewer| viewer.up)
}
