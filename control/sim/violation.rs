//! What breaks a world: the number of an invariant and what was seen, and who looks for which.
//!
//! ```text
//!   eyes: all        ── seeds of the correct rules: whatever breaks ends the world
//!   eyes: one of 13  ── a mutant: only its own invariant ends the world, the others look away and it goes on
//! ```
//!
//! So a mutant that dies shows that this one invariant has teeth, whichever others would have caught it too. What
//! the invariants say is in `invariants`; this file knows no more than their numbers.

use std::fmt;

macro_rules! invariants {
    ($($name:ident),*) => {
        /// The number of an invariant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Invariant { $($name),* }

        impl Invariant {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}
invariants!(I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, I13);

/// Why a world ended before its time.
#[derive(Debug)]
pub(super) enum Violation {
    /// An invariant does not hold.
    Broken(Invariant, String),
    /// The code under test failed by itself.
    Failed(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(invariant, what) => write!(f, "{invariant:?}: {what}"),
            Self::Failed(what) => write!(f, "{what}"),
        }
    }
}

/// Whether the invariants still hold.
pub(super) type Checked = Result<(), Violation>;

/// Which invariants are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Eyes {
    /// All of them.
    All,
    /// This one.
    Only(Invariant),
}

impl Eyes {
    /// An invariant does not hold: the world ends if anybody looks, and goes on otherwise.
    pub(super) fn broken(self, invariant: Invariant, what: impl FnOnce() -> String) -> Checked {
        match self {
            Self::Only(only) if only != invariant => Ok(()),
            _ => Err(Violation::Broken(invariant, what())),
        }
    }
}
