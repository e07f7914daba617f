//! People: they open links, watch, touch, leave, come back, end; strangers try what is not theirs.
//!
//! A person's browser has the cookie of a lease only if the answer of the claim reached it.

use protocol::agent::{Request, Role};
use protocol::{CloseReason, LeaseId, SessionId};
use signaling::link::call::CallError;

use super::agent_side::Viewer;
use super::control_side::Call;
use super::mutants::Mutant;
use super::violation::Checked;
use super::violation::Invariant::{I4, I7, I10, I12, I13};
use super::world::World;
use crate::domain::session::Session;
use crate::routes::{launch, viewers};
use crate::secret::Hash;
use crate::store::audit::Actor;
use crate::store::claims::{Claim, Claimed, Refused};
use crate::store::connections::Owner;
use crate::store::viewer_tokens::NewViewerToken;

/// Grants of a hundred whose browser is gone before they are committed.
const HUNG_UP: u64 = 10;
/// Things that a person leaves in one event, at most.
const TOUCHES_AT_ONCE: usize = 3;

/// A browser and its cookies, one for each link.
#[derive(Default)]
pub(super) struct Person {
    pub(super) cookies: [Option<Cookie>; super::ground::LINKS],
    /// The fresh cookie of a request whose answer never came: it is asked again under the same key.
    unanswered: [Option<Hash>; super::ground::LINKS],
}

/// What the answer of a claim left in a browser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie {
    hash: Hash,
    session: SessionId,
    pub(super) lease: LeaseId,
}

