//! A connection: one viewer's way to a device, from his offer to its end.
//!
//! ```text
//!        Answered               Up                  Unheard
//!   new ──────────► negotiating ──────► connected ───────────► reconnecting
//!    │ Up              │                  │ ▲                   │ Up │
//!    │ (overtook       │ Over             │ └───────────────────┘    │ Over
//!    │  the answer)    ▼                  │ Over                     │
//!    └─────────────► closed{reason} ◄─────┴──────────────────────────┘
//! ```
//!
//! It is the agent that knows: control hears `Up` and `Over` from it. While nobody is linked to its host a connection
//! that was up is `reconnecting`: picture and touch go on without control, and the host's next word says whether they
//! do. It counts as being there. What is closed stays closed, whatever comes late: an agent that has such a connection,
//! or one that control never heard of, is told to close it.
//!
//! A gateway gives a connection up whose path is gone, and the viewer makes a new one; so `reconnecting` is no state
//! of ICE. Nothing here knows time, roles or how many connections there may be.

use protocol::CloseReason;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its offer is on the way to the agent.
    New,
    /// The agent answered; ICE and DTLS are not through.
    Negotiating,
    /// Media and input may flow once the gate is open.
    Connected,
    /// It was connected when its host was heard last.
    Reconnecting,
    /// Over.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The agent answered its offer.
    Answered,
    /// The agent says that it is up.
    Up,
    /// Nobody is linked to its host any more.
    Unheard,
    /// It is over.
    Over(CloseReason),
}

impl State {
    /// The state after an event; none when the event changes nothing here (it came late, or twice).
    #[must_use]
    pub const fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::New, Event::Answered) => Some(Self::Negotiating),
            (Self::New | Self::Negotiating | Self::Reconnecting, Event::Up) => Some(Self::Connected),
            (Self::Connected, Event::Unheard) => Some(Self::Reconnecting),
            (Self::New | Self::Negotiating | Self::Connected | Self::Reconnecting, Event::Over(reason)) => {
                Some(Self::Closed { reason })
            }
            (Self::New, Event::Unheard)
            | (Self::Negotiating, Event::Answered | Event::Unheard)
            | (Self::Connected, Event::Answered | Event::Up)
            | (Self::Reconnecting, Event::Answered | Event::Unheard)
            | (Self::Closed { .. }, _) => None,
        }
    }

    /// Whether a viewer is there by it.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Self::Connected | Self::Reconnecting)
    }

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Negotiating => "negotiating",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Closed { .. } => "closed",
        }
    }

    /// Why it ended, once it did.
    #[must_use]
    pub const fn reason(self) -> Option<CloseReason> {
        match self {
            Self::Closed { reason } => Some(reason),
            Self::New | Self::Negotiating | Self::Connected | Self::Reconnecting => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OVER: Event = Event::Over(CloseReason::IceFailed);

    #[test]
    fn a_connection_comes_up_is_not_heard_of_for_a_while_and_ends() {
        let mut state = State::New;
        let way = [
            (Event::Answered, State::Negotiating),
            (Event::Up, State::Connected),
            (Event::Unheard, State::Reconnecting),
            (Event::Up, State::Connected),
            (
                OVER,
                State::Closed {
                    reason: CloseReason::IceFailed,
                },
            ),
        ];
        for (event, next) in way {
            state = state.after(event).unwrap();
            assert_eq!(state, next);
        }
    }

    #[test]
    fn the_agents_word_may_overtake_its_answer() {
        let up = State::New.after(Event::Up).unwrap();
        assert_eq!(up, State::Connected);
        assert_eq!(up.after(Event::Answered), None, "it stays up");
    }

    #[test]
    fn what_is_not_up_yet_is_left_alone_when_its_host_is_not_heard() {
        assert_eq!(State::New.after(Event::Unheard), None);
        assert_eq!(State::Negotiating.after(Event::Unheard), None);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Answered),
            Just(Event::Up),
            Just(Event::Unheard),
            Just(Event::Over(CloseReason::Replaced)),
            Just(OVER),
        ]
    }

    proptest! {
        #[test]
        fn whatever_lives_can_be_closed_and_what_is_closed_keeps_its_reason(
            events in proptest::collection::vec(any_event(), 0..30),
        ) {
            let (mut state, mut closed) = (State::New, None);
            for event in events {
                let over = matches!(event, Event::Over(_)) && closed.is_none();
                let next = state.after(event);
                prop_assert!(!over || next.is_some(), "{state:?} could not be closed");
                prop_assert!(closed.is_none() || next.is_none(), "{state:?} went on");
                state = next.unwrap_or(state);
                closed = closed.or(state.reason());
                prop_assert_eq!(state.reason(), closed);
                prop_assert!(!(state.is_there() && closed.is_some()));
            }
        }
    }
}
