//! How much a peer may send on one stream before it is consumed, where both sides speak delayed ack.
//!
//! ```text
//!   opener  ── OPEN, arg1 = window ──►      the other  ── OKAY, payload = window ──►      then OKAY, payload = consumed
//! ```
//!
//! A larger window lets more be on the way, which a file over a long wire gains from and a live picture loses by: what
//! waits in it is old. It does not know streams; who counts is `slot`.

/// A receive window in bytes, 1 to [`Window::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window(u32);

impl Window {
    /// The largest, which is what adb itself announces. It is also what one stream may cost us in memory.
    pub const MAX: u32 = 32 * 1024 * 1024;

    /// A window of so many bytes; `None` when that is none that a stream could work with, or above [`Self::MAX`].
    #[must_use]
    pub const fn new(bytes: u32) -> Option<Self> {
        match bytes {
            1..=Self::MAX => Some(Self(bytes)),
            _ => None,
        }
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }
}

impl Default for Window {
    /// One full packet. A deeper queue only makes video old; a file gains from it where the way is long.
    fn default() -> Self {
        Self(1024 * 1024)
    }
}
