//! What to do next, from what the two shards know. No clients, no clock.

use std::fmt;
use types::{AccountId, Control, Money, ShardId, TransferId};

/// What is wanted. Run again with the same, it is the same movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Its number, of the shard that it leaves; greater than all before it.
    pub transfer: TransferId,
    /// Whose funds.
    pub account: AccountId,
    /// How much, above 0.
    pub amount: Money,
    /// Where they leave.
    pub from: ShardId,
    /// Where they go.
    pub to: ShardId,
}

/// What the leaders of both shards told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The sender: who has this number under way, how much, and where to.
    pub under_way: Option<(AccountId, Money, ShardId)>,
    /// The sender: the greatest number that has begun.
    pub last_begun: TransferId,
    /// The receiver: what came under this number from the sender.
    pub arrived: Option<(AccountId, Money)>,
    /// The receiver: the number is too old to be remembered.
    pub is_forgotten: bool,
    /// Whether the account is open at the sender and at the receiver.
    pub is_account_open: [bool; 2],
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Tell the sender to take the funds out of the account.
    Begin,
    /// Tell the receiver to put them into the account.
    Deliver,
    /// Tell the sender that they have arrived.
    End,
    /// Nothing: the movement is over.
    Over,
    /// Nothing: it cannot be.
    Impossible(Impossible),
}

/// Why a movement cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The same number means something else.
    #[error(
        "transfer {transfer} is another movement: {amount} yuan of account {account}: use a number \
         of its own"
    )]
    Another {
        /// The number.
        transfer: TransferId,
        /// Whose funds it moves.
        account: AccountId,
        /// How much.
        amount: Money,
    },
    /// Numbers only grow, and this one never began.
    #[error(
        "transfer {transfer} has not begun and cannot any more: {last} has; use a greater number"
    )]
    TooLow {
        /// The number.
        transfer: TransferId,
        /// The greatest that has begun.
        last: TransferId,
    },
    /// It is over or never was: nobody remembers.
    #[error(
        "transfer {transfer} is too old to be remembered: it is over if it ever began; for another \
         movement use a number above {last}"
    )]
    Forgotten {
        /// The number.
        transfer: TransferId,
        /// The greatest that has begun.
        last: TransferId,
    },
    /// The receiver has it and the sender does not: their logs do not belong together.
    #[error(
        "transfer {transfer} has arrived, and the sender has not begun it: the two logs do not \
         belong together; check the addresses, and whether one was restored from an old copy"
    )]
    NeverSent {
        /// The number.
        transfer: TransferId,
    },
    /// The account is not open where it must be.
    #[error("account {account} is not open on shard {shard}: open it there, then run this again")]
    NoAccount {
        /// The account.
        account: AccountId,
        /// Where.
        shard: ShardId,
    },
}

/// The next step. Facts only grow but for an end, which takes the movement from what is under way; so
/// a step that was decided on facts of a moment ago is known to its shard and does nothing, or is
/// refused.
#[must_use]
pub fn next(movement: &Movement, known: &Known) -> Next {
    let transfer = movement.transfer;
    let another = |account, amount| {
        Next::Impossible(Impossible::Another {
            transfer,
            account,
            amount,
        })
    };
    if let Some((account, amount)) = known.arrived
        && (account, amount) != (movement.account, movement.amount)
    {
        return another(account, amount);
    }
    if let Some((account, amount, to)) = known.under_way {
        if (account, amount, to) != (movement.account, movement.amount, movement.to) {
            return another(account, amount);
        }
        return match known.arrived {
            Some(_) => Next::End,
            None => Next::Deliver,
        };
    }
    let (last, has_begun) = (known.last_begun, known.last_begun >= transfer);
    let impossible = match (known.arrived, has_begun) {
        (Some(_), true) => return Next::Over,
        (Some(_), false) => Impossible::NeverSent { transfer },
        (None, true) if known.is_forgotten => Impossible::Forgotten { transfer, last },
        (None, true) => Impossible::TooLow { transfer, last },
        (None, false) => {
            let ends = [movement.from, movement.to];
            let closed = ends.iter().zip(known.is_account_open).find(|it| !it.1);
            match closed {
                None => return Next::Begin,
                Some((shard, _)) => Impossible::NoAccount {
                    account: movement.account,
                    shard: *shard,
                },
            }
        }
    };
    Next::Impossible(impossible)
}

