//! A cluster, its clients and its time: one queue of things to come, worked off in order.
//!
//! ```text
//!                     ┌──────────── queue by time ◄───────────┐
//!                     ▼                                       │
//!   Tick, Arrive, Wake, Connect, ToTrader, Trade, Restart, Plan, …
//!                     │
//!        ┌────────────┼──────────────┬──────────────┐
//!        ▼            ▼              ▼              ▼
//!      nodes       traders        network        planner (faults)
//!        └──► invariants, trace ◄────┘
//! ```

use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::fault::{Fault, Tally};
use crate::invariants::{self, Invariant, Seen, View};
use crate::network::Network;
use crate::node::{Clock, Connection, Input, Outgoing, Process};
use crate::oracle::Oracle;
use crate::plan::Planner;
use crate::trace::Trace;
use crate::trader::{SYMBOLS, Trader};
use crate::{Options, Violation};
use client::session::{Effect, Input as SessionInput};
use history::SeenMessage;
use protocol::order::server_message::Body;
use protocol::order::{ClientMessage, ServerMessage};
use replica::{Config, DriverError, Limits, ProtectionLevel, Role, SnapshotEnd, SnapshotJob};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use types::{
    AccountId, CenterName, Command, CommitPolicy, Control, Epoch, Member, MemberDuty, MemberRole,
    Money, Price, Quantity, ReplicaId, SymbolDefinition,
};

const TICK_US: u64 = 10_000;

/// The center of a replica, by number: of five, the first two centers have two each.
pub(crate) fn center_of(id: u64, replicas: u64) -> u64 {
    if replicas == 5 { id.div_ceil(2) } else { id }
}

/// The site of a replica: the last stands far away, as the links to it say.
pub(crate) fn site_of(id: u64, replicas: u64) -> &'static str {
    if id == replicas { "B" } else { "A" }
}

/// Accounts that trade.
const ACCOUNTS: u64 = 3;

/// Bounds of the state: for what a run brings, no more. A start, a snapshot and its check each make
/// every table anew, which at the default's size took four fifths of a run's time.
fn limits() -> Limits {
    Limits {
        client_order_ids_max: 50_000,
        orders_per_account_max: 50_000,
        replay_messages_max: 4_096,
        replay_chunks_max: 1_000,
        ..Limits::small()
    }
}

