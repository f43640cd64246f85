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

mod agenda;
mod clients;
mod replicas;
mod watch;

use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::fault::{Fault, Tally};
use crate::invariants::{self, Invariant, Seen};
use crate::network::Network;
use crate::node::{Clock, Connection, Process};
use crate::oracle::Oracle;
use crate::plan::Planner;
use crate::trace::Trace;
use crate::trader::Trader;
use crate::{Options, Violation};
use agenda::Agenda;
pub(crate) use agenda::Happening;
use clients::{ACCOUNTS, LateAnswers};
use replica::Limits;
use std::collections::{BTreeMap, BTreeSet};
use types::{CommitPolicy, Epoch};

/// The center of a replica, by number: of five, the first two centers have two each.
pub(crate) fn center_of(id: u64, replicas: u64) -> u64 {
    if replicas == 5 { id.div_ceil(2) } else { id }
}

/// The site of a replica: the last stands far away, as the links to it say.
pub(crate) fn site_of(id: u64, replicas: u64) -> &'static str {
    if id == replicas { "B" } else { "A" }
}

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

/// One replica's machine.
pub(crate) struct Node {
    pub disk: SimDisk,
    pub clock: Clock,
    pub process: Option<Box<Process>>,
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
    agenda: Agenda,
    pub replicas: u64,
    pub nodes: BTreeMap<u64, Node>,
    traders: Vec<Trader>,
    dead: BTreeSet<Connection>,
    late_answers: LateAnswers,
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
            agenda: Agenda::default(),
            replicas,
            nodes: BTreeMap::new(),
            traders: Vec::new(),
            dead: BTreeSet::new(),
            late_answers: LateAnswers::default(),
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
        self.agenda.put(at_us, happening);
    }

    /// Works off what comes until a moment, or until an invariant is broken.
    pub(crate) fn run_until(&mut self, until_us: u64) {
        while self.violation.is_none() {
            match self.agenda.next_us() {
                None => return,
                Some(at_us) if at_us > until_us => {
                    self.now_us = until_us;
                    return;
                }
                Some(_) => {}
            }
            if let Some((at_us, number, happening)) = self.agenda.take() {
                self.now_us = at_us;
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
            Happening::Save(id, start, job) => self.save(id, start, *job),
            Happening::Restart(id) => self.start(id),
            Happening::Reset(id, dead) => self.reset(id, dead),
            Happening::Connect(connection, logon) => self.connect(connection, logon),
            Happening::ToTrader(connection, message) => self.hand_to_trader(connection, *message),
            Happening::Late(client, message) => self.hand_late(client, *message),
            Happening::Closed(connection, reason) => self.closed(connection, reason),
            Happening::TraderTick(client) => self.trader_tick(client),
            Happening::Trade(client) => self.trade(client),
            Happening::Control => self.control(),
            Happening::Beat(id, start) => self.beat(id, start),
            Happening::Plan => crate::plan::step(self),
            Happening::Lose(fault, id, tries) => crate::losses::lose(self, fault, id, tries),
            Happening::PutBack(id, tries) => crate::losses::put_back(self, id, tries),
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
