//! Pictures to viewers: the engine's side of the stream.
//!
//! A frame goes to every viewer whose gate is open and who can decode it, hands before mere eyes. Who
//! cannot is sent the cached group, or waits for the key frame that is then asked for.
//!
//! ```text
//!  gate opens ─┐            ┌─ cached ──► replay ──────────► Flowing
//!  PLI, FIR ───┴─► refresh ─┤
//!                           └─ not ─────► wish ─► device ──► AwaitKey
//! ```

use std::time::Instant;

use protocol::{Channel, ConnectionId, DeviceId};

use crate::burst::FrameTag;
use crate::engine::{Engine, finger_down};
use crate::event::{Event, Role, SourceEvent};
use crate::fence::Passage;
use crate::latest::Lost;
use crate::media::Flow;
use crate::source::Frame;
use crate::stats::record;
use crate::viewer::Viewer;

impl Engine {
    /// Lets media through if the fence does: the cached group at once, or the next key frame.
    pub(crate) fn open_gate(&mut self, connection: ConnectionId, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let passage = self
            .devices
            .get(&viewer.device)
            .map(|device| device.fence.passage(viewer.epoch));
        if passage == Some(Passage::Flow)
            && let Some(media) = viewer.media()
            && media.flow() == Flow::Gated
        {
            media.await_key();
            self.refresh(connection, now);
        }
    }

    pub(crate) fn close_gate(&mut self, connection: ConnectionId) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        if let Some(media) = viewer.media() {
            media.gate();
        }
        let mut ops = Vec::new();
        viewer.hand.lift_all(&mut ops);
        let (device, epoch) = (viewer.device, viewer.epoch);
        for op in ops {
            self.events.push_input(device, connection, epoch, None, op);
        }
    }

    /// A viewer is not heard of any more, or is again and needs a picture.
    pub(crate) fn away(&mut self, connection: ConnectionId, away: bool, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        if viewer.media().is_some_and(|media| media.away(away)) {
            self.refresh(connection, now);
        }
    }

    /// A viewer cannot decode: send it the cached group, or want a key frame.
    pub(crate) fn refresh(&mut self, connection: ConnectionId, now: Instant) {
        let Some(viewer) = self.viewers.get_mut(&connection) else {
            return;
        };
        let Some(device) = self.devices.get_mut(&viewer.device) else {
            return;
        };
        let role = viewer.role;
        let Some(media) = viewer.media() else { return };
        if matches!(media.flow(), Flow::Gated | Flow::Away) {
            return;
        }
        let pts = device.stream.pts_now(self.clock.us(now));
        match (device.stream.replay(), pts) {
            (Some(frames), Some(pts)) => {
                if media.begin_replay(now) {
                    self.stats.counters.replays += 1;
                    for (index, frame) in frames.iter().enumerate() {
                        viewer.send(frame, Some((pts, frames.len() - 1 - index)), now);
                    }
                }
            }
            _ => {
                media.await_key();
                device.keys.want(role);
            }
        }
    }

    pub(crate) fn source(&mut self, id: DeviceId, event: &SourceEvent, now: Instant) {
        let device = self.devices.entry(id).or_default();
        let changed = match event {
            SourceEvent::Picture { width, height } => device.stream.resize(*width, *height),
            SourceEvent::Config(config) => device.stream.configure(config),
            SourceEvent::Unit(unit) => {
                record(
                    &mut self.stats.waiting,
                    now.saturating_duration_since(unit.received),
                );
                self.stats.counters.pictures += 1;
                let (frame, changed) = device.stream.push(unit, now, self.clock.us(now));
                match frame {
                    Some(frame) => self.fan_out(id, &frame, now),
                    // Nothing can be decoded yet: somebody must ask, even if nobody new joins.
                    None => self.await_key(id),
                }
                changed
            }
        };
        if changed.is_some() {
            for connection in self.viewers_of(id) {
                self.tell_picture(connection, now);
                self.pump(connection, now);
            }
        }
    }

    pub(crate) fn fan_out(&mut self, id: DeviceId, frame: &Frame, now: Instant) {
        let Some(device) = self.devices.get_mut(&id) else {
            return;
        };
        if frame.key {
            device.keys.satisfied();
        }
        let gap = device
            .last_frame
            .map(|at| now.saturating_duration_since(at))
            .unwrap_or_default();
        let rebase = std::mem::take(&mut device.rebase);
        device.last_frame = Some(now);
        for connection in self.viewers_of(id) {
            let Some(viewer) = self.viewers.get_mut(&connection) else {
                continue;
            };
            let Some(media) = viewer.media() else { continue };
            if rebase {
                media.rebase(frame.pts, gap);
            }
            if media.admits(frame.key) {
                viewer.send(frame, None, now);
                self.pump(connection, now);
            }
        }
    }

    pub(crate) fn source_lost(&mut self, id: DeviceId, lost: Lost) {
        self.stats.counters.pictures_dropped += lost.pictures;
        self.devices.entry(id).or_default().stream.lose();
        if lost.key_frame_needed {
            self.await_key(id);
        }
    }

    /// Every viewer whose gate is open needs a key frame.
    pub(crate) fn await_key(&mut self, id: DeviceId) {
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.device == id) {
            let role = viewer.role;
            if let Some(media) = viewer.media()
                && matches!(media.flow(), Flow::AwaitKey | Flow::Flowing)
            {
                media.await_key();
                if let Some(device) = self.devices.get_mut(&id) {
                    device.keys.want(role);
                }
            }
        }
    }

    pub(crate) fn ask_for_key_frames(&mut self, now: Instant) {
        for (id, device) in &mut self.devices {
            let finger_down = finger_down(&self.viewers, *id);
            if device.stream.attached() && device.keys.ask(now, finger_down) {
                self.stats.counters.key_frames_wanted += 1;
                self.events.push(Event::KeyFrameWanted { device: *id });
            }
        }
    }

    pub(crate) fn left(&mut self, tag: FrameTag, now: Instant) {
        let clock = self.clock;
        let Some(viewer) = self.viewers.get_mut(&tag.connection) else {
            return;
        };
        let Some((residence, meta)) = viewer.left(tag, now, &clock) else {
            return;
        };
        record(&mut self.stats.residence, residence);
        if let Some(meta) = meta {
            let mut bytes = Vec::with_capacity(64);
            protocol::stats::ToViewer::FrameMeta(meta).encode(&mut bytes);
            viewer.say(Channel::Stats, &bytes, now);
            self.pump(tag.connection, now);
        }
    }

    /// The viewers of a device, hands before mere eyes: they are sent each frame first.
    pub(crate) fn viewers_of(&self, id: DeviceId) -> Vec<ConnectionId> {
        let of_role = |role| {
            let wanted = move |viewer: &&Viewer| viewer.device == id && viewer.role == role;
            self.viewers
                .values()
                .filter(wanted)
                .map(|viewer| viewer.connection)
        };
        of_role(Role::Controller)
            .chain(of_role(Role::Spectator))
            .collect()
    }
}
