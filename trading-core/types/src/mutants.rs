//! Faults built into the core on purpose, to prove that the simulator sees them.
//!
//! Only in builds with the feature `mutants`, and there only on a thread that chose one. In every
//! other build [`is`] is a constant `false`, and nothing of this is left.

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The journal says that it synced, and did not.
    AcknowledgeBeforeSync,
    /// A message of an older epoch is taken as one of the current.
    NoEpochFence,
    /// A request that was seen before takes effect again.
    NoDedupe,
    /// What an account has is not looked at.
    NoFundsCheck,
    /// A replica that misses its leader begins a new epoch without asking whether others do, too.
    NoPreVote,
    /// Under `SiteSafe` a leader answers without the other site.
    NoGroupCommit,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AcknowledgeBeforeSync,
        Self::NoEpochFence,
        Self::NoDedupe,
        Self::NoFundsCheck,
        Self::NoPreVote,
        Self::NoGroupCommit,
    ];

    /// Its name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AcknowledgeBeforeSync => "acknowledge-before-sync",
            Self::NoEpochFence => "no-epoch-fence",
            Self::NoDedupe => "no-dedupe",
            Self::NoFundsCheck => "no-funds-check",
            Self::NoPreVote => "no-pre-vote",
            Self::NoGroupCommit => "no-group-commit",
        }
    }
}

/// Whether this build can have any.
pub const AVAILABLE: bool = cfg!(feature = "mutants");

#[cfg(feature = "mutants")]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Chooses for this thread; does nothing in a build without them.
#[cfg(feature = "mutants")]
pub fn choose(mutant: Option<Mutant>) {
    CHOSEN.set(mutant);
}

/// Chooses for this thread; does nothing in a build without them.
#[cfg(not(feature = "mutants"))]
pub fn choose(_mutant: Option<Mutant>) {}

/// Whether this thread runs that fault.
#[cfg(feature = "mutants")]
#[must_use]
pub fn is(mutant: Mutant) -> bool {
    CHOSEN.get() == Some(mutant)
}

/// Whether this thread runs that fault.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn is(_mutant: Mutant) -> bool {
    false
}
