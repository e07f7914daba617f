//! Frames whose last packet has not been handed to the socket yet.
//!
//! The viewer notes a frame when the stack takes it; the driver says when its last packet has left. The
//! time in between is the gateway's residence, and what a viewer is told about the frame is known then.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::stats::FrameMeta;

use crate::clock::Clock;
use crate::limits::FRAMES_PENDING_MAX;
use crate::source::Picture;

/// One frame on its way out.
#[derive(Debug)]
pub(crate) struct Departure {
    /// Its timestamp on this connection.
    pub(crate) rtp: u32,
    /// When its last byte came; for a replay, when it was decided.
    pub(crate) received: Instant,
    /// When the device captured it, microseconds since the engine started.
    pub(crate) capture_us: u64,
    /// Its size.
    pub(crate) picture: Option<Picture>,
    /// Whether the viewer wants to hear of it.
    pub(crate) wanted: bool,
}

/// Frames of one viewer, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Departures(VecDeque<Departure>);

impl Departures {
    /// Notes a frame; beyond [`FRAMES_PENDING_MAX`] the oldest is forgotten.
    pub(crate) fn push(&mut self, departure: Departure) {
        if self.0.len() == FRAMES_PENDING_MAX {
            self.0.pop_front();
        }
        self.0.push_back(departure);
    }

    /// A frame has left: how long it stayed, and what to tell the viewer if it asked.
    pub(crate) fn left(
        &mut self,
        rtp: u32,
        now: Instant,
        clock: &Clock,
    ) -> Option<(Duration, Option<FrameMeta>)> {
        let at = self.0.iter().position(|departure| departure.rtp == rtp)?;
        let Departure {
            received,
            capture_us,
            picture,
            wanted,
            ..
        } = self.0.remove(at)?;
        let residence = now.saturating_duration_since(received);
        let meta = picture.filter(|_| wanted).map(|picture| FrameMeta {
            rtp,
            capture_us: clock.to_unix(capture_us),
            received_us: clock.unix_us(received),
            sent_us: clock.unix_us(now),
            generation: picture.generation,
            width: picture.width,
            height: picture.height,
            residence_us: u32::try_from(residence.as_micros()).unwrap_or(u32::MAX),
        });
        Some((residence, meta))
    }
}
