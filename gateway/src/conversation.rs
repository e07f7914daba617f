//! What viewers say on their channels, and what they are told: the engine's side of the wire.
//!
//! Every message is counted against a rate before it is read, refused whole when it is not one of ours,
//! and applied only while the fence lets this hand through. The bytes are `protocol`'s.

use std::time::Instant;

use protocol::control::{self, ToViewer};
use protocol::input::{self, InputOp};
use protocol::stats;
use protocol::{Channel, CloseReason, ConnectionId};

use crate::engine::Engine;
use crate::event::Role;
use crate::fence::Passage;
use crate::input::Arrival;

impl Engine {
    /// A viewer said something.
    pub(crate) fn said(
        &mut self,
        connection: ConnectionId,
        channel: Channel,
        bytes: &[u8],
        received: Instant,
        now: Instant,
    ) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let bucket = match channel {
            Channel::Input => &mut viewer.input_bucket,
            Channel::Control | Channel::Stats => &mut viewer.control_bucket,
        };
        if !bucket.take(now) {
            self.stats.counters.inputs_limited += 1;
            return;
        }
        let understood =
            match channel {
                Channel::Input => input::Message::decode(bytes)
                    .map(|message| self.touched(connection, &message, received, now)),
                Channel::Control => {
                    control::ToGateway::decode(bytes).map(|message| self.commanded(connection, message, now))
                }
                Channel::Stats => stats::ToGateway::decode(bytes)
                    .map(|message| self.asked(connection, message, received, now)),
            };
        if understood.is_err() {
            self.misbehaved(connection, now);
        }
    }

    fn touched(
        &mut self,
        connection: ConnectionId,
        message: &input::Message,
        received: Instant,
        now: Instant,
    ) {
        let allowed = self.may_touch(connection);
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let picture = self
            .devices
            .get(&viewer.device)
            .and_then(|device| device.stream.picture());
        let arrival = Arrival {
            at: received,
            at_us: self.clock.us(received),
            generation: picture.map(|picture| picture.generation),
            allowed,
        };
        let (mut ops, before) = (Vec::new(), viewer.hand.counts.void);
        let mut ack = match message {
            input::Message::Touch(touch) => viewer.hand.touch(touch, arrival, &mut ops),
            input::Message::Wheel(wheel) => viewer.hand.wheel(wheel, arrival, &mut ops),
        };
        ack.held_us = u32::try_from(now.saturating_duration_since(received).as_micros()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(17);
        ack.encode(&mut bytes);
        viewer.say(Channel::Input, &bytes, now);
        self.stats.counters.inputs += 1;
        self.stats.counters.edges_void += viewer.hand.counts.void - before;
        ops.into_iter().for_each(|op| self.act(connection, op));
    }

    fn commanded(&mut self, connection: ConnectionId, message: control::ToGateway, now: Instant) {
        let op = match message {
            control::ToGateway::Bye(_) => {
                self.close(connection, CloseReason::ClientLeft, now);
                return;
            }
            control::ToGateway::Key(key) => InputOp::Key(key),
            control::ToGateway::Text(text) => InputOp::Text(text),
            control::ToGateway::System(system) => InputOp::System(system),
        };
        if self.may_touch(connection) {
            self.act(connection, op);
        }
    }

    fn asked(
        &mut self,
        connection: ConnectionId,
        message: stats::ToGateway,
        received: Instant,
        now: Instant,
    ) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        match message {
            stats::ToGateway::Subscribe { every_n } => viewer.meta_every = every_n,
            stats::ToGateway::Ping { id, t0_us } => {
                let (t1_us, t2_us) = (self.clock.unix_us(received), self.clock.unix_us(now));
                let mut bytes = Vec::with_capacity(29);
                stats::ToViewer::Pong {
                    id,
                    t0_us,
                    t1_us,
                    t2_us,
                }
                .encode(&mut bytes);
                viewer.say(Channel::Stats, &bytes, now);
            }
        }
    }

    /// Lifts the pointers of a hand that has fallen silent.
    pub(crate) fn lift_silent(&mut self, connection: ConnectionId, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let mut ops = Vec::new();
        viewer.hand.lift_silent(now, &mut ops);
        self.stats.counters.pointers_silent += ops.len() as u64;
        ops.into_iter().for_each(|op| self.act(connection, op));
    }

    /// Tells a viewer the size of the picture.
    pub(crate) fn tell_picture(&mut self, connection: ConnectionId, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let Some(device) = self.devices.get(&viewer.device) else {
            return;
        };
        if let Some(picture) = device.stream.picture() {
            let (generation, width, height) = (picture.generation, picture.width, picture.height);
            let mut bytes = Vec::with_capacity(7);
            ToViewer::Picture {
                generation,
                width,
                height,
            }
            .encode(&mut bytes);
            viewer.say(Channel::Control, &bytes, now);
        }
    }

    /// Tells a viewer whether its gate is open.
    pub(crate) fn tell_gate(&mut self, connection: ConnectionId, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let Some(device) = self.devices.get(&viewer.device) else {
            return;
        };
        let open = device.fence.passage(viewer.epoch) == Passage::Flow;
        let mut bytes = Vec::with_capacity(2);
        ToViewer::Gate { open }.encode(&mut bytes);
        viewer.say(Channel::Control, &bytes, now);
    }

    /// Whether this viewer's hand reaches the device now.
    fn may_touch(&self, connection: ConnectionId) -> bool {
        let Some(viewer) = self.viewers.get(&connection) else {
            return false;
        };
        let passage = self
            .devices
            .get(&viewer.device)
            .map(|device| device.fence.passage(viewer.epoch));
        viewer.role == Role::Controller && passage == Some(Passage::Flow)
    }

    fn act(&mut self, connection: ConnectionId, op: InputOp) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        if !self
            .events
            .push_input(viewer.device, connection, viewer.epoch, op)
        {
            viewer.hand.forget();
        }
    }
}
