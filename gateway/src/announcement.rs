//! The picture's size, said again until the viewer has heard it.
//!
//! ```text
//!   begin: the size is news ──► said again every PICTURE_REPEAT, PICTURE_REPEATS times
//!                                  │ heard: a packet names it
//!                                  ▼
//!                               at rest ──► asked: a packet names an older one ──► said once more
//! ```
//!
//! The `control` channel says it reliably, and when that packet is lost SCTP says it again after a second,
//! in which every press is void. The repetitions go on the channel that neither waits nor orders. It does
//! not know the size, the channels or what makes a packet current.

use std::time::Instant;

use crate::limits::{PICTURE_REPEAT, PICTURE_REPEATS};

/// What one viewer is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Announcement {
    /// When it is said next, and how often still.
    next: Option<(Instant, u32)>,
    /// When it was last said because a packet named an older picture.
    answered: Option<Instant>,
}

impl Announcement {
    /// The size was told for the first time.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.next = Some((now + PICTURE_REPEAT, PICTURE_REPEATS));
    }

    /// A packet named the picture that is being sent: the viewer knows it.
    pub(crate) fn heard(&mut self) {
        self.next = None;
    }

    /// A packet named another picture. Whether the size is to be said now: not more often than it is
    /// repeated.
    pub(crate) fn asked(&mut self, now: Instant) -> bool {
        let due = self.answered.is_none_or(|at| now >= at + PICTURE_REPEAT);
        if due {
            self.answered = Some(now);
        }
        due
    }

    /// Whether the size is to be said again now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let Some((_, left)) = self.next.filter(|(at, _)| *at <= now) else {
            return false;
        };
        self.next = (left > 1).then(|| (now + PICTURE_REPEAT, left - 1));
        true
    }

    /// When to call [`Self::take`].
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_again_a_bounded_number_of_times() {
        let (mut announcement, mut now, mut said) = (Announcement::default(), Instant::now(), 0);
        announcement.begin(now);
        while let Some(at) = announcement.timeout() {
            assert_eq!(at, now + PICTURE_REPEAT);
            now = at;
            said += u32::from(announcement.take(now));
        }
        assert_eq!(said, PICTURE_REPEATS);
        assert!(!announcement.take(now + PICTURE_REPEAT));
    }

    #[test]
    fn who_has_heard_it_is_not_told_again() {
        let (mut announcement, now) = (Announcement::default(), Instant::now());
        announcement.begin(now);
        announcement.heard();
        assert_eq!(announcement.timeout(), None);
    }

    #[test]
    fn who_names_an_older_picture_is_told_but_not_for_every_packet() {
        let (mut announcement, now) = (Announcement::default(), Instant::now());
        assert!(announcement.asked(now));
        assert!(!announcement.asked(now + PICTURE_REPEAT / 2));
        assert!(announcement.asked(now + PICTURE_REPEAT));
    }
}
