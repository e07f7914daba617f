//! Newest wins: the pictures of one source that wait for the media thread.
//!
//! A picture that waits is a picture that is late, so this is no queue in the usual sense. While the
//! reader keeps up everything passes through. When it does not, *everything* that waits is dropped,
//! because the pictures after a gap cannot be decoded, and nothing passes until the next key frame;
//! the reader learns that it must ask for one. Sizes and parameter sets are facts, not pictures:
//! the newest of each always survives.
//!
//! ```text
//!            push, room                        push of a key frame
//!          ┌───────────┐                     ┌─────────────────────┐
//!          ▼           │     push, full      │                     ▼
//!       Flowing ───────┴───────────────► AwaitKey ──────────────► Flowing
//!                    drop all, lost += n     │ ▲
//!                                            └─┘ push of another: lost += 1
//! ```
//!
//! It knows nothing of threads, sockets or H.264; `mailbox` puts a lock around it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::event::{AccessUnit, SourceEvent};
use crate::limits::{ACCESS_UNIT_BYTES_MAX, PICTURE_BYTES_PENDING_MAX, PICTURES_PENDING_MAX};

/// What waits, and whether it may still be decoded.
#[derive(Debug, Default)]
pub struct Latest {
    waiting: VecDeque<SourceEvent>,
    pictures: usize,
    bytes: usize,
    flow: Flow,
    lost: u64,
    lost_seen: u64,
}

/// What an overflow cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Pictures dropped.
    pub pictures: u64,
    /// Whether nothing can be decoded until somebody asks for a key frame; else one is waiting already.
    pub key_frame_needed: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Flow {
    #[default]
    Flowing,
    AwaitKey,
}

