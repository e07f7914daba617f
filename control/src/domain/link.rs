//! A link: the capability that lets somebody without an account use a device.
//!
//! ```text
//!              ┌─ the clock passes expires_at ─► expired
//!   active ────┼─ uses = max_uses, no live lease ► exhausted
//!              ├─ Revoke ──────────────────────► revoked ─ Delete ─► deleted
//!              └─ Delete ──────────────────────────────────────────► deleted
//! ```
//!
//! Only active, revoked and deleted are kept; expired and exhausted are judged whenever somebody
//! looks, so that no sweep has to win a race against the clock.

use protocol::agent::App;
use protocol::{DeviceId, LinkId};

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
    /// The device that it opens.
    pub device: DeviceId,
    /// The app that it starts; none means the launcher.
    pub app: Option<App>,
    /// What an operator did to it.
    pub state: State,
    /// The end of its life; none means it has none.
    pub expires_at: Option<UnixMs>,
    /// How often it may be claimed; none means as often as one likes.
    pub max_uses: Option<u32>,
    /// How often it was claimed and the set-up succeeded or is under way.
    pub uses: u32,
    /// Viewers at the same time.
    pub max_connections: u32,
    /// When it was made.
    pub created_at: UnixMs,
}

/// What an operator did to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Active,
    /// Cut off; stays visible.
    Revoked,
    /// Cut off and hidden.
    Deleted,
}

/// What an operator does to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Cut it off.
    Revoke,
    /// Cut it off and hide it.
    Delete,
}

/// How a link stands at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be claimed.
    Active,
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
            Self::Active => "active",
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
            (Self::Active, Event::Revoke) => Some(Self::Revoked),
            (Self::Active | Self::Revoked, Event::Delete) => Some(Self::Deleted),
            (Self::Revoked | Self::Deleted, Event::Revoke) | (Self::Deleted, Event::Delete) => None,
        }
    }
}

impl Link {
    /// How it stands. A last use that is still running keeps it active for its holder: whoever else
    /// comes meanwhile is told that it is open elsewhere, not that it is used up.
    #[must_use]
    pub fn standing(&self, now: UnixMs, held: bool) -> Standing {
        if self.state != State::Active {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Standing::Expired
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
    use uuid::Uuid;

    fn link() -> Link {
        Link {
            id: LinkId::from_uuid(Uuid::nil()),
            name: String::new(),
            token_hint: String::new(),
            device: DeviceId::from_uuid(Uuid::nil()),
            app: None,
            state: State::Active,
            expires_at: Some(UnixMs(1000)),
            max_uses: Some(2),
            uses: 1,
            max_connections: 1,
            created_at: UnixMs(0),
        }
    }

    #[test]
    fn a_link_ends_at_its_time_to_the_millisecond() {
        assert_eq!(link().standing(UnixMs(999), false), Standing::Active);
        assert_eq!(link().standing(UnixMs(1000), false), Standing::Expired);
    }

    #[test]
    fn a_used_up_link_still_serves_its_last_holder() {
        let link = Link { uses: 2, ..link() };
        assert_eq!(link.standing(UnixMs(0), true), Standing::Active);
        assert_eq!(link.standing(UnixMs(0), false), Standing::Exhausted);
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
        assert_eq!(State::Revoked.after(Event::Delete), Some(State::Deleted));
        assert_eq!(State::Deleted.after(Event::Delete), None);
    }
}
