//! Events on their way to the agent: bounded, and never such that a finger stays down.
//!
//! Input is dropped when [`EVENTS_MAX`] events wait, and then the connection owes a lift, which goes
//! out as soon as there is room. `Connected`, `Closed` and `KeyFrameWanted` are few (each is bounded by
//! the number of connections and devices) and use the room that is kept for them.

use std::collections::VecDeque;

use protocol::input::InputOp;
use protocol::{ConnectionId, DeviceId, Epoch};

use crate::event::Event;
use crate::limits::EVENTS_MAX;
use crate::source::Picture;

/// What waits for the agent.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: VecDeque<Event>,
    owed: Vec<(DeviceId, ConnectionId, Epoch)>,
}

impl Events {
    /// Takes an event that must not be lost.
    pub(crate) fn push(&mut self, event: Event) {
        self.waiting.push_back(event);
    }

    /// Takes what a hand did; false when there is no room, and a lift is owed.
    pub(crate) fn push_input(
        &mut self,
        device: DeviceId,
        connection: ConnectionId,
        epoch: Epoch,
        picture: Option<Picture>,
        op: InputOp,
    ) -> bool {
        if self.waiting.len() >= EVENTS_MAX {
            if !self.owed.contains(&(device, connection, epoch)) {
                self.owed.push((device, connection, epoch));
            }
            return false;
        }
        self.waiting.push_back(Event::Input {
            device,
            connection,
            epoch,
            picture,
            op,
        });
        true
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.waiting.pop_front();
        if self.waiting.len() < EVENTS_MAX
            && let Some((device, connection, epoch)) = self.owed.pop()
        {
            self.waiting.push_back(Event::Input {
                device,
                connection,
                epoch,
                picture: None,
                op: InputOp::LiftAll,
            });
        }
        event
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn input_that_finds_no_room_ends_in_a_lift() {
        let (device, connection) = (
            DeviceId::from_uuid(Uuid::nil()),
            ConnectionId::from_uuid(Uuid::nil()),
        );
        let mut events = Events::default();
        let mut push = |op| events.push_input(device, connection, Epoch(1), None, op);
        for _ in 0..EVENTS_MAX {
            assert!(push(InputOp::Text(String::new())));
        }
        assert!(!push(InputOp::Text("lost".into())));
        assert!(!push(InputOp::Text("lost".into())));
        let all: Vec<_> = std::iter::from_fn(|| events.pop()).collect();
        assert_eq!(all.len(), EVENTS_MAX + 1);
        assert!(matches!(
            all.last(),
            Some(Event::Input {
                op: InputOp::LiftAll,
                ..
            })
        ));
        assert!(events.is_empty());
    }
}
