//! Leads a level-2 feed to the reference-price tracker: only what is good gets through.

use crate::level2::{Effect, Freshness, Receiver};
use crate::reference_price::{Facts, FeedState, ReferencePrice, ReferencePriceTracker};
use crate::time::Monotonic;
use types::{Side, SymbolId};

/// Takes what a receiver's effects mean for reference prices.
pub fn observe_effects(
    tracker: &mut ReferencePriceTracker,
    receiver: &Receiver,
    effects: &[Effect],
    now: Monotonic,
) {
    for effect in effects {
        match effect {
            Effect::StreamBegan(_) | Effect::FellSilent => tracker.feed_broke(),
            Effect::BookChanged(id)
            | Effect::BecameGood(id)
            | Effect::BecameStale(id, _)
            | Effect::PreviousClose(id, _) => observe(tracker, receiver, *id, now),
            Effect::Traded(trade) => observe(tracker, receiver, trade.symbol, now),
            Effect::SpokeAgain => receiver
                .symbols()
                .for_each(|id| observe(tracker, receiver, id, now)),
            Effect::Gap { .. } => {}
        }
    }
}

fn observe(tracker: &mut ReferencePriceTracker, receiver: &Receiver, id: SymbolId, now: Monotonic) {
    let Some(view) = receiver.view(id) else {
        return;
    };
    let facts = Facts {
        last: view.last.map(|last| last.price),
        bid: view.ladder.best(Side::Buy),
        offer: view.ladder.best(Side::Sell),
        previous_close: view.previous_close,
    };
    let feed = match view.freshness {
        // Behind a hole that may yet be filled: what is shown was so, and its record can wait.
        Freshness::Good | Freshness::Behind => FeedState::Whole,
        Freshness::Stale(_) => FeedState::Broken,
    };
    tracker.observe(id, facts, feed, now);
}

/// Appends the records that may go to the core now. A symbol whose book is not good at this moment
/// is not confirmed, and grows too old.
pub fn take_records(
    tracker: &mut ReferencePriceTracker,
    receiver: &Receiver,
    now: Monotonic,
    records: &mut Vec<ReferencePrice>,
) {
    while let Some(id) = tracker.next_symbol(now) {
        match receiver.view(id).map(|view| view.freshness) {
            Some(Freshness::Good) => tracker.confirm(id, now),
            // Wait: the hole is filled or given up within the receiver's bound.
            Some(Freshness::Behind) => return,
            Some(Freshness::Stale(_)) | None => {
                tracker.observe(id, Facts::default(), FeedState::Broken, now);
            }
        }
        records.extend(tracker.next_record(now));
    }
}
