//! The link between control and agent: what flies, and what the world does to it.
//!
//! ```text
//!   control ──Request(call)──► flying ──► agent's inbox ──► one device after the other
//!   control ◄─Answer(call)──── flying ◄── agent ── Hello, Report, Connection
//! ```
//!
//! What flies may be doubled and overtaken, which is worse than QUIC is, and requests and answers may be lost.
//! What the agent tells by itself goes over one stream, and is lost only with its link. A link that breaks takes
//! with it what flies, but not what the agent had taken in: its inbox outlives the link, and control.

use protocol::ConnectionId;
use protocol::agent::{ConnectionEvent, Hello, Reply, Report, Request};

/// Which control, where there are two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Seat {
    #[default]
    First,
    Second,
}

/// Which request of control an answer belongs to.
pub(super) type CallId = u64;

/// What flies.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Request(CallId, Request),
    Answer(CallId, Reply),
    Hello(Hello),
    /// With the monotonic time at which it was sent.
    Report(Report, u64),
    Connection(ConnectionEvent),
}

/// What is on its way.
#[derive(Default)]
pub(super) struct Network {
    /// Whether there is a link now.
    pub(super) linked: bool,
    /// To which control, then: an agent has one link.
    pub(super) at: Seat,
    pub(super) flying: Vec<Message>,
    /// The connections that the agent had when it last said Hello; only an invariant looks at it.
    pub(super) had: Vec<ConnectionId>,
}

impl Network {
    /// Sends if there is a link; otherwise it is lost.
    pub(super) fn send(&mut self, message: Message) {
        if self.linked {
            self.flying.push(message);
        }
    }

    /// Which one arrives when this one is about to: nothing that the agent tells overtakes its Hello.
    pub(super) fn arrives(&self, which: usize) -> usize {
        let hello = self
            .flying
            .iter()
            .position(|message| matches!(message, Message::Hello(_)));
        match self.flying[which] {
            Message::Connection(_) | Message::Report(..) => hello.unwrap_or(which),
            _ => which,
        }
    }

    /// The link breaks.
    pub(super) fn cut(&mut self) {
        self.linked = false;
        self.flying.clear();
    }
}