/// Something that is to happen.
pub(crate) enum Happening {
    Tick(u64, u64),
    Arrive(u64, Input),
    Wake(u64, u64),
    Save(u64, u64, SnapshotJob),
    Restart(u64),
    /// To whom, and whose process reset the connection.
    Reset(u64, u64),
    Connect(Connection, Box<ClientMessage>),
    ToTrader(Connection, Box<ServerMessage>),
    Closed(Connection, &'static str),
    TraderTick(usize),
    Trade(usize),
    Control,
    Beat(u64, u64),
    Plan,
    Undo(crate::plan::Undo),
}

/// One replica's machine.
pub(crate) struct Node {
    pub disk: SimDisk,
    pub clock: Clock,
    pub process: Option<Process>,
    /// Grows with each start.
    pub start: u64,
    pub paused_until_us: u64,
    pub slow_us: u64,
    /// The start in which its disk lost what was promised, until it has caught up in a later one.
    pub tainted: Option<u64>,
    /// Its disk was emptied, and it has not caught up since.
    pub wiped: bool,
    /// Stopped by the run, and not to be started by itself.
    pub restart_due: bool,
    pub failures: u32,
}

/// Everything of one run.
pub(crate) struct World {
    pub options: Options,
    pub now_us: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    coming: BTreeMap<u64, Happening>,
    next: u64,
    pub replicas: u64,
    pub nodes: BTreeMap<u64, Node>,
    traders: Vec<Trader>,
    dead: BTreeSet<Connection>,
    connections: u64,
    pub network: Network,
    pub dice: Dice,
    oracle: Oracle,
    invariants: Vec<Box<dyn Invariant>>,
    pub planner: Planner,
    pub trace: Trace,
    pub tally: Tally,
    pub violation: Option<Violation>,
    journal: journal::Options,
    snapshot_every_entries: u64,
    policy: CommitPolicy,
    opened: bool,
    served_us: u64,
    leaders: BTreeMap<u64, Epoch>,
    transfer_under_way: bool,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let mut dice = Dice::new(options.seed, "world");
        let replicas = if dice.chance(250_000) { 5 } else { 3 };
        let retain_bytes = if dice.chance(500_000) { 0 } else { u64::MAX };
        let journal = journal::Options {
            segment_bytes: dice.between(16, 64) as usize * 1024,
            retain_entries: dice.between(8, 200),
            retain_bytes,
        };
        let snapshot_every_entries = dice.between(50, 800);
        let policy = if dice.chance(500_000) {
            CommitPolicy::SiteSafe {
                degrade_after_ms: dice.between(300, 2_000) as u32,
            }
        } else {
            CommitPolicy::Metro
        };
        let traders = dice.between(3, 6);
        let mut world = Self {
            now_us: 0,
            queue: BinaryHeap::new(),
            coming: BTreeMap::new(),
            next: 0,
            replicas,
            nodes: BTreeMap::new(),
            traders: Vec::new(),
            dead: BTreeSet::new(),
            connections: 0,
            network: Network::new(replicas, Dice::new(options.seed, "network")),
            oracle: Oracle::new(limits()),
            invariants: invariants::all(),
            planner: Planner::new(options, Dice::new(options.seed, "faults")),
            trace: Trace::new(options.trace),
            tally: Tally::default(),
            violation: None,
            journal,
            snapshot_every_entries,
            policy,
            opened: false,
            served_us: 0,
            leaders: BTreeMap::new(),
            transfer_under_way: false,
            options,
            dice,
        };
        for id in 1..=replicas {
            world.add_node(id);
        }
        for number in 0..traders {
            let dice = Dice::new(options.seed, &format!("trader {number}"));
            let trader = Trader::new(number, ACCOUNTS, replicas as usize, dice);
            world.traders.push(trader);
        }
        world.later(50_000, Happening::Control);
        world.later(2_000_000, Happening::Plan);
        world
    }

    fn add_node(&mut self, id: u64) {
        let disk = SimDisk::new(
            &format!("replica-{id}"),
            Dice::new(self.options.seed, &format!("disk {id}")),
        );
        let node = Node {
            disk,
            clock: Clock::default(),
            process: None,
            start: 0,
            paused_until_us: 0,
            slow_us: 0,
            tainted: None,
            wiped: false,
            restart_due: false,
            failures: 0,
        };
        self.nodes.insert(id, node);
        let within_us = self.dice.below(20_000);
        self.restart_in(id, within_us);
    }

    pub(crate) fn later(&mut self, in_us: u64, happening: Happening) {
        self.at(self.now_us + in_us, happening);
    }

    fn at(&mut self, at_us: u64, happening: Happening) {
        self.next += 1;
        self.queue.push(Reverse((at_us, self.next)));
        self.coming.insert(self.next, happening);
    }

