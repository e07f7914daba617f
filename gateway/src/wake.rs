//! Wake-ups: everything that wants to be called later, in one ladder, and what happens then.
//!
//! ```text
//!   stacks · silent hands · pictures to say again · key frames ──► min ──► Output::Timeout(at, reason)
//!                                                                        Input::Timeout ──► whoever is due
//! ```
//!
//! Each part keeps its own time; this file only asks them. It reads no clock.

use std::time::Instant;

use protocol::input::InputOp;
use protocol::{Channel, ConnectionId};

use crate::engine::{Engine, Reason, finger_down};
use crate::viewer::Viewer;

impl Engine {
    /// Time has come for whoever is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        let due = |viewer: &&Viewer| {
            timeouts(viewer)
                .into_iter()
                .any(|(at, _)| at.is_some_and(|at| at <= now))
        };
        let due: Vec<ConnectionId> = self
            .viewers
            .values()
            .filter(due)
            .map(|viewer| viewer.connection)
            .collect();
        for connection in due {
            let mut happenings = Vec::new();
            if let Some(viewer) = self.viewers.get_mut(&connection) {
                viewer.tick(now, &mut happenings);
            }
            self.lift_silent(connection, now);
            self.repeat_picture(connection, now);
            self.happened(connection, happenings, now);
            self.pump(connection, now);
        }
    }

    /// The ladder of everything that wants to be woken.
    pub(crate) fn wake(&self) -> (Option<Instant>, Reason) {
        let viewers = self.viewers.values().flat_map(timeouts);
        let viewers = viewers.filter_map(|(at, reason)| Some((at?, reason)));
        let keys = self.devices.iter().filter(|(_, device)| device.stream.attached());
        let keys = keys.filter_map(|(id, device)| device.keys.timeout(finger_down(&self.viewers, *id)));
        let all = viewers.chain(keys.map(|at| (at, Reason::KeyFrame)));
        all.min_by_key(|(at, _)| *at)
            .map_or((None, Reason::Idle), |(at, reason)| (Some(at), reason))
    }

    /// Lifts the pointers of a hand that has fallen silent, and everything of one that has for long.
    fn lift_silent(&mut self, connection: ConnectionId, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let mut ops = Vec::new();
        viewer.hand.lift_silent(now, &mut ops);
        self.stats.counters.pointers_silent += ops.len() as u64;
        if viewer.keys.take_silent(now) {
            ops.push(InputOp::LiftAll);
        }
        ops.into_iter().for_each(|op| self.act(connection, op));
    }

    /// Says the picture's size again if the viewer may not have heard it.
    fn repeat_picture(&mut self, connection: ConnectionId, now: Instant) {
        if let Some(viewer) = self.viewers.get_mut(&connection)
            && viewer.announcement.take(now)
        {
            self.say_picture(connection, Channel::Stats, now);
        }
    }
}

/// What a viewer wants to be called for.
fn timeouts(viewer: &Viewer) -> [(Option<Instant>, Reason); 4] {
    [
        (viewer.wake, Reason::Stack),
        (viewer.hand.timeout(), Reason::PointerSilent),
        (viewer.keys.timeout(), Reason::KeysSilent),
        (viewer.announcement.timeout(), Reason::Picture),
    ]
}
