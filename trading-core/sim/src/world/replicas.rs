//! Replicas: started, woken, heard, killed and started again.
//!
//! ```text
//!   restart_in ─► start ─► tick, arrive ─► wake (a turn of the process) ─► leave: links, clients
//!      ▲                                            │
//!      └──────────── died, kill ◄───────────────────┘
//! ```

use super::{Happening, World, center_of, limits, site_of};
use crate::invariants::Seen;
use crate::node::{Connection, Input, Outgoing, Process};
use replica::{Config, DriverError, SnapshotEnd, SnapshotJob};
use types::{CenterName, Epoch, Member, MemberDuty, MemberRole, ReplicaId};

const TICK_US: u64 = 10_000;

impl World {
    pub(super) fn config(&self, id: u64, start: u64) -> Config {
        let members = (1..=self.replicas).filter_map(|id| {
            Some(Member {
                replica: ReplicaId(id),
                // Always a name.
                center: CenterName::new(&format!("c{}", center_of(id, self.replicas))).ok()?,
                site: site_of(id, self.replicas).to_owned(),
                role: MemberRole::Voter,
                duty: MemberDuty::Data,
                priority: (self.replicas + 1 - id) as u32,
                address: None,
            })
        });
        Config {
            replica: ReplicaId(id),
            members: members.collect(),
            policy: self.policy,
            joins: false,
            tick_ms: (TICK_US / 1_000) as u32,
            heartbeat_ms: 50,
            election_timeout_ms_min: 300,
            election_timeout_ms_max: 600,
            election_seed: self.options.seed ^ (id << 32) ^ start,
            retain_entries: self.journal.retain_entries,
            snapshot_every_entries: self.snapshot_every_entries,
            limits: limits(),
        }
    }

    pub(crate) fn restart_in(&mut self, id: u64, in_us: u64) {
        if let Some(node) = self.nodes.get_mut(&id)
            && !node.restart_due
        {
            node.restart_due = true;
            self.later(in_us, Happening::Restart(id));
        }
    }

    pub(super) fn start(&mut self, id: u64) {
        let (journal, next) = (self.journal, self.nodes[&id].start + 1);
        let config = self.config(id, next);
        let now_us = self.now_us;
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.restart_due = false;
        if node.process.is_some() {
            return;
        }
        node.start = next;
        node.disk = node.disk.next_start();
        match Process::start(node.disk.clone(), journal, config, node.clock, now_us) {
            Ok((process, started)) => {
                let unproven = process.replica().is_unproven();
                let intact = node.tainted.is_none() && !unproven;
                node.process = Some(Box::new(process));
                started
                    .notes
                    .into_iter()
                    .for_each(|note| self.tally.note(note));
                let first_tick_us = self.dice.below(TICK_US);
                self.later(first_tick_us, Happening::Tick(id, next));
                self.later(200_000, Happening::Beat(id, next));
                self.say(|| {
                    let proof = if unproven { ", unproven" } else { "" };
                    let why = started.set_aside.as_ref();
                    let why = why.map_or(String::new(), |why| format!(": {why}"));
                    format!("replica {id} starts ({next}){proof}{why}")
                });
                self.see(&Seen::Started {
                    replica: id,
                    intact,
                });
            }
            Err(error) => self.died(id, &error),
        }
    }

    pub(super) fn tick(&mut self, id: u64, start: u64) {
        let Some(node) = self.nodes.get(&id).filter(|n| n.start == start) else {
            return;
        };
        if node.process.is_none() {
            return;
        }
        let drift = node.clock.drift_ppm;
        let next_us = (TICK_US as i64 - TICK_US as i64 * drift / 1_000_000) as u64;
        // A process that stands still has no ticks to catch up with.
        let paused_us = node.paused_until_us.saturating_sub(self.now_us);
        self.later(next_us.max(paused_us), Happening::Tick(id, start));
        if paused_us == 0 {
            self.arrive(id, Input::Tick);
        }
    }

    pub(crate) fn arrive(&mut self, id: u64, input: Input) {
        let now_us = self.now_us;
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let (start, paused) = (node.start, node.paused_until_us);
        let Some(process) = &mut node.process else {
            return;
        };
        process.inbox.push(input);
        if process.waking {
            return;
        }
        process.waking = true;
        let wake_us = process.busy_until_us.max(paused).max(now_us + 1);
        self.at(wake_us, Happening::Wake(id, start));
    }

    pub(super) fn wake(&mut self, id: u64, start: u64) {
        let now_us = self.now_us;
        let Some(node) = self.nodes.get_mut(&id).filter(|n| n.start == start) else {
            return;
        };
        if node.paused_until_us > now_us {
            let at_us = node.paused_until_us;
            return self.at(at_us, Happening::Wake(id, start));
        }
        let (clock, slow_us) = (node.clock, node.slow_us);
        let Some(mut process) = node.process.take() else {
            return;
        };
        process.waking = false;
        let mut left = Vec::new();
        let ended = process.turn(now_us, clock, slow_us, &mut left);
        let answered = left
            .iter()
            .any(|(_, outgoing)| matches!(outgoing, Outgoing::Client(..)));
        self.look_at(id, &process, answered, ended.is_err());
        let unproven = process.replica().is_unproven();
        if let Some(node) = self.nodes.get_mut(&id) {
            node.process = Some(process);
            if node.tainted.is_some() && !unproven {
                crate::losses::look_for_recovery(self, id);
            }
        }
        for (at_us, outgoing) in left {
            self.leave(id, at_us, outgoing);
        }
        if let Err(error) = ended {
            self.died(id, &error);
        }
    }

