//! A device's fence: which lease may see and touch it, and whether it may yet.
//!
//! ```text
//! connection epoch   below the fence │ at the fence, gate closed │ at the fence, open │ above the fence
//!                    Ended           │ Wait                      │ Flow               │ Wait
//! ```
//!
//! A fence only rises. A connection above it was armed early: the agent has not heard of its lease yet.

use protocol::Epoch;

use crate::event::Gate;

/// The newest epoch that the agent has named, and its gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    epoch: Epoch,
    gate: Gate,
}

/// What a fence says to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Media and input flow.
    Flow,
    /// Not yet.
    Wait,
    /// Never again.
    Ended,
}

impl Default for Fence {
    fn default() -> Self {
        Self {
            epoch: Epoch::default(),
            gate: Gate::Closed,
        }
    }
}

impl Fence {
    /// Raises the fence, or moves its gate; returns false for a fence below this one.
    pub fn set(&mut self, epoch: Epoch, gate: Gate) -> bool {
        if epoch < self.epoch {
            return false;
        }
        *self = Self { epoch, gate };
        true
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the fence says to a connection of `epoch`.
    #[must_use]
    pub fn passage(&self, epoch: Epoch) -> Passage {
        match (epoch.cmp(&self.epoch), self.gate) {
            (std::cmp::Ordering::Less, _) => Passage::Ended,
            (std::cmp::Ordering::Equal, Gate::Open) => Passage::Flow,
            (std::cmp::Ordering::Equal, Gate::Closed) | (std::cmp::Ordering::Greater, _) => Passage::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_epoch_of_an_open_fence_flows() {
        let mut fence = Fence::default();
        assert_eq!(fence.passage(Epoch(3)), Passage::Wait);
        assert!(fence.set(Epoch(3), Gate::Closed));
        assert_eq!(fence.passage(Epoch(3)), Passage::Wait);
        assert!(fence.set(Epoch(3), Gate::Open));
        assert_eq!(
            [2, 3, 4].map(|n| fence.passage(Epoch(n))),
            [Passage::Ended, Passage::Flow, Passage::Wait]
        );
    }

    #[test]
    fn a_fence_never_falls() {
        let mut fence = Fence::default();
        fence.set(Epoch(5), Gate::Open);
        assert!(!fence.set(Epoch(4), Gate::Open));
        assert_eq!(fence.epoch(), Epoch(5));
    }
}
