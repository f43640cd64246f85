//! Every turn of a replica as the invariants see it.

use super::{World, site_of};
use crate::invariants::Seen;
use crate::invariants::View;
use crate::node::Process;
use replica::{ProtectionLevel, Role};

impl World {
    pub(super) fn look_at(&mut self, id: u64, process: &Process, answered: bool, died: bool) {
        let replica = process.replica();
        let level = self.oracle.state().group().protection.level;
        let view = View {
            role: replica.role(),
            epoch: replica.epoch(),
            commit: replica.commit_index(),
            applied: replica.applied_index(),
            hash: replica.state().history_hash().to_bytes(),
            serving: replica.serving(),
            site: site_of(id, self.replicas),
            persisted: replica.persisted_index(),
            waits_for_two_sites: replica.state().group().waits_for_two_sites(),
            answered,
            died,
        };
        let hash = u64::from_le_bytes(view.hash);
        self.trace
            .mix(&[id, view.epoch.0, view.commit.0, view.applied.0, hash]);
        self.follow_leaders(id, view);
        let invariants = &mut self.invariants;
        let mut broken = None;
        let shown = self.oracle.look_at(replica, |seen| {
            for invariant in invariants.iter_mut() {
                if let Err(detail) = invariant.see(seen) {
                    broken = Some((invariant.words(), detail));
                    return Err(String::new());
                }
            }
            Ok(())
        });
        match (broken, shown) {
            (Some((invariant, detail)), _) => self.break_off(invariant, detail),
            (None, Err(detail)) => self.break_off("the log has no gaps", detail),
            (None, Ok(())) => {}
        }
        self.follow_protection(level);
        self.see(&Seen::Turn { replica: id, view });
    }

    pub(super) fn follow_protection(&mut self, before: ProtectionLevel) {
        let level = self.oracle.state().group().protection.level;
        if level == before {
            return;
        }
        self.say(|| format!("the log is protected: {level:?}"));
        self.tally.note(if level == ProtectionLevel::Full {
            "commits waited for the other site again"
        } else {
            "commits went on without the other site, with a record"
        });
    }

    pub(super) fn follow_leaders(&mut self, id: u64, view: View) {
        if view.role == Role::Leader {
            if self.leaders.insert(id, view.epoch).is_none() {
                self.say(|| format!("replica {id} leads in epoch {}", view.epoch));
                if self.leaders.len() > 1 {
                    self.tally
                        .note("two replicas led at the same time, in different epochs");
                }
                if std::mem::take(&mut self.transfer_under_way) {
                    self.tally.note("leadership was handed over as asked");
                }
            }
        } else if self.leaders.remove(&id).is_some() {
            self.say(|| format!("replica {id} leads no longer, epoch {}", view.epoch));
        }
        if view.serving {
            if self.now_us > self.served_us + 1_000_000 && self.opened {
                self.tally.note("no replica served for a second");
            }
            self.served_us = self.now_us;
        }
    }
}
