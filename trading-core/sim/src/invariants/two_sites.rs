//! Source: the design's commit policy `SiteSafe`: what was answered survives the loss of a site,
//! unless a record of the log says that commits do not wait for another one.

use super::{Invariant, Seen};
use std::collections::BTreeMap;
use types::LogIndex;

/// The last entry that ever was on a disk of each site. An entry of another epoch may have stood
/// there: so this sees less than there may be, and nothing that is not.
#[derive(Default)]
pub struct TwoSites(BTreeMap<&'static str, LogIndex>);

impl Invariant for TwoSites {
    fn words(&self) -> &'static str {
        "under SiteSafe nothing is answered before two sites have it"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Turn { replica, view } = seen else {
            return Ok(());
        };
        let own = self.0.entry(view.site).or_default();
        *own = view.persisted.max(*own);
        if !(view.answered && view.serving && view.waits_for_two_sites) {
            return Ok(());
        }
        let others = self.0.iter().filter(|(site, _)| **site != view.site);
        let elsewhere = others.map(|(_, last)| *last).max().unwrap_or_default();
        if elsewhere >= view.applied {
            return Ok(());
        }
        Err(format!(
            "replica {replica} answered up to entry {}, and no site but {} has more than {elsewhere}",
            view.applied, view.site
        ))
    }
}