impl Movement {
    /// The record of a step, and the shard that it goes to; `None` where nothing is to be done.
    #[must_use]
    pub fn record(&self, step: Next) -> Option<(ShardId, Control)> {
        let Self {
            transfer,
            account,
            amount,
            from,
            to,
        } = *self;
        Some(match step {
            Next::Begin => {
                let out = Control::TransferOut {
                    transfer,
                    account,
                    amount,
                    to,
                };
                (from, out)
            }
            Next::Deliver => {
                let into = Control::TransferIn {
                    transfer,
                    account,
                    amount,
                    from,
                };
                (to, into)
            }
            Next::End => (from, Control::TransferDone { transfer }),
            Next::Over | Next::Impossible(_) => return None,
        })
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin => "begin",
            Self::Deliver => "deliver",
            Self::End => "end",
            Self::Over => "over",
            Self::Impossible(_) => "impossible",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Movement = Movement {
        transfer: TransferId(9),
        account: AccountId(7),
        amount: Money(300),
        from: ShardId(1),
        to: ShardId(2),
    };
    const UNDER_WAY: Option<(AccountId, Money, ShardId)> =
        Some((WANTED.account, WANTED.amount, WANTED.to));
    const ARRIVED: Option<(AccountId, Money)> = Some((WANTED.account, WANTED.amount));

    fn known(last_begun: u64) -> Known {
        Known {
            last_begun: TransferId(last_begun),
            is_account_open: [true; 2],
            ..Known::default()
        }
    }

    #[test]
    fn the_steps_follow_from_what_both_shards_know() {
        let mut known = known(8);
        assert_eq!(next(&WANTED, &known), Next::Begin);
        known.under_way = UNDER_WAY;
        known.last_begun = WANTED.transfer;
        assert_eq!(next(&WANTED, &known), Next::Deliver);
        known.arrived = ARRIVED;
        assert_eq!(next(&WANTED, &known), Next::End);
        known.under_way = None;
        assert_eq!(next(&WANTED, &known), Next::Over);
        known.last_begun = TransferId(1_000);
        assert_eq!(next(&WANTED, &known), Next::Over, "others came after it");
    }

    #[test]
    fn nothing_is_delivered_that_the_sender_does_not_have_under_way() {
        for last_begun in [0, 8, 9, 10] {
            for arrived in [None, ARRIVED] {
                let known = Known {
                    arrived,
                    ..known(last_begun)
                };
                assert_ne!(next(&WANTED, &known), Next::Deliver, "{known:?}");
            }
        }
    }

    #[test]
    fn a_number_that_means_something_else_is_refused() {
        let other = (WANTED.account, Money(301));
        let at_sender = Known {
            under_way: Some((other.0, other.1, WANTED.to)),
            ..known(9)
        };
        let elsewhere = Known {
            under_way: Some((WANTED.account, WANTED.amount, ShardId(3))),
            ..known(9)
        };
        let at_receiver = Known {
            arrived: Some(other),
            ..known(9)
        };
        for known in [at_sender, elsewhere, at_receiver] {
            let next = next(&WANTED, &known);
            assert!(
                matches!(next, Next::Impossible(Impossible::Another { .. })),
                "{next:?}"
            );
        }
    }

    #[test]
    fn a_number_that_is_used_up_or_forgotten_begins_nothing() {
        let (transfer, last) = (WANTED.transfer, TransferId(10));
        let too_low = Impossible::TooLow { transfer, last };
        assert_eq!(next(&WANTED, &known(10)), Next::Impossible(too_low));
        let forgotten = Known {
            is_forgotten: true,
            ..known(10)
        };
        let expected = Impossible::Forgotten { transfer, last };
        assert_eq!(next(&WANTED, &forgotten), Next::Impossible(expected));
        let never_sent = Known {
            arrived: ARRIVED,
            ..known(8)
        };
        let expected = Impossible::NeverSent { transfer };
        assert_eq!(next(&WANTED, &never_sent), Next::Impossible(expected));
    }

    #[test]
    fn nothing_begins_that_could_not_arrive() {
        for (is_account_open, shard) in [([true, false], 2), ([false, true], 1)] {
            let known = Known {
                is_account_open,
                ..known(8)
            };
            let expected = Impossible::NoAccount {
                account: WANTED.account,
                shard: ShardId(shard),
            };
            assert_eq!(next(&WANTED, &known), Next::Impossible(expected));
        }
    }
}
