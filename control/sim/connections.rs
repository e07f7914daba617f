//! Connections in a world: what control makes of an agent's words about them, and whether both sides have the same ones.
//!
//! ```text
//!   Connected, Hello ──► Store ──┬─► known: the lease follows
//!                                └─► stray: CloseConnection until the agent says so   as jobs::hang_up
//! ```
//!
//! The rules are `domain::connection` and `store::connections`; here they are only called and looked at.

use protocol::ConnectionId;
use protocol::agent::{CloseConnection, ConnectionEvent, ConnectionState, Request};

use super::control_side::Call;
use super::invariants::Rows;
use super::mutants::Mutant;
use super::network::Message;
use super::violation::Invariant::{I5, I12};
use super::violation::{Checked, Violation};
use super::world::World;
use crate::domain::session::Session;
use crate::jobs::hang_up;
use crate::routes::viewers;
use crate::store::connections::Noted;

impl World<'_> {
    /// An agent tells of a connection.
    pub(super) async fn on_connection(&mut self, event: &ConnectionEvent) -> Checked {
        let unheard = event.state == ConnectionState::Connected && self.mutant == Some(Mutant::UpUnheard);
        if !self.control.host_up || unheard {
            return Ok(());
        }
        let (host, now) = (self.ground.host, self.now());
        match self.ground.store.connection_changed(host, event, now).await? {
            Noted::Known(changed) => self.committed(changed).await,
            Noted::Stray(reason) => self.hang_up(hang_up::stray(event, reason)).await,
        }
    }

    /// An agent answered an offer. Its connection may be over by now.
    pub(super) async fn offer_is_answered(&mut self, session: &Session, id: ConnectionId) -> Checked {
        let now = self.now();
        if let Err(reason) = self.ground.store.answered(id, "etag", now).await? {
            self.hang_up(viewers::close_of(session, id, reason)).await?;
        }
        Ok(())
    }

    /// A connection is over here, and the agent may have it.
    pub(super) async fn hang_up(&mut self, close: CloseConnection) -> Checked {
        if self.mutant != Some(Mutant::StraysStay) {
            // Where nobody has a link the next Hello lists it.
            self.asks(Call::Close(close.clone()), Request::CloseConnection(close))
                .await?;
        }
        Ok(())
    }

    /// I12: a Hello ends no connection that the agent had when it said so, and has. `living`: those that lived when it
    /// came.
    pub(super) async fn none_was_given_up(&self, living: &[ConnectionId]) -> Checked {
        let lost = "SELECT id FROM connections WHERE close_reason = 'host_lost'";
        for id in self.connection_ids(lost).await? {
            if living.contains(&id) && self.network.had.contains(&id) && self.has(id) {
                self.eyes.broken(I12, || {
                    format!("{id} was given up for lost, and its agent has it")
                })?;
            }
        }
        Ok(())
    }

    /// I5: no grace runs out under somebody who is there, once his agent's word has arrived.
    pub(super) async fn nobody_there_was_put_out(&self, before: &Rows, after: &Rows) -> Checked {
        if !self.sweeping || !(self.control.host_up || self.other.host_up) {
            return Ok(());
        }
        for was in before.held().filter(|was| was.state == "grace") {
            let reason = after.lease(was.id).and_then(|now| now.reason.as_deref());
            if reason != Some("lease_ended") {
                continue;
            }
            let cut = "SELECT id FROM connections WHERE close_reason = 'lease_ended'";
            for id in self.connection_ids(cut).await? {
                let own = self.connections.get(&id) == Some(&was.id);
                if own && self.is_up(id) && !self.is_told_of(id) {
                    self.eyes.broken(I5, || {
                        format!("the grace of {} ran out under a viewer who is there", was.epoch)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Connections that are not over at control.
    pub(super) async fn living(&self) -> Result<Vec<ConnectionId>, Violation> {
        self.connection_ids("SELECT id FROM connections WHERE state <> 'closed'")
            .await
    }

    /// A connection that an agent has and that is over at control; at rest there is none (I12).
    pub(super) async fn stray(&self) -> Result<Option<ConnectionId>, Violation> {
        let living = self.living().await?;
        let mut devices = self.devices.iter();
        Ok(devices.find_map(|device| {
            let mut viewers = device.viewers.iter().map(|viewer| viewer.connection);
            viewers.find(|connection| !living.contains(connection))
        }))
    }

    pub(super) async fn no_stray_stays(&self) -> Checked {
        match self.stray().await? {
            Some(id) => self
                .eyes
                .broken(I12, || format!("{id} is over, and its agent still has it")),
            None => Ok(()),
        }
    }

    async fn connection_ids(&self, sql: &'static str) -> Result<Vec<ConnectionId>, Violation> {
        let rows = self.ground.store.rows(sql).await?;
        Ok(rows
            .iter()
            .map(|row| row.parsed("id"))
            .collect::<Result<_, _>>()?)
    }

    /// What the agent has taken in: its viewers, and the offers that wait.
    pub(super) fn taken_in(&self) -> Vec<ConnectionId> {
        let viewers = self.devices.iter().flat_map(|device| &device.viewers);
        let offers = self.devices.iter().flat_map(|device| &device.inbox);
        let offers = offers.filter_map(|(_, request)| match request {
            Request::WhepOffer(offer) => Some(offer.connection),
            _ => None,
        });
        viewers.map(|viewer| viewer.connection).chain(offers).collect()
    }

    fn has(&self, id: ConnectionId) -> bool {
        let viewers = self.devices.iter().flat_map(|device| &device.viewers);
        let mut ids = viewers.map(|viewer| viewer.connection);
        ids.any(|connection| connection == id)
    }

    fn is_up(&self, id: ConnectionId) -> bool {
        let mut viewers = self.devices.iter().flat_map(|device| &device.viewers);
        viewers.any(|viewer| viewer.attends() && viewer.connection == id)
    }

    /// Whether a word about it is still on its way.
    fn is_told_of(&self, id: ConnectionId) -> bool {
        let about =
            |message: &Message| matches!(message, Message::Connection(event) if event.connection == id);
        self.network.flying.iter().any(about)
    }
}
