//! The phases of a day: what each allows, and what happens between them.
//!
//! ```text
//!                takes orders      matches      allows cancelling
//!   calls        limit, stop       at the end   OpeningCall only
//!   Continuous   all               at once      yes
//!   others       none              no           yes, but PreContinuous
//! ```
//! By the rules of some boards `AfterHours` takes orders at the closing price (`after_hours.rs`), and
//! while trading is suspended a symbol gathers orders as in a call (`market_day.rs`).
//!
//! Where a phase in which the book may be crossed (a call, a halt) gives way to one in which it may
//! not, the auction ends: all that can, trades at one price.

use crate::Shard;
use crate::listing::MarketBook;
use book::AuctionFill;
use types::{
    Board, CancelCause, ControlOutcome, Event, OrderState, Phase, PhaseScope, Price, RejectReason,
};

/// What a phase does with an order that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Nothing: it is rejected.
    No,
    /// It rests until the auction ends.
    Gathers,
    /// It trades at once.
    Matches,
    /// It trades at once or stands, at the closing price alone.
    AtClose { close: Price },
}

/// What a phase allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PhaseRules {
    pub taking: Taking,
    pub cancels: bool,
}

/// The rules of every phase, in the order of their numbers.
const PHASES: [PhaseRules; 9] = {
    const fn rules(taking: Taking, cancels: bool) -> PhaseRules {
        PhaseRules { taking, cancels }
    }
    [
        rules(Taking::No, true),       // Closed
        rules(Taking::Gathers, true),  // OpeningCall
        rules(Taking::Gathers, false), // OpeningCallNoCancel
        rules(Taking::No, false),      // PreContinuous
        rules(Taking::Matches, true),  // Continuous
        rules(Taking::No, true),       // LunchBreak
        rules(Taking::Gathers, false), // ClosingCall
        rules(Taking::No, true),       // AfterHours
        rules(Taking::No, true),       // Halted
    ]
};

pub(crate) fn rules_of(phase: Phase) -> PhaseRules {
    PHASES[phase as usize]
}

/// Whether the book may be crossed in it.
pub(crate) fn may_be_crossed(phase: Phase) -> bool {
    phase == Phase::Halted || rules_of(phase).taking == Taking::Gathers
}

impl<B: MarketBook> Shard<B> {
    pub(crate) fn set_phase(
        &mut self,
        scope: PhaseScope,
        phase: Phase,
        events: &mut Vec<Event>,
    ) -> Result<ControlOutcome, RejectReason> {
        if let PhaseScope::Symbol(symbol) = scope {
            let row = self.listing_row(symbol);
            let row = row.ok_or(RejectReason::UnknownSymbol { symbol })?;
            self.forget_suspension(row);
            self.pass_into(row, phase, events);
            return Ok(ControlOutcome::Done);
        }
        if phase == Phase::Halted {
            return Err(RejectReason::PhaseRules { phase });
        }
        let takes_part = |board: Board| match scope {
            PhaseScope::Board(only) => only == board,
            PhaseScope::All | PhaseScope::Symbol(_) => true,
        };
        for board in Board::ALL.into_iter().filter(|board| takes_part(*board)) {
            self.facts.phases[board as usize] = phase;
        }
        for row in 0..self.listings.len() as u32 {
            let listing = self.listing_mut(row);
            if !takes_part(listing.definition.board) {
                continue;
            }
            // No suspension outlasts the beginning of the closing call.
            match &mut listing.today.suspended {
                Some(suspended) if phase != Phase::ClosingCall => suspended.into = phase,
                Some(_) => {
                    self.forget_suspension(row);
                    self.pass_into(row, phase, events);
                }
                None if listing.phase != Phase::Halted => self.pass_into(row, phase, events),
                None => {}
            }
        }
        Ok(ControlOutcome::Done)
    }

    pub(crate) fn pass_into(&mut self, symbol: u32, phase: Phase, events: &mut Vec<Event>) {
        let before = self.listing(symbol).phase;
        self.listing_mut(symbol).phase = phase;
        if may_be_crossed(before) && !may_be_crossed(phase) {
            self.end_auction(symbol, before, events);
        }
        if !matches!(phase, Phase::AfterHours | Phase::Halted) {
            self.end_after_hours(symbol, events);
        }
        if phase == Phase::Continuous {
            self.fire_stops(symbol, events);
        }
    }

    fn end_auction(&mut self, symbol: u32, ending: Phase, events: &mut Vec<Event>) {
        let mut fills = std::mem::take(&mut self.auction_fills);
        let tie = self.facts.risk.enforced(symbol).map(|day| day.auction_tie);
        let listing = self.listing_mut(symbol);
        let rule = listing.auction_rule(ending, tie);
        let found = listing.book.uncross(rule, &mut fills);
        if let Some(found) = found {
            listing.last = Some(found.price);
            if listing.today.is_unlimited {
                self.watch_distance(symbol, found.price);
            }
        }
        for fill in &fills {
            match *fill {
                AuctionFill::Cancelled { order, .. } => {
                    let row = self.orders.known_row(order);
                    self.unlink(row);
                    let report = self.close(row, CancelCause::SelfTrade);
                    self.report(row, None, report, events);
                    self.orders.retire(row);
                }
                AuctionFill::Trade {
                    buy,
                    sell,
                    price,
                    quantity,
                    ..
                } => {
                    let (buy, sell) = (self.orders.known_row(buy), self.orders.known_row(sell));
                    self.trade((buy, None), (sell, None), price, quantity, events);
                    for row in [buy, sell] {
                        if self.orders.at(row).state == OrderState::Filled {
                            self.unlink(row);
                            self.orders.retire(row);
                        }
                    }
                }
            }
        }
        fills.clear();
        self.auction_fills = fills;
    }
}
