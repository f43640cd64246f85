//! What to do, and what to count.

use crate::record::Record;
use types::{ClientSeq, Request};

/// What the shell is to do, in this order. Nothing is sent or submitted before the records that come
/// before it are in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep this.
    Keep(Record),
    /// Send these bytes to the counterparty.
    Transmit(Vec<u8>),
    /// Send this to the core.
    Submit {
        /// The number that it gets.
        client_seq: ClientSeq,
        /// What it asks for.
        request: Request,
    },
    /// End the counterparty's connection, when what was sent has gone out.
    Disconnect,
    /// Count this.
    Count(Counted),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// A counterparty logged on.
    LoggedOn,
    /// A logon was refused, or none came.
    LogonRefused,
    /// A message was garbled.
    Garbled,
    /// A message was rejected by the session.
    Rejected,
    /// A message was rejected by the application.
    BusinessRejected,
    /// The counterparty's number was too low and the session ended.
    SequenceTooLow,
    /// Messages were asked for again.
    ResendAsked,
    /// Messages were sent again.
    ResendServed,
    /// A message fell out of those that can be sent again.
    ResendForgotten,
    /// A duplicate was ignored.
    DuplicateIgnored,
    /// A request that may be a duplicate was looked up first.
    DoubtfulLookedUp,
    /// Numbers were set anew.
    SequenceReset,
    /// A test request was sent.
    TestRequested,
    /// A counterparty said nothing for too long.
    Silent,
    /// A session was ended because of what the counterparty sent.
    LoggedOutForFault,
    /// A request was turned away without an effect.
    TurnedAway,
    /// A request has waited so long that the counterparty was told.
    ToldPending,
    /// A report was sent.
    Reported,
    /// A message of the core could not be told as it should.
    Untold,
    /// A message that was no longer kept was given again out of the log.
    Recalled,
    /// Messages that were asked for were not in the log any more and were gap-filled.
    RecallIncomplete,
}

impl Counted {
    /// All.
    pub const ALL: [Self; 21] = [
        Self::LoggedOn,
        Self::LogonRefused,
        Self::Garbled,
        Self::Rejected,
        Self::BusinessRejected,
        Self::SequenceTooLow,
        Self::ResendAsked,
        Self::ResendServed,
        Self::ResendForgotten,
        Self::DuplicateIgnored,
        Self::DoubtfulLookedUp,
        Self::SequenceReset,
        Self::TestRequested,
        Self::Silent,
        Self::LoggedOutForFault,
        Self::TurnedAway,
        Self::ToldPending,
        Self::Reported,
        Self::Untold,
        Self::Recalled,
        Self::RecallIncomplete,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::LoggedOn => "logged_on",
            Self::LogonRefused => "logon_refused",
            Self::Garbled => "garbled",
            Self::Rejected => "rejected",
            Self::BusinessRejected => "business_rejected",
            Self::SequenceTooLow => "sequence_too_low",
            Self::ResendAsked => "resend_asked",
            Self::ResendServed => "resend_served",
            Self::ResendForgotten => "resend_forgotten",
            Self::DuplicateIgnored => "duplicate_ignored",
            Self::DoubtfulLookedUp => "doubtful_looked_up",
            Self::SequenceReset => "sequence_reset",
            Self::TestRequested => "test_requested",
            Self::Silent => "silent",
            Self::LoggedOutForFault => "logged_out_for_fault",
            Self::TurnedAway => "turned_away",
            Self::ToldPending => "told_pending",
            Self::Reported => "reported",
            Self::Untold => "untold",
            Self::Recalled => "recalled",
            Self::RecallIncomplete => "recall_incomplete",
        }
    }
}