impl Latest {
    /// Takes one event of the source.
    pub fn push(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Unit(unit) => self.push_unit(unit),
            SourceEvent::Picture { .. } | SourceEvent::Config(_) => self.push_fact(event),
        }
    }

    /// Takes out what waits next.
    pub fn pop(&mut self) -> Option<SourceEvent> {
        let event = self.waiting.pop_front()?;
        if let SourceEvent::Unit(unit) = &event {
            self.pictures -= 1;
            self.bytes -= unit.data.len();
        }
        Some(event)
    }

    /// What was dropped since this was last asked.
    pub fn take_lost(&mut self) -> Lost {
        let pictures = self.lost - self.lost_seen;
        self.lost_seen = self.lost;
        // Whatever waits came after the loss, and the first of it is a key frame.
        let key_frame_needed = pictures > 0 && self.pictures == 0;
        Lost {
            pictures,
            key_frame_needed,
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == self.lost_seen
    }

    fn push_unit(&mut self, unit: AccessUnit) {
        let oversized = unit.data.len() > ACCESS_UNIT_BYTES_MAX;
        let full =
            self.pictures >= PICTURES_PENDING_MAX || self.bytes + unit.data.len() > PICTURE_BYTES_PENDING_MAX;
        if full || oversized {
            self.drop_pictures();
            self.flow = Flow::AwaitKey;
        }
        if oversized || (self.flow == Flow::AwaitKey && !unit.key) {
            self.lost += 1;
            return;
        }
        self.flow = Flow::Flowing;
        self.pictures += 1;
        self.bytes += unit.data.len();
        self.waiting.push_back(SourceEvent::Unit(unit));
    }

    /// A fact replaces an older one of its kind that no picture in between depends on.
    fn push_fact(&mut self, fact: SourceEvent) {
        let same_kind = |other: &SourceEvent| std::mem::discriminant(other) == std::mem::discriminant(&fact);
        let after_last_picture = self
            .waiting
            .iter()
            .rposition(|event| matches!(event, SourceEvent::Unit(_)))
            .map_or(0, |at| at + 1);
        if let Some(at) = (after_last_picture..self.waiting.len()).find(|&at| same_kind(&self.waiting[at])) {
            self.waiting.remove(at);
        }
        self.waiting.push_back(fact);
    }

    fn drop_pictures(&mut self) {
        self.lost += self.pictures as u64;
        let (mut size, mut config): (Option<(u16, u16)>, Option<Bytes>) = (None, None);
        for event in self.waiting.drain(..) {
            match event {
                SourceEvent::Picture { width, height } => size = Some((width, height)),
                SourceEvent::Config(bytes) => config = Some(bytes),
                SourceEvent::Unit(_) => {}
            }
        }
        (self.pictures, self.bytes) = (0, 0);
        self.waiting
            .extend(size.map(|(width, height)| SourceEvent::Picture { width, height }));
        self.waiting.extend(config.map(SourceEvent::Config));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use protocol::Pts;

    use super::*;

    fn unit(n: u64, key: bool) -> SourceEvent {
        let data = Bytes::from(vec![0; 100]);
        SourceEvent::Unit(AccessUnit {
            pts: Pts(n),
            key,
            data,
            received: Instant::now(),
        })
    }

    fn drain(latest: &mut Latest) -> Vec<u64> {
        std::iter::from_fn(|| latest.pop())
            .filter_map(|event| match event {
                SourceEvent::Unit(unit) => Some(unit.pts.0),
                SourceEvent::Picture { .. } | SourceEvent::Config(_) => None,
            })
            .collect()
    }

    #[test]
    fn pictures_pass_in_order_while_there_is_room() {
        let mut latest = Latest::default();
        latest.push(unit(0, true));
        latest.push(unit(1, false));
        assert_eq!(drain(&mut latest), [0, 1]);
        assert_eq!(latest.take_lost().pictures, 0);
    }

    #[test]
    fn after_an_overflow_nothing_passes_until_a_key_frame() {
        let mut latest = Latest::default();
        for n in 0..=PICTURES_PENDING_MAX as u64 {
            latest.push(unit(n, n == 0));
        }
        latest.push(unit(100, false));
        assert_eq!(drain(&mut latest), [] as [u64; 0]);
        let lost = Lost {
            pictures: PICTURES_PENDING_MAX as u64 + 2,
            key_frame_needed: true,
        };
        assert_eq!(latest.take_lost(), lost);
        latest.push(unit(101, true));
        latest.push(unit(102, false));
        assert_eq!(drain(&mut latest), [101, 102]);
        assert_eq!(latest.take_lost().pictures, 0);
    }

    #[test]
    fn a_key_frame_that_overflows_replaces_everything_that_waits() {
        let mut latest = Latest::default();
        for n in 0..PICTURES_PENDING_MAX as u64 {
            latest.push(unit(n, n == 0));
        }
        latest.push(unit(50, true));
        let lost = Lost {
            pictures: PICTURES_PENDING_MAX as u64,
            key_frame_needed: false,
        };
        assert_eq!(latest.take_lost(), lost, "nobody need ask for what is here");
        assert_eq!(drain(&mut latest), [50]);
    }

    #[test]
    fn sizes_and_parameter_sets_survive_an_overflow() {
        let mut latest = Latest::default();
        latest.push(SourceEvent::Picture { width: 1, height: 2 });
        latest.push(SourceEvent::Config(Bytes::from_static(b"old")));
        latest.push(SourceEvent::Config(Bytes::from_static(b"new")));
        for n in 0..=PICTURES_PENDING_MAX as u64 {
            latest.push(unit(n, false));
        }
        let facts: Vec<_> = std::iter::from_fn(|| latest.pop()).collect();
        assert!(matches!(facts[0], SourceEvent::Picture { width: 1, height: 2 }));
        assert!(matches!(&facts[1], SourceEvent::Config(bytes) if &bytes[..] == b"new"));
        assert_eq!(facts.len(), 2);
    }

    #[test]
    fn facts_alone_cannot_fill_it() {
        let mut latest = Latest::default();
        for _ in 0..1000 {
            latest.push(SourceEvent::Config(Bytes::from_static(b"x")));
            latest.push(SourceEvent::Picture { width: 1, height: 1 });
        }
        assert_eq!(std::iter::from_fn(|| latest.pop()).count(), 2);
    }
}