    /// Works off what comes until a moment, or until an invariant is broken.
    pub(crate) fn run_until(&mut self, until_us: u64) {
        while self.violation.is_none() {
            let Some(Reverse((at_us, number))) = self.queue.peek().copied() else {
                return;
            };
            if at_us > until_us {
                self.now_us = until_us;
                return;
            }
            self.queue.pop();
            self.now_us = at_us;
            if let Some(happening) = self.coming.remove(&number) {
                self.trace.mix(&[at_us, number]);
                self.happen(happening);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(id, start) => self.tick(id, start),
            Happening::Arrive(id, input) => self.arrive(id, input),
            Happening::Wake(id, start) => self.wake(id, start),
            Happening::Save(id, start, job) => self.save(id, start, job),
            Happening::Restart(id) => self.start(id),
            Happening::Reset(id, dead) => self.reset(id, dead),
            Happening::Connect(connection, logon) => self.connect(connection, logon),
            Happening::ToTrader(connection, message) => self.hand_to_trader(connection, *message),
            Happening::Closed(connection, reason) => self.closed(connection, reason),
            Happening::TraderTick(client) => self.trader_tick(client),
            Happening::Trade(client) => self.trade(client),
            Happening::Control => self.control(),
            Happening::Beat(id, start) => self.beat(id, start),
            Happening::Plan => crate::plan::step(self),
            Happening::Undo(undo) => crate::plan::undo(self, undo),
        }
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.say(self.now_us, line);
    }

    pub(crate) fn see(&mut self, seen: &Seen<'_>) {
        let broken = self
            .invariants
            .iter_mut()
            .find_map(|invariant| Some((invariant.words(), invariant.see(seen).err()?)));
        if let Some((invariant, detail)) = broken {
            self.break_off(invariant, detail);
        }
    }

    pub(crate) fn break_off(&mut self, invariant: &'static str, detail: String) {
        let at_us = self.now_us;
        self.say(|| format!("BROKEN: {invariant}: {detail}"));
        self.violation.get_or_insert(Violation {
            invariant,
            detail,
            at_us,
        });
    }

    // Replicas.

    fn config(&self, id: u64, start: u64) -> Config {
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

    fn start(&mut self, id: u64) {
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
            Ok((process, notes)) => {
                let unproven = process.replica().is_unproven();
                let intact = node.tainted.is_none() && !unproven;
                node.process = Some(process);
                notes.into_iter().for_each(|note| self.tally.note(note));
                let first_tick_us = self.dice.below(TICK_US);
                self.later(first_tick_us, Happening::Tick(id, next));
                self.later(200_000, Happening::Beat(id, next));
                self.say(|| {
                    let proof = if unproven { ", unproven" } else { "" };
                    format!("replica {id} starts ({next}){proof}")
                });
                self.see(&Seen::Started {
                    replica: id,
                    intact,
                });
            }
            Err(error) => self.died(id, &error),
        }
    }

    fn tick(&mut self, id: u64, start: u64) {
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

    fn wake(&mut self, id: u64, start: u64) {
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
                crate::plan::look_for_recovery(self, id);
            }
        }
        for (at_us, outgoing) in left {
            self.leave(id, at_us, outgoing);
        }
        if let Err(error) = ended {
            self.died(id, &error);
        }
    }

