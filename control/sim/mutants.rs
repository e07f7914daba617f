//! The mutants: each breaks one rule around the production code, in the wiring of the world alone. None can be
//! switched on in what is shipped.
//!
//! ```text
//!   row: mutant ─► invariant        the world looks at this invariant only, so nothing else can have ended it
//! ```
//!
//! A mutant that lives says that the simulation would not notice the loss of that rule; an invariant without a row,
//! that nothing shows that it is looked at.

use super::violation::Invariant::{self, I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, I13};

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A broken rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Mutant { $($(#[$doc])* $name,)* }

        impl Mutant {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

mutants! {
    /// The agent says that it cleaned, and did not.
    SkipWipe,
    /// A wipe leaves one of its places out, and its scan cannot see it.
    PlaceSkipped,
    /// What a person left is taken for the operator's own.
    BaselineOfADirtyDevice,
    /// That a device says itself that it was used is not looked at.
    WitnessIgnored,
    /// What the scan found is not looked at.
    ScanIgnored,
    /// The agent says that it cleaned while it is still at it.
    AcknowledgedBeforeDone,
    /// A wipe goes on when the fence has passed its epoch.
    WipeOutlivesTheFence,
    /// A connection goes on when the fence has passed its epoch.
    ChannelsOutliveTheFence,
    /// The connections of one holder become the next one's.
    ChannelsCarriedOver,
    /// Whoever knows a session may end it.
    ReleaseByAnyone,
    /// A change of a lease has no row in the audit log.
    ChangeWithoutAudit,
    /// The agent measures its deadlines by the wall clock.
    WallClockAtAgent,
    /// Control measures its deadlines by the wall clock.
    WallClockAtControl,
    /// Control ends no lease by the clock.
    DeadlinesForgotten,
    /// Control does not end what holds through a link whose time is over.
    LinkEndForgotten,
    /// A link is cut off, and who holds through it stays.
    RevokeWithoutCut,
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
    /// A release whose answer did not come is taken for one that is still being asked for.
    ReleaseAskedOnce,
    /// A reset whose end did not come is taken for one that is still being done.
    ResetAskedOnce,
    /// The fence is not on the disk when the agent dies.
    FenceNotPersisted,
    /// A device whose fence is above what control remembers stays free.
    FreeAboveTheFence,
    /// Control leaves a connection to the agent that is over.
    StraysStay,
    /// The agent's Hello leaves out who is still connecting.
    HelloLeavesOut,
    /// Control does not hear that a connection came up.
    UpUnheard,
    /// Under which epoch somebody was let in is not read from the device.
    WitnessNamesNobody,
    /// A quarantined device whose agent did not answer is left as it is.
    QuarantineNotCut,
    /// A link that an operator closed for a while lets people in.
    PauseIgnored,
    /// A use is counted only after the grant.
    UsesCountedLate,
    /// A link lets people in before its time.
    BeginIgnored,
    /// A link lets people in on any device.
    LabelsIgnored,
    /// A lease that is over goes on when its link is extended.
    ExtensionRevives,
    /// Whoever only watches acts.
    ObserverActs,
    /// Whoever only watches keeps the device for its holder.
    ObserverHolds,
    /// Another server takes the database's place, and epochs go on from what it has.
    GenerationGoesOn,
    /// Time in which control could not look is counted.
    AbsenceCounted,
    /// A control also ends what is over by what its last look saw, whatever the rows say by now.
    SweepByMemory,
    /// A control does what it is told of, and never looks what the rows ask for.
    NoticesTrusted,
}

/// Which invariant each mutant has to break.
pub(super) const BREAKS: &[(Mutant, Invariant)] = &[
    (Mutant::GrantFromStaleRead, I1),
    (Mutant::RevokeWithoutEpoch, I2),
    (Mutant::EpochReset, I2),
    (Mutant::GenerationGoesOn, I2),
    (Mutant::EpochIgnored, I3),
    (Mutant::FenceNotPersisted, I3),
    (Mutant::SkipWipe, I4),
    (Mutant::PlaceSkipped, I4),
    (Mutant::BaselineOfADirtyDevice, I4),
    (Mutant::WitnessIgnored, I4),
    (Mutant::WitnessNamesNobody, I4),
    (Mutant::ScanIgnored, I4),
    (Mutant::AcknowledgedBeforeDone, I4),
    (Mutant::WipeOfAnotherEpoch, I4),
    (Mutant::FreeAboveTheFence, I4),
    (Mutant::RevokeWithoutEpoch, I4),
    (Mutant::WallClockAtAgent, I5),
    (Mutant::WallClockAtControl, I5),
    (Mutant::DeadlinesForgotten, I5),
    (Mutant::UpUnheard, I5),
    (Mutant::AbsenceCounted, I5),
    (Mutant::SweepByMemory, I5),
    (Mutant::WipeOutlivesTheFence, I6),
    (Mutant::EpochIgnored, I6),
    (Mutant::RetryNotIdempotent, I7),
    (Mutant::RevokeWithoutCut, I8),
    (Mutant::LinkEndForgotten, I8),
    (Mutant::PauseIgnored, I8),
    (Mutant::UsesCountedLate, I8),
    (Mutant::BeginIgnored, I8),
    (Mutant::LabelsIgnored, I8),
    (Mutant::ExpireRightAfterRestart, I9),
    (Mutant::ReleaseByAnyone, I10),
    (Mutant::ChangeWithoutAudit, I10),
    (Mutant::ExtensionRevives, I10),
    (Mutant::ReleaseAskedOnce, I11),
    (Mutant::ResetAskedOnce, I11),
    (Mutant::NoticesTrusted, I11),
    (Mutant::DeadlinesForgotten, I11),
    (Mutant::ObserverHolds, I11),
    (Mutant::ChannelsCarriedOver, I12),
    (Mutant::StraysStay, I12),
    (Mutant::QuarantineNotCut, I12),
    (Mutant::HelloLeavesOut, I12),
    (Mutant::ChannelsOutliveTheFence, I13),
    (Mutant::ObserverActs, I13),
];
