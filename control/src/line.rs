//! This control's own line in the database, by which it sees that the database was put back while it ran.
//!
//! ```text
//!   look 7 is written ─► 7 │ acknowledged: from now on nothing below 7 is true
//!   look 8 is written ─► ? │ no answer: the line says 7 or 8          a host dials, a turn is lost, the server is killed:
//!   look 9 is written ─► 9 │ acknowledged                             none of that makes it say less than was acknowledged
//! ```
//!
//! Numbers, since a clock may be set back; counted by the looks around alone, one after the other, since anything else
//! that is written beside them could be taken for somebody else's. What was acknowledged is remembered over looks that
//! failed: while a dump is put back nothing can be looked at. It does not know the database, nor what follows.

/// A number of a look around; the first is 1. One that nobody wrote has 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look(pub u32);

/// What this control knows of its line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The last that may have been written.
    tried: Look,
    /// The last of which the database said that it is written.
    sure: Option<Look>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Nobody wrote it. Another control took this one for gone, or the database is from before this one's start.
    Gone,
    /// It is not what was written last: the database is an older one.
    Other,
}

impl Line {
    /// Whether there is a line to look for.
    pub(crate) const fn is_written(&self) -> bool {
        self.sure.is_some()
    }

    /// Judges what the database has.
    pub(crate) fn judge(&self, has: Option<Look>) -> Option<Wrong> {
        let sure = self.sure?;
        match has {
            Some(has) if (sure..=self.tried).contains(&has) => None,
            None | Some(Look(0)) => Some(Wrong::Gone),
            Some(_) => Some(Wrong::Other),
        }
    }

    /// The next, which is about to be written.
    pub(crate) const fn next(&mut self) -> Look {
        self.tried = Look(self.tried.0 + 1);
        self.tried
    }

    /// It is written.
    pub(crate) const fn written(&mut self) {
        self.sure = Some(self.tried);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A control that has looked so often.
    fn after(looks: u32) -> Line {
        let mut line = Line::default();
        for look in 1..=looks {
            assert_eq!(line.next(), Look(look));
            line.written();
        }
        line
    }

    #[test]
    fn a_line_that_was_acknowledged_is_there_and_every_other_number_is_wrong() {
        let line = after(7);
        assert_eq!(line.judge(Some(Look(7))), None);
        for other in [1, 6, 8] {
            assert_eq!(line.judge(Some(Look(other))), Some(Wrong::Other));
        }
        for gone in [None, Some(Look(0))] {
            assert_eq!(line.judge(gone), Some(Wrong::Gone));
        }
    }

    #[test]
    fn what_may_have_been_written_is_no_older_database() {
        let mut line = after(7);
        for look in 8..=9 {
            assert_eq!(line.next(), Look(look));
        }
        for possible in 7..=9 {
            assert_eq!(line.judge(Some(Look(possible))), None);
        }
    }

    #[test]
    fn a_database_that_was_put_back_while_nothing_could_be_looked_at_is_noticed() {
        let mut line = after(7);
        line.next();
        assert_eq!(line.judge(Some(Look(6))), Some(Wrong::Other));
    }

    #[test]
    fn a_control_that_wrote_nothing_yet_misses_nothing() {
        assert_eq!(Line::default().judge(None), None);
    }
}
