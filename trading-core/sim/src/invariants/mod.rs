//! What must hold in every run. One file an invariant; each opens with where it comes from.

mod acknowledged_once;
mod book_uncrossed;
mod client_order_ids;
mod commit_forward;
mod conservation;
mod epochs_forward;
mod equal_state;
mod one_leader;
mod progress;
mod recovery_point;
mod replies;
mod two_sites;
mod undisturbed;
mod witness;

use engine::OracleState;
use history::{SeenMessage, Verdict};
use replica::Role;
use types::{Command, Epoch, Event, LogIndex, SessionId};

/// A replica as it stands after a turn.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Its part.
    pub role: Role,
    /// Its epoch.
    pub epoch: Epoch,
    /// The last entry it knows to be committed.
    pub commit: LogIndex,
    /// The last entry it applied.
    pub applied: LogIndex,
    /// The state there.
    pub hash: [u8; 8],
    /// Whether it leads and answers.
    pub serving: bool,
    /// Where it stands.
    pub site: &'static str,
    /// The last entry on its disk.
    pub persisted: LogIndex,
    /// Whether commits must reach two sites, as its state has it.
    pub waits_for_two_sites: bool,
    /// It has answered a client in this turn.
    pub answered: bool,
    /// It died in this turn: what it had not synced by then it had promised to nobody.
    pub died: bool,
}

/// Something that happened.
pub enum Seen<'a> {
    /// A replica has finished a turn.
    Turn {
        /// Which.
        replica: u64,
        /// How it stands.
        view: View,
    },
    /// A process was started.
    Started {
        /// Which replica.
        replica: u64,
        /// Its disk holds what was promised, as far as it knows.
        intact: bool,
    },
    /// An entry was applied by some replica for the first time.
    Entry {
        /// Which.
        index: LogIndex,
        /// Its epoch.
        epoch: Epoch,
        /// The state after it, replayed beside the cluster.
        state: &'a OracleState,
        /// Its commands, and what each caused.
        commands: &'a [(Command, Vec<Event>)],
    },
    /// A client was told something.
    Told {
        /// The session.
        session: SessionId,
        /// What.
        message: &'a SeenMessage,
    },
    /// A follower was away for a while, with nothing else wrong.
    Returned {
        /// The epoch before.
        before: Epoch,
        /// The epoch after.
        after: Epoch,
    },
    /// All faults have ended, and time to recover is over.
    Recovered {
        /// What is still missing, in words.
        missing: Option<String>,
    },
    /// The run is over, and the log was held against all histories.
    Judged(&'a Verdict),
}

/// One invariant.
pub trait Invariant {
    /// The invariant in words.
    fn words(&self) -> &'static str;

    /// Takes in what happened.
    ///
    /// # Errors
    /// How it was broken.
    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String>;
}

/// All of them, for one run.
#[must_use]
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<one_leader::OneLeader>::default(),
        Box::<epochs_forward::EpochsForward>::default(),
        Box::<commit_forward::CommitForward>::default(),
        Box::<equal_state::EqualState>::default(),
        Box::<client_order_ids::ClientOrderIds>::default(),
        Box::new(conservation::Conservation),
        Box::new(book_uncrossed::BookUncrossed),
        Box::<replies::Replies>::default(),
        Box::<two_sites::TwoSites>::default(),
        Box::new(undisturbed::Undisturbed),
        Box::new(progress::Progress),
        Box::new(acknowledged_once::AcknowledgedOnce),
        Box::new(recovery_point::RecoveryPoint),
        Box::new(witness::Witness),
    ]
}

fn findings(verdict: &Verdict) -> String {
    verdict.findings.join("; ")
}
