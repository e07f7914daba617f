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
use crate::source::Picture;

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
        viewer.keys.heard(now);
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
        let named = match message {
            input::Message::Touch(touch) => touch.generation,
            input::Message::Wheel(wheel) => wheel.generation,
        };
        let outdated = picture.is_some_and(|picture| picture.generation != named);
        if !outdated {
            viewer.announcement.heard();
        }
        let tell = outdated && viewer.announcement.asked(now);
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
        if tell {
            self.say_picture(connection, Channel::Stats, now);
        }
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
            if let (Some(viewer), InputOp::Key(key)) = (self.viewers.get_mut(&connection), &op) {
                viewer.keys.apply(key);
            }
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

    /// Tells a viewer the size of the picture, which it does not know yet.
    pub(crate) fn tell_picture(&mut self, connection: ConnectionId, now: Instant) {
        self.say_picture(connection, Channel::Control, now);
        if let Some(viewer) = self.viewers.get_mut(&connection) {
            viewer.announcement.begin(now);
        }
    }

    /// Says the size of the picture on one of the two channels that carry it.
    pub(crate) fn say_picture(&mut self, connection: ConnectionId, channel: Channel, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let picture = self
            .devices
            .get(&viewer.device)
            .map(|device| device.stream.picture());
        if let Some(Picture {
            generation,
            width,
            height,
        }) = picture.flatten()
        {
            // The same bytes on both channels.
            let mut bytes = Vec::with_capacity(7);
            ToViewer::Picture {
                generation,
                width,
                height,
            }
            .encode(&mut bytes);
            viewer.say(channel, &bytes, now);
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

    pub(crate) fn act(&mut self, connection: ConnectionId, op: InputOp) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let picture = self
            .devices
            .get(&viewer.device)
            .and_then(|device| device.stream.picture());
        if !self
            .events
            .push_input(viewer.device, connection, viewer.epoch, picture, op)
        {
            viewer.hand.forget();
        }
    }
}
