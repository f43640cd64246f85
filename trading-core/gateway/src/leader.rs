//! Who leads, as far as this gateway hears.
//!
//! ```text
//!   replica 1: epoch 4, serving      ┐
//!   replica 2: epoch 5, serving      ├──► the highest epoch that serves: replica 2
//!   replica 3: silent (not listed)   ┘
//! ```

use std::collections::BTreeMap;
use types::{Epoch, ReplicaId};

/// What one replica last said of itself, and how it was reached.
#[derive(Clone, Debug)]
pub(crate) struct Heard<C> {
    pub epoch: Epoch,
    pub serving: bool,
    /// Which connection it was heard on: grows with each.
    pub connection: u64,
    pub channel: C,
}

/// The leader that streams go to. A new connection to the same leader is another link.
#[derive(Clone, Debug)]
pub(crate) struct Link<C> {
    pub replica: ReplicaId,
    pub epoch: Epoch,
    pub connection: u64,
    pub channel: C,
}

impl<C> PartialEq for Link<C> {
    fn eq(&self, other: &Self) -> bool {
        let key = |link: &Self| (link.replica, link.epoch, link.connection);
        key(self) == key(other)
    }
}

/// What all replicas said.
#[derive(Clone, Debug)]
pub(crate) struct View<C> {
    heard: BTreeMap<ReplicaId, Heard<C>>,
}

impl<C> Default for View<C> {
    fn default() -> Self {
        Self {
            heard: BTreeMap::new(),
        }
    }
}

impl<C: Clone> View<C> {
    /// Takes in what a replica says. True when that changes who leads.
    pub(crate) fn hear(&mut self, replica: ReplicaId, heard: Heard<C>) -> bool {
        self.change(|view| {
            view.heard.insert(replica, heard);
        })
    }

    /// Takes in that a replica is silent. True when that changes who leads.
    pub(crate) fn lose(&mut self, replica: ReplicaId) -> bool {
        self.change(|view| {
            view.heard.remove(&replica);
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) -> bool {
        let before = self.leader();
        change(self);
        self.leader() != before
    }

    /// Where streams go: the highest epoch that serves.
    pub(crate) fn leader(&self) -> Option<Link<C>> {
        let serving = self.heard.iter().filter(|(_, heard)| heard.serving);
        let (replica, heard) = serving.max_by_key(|(_, heard)| heard.epoch)?;
        Some(Link {
            replica: *replica,
            epoch: heard.epoch,
            connection: heard.connection,
            channel: heard.channel.clone(),
        })
    }

    /// How many replicas are heard.
    pub(crate) fn heard(&self) -> usize {
        self.heard.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(epoch: u64, serving: bool, connection: u64) -> Heard<()> {
        Heard {
            epoch: Epoch(epoch),
            serving,
            connection,
            channel: (),
        }
    }

    fn leader(view: &View<()>) -> Option<(u64, u64)> {
        view.leader().map(|link| (link.replica.0, link.epoch.0))
    }

    #[test]
    fn the_highest_epoch_that_serves_leads() {
        let mut view = View::default();
        assert!(!view.hear(ReplicaId(3), heard(9, false, 1)));
        assert_eq!(leader(&view), None);
        assert!(view.hear(ReplicaId(1), heard(4, true, 1)));
        assert!(view.hear(ReplicaId(2), heard(5, true, 1)));
        assert_eq!(leader(&view), Some((2, 5)));
        assert!(!view.hear(ReplicaId(1), heard(4, true, 1)));
        assert_eq!(leader(&view), Some((2, 5)));
    }

    #[test]
    fn a_leader_that_is_silent_or_stops_serving_leads_no_longer() {
        let mut view = View::default();
        view.hear(ReplicaId(1), heard(4, true, 1));
        assert!(view.lose(ReplicaId(1)));
        assert_eq!((leader(&view), view.heard()), (None, 0));
        view.hear(ReplicaId(1), heard(4, true, 2));
        assert!(view.hear(ReplicaId(1), heard(4, false, 2)));
        assert_eq!((leader(&view), view.heard()), (None, 1));
    }

    #[test]
    fn the_same_leader_on_another_connection_is_another_link() {
        let mut view = View::default();
        view.hear(ReplicaId(1), heard(4, true, 1));
        assert!(!view.hear(ReplicaId(1), heard(4, true, 1)));
        assert!(view.hear(ReplicaId(1), heard(4, true, 2)));
    }
}
