//! What the fence lets through to a device: the agent's own effects under its epoch, and people's while it is open.
//!
//! ```text
//!   Pass { epoch, open } ── admits(e)   an effect of the agent for e      e is the fence's epoch
//!                        └─ lets_act(e) a person who was let in for e     … and the gate is open
//! ```
//!
//! It does not know what is done, nor whether somebody only watches: that is the gateway's.

use protocol::Epoch;

/// What the fence lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Where the fence stands.
    pub epoch: Epoch,
    /// Whether people may act. The agent itself may always.
    pub open: bool,
}

impl Pass {
    /// Whether the agent may do something to the device for this epoch.
    #[must_use]
    pub fn admits(self, epoch: Epoch) -> bool {
        self.epoch == epoch
    }

    /// Whether people of this epoch may act.
    #[must_use]
    pub fn lets_act(self, epoch: Epoch) -> bool {
        self.open && self.admits(epoch)
    }
}
