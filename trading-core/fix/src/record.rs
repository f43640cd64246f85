//! What must outlive the process: the numbers, the messages that may be asked for again, and what is
//! needed to tell of an order what FIX wants told. Folding the records again gives the state back.

use crate::dictionary::Kind;
use crate::orders::{Entered, Order};
use crate::told::Told;
use serde::{Deserialize, Serialize};
use types::{ClientSeq, LogIndex, OutSeq, UnixMicros};

/// One step of a session's state. New variants are added at the end, so that old files keep their
/// meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The numbers, set anew; messages kept before are forgotten.
    Numbers {
        /// The counterparty's next message.
        next_in: u64,
        /// Our next message.
        next_out: u64,
    },
    /// The counterparty's messages below this number have been taken.
    In {
        /// Its next message.
        next_in: u64,
    },
    /// A message of ours was numbered.
    Out {
        /// Its number.
        msg_seq_num: u64,
        /// What it said, when it may be asked for again.
        kept: Option<Kept>,
    },
    /// A request goes to the core next.
    Entered {
        /// The counterparty's message.
        msg_seq_num: u64,
        /// The request's number there.
        client_seq: ClientSeq,
        /// What it asks for.
        entered: Entered,
    },
    /// The core said something, and it has been told on.
    Told(Told),
    /// Messages of the core up to here have been taken.
    Seen {
        /// The last one.
        out_seq: OutSeq,
    },
    /// All orders that are still open, instead of those before.
    Orders(Vec<Order>),
    /// Messages from this number on may not have arrived when the numbers are set anew.
    Unconfirmed {
        /// The first.
        from: u64,
    },
    /// The copy of a message in the core's log is told next; those before it have been.
    Copied {
        /// The entry.
        index: LogIndex,
        /// Which of the entry's messages, from 1.
        message: u32,
    },
    /// Further places of copies, oldest first; those up to a number are known no more.
    Placed {
        /// The number; 0 when all are known.
        dropped: u64,
        /// The places.
        places: Vec<Place>,
    },
}

/// Which message of the core's log one of ours was a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Our number for it.
    pub msg_seq_num: u64,
    /// The log's entry.
    pub index: LogIndex,
    /// Which of the entry's messages, from 1.
    pub message: u32,
    /// When it was sent first.
    pub sending_time: UnixMicros,
    /// It may say what another number said before.
    pub poss_resend: bool,
}

/// A message that may be asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What kind.
    pub kind: Kind,
    /// Its fields after the header.
    pub body: Vec<u8>,
    /// When it was sent first.
    pub sending_time: UnixMicros,
    /// It may say what another number said before.
    pub poss_resend: bool,
}