    fn look_at(&mut self, id: u64, process: &Process, answered: bool, died: bool) {
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

    fn follow_protection(&mut self, before: ProtectionLevel) {
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

    fn follow_leaders(&mut self, id: u64, view: View) {
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

    fn leave(&mut self, from: u64, at_us: u64, outgoing: Outgoing) {
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

    fn save(&mut self, id: u64, start: u64, job: SnapshotJob) {
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
    fn died(&mut self, id: u64, error: &DriverError) {
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
    fn reset(&mut self, id: u64, dead: u64) {
        if self.nodes[&dead].process.is_none() {
            self.arrive(id, Input::Suspect(ReplicaId(dead)));
        }
    }

    fn beat(&mut self, id: u64, start: u64) {
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

    fn control(&mut self) {
        let state = self.oracle.state();
        self.opened = SYMBOLS.iter().all(|symbol| state.symbol(*symbol).is_some())
            && (1..=ACCOUNTS).all(|account| state.account(AccountId(account)).is_some());
        if self.opened {
            for client in 0..self.traders.len() {
                self.later(1, Happening::TraderTick(client));
                self.later(1_000, Happening::Trade(client));
            }
            return;
        }
        if let Some((leader, _)) = self.leader() {
            for command in opening() {
                self.arrive(leader, Input::Control(command));
            }
        }
        self.later(100_000, Happening::Control);
    }

    // Clients.

    fn connection_of(&self, client: usize) -> Connection {
        Connection {
            client,
            number: self.traders[client].connection,
        }
    }

    fn perform(&mut self, client: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Connect { entry, logon } => {
                    self.connections += 1;
                    let trader = &mut self.traders[client];
                    trader.connection = self.connections;
                    trader.replica = entry as u64 + 1;
                    trader.last_sent_us = 0;
                    let connection = self.connection_of(client);
                    if let Some(takes_us) = self.network.with_client(entry as u64 + 1) {
                        self.later(takes_us, Happening::Connect(connection, Box::new(logon)));
                    }
                }
                Effect::Disconnect => self.traders[client].connection = 0,
                Effect::Send(message) => self.take_from_client(client, message),
                Effect::Tell(_) => {}
            }
        }
        let trader = &mut self.traders[client];
        for reached in std::mem::take(&mut trader.reached) {
            self.tally.note(reached);
        }
        if let Some(broken) = trader.broken.take() {
            self.break_off("a session goes on", broken);
        }
        self.wake_trader(client);
    }

    fn wake_trader(&mut self, client: usize) {
        let Some(deadline_ms) = self.traders[client].deadline_ms() else {
            return;
        };
        let at_us = (deadline_ms * 1_000).max(self.now_us + 1);
        let trader = &mut self.traders[client];
        if trader.wakes_us.is_none_or(|wakes_us| at_us < wakes_us) {
            trader.wakes_us = Some(at_us);
            self.at(at_us, Happening::TraderTick(client));
        }
    }

    fn take_from_client(&mut self, client: usize, message: ClientMessage) {
        let connection = self.connection_of(client);
        let replica = self.traders[client].replica;
        if self.dead.contains(&connection) {
            return;
        }
        let Some(takes_us) = self.network.with_client(replica) else {
            self.dead.insert(connection);
            return;
        };
        let late_us = self.network.late_request();
        let trader = &mut self.traders[client];
        let mut at_us = (self.now_us + takes_us).max(trader.last_sent_us);
        trader.last_sent_us = at_us;
        if let Some(late_us) = late_us {
            self.dead.insert(connection);
            let broken = Happening::Closed(connection, "a proxy ended it");
            self.later(takes_us, broken);
            at_us += late_us;
        }
        let input = Input::Client(connection, Box::new(message));
        self.at(at_us, Happening::Arrive(replica, input));
    }

    fn send_to_client(
        &mut self,
        from: u64,
        at_us: u64,
        to: Connection,
        message: Box<ServerMessage>,
    ) {
        if self.connection_of(to.client) != to || self.dead.contains(&to) {
            return;
        }
        let Some(takes_us) = self.network.with_client(from) else {
            self.dead.insert(to);
            return;
        };
        let trader = &mut self.traders[to.client];
        let arrives_us = (at_us + takes_us).max(trader.last_arrival_us);
        trader.last_arrival_us = arrives_us;
        self.at(arrives_us, Happening::ToTrader(to, message));
    }

    fn close(&mut self, from: u64, at_us: u64, to: Connection) {
        if to.number == 0 || self.connection_of(to.client) != to || self.dead.contains(&to) {
            return;
        }
        self.dead.insert(to);
        if let Some(takes_us) = self.network.with_client(from) {
            let at_us = (at_us + takes_us).max(self.traders[to.client].last_arrival_us);
            self.at(at_us, Happening::Closed(to, "the replica ended it"));
        }
    }

    fn connect(&mut self, connection: Connection, logon: Box<ClientMessage>) {
        let client = connection.client;
        if self.connection_of(client) != connection {
            return;
        }
        let replica = self.traders[client].replica;
        let up = self
            .nodes
            .get(&replica)
            .is_some_and(|n| n.process.is_some());
        let Some(takes_us) = self.network.with_client(replica) else {
            return;
        };
        if !up {
            let refused = Happening::Closed(connection, "the connection was refused");
            return self.later(takes_us, refused);
        }
        let effects = self.traders[client].update(SessionInput::Connected, self.now_us);
        self.perform(client, effects);
        self.arrive(replica, Input::Client(connection, logon));
    }

    fn closed(&mut self, connection: Connection, reason: &str) {
        if self.connection_of(connection.client) != connection {
            return;
        }
        let reason = reason.to_owned();
        let broken = SessionInput::Broken { reason };
        let effects = self.traders[connection.client].update(broken, self.now_us);
        self.perform(connection.client, effects);
    }

    fn hand_to_trader(&mut self, connection: Connection, message: ServerMessage) {
        if self.connection_of(connection.client) != connection {
            return;
        }
        let told = told(&message);
        let trader = &mut self.traders[connection.client];
        let session = trader.id();
        let effects = trader.update(SessionInput::Received(message), self.now_us);
        for message in &told {
            self.see(&Seen::Told { session, message });
        }
        self.perform(connection.client, effects);
    }

    fn trader_tick(&mut self, client: usize) {
        let now_us = self.now_us;
        let trader = &mut self.traders[client];
        trader.wakes_us.take_if(|wakes_us| *wakes_us <= now_us);
        let effects = trader.update(SessionInput::Tick, now_us);
        self.perform(client, effects);
    }

    fn trade(&mut self, client: usize) {
        let effects = self.traders[client].trade(self.now_us);
        if !effects.is_empty() {
            self.perform(client, effects);
        }
        let pause_us = self.dice.between(5_000, 80_000);
        self.later(pause_us, Happening::Trade(client));
    }

    // The end of a run.

    pub(crate) fn quiet(&mut self) {
        self.traders
            .iter_mut()
            .for_each(|trader| trader.quiet = true);
    }

    /// Orders accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.traders.iter().map(|trader| trader.accepted).sum()
    }

    /// What is still missing to a cluster that is whole again.
    pub(crate) fn missing(&self) -> Option<String> {
        if self.leader().is_none() {
            return Some("no replica serves".into());
        }
        let last = self.oracle.last();
        for (id, node) in &self.nodes {
            let Some(process) = &node.process else {
                return Some(format!("replica {id} does not run"));
            };
            let replica = process.replica();
            if replica.is_unproven() {
                return Some(format!("replica {id} is unproven"));
            }
            if replica.applied_index() != last {
                let applied = replica.applied_index();
                return Some(format!(
                    "replica {id} has applied {applied} of {last} entries"
                ));
            }
        }
        let open = self.traders.iter().find(|trader| trader.open() > 0)?;
        let (id, open) = (open.id(), open.open());
        Some(format!("session {id} waits for {open} answers"))
    }

    /// Holds the log against what all clients saw.
    pub(crate) fn judge(&mut self) -> history::Verdict {
        let histories: Vec<_> = self.traders.iter().map(Trader::history).collect();
        let verdict = history::check(self.oracle.log(), &histories);
        self.see(&Seen::Judged(&verdict));
        verdict
    }

    /// All that acted and was reached.
    pub(crate) fn whole_tally(&self) -> Tally {
        let mut tally = self.tally.clone();
        tally.add(&self.network.tally);
        for node in self.nodes.values() {
            tally.add(&node.disk.tally());
        }
        tally
    }

    /// How many entries took effect.
    pub(crate) fn entries(&self) -> u64 {
        self.oracle.last().0
    }

    pub(crate) fn count(&mut self, fault: Fault) {
        self.tally.count(fault);
    }
}

fn told(message: &ServerMessage) -> Vec<SeenMessage> {
    let reports = match &message.body {
        Some(Body::Report(report)) => std::slice::from_ref(report),
        Some(Body::LogonAck(ack)) => &ack.replay[..],
        _ => &[],
    };
    let reports = reports.iter();
    reports.filter_map(|r| history::seen(r).ok()).collect()
}

fn opening() -> Vec<Command> {
    let symbols = SYMBOLS.map(|symbol| {
        let share = SymbolDefinition::share(symbol, Price(90_000), Price(110_000));
        Control::DefineSymbol(share)
    });
    let accounts = (1..=ACCOUNTS).map(|account| Control::OpenAccount {
        account: AccountId(account),
        cash: Money(900_000_000),
        positions: SYMBOLS.map(|symbol| (symbol, Quantity(9_000))).to_vec(),
    });
    let records = symbols.into_iter().chain(accounts);
    records.map(Command::Control).collect()
}
