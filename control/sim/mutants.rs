//! The mutants: each breaks one rule around the production code, in the wiring of the world alone. None can be
//! switched on in what is shipped.
//!
//! A mutant that lives says that the simulation would not notice the loss of that rule.

/// A broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// The agent says that it cleaned, and did not.
    SkipWipe,
    /// A wipe leaves one of its places out, and its scan cannot see it.
    PlaceSkipped,
    /// The agent says that it cleaned while it is still at it.
    AcknowledgedBeforeDone,
    /// A connection goes on when the fence has passed its epoch.
    ChannelsOutliveTheFence,
    /// Whoever knows a session may end it.
    ReleaseByAnyone,
    /// The agent measures its deadlines by the wall clock.
    WallClockAtAgent,
    /// Control measures its deadlines by the wall clock.
    WallClockAtControl,
    /// Control ends leases before the agents can be back.
    ExpireRightAfterRestart,
    /// A claim is decided by what was read before, and no index is there to refuse it.
    GrantFromStaleRead,
    /// A holder's second request is taken for somebody else's first.
    RetryNotIdempotent,
    /// The agent takes every epoch for its newest.
    EpochIgnored,
    /// Ending a lease leaves the epoch as it was.
    RevokeWithoutEpoch,
    /// After a restore control goes on with the epochs of the backup.
    EpochReset,
    /// Any acknowledged wipe of a device counts for the one that is awaited.
    WipeOfAnotherEpoch,
    /// The fence is not on the disk when the agent dies.
    FenceNotPersisted,
    /// A device whose fence is above what control remembers stays free.
    FreeAboveTheFence,
}

impl Mutant {
    pub(super) const ALL: [Self; 16] = [
        Self::SkipWipe,
        Self::PlaceSkipped,
        Self::AcknowledgedBeforeDone,
        Self::ChannelsOutliveTheFence,
        Self::ReleaseByAnyone,
        Self::WallClockAtAgent,
        Self::WallClockAtControl,
        Self::ExpireRightAfterRestart,
        Self::GrantFromStaleRead,
        Self::RetryNotIdempotent,
        Self::EpochIgnored,
        Self::RevokeWithoutEpoch,
        Self::EpochReset,
        Self::WipeOfAnotherEpoch,
        Self::FenceNotPersisted,
        Self::FreeAboveTheFence,
    ];
}
