//! A link: the capability that lets somebody without an account use a device.
//!
//! ```text
//!               ┌─ before not_before ────────────► scheduled
//!               ├─ Pause ────────────────────────► paused ── Resume ─► active
//!   active ─────┼─ the clock passes expires_at ──► expired
//!               ├─ uses = max_uses, no live lease ► exhausted
//!               ├─ Revoke ───────────────────────► revoked ─ Delete ─► deleted
//!               └─ Delete ───────────────────────────────────────────► deleted
//! ```
//!
//! Only active, paused, revoked and deleted are kept; the rest is judged whenever somebody looks, so that no
//! sweep has to win a race against the clock. A standing is about who comes in: whoever holds a device through
//! the link comes back to it as long as the lease lives, and only Revoke and Delete cut it in the same step.

use protocol::agent::App;
use protocol::{DeviceId, LinkId};

use super::labels::Selector;
use super::policy::Policy;
use super::time::UnixMs;

/// A link as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id, which opens nothing.
    pub id: LinkId,
    /// For people.
    pub name: String,
    /// The last characters of its token, to tell links apart.
    pub token_hint: String,
    /// What it opens.
    pub target: Target,
    /// The app that it starts; none means the launcher.
    pub app: Option<App>,
    /// What an operator did to it.
    pub state: State,
    /// The begin of its life; none means when it was made.
    pub not_before: Option<UnixMs>,
    /// The end of its life; none means it has none.
    pub expires_at: Option<UnixMs>,
    /// How often it may be claimed; none means as often as one likes.
    pub max_uses: Option<u32>,
    /// How often it was claimed and the set-up succeeded or is under way.
    pub uses: u32,
    /// Viewers at the same time.
    pub max_connections: u32,
    /// How long its sessions last.
    pub policy: Policy,
    /// When it was made.
    pub created_at: UnixMs,
}

/// What a link opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// This device.
    Device(DeviceId),
    /// Whichever free device has these labels.
    Any(Selector),
}

/// What an operator did to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Active,
    /// Closed for a while; who is in stays in.
    Paused,
    /// Cut off; stays visible.
    Revoked,
    /// Cut off and hidden.
    Deleted,
}

/// What an operator does to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Close it for a while.
    Pause,
    /// Open it again.
    Resume,
    /// Cut it off.
    Revoke,
    /// Cut it off and hide it.
    Delete,
}

/// How a link stands at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its time has not come.
    Scheduled {
        /// When it comes.
        from: UnixMs,
    },
    /// It may be claimed.
    Active,
    /// An operator closed it for a while.
    Paused,
    /// All its uses are taken.
    Exhausted,
    /// Its time is over.
    Expired,
    /// It was cut off.
    Revoked,
}

impl Standing {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled { .. } => "scheduled",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl State {
    /// The state after an event; none when the event changes nothing.
    #[must_use]
    pub const fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::Active, Event::Pause) => Some(Self::Paused),
            (Self::Paused, Event::Resume) => Some(Self::Active),
            (Self::Active | Self::Paused, Event::Revoke) => Some(Self::Revoked),
            (Self::Active | Self::Paused | Self::Revoked, Event::Delete) => Some(Self::Deleted),
            (Self::Active, Event::Resume)
            | (Self::Paused, Event::Pause)
            | (Self::Revoked, Event::Pause | Event::Resume | Event::Revoke)
            | (Self::Deleted, _) => None,
        }
    }

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Revoked => "revoked",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the name; none when it is no such name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Paused, Self::Revoked, Self::Deleted]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

impl Event {
    /// Whether whoever holds a device through the link loses it in the same step.
    #[must_use]
    pub const fn cuts(self) -> bool {
        matches!(self, Self::Revoke | Self::Delete)
    }
}

impl Link {
    /// How it stands. A last use that is still running keeps it active for its holder: whoever else
    /// comes meanwhile is told that it is open elsewhere, not that it is used up.
    #[must_use]
    pub fn standing(&self, now: UnixMs, held: bool) -> Standing {
        match self.state {
            State::Revoked | State::Deleted => return Standing::Revoked,
            State::Active | State::Paused => {}
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            Standing::Expired
        } else if self.state == State::Paused {
            Standing::Paused
        } else if let Some(from) = self.not_before.filter(|from| *from > now) {
            Standing::Scheduled { from }
        } else if !held && self.max_uses.is_some_and(|max| self.uses >= max) {
            Standing::Exhausted
        } else {
            Standing::Active
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn link() -> Link {
        Link {
            id: LinkId::from_uuid(Uuid::nil()),
            name: String::new(),
            token_hint: String::new(),
            target: Target::Any(Selector::default()),
            app: None,
            state: State::Active,
            not_before: None,
            expires_at: Some(UnixMs(1000)),
            max_uses: Some(2),
            uses: 1,
            max_connections: 1,
            policy: Policy::default(),
            created_at: UnixMs(0),
        }
    }

    #[test]
    fn a_link_begins_and_ends_at_its_times_to_the_millisecond() {
        let from = UnixMs(500);
        let link = Link {
            not_before: Some(from),
            ..link()
        };
        assert_eq!(link.standing(UnixMs(499), false), Standing::Scheduled { from });
        assert_eq!(link.standing(UnixMs(500), false), Standing::Active);
        assert_eq!(link.standing(UnixMs(999), false), Standing::Active);
        assert_eq!(link.standing(UnixMs(1000), false), Standing::Expired);
    }

    #[test]
    fn a_used_up_link_still_serves_its_last_holder() {
        let link = Link { uses: 2, ..link() };
        assert_eq!(link.standing(UnixMs(0), true), Standing::Active);
        assert_eq!(link.standing(UnixMs(0), false), Standing::Exhausted);
    }

    #[test]
    fn a_paused_link_is_paused_until_it_is_resumed_or_its_time_is_over() {
        let link = Link {
            state: State::Active.after(Event::Pause).unwrap(),
            ..link()
        };
        assert_eq!(link.standing(UnixMs(0), true), Standing::Paused);
        assert_eq!(link.standing(UnixMs(1000), true), Standing::Expired);
        assert_eq!(link.state.after(Event::Resume), Some(State::Active));
        assert!(!Event::Pause.cuts() && Event::Revoke.cuts() && Event::Delete.cuts());
    }

    #[test]
    fn revoked_wins_over_everything_and_is_for_good() {
        let link = Link {
            state: State::Revoked,
            uses: 2,
            ..link()
        };
        assert_eq!(link.standing(UnixMs(5000), true), Standing::Revoked);
        assert_eq!(State::Revoked.after(Event::Revoke), None);
        assert_eq!(State::Revoked.after(Event::Resume), None);
        assert_eq!(State::Revoked.after(Event::Delete), Some(State::Deleted));
        assert_eq!(State::Deleted.after(Event::Delete), None);
    }

    proptest! {
        #[test]
        fn a_link_that_was_cut_off_never_opens_again(
            events in proptest::collection::vec(0..4usize, 0..20),
        ) {
            let (mut state, mut cut) = (State::Active, false);
            for at in events {
                let event = [Event::Pause, Event::Resume, Event::Revoke, Event::Delete][at];
                state = state.after(event).unwrap_or(state);
                cut |= event.cuts();
                let standing = Link { state, ..link() }.standing(UnixMs(0), true);
                prop_assert_eq!(standing == Standing::Revoked, cut);
                prop_assert_eq!(State::parse(state.as_str()), Some(state));
            }
        }
    }
}