impl World<'_> {
    /// Somebody opens a link, for the first time or again.
    pub(super) async fn claims(&mut self, who: usize, link: usize) -> Checked {
        let own = self.people[who].cookies[link];
        self.note(|| format!("person {who} opens link {link} with {own:?}"));
        let repeats = self.mutant != Some(Mutant::RetryNotIdempotent);
        let presented = own.map(|cookie| cookie.hash).filter(|_| repeats);
        let unanswered = self.people[who].unanswered[link];
        let fresh = match unanswered {
            Some(again) if repeats => again,
            _ => self.fresh_cookie(),
        };
        self.people[who].unanswered[link] = Some(fresh);
        let claim = Claim {
            token: self.ground.tokens[link],
            presented,
            fresh,
            repeatable: true,
            actor: &Actor::SYSTEM,
        };
        if self.mutant == Some(Mutant::GrantFromStaleRead) {
            self.forget_who_has_it(link).await;
        }
        let gate = self.gate_before(link).await?;
        let claimed = self.ground.store.claim(claim, self.now()).await?;
        if let Claimed::Granted(session) = &claimed {
            self.gate_was_open(&gate, session).await?;
        }
        self.gate_after(&gate).await;
        self.note(|| match &claimed {
            Claimed::Granted(session) => format!(
                "  granted {} of device {}",
                session.epoch,
                self.at(session.device)
            ),
            Claimed::Resumed(session) => format!("  resumed {}", session.epoch),
            Claimed::Refused(refused) => format!("  refused: {refused:?}"),
        });
        let session = match claimed {
            Claimed::Granted(session) => {
                self.granted(&session, who, fresh).await?;
                if !self.control.up {
                    return Ok(());
                }
                session
            }
            Claimed::Resumed(session) => {
                if self.owners.get(&session.lease) != Some(&who) {
                    self.eyes
                        .broken(I10, || format!("person {who} came into the lease of another"))?;
                }
                self.follow(&session).await?;
                session
            }
            Claimed::Refused(refused) => {
                let asked_before = unanswered
                    .and_then(|cookie| self.granted_for.get(&cookie))
                    .copied();
                self.people[who].unanswered[link] = None;
                return self.refusal_is_right(own.map(|own| own.lease).or(asked_before), refused);
            }
        };
        // The answer may be lost on its way to the browser.
        if !self.faults || !self.dice.percent(10) {
            self.people[who].unanswered[link] = None;
            self.people[who].cookies[link] = Some(Cookie {
                hash: Hash(session.binding),
                session: session.id,
                lease: session.lease,
            });
        }
        Ok(())
    }

    /// A lease was granted; control may die before anything follows from it.
    async fn granted(&mut self, session: &Session, who: usize, fresh: Hash) -> Checked {
        self.owners.insert(session.lease, who);
        if let Some(first) = self.granted_for.insert(fresh, session.lease) {
            self.eyes.broken(I7, || {
                format!("one request was granted {first} and {}", session.lease)
            })?;
        }
        if self.control_dies_here() {
            return Ok(());
        }
        // A browser that hangs up takes with it whoever would have followed.
        if !self.faults || !self.dice.percent(HUNG_UP) {
            self.follow(session).await?;
        }
        Ok(())
    }

    fn fresh_cookie(&mut self) -> Hash {
        self.cookies_made += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.cookies_made.to_le_bytes());
        Hash(bytes)
    }

    /// I7: whoever holds a lease and asks again is never told that somebody else has it.
    fn refusal_is_right(&self, own: Option<LeaseId>, refused: Refused) -> Checked {
        let holds = own.is_some_and(|own| self.before.is_held(own));
        if holds && matches!(refused, Refused::BoundElsewhere | Refused::DeviceInUse) {
            self.eyes.broken(I7, || {
                format!("a holder's second request is refused: {refused:?}")
            })?;
        }
        Ok(())
    }

    /// What a claim would do that trusts what it read a while ago, with nothing behind it.
    async fn forget_who_has_it(&self, link: usize) {
        self.sql("DROP INDEX IF EXISTS leases_one_live_per_device").await;
        for device in self.ground.devices_of(link) {
            self.sql(&format!(
                "UPDATE devices SET occupancy = 'free' WHERE id = '{device}'"
            ))
            .await;
        }
    }

    /// A holder's page makes its connection.
    pub(super) async fn offers(&mut self, who: usize, link: usize) -> Checked {
        let Some(cookie) = self.people[who].cookies[link] else {
            return Ok(());
        };
        let Some(session) = self.ground.store.session(cookie.session).await? else {
            return Ok(());
        };
        match viewers::holder(&session, cookie.hash) {
            Some(holder) => self.opens(&session, holder).await,
            None => Ok(()),
        }
    }

    /// Somebody whom a holder lets watch makes a connection.
    pub(super) async fn observes(&mut self, who: usize, link: usize) -> Checked {
        let Some(cookie) = self.people[who].cookies[link] else {
            return Ok(());
        };
        let Some(session) = self.ground.store.session(cookie.session).await? else {
            return Ok(());
        };
        let watcher = Hash::of(&session.lease.to_string());
        let token = NewViewerToken {
            token: watcher,
            lease: session.lease,
            role: Role::Observer,
            operator: None,
        };
        let (store, now) = (&self.ground.store, self.now());
        if viewers::may_connect(&session) {
            store.add_viewer_token(token, &Actor::SYSTEM, now).await?;
        }
        match store.viewer(watcher, session.lease, now).await? {
            Some(watcher) => self.opens(&session, watcher).await,
            None => Ok(()),
        }
    }

    async fn opens(&mut self, session: &Session, owner: Owner) -> Checked {
        if !viewers::may_connect(session) {
            return Ok(());
        }
        self.note(|| format!("a {:?} of the lease at {} connects", owner.role, session.epoch));
        let most = viewers::most(&owner, session);
        let opened = self
            .ground
            .store
            .open_connection(owner, most, &Actor::SYSTEM, self.now());
        let Some(opened) = opened.await? else {
            return Ok(());
        };
        self.connections.insert(opened.id, session.lease);
        if self.mutant == Some(Mutant::ObserverHolds) {
            self.sql("UPDATE connections SET role = 'controller'").await;
        }
        if self.control_dies_here() {
            return Ok(());
        }
        for connection in opened.replaced {
            let close = viewers::close_of(session, connection, CloseReason::Replaced);
            self.hang_up(close).await?;
        }
        let offer = viewers::offer_of(session, &owner, opened.id, String::new());
        let offered = Call::Offer(session.clone(), opened.id);
        if self.asks(offered.clone(), Request::WhepOffer(offer)).await? {
            return Ok(());
        }
        let unreachable = Err(CallError::Lost("no control has its link".to_owned()));
        self.conclude(offered, unreachable, false).await
    }

    /// Somebody ends the session of a link's holder: the holder, or a stranger who knows its id.
    pub(super) async fn ends(&mut self, who: usize, link: usize) -> Checked {
        let holder = (0..self.people.len()).find_map(|holder| self.people[holder].cookies[link]);
        let Some(target) = self.people[who].cookies[link].or(holder) else {
            return Ok(());
        };
        let presented = self.people[who].cookies[link].map(|cookie| cookie.hash.0);
        let found = self.ground.store.session(target.session).await?;
        let shown = match self.mutant {
            Some(Mutant::ReleaseByAnyone) => found,
            _ => found.and_then(|session| session.shown_to(presented)),
        };
        let Some(session) = shown else { return Ok(()) };
        let ended = launch::leave(&self.ground.store, &session, &Actor::SYSTEM, self.now()).await?;
        let Some(ended) = ended else { return Ok(()) };
        self.note(|| format!("person {who} ended the lease at {}", ended.epoch));
        if self.mutant == Some(Mutant::ChangeWithoutAudit) {
            self.sql("DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)")
                .await;
        }
        if self.owners.get(&session.lease) != Some(&who) {
            self.eyes
                .broken(I10, || format!("person {who} ended the lease of another"))?;
        }
        if !self.control_dies_here() {
            self.follow(&ended).await?;
        }
        Ok(())
    }

    /// A viewer touches the device and reads its screen.
    pub(super) fn touches(&mut self, at: usize) -> Checked {
        let (device, eyes) = (&mut self.devices[at], self.eyes);
        let up: Vec<Viewer> = device
            .viewers
            .iter()
            .filter(|viewer| viewer.up)
            .copied()
            .collect();
        let drawn = self.dice.below(up.len());
        let Some(viewer) = up.get(drawn).copied() else {
            return Ok(());
        };
        // As the gateway does it (gateway/src/viewer.rs): whoever only watches has no input.
        if !viewer.attends() && self.mutant != Some(Mutant::ObserverActs) {
            return Ok(());
        }
        let fence = device.mark().epoch;
        if !device.pass().lets_act(viewer.epoch) {
            return Ok(());
        }
        let lease = self.connections[&viewer.connection];
        if !viewer.attends() {
            eyes.broken(I13, || {
                format!("whoever only watches the lease at {} acts", viewer.epoch)
            })?;
        }
        // I12: a connection belongs to one lease and its epoch.
        if self.ledger.epoch_of(lease) != Some(viewer.epoch) {
            eyes.broken(I12, || {
                format!("a connection of {lease} acts under {}", viewer.epoch)
            })?;
        }
        if let Some(other) = device.phone.traces().iter().find(|other| **other != fence) {
            eyes.broken(I4, || {
                format!("the holder at {fence} reads what the one at {other} left on device {at}")
            })?;
        }
        // Of an epoch that was given out twice only one lease is let in.
        if device.phone.traces().is_empty() {
            device.acting.clear();
        }
        let first = *device.acting.entry(viewer.epoch).or_insert(lease);
        if first != lease {
            eyes.broken(I4, || {
                format!("{lease} reads what {first} left under the same {}", viewer.epoch)
            })?;
        }
        for _ in 0..=self.dice.below(TOUCHES_AT_ONCE) {
            device.phone.touch(fence, &mut self.dice);
        }
        device.touched = Some((viewer.epoch, self.monotonic));
        self.stays.touched(lease, self.monotonic);
        self.others_stays.touched(lease, self.monotonic);
        Ok(())
    }
}
