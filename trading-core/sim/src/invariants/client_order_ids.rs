//! Source: the design's first rule: no `ClOrdID` takes effect twice.

use super::{Invariant, Seen};
use std::collections::BTreeSet;
use types::{AccountId, ClOrdId, Event, Report};

/// Which names have been used.
#[derive(Default)]
pub struct ClientOrderIds(BTreeSet<(AccountId, ClOrdId)>);

impl Invariant for ClientOrderIds {
    fn words(&self) -> &'static str {
        "no ClOrdID takes effect twice"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Entry {
            state, commands, ..
        } = seen
        else {
            return Ok(());
        };
        for event in commands.iter().flat_map(|(_, events)| events) {
            let Event::ToSession(told) = event else {
                continue;
            };
            if let Report::Accepted { cl_ord_id, .. } = told.report
                && let Some(account) = state.account_of_session(told.session)
                && !self.0.insert((account, cl_ord_id))
            {
                return Err(format!("account {account}, {cl_ord_id}: accepted again"));
            }
        }
        Ok(())
    }
}
