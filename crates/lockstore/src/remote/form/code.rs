//! The codes of our own errors. MongoDB's are all below.

/// Declares the codes, their numbers and their names.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $number:literal;)*) => {
        /// A code of our own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$code),*];

            pub(crate) const fn number(self) -> i32 {
                match self {
                    $(Self::$code => $number,)*
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)*
                }
            }

            /// The code with a number.
            pub(crate) fn of(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$code),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Somebody else holds the lock.
    LockHeld = 100_000_001;
    /// The holder holds it in another mode.
    LockHeldInOtherMode = 100_000_002;
    /// The holder holds it, bound to another session.
    LockHeldInOtherSession = 100_000_003;
    /// Nobody holds it.
    LockNotHeld = 100_000_004;
    /// Somebody else holds it than who is to release or renew it.
    LockHeldByOther = 100_000_005;
    /// The holder holds it by a later grant.
    LockHeldByOtherToken = 100_000_006;
    /// No such session.
    LockSessionUnknown = 100_000_007;
    /// A bound is reached.
    LockLimitReached = 100_000_008;
    /// The wait took as long as it might.
    LockTimedOut = 100_000_009;
    /// The session of the wait has ended.
    LockSessionEnded = 100_000_010;
    /// The wait was given up.
    LockWaitCancelled = 100_000_011;
    /// No such subscription.
    LockSubscriptionUnknown = 100_000_012;
    /// Tokens cannot begin so high.
    LockTokensTooHigh = 100_000_013;
    /// A commit failed.
    StorePoisoned = 100_000_021;
    /// The store is closed.
    StoreClosed = 100_000_022;
    /// The process was forked.
    StoreForked = 100_000_023;
    /// Too many calls wait to be served.
    StoreBusy = 100_000_024;
    /// Too many subscriptions.
    StoreTooManySubscriptions = 100_000_025;
    /// A mistake of ours.
    StoreInternal = 100_000_026;
    /// The disk could not be read.
    StoreDisk = 100_000_027;
    /// The process that has the store does not answer.
    StoreUnresponsive = 100_000_028;
    /// Whether something was done is not known.
    StoreOutcomeUnknown = 100_000_029;
    /// The store cannot be reached.
    StoreUnreachable = 100_000_030;
    /// The lock of a document is over.
    DocumentLockLost = 100_000_031;
    /// A document is released, and was not updated.
    DocumentNotUpdated = 100_000_032;
    /// What a store does elsewhere failed.
    StoreElsewhere = 100_000_033;
    /// There is something at the destination of a backup.
    BackupExists = 100_000_041;
    /// There is no folder for a backup.
    BackupMissingFolder = 100_000_042;
    /// A backup could not be written.
    BackupDestination = 100_000_043;
}