    pub(super) fn leave(&mut self, from: u64, at_us: u64, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Peer {
                to,
                bytes,
                snapshot,
            } => {
                let arrivals = self.network.between_replicas(from, to.0, at_us);
                let lost = arrivals.is_empty();
                if snapshot {
                    let told = Input::SnapshotSent(to, !lost);
                    self.at(at_us + 20_000, Happening::Arrive(from, told));
                } else if lost && self.dice.chance(200_000) {
                    let told = Input::Unreachable(to);
                    self.at(at_us + 1_000, Happening::Arrive(from, told));
                }
                for arrives_us in arrivals {
                    let input = Input::Peer(bytes.clone());
                    self.at(arrives_us, Happening::Arrive(to.0, input));
                }
            }
            Outgoing::Hash(point) => {
                for to in (1..=self.replicas).filter(|to| *to != from) {
                    for arrives_us in self.network.between_replicas(from, to, at_us) {
                        let input = Input::Hash(ReplicaId(from), point);
                        self.at(arrives_us, Happening::Arrive(to, input));
                    }
                }
            }
            Outgoing::Rebuild(to) => {
                for arrives_us in self.network.between_replicas(from, to.0, at_us) {
                    let input = Input::Rebuild(ReplicaId(from));
                    self.at(arrives_us, Happening::Arrive(to.0, input));
                }
            }
            Outgoing::Client(to, message) => self.send_to_client(from, at_us, to, message),
            Outgoing::Close(to) => self.close(from, at_us, to),
            Outgoing::Save(job) => {
                let start = self.nodes[&from].start;
                let takes_us = self.dice.between(1_000, 200_000);
                self.at(at_us + takes_us, Happening::Save(from, start, job));
            }
            Outgoing::Note(note) => {
                self.transfer_under_way |= note == "a transfer began";
                self.tally.note(note);
            }
        }
    }

    pub(super) fn save(&mut self, id: u64, start: u64, job: SnapshotJob) {
        if self.nodes[&id].start != start || self.nodes[&id].process.is_none() {
            return;
        }
        let ended = job.run();
        match ended.saved {
            Err(error) if self.nodes[&id].disk.power_failed() => self.died(id, &error),
            saved => {
                if saved.is_err() {
                    self.tally.note("a snapshot could not be built or saved");
                }
                let ended = SnapshotEnd { saved, ..ended };
                self.arrive(id, Input::SnapshotEnded(Box::new(ended)));
            }
        }
    }

    /// A process ended by an error of its own, or because power failed under it.
    pub(super) fn died(&mut self, id: u64, error: &DriverError) {
        let power = self.nodes[&id].disk.power_failed();
        let expected = match error {
            DriverError::Journal(_) => true,
            DriverError::Replica(_) => false,
        };
        self.say(|| format!("replica {id} ends: {error}"));
        if !expected {
            let detail = format!("replica {id}: {error}");
            return self.break_off("no replica stops over the log of its group", detail);
        }
        self.kill(id, power);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.failures += 1;
        }
        let pause_us = self.dice.between(20_000, 800_000);
        self.restart_in(id, pause_us);
    }

    /// Ends a process.
    pub(crate) fn kill(&mut self, id: u64, power: bool) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.process = None;
        node.slow_us = 0;
        node.paused_until_us = 0;
        // Nothing of it acts any more, whatever is still under way.
        node.disk = node.disk.next_start();
        if power {
            node.disk.lose_power();
        }
        self.leaders.remove(&id);
        // A machine without power resets no connection.
        if !power {
            for peer in (1..=self.replicas).filter(|peer| *peer != id) {
                for arrives_us in self.network.between_replicas(id, peer, self.now_us) {
                    self.at(arrives_us, Happening::Reset(peer, id));
                }
            }
            let ended: Vec<Connection> = (0..self.traders.len())
                .filter(|client| self.traders[*client].replica == id)
                .map(|client| self.connection_of(client))
                .collect();
            for connection in ended {
                self.close(id, self.now_us, connection);
            }
        }
    }

    /// A replica's connection was reset: it tries again, and suspects who does not listen.
    pub(super) fn reset(&mut self, id: u64, dead: u64) {
        if self.nodes[&dead].process.is_none() {
            self.arrive(id, Input::Suspect(ReplicaId(dead)));
        }
    }

    pub(super) fn beat(&mut self, id: u64, start: u64) {
        let Some(node) = self.nodes.get(&id).filter(|n| n.start == start) else {
            return;
        };
        let paused = node.paused_until_us > self.now_us;
        let Some(process) = &node.process else {
            return;
        };
        let beats = if paused {
            Vec::new()
        } else {
            process.heartbeats(self.now_us, node.clock)
        };
        for (to, message) in beats {
            self.send_to_client(id, self.now_us, to, Box::new(message));
        }
        self.later(200_000, Happening::Beat(id, start));
    }

    /// The one that serves and whose epoch is the newest.
    pub(crate) fn leader(&self) -> Option<(u64, Epoch)> {
        let serving = self.nodes.iter().filter_map(|(id, node)| {
            let replica = node.process.as_ref()?.replica();
            replica.serving().then(|| (*id, replica.epoch()))
        });
        serving.max_by_key(|(_, epoch)| *epoch)
    }
}
