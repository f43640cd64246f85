//! What a snapshot costs the core: noting what is to be saved, against writing the state where it
//! runs, as it was done before.
//!
//! ```text
//!   cargo bench -p replica --bench snapshot_pause -- [accounts and orders]
//! ```

#![allow(clippy::unwrap_used, clippy::panic)]

use journal::{LogEntry, Recovered};
use replica::{Config, Limits, Replica, ReplicaError};
use std::time::Instant;
use types::{
    AccountId, CenterName, ClOrdId, ClientCommand, ClientSeq, Command, CommitPolicy, Control,
    Logon, Member, MemberDuty, MemberRole, Money, NewOrder, OutSeq, Price, Quantity, ReplicaId,
    Request, SessionId, Side, SymbolDefinition, SymbolId, UnixMicros,
};

const SYMBOL: SymbolId = SymbolId(600_000);

fn main() {
    let mut numbers = std::env::args().filter_map(|word| word.parse::<u64>().ok());
    let size = numbers.next().unwrap_or(100_000);
    let mut core = Core::new();
    let listed = SymbolDefinition::share(SYMBOL, Price(100), Price(100_000_000));
    core.submit(Command::Control(Control::DefineSymbol(listed)));
    for account in 1..=size {
        core.submit(Command::Control(Control::OpenAccount {
            account: AccountId(account),
            cash: Money(1_000_000_000_000),
            positions: Vec::new(),
        }));
        let logon = Logon::new(SessionId(account), AccountId(account), OutSeq(0));
        core.submit(Command::Logon(logon));
        core.submit(order(account));
    }
    core.turn();
    let counters = core.replica.state().counters();
    println!(
        "{} accounts, {} open orders, {} entries",
        counters.accounts,
        counters.open_orders,
        core.entries.len()
    );
    let began = Instant::now();
    let state = core.replica.state().snapshot().unwrap();
    println!(
        "before, in the core: {:?} for {} bytes",
        began.elapsed(),
        state.len()
    );
    let began = Instant::now();
    let task = core.replica.snapshot_due().unwrap().unwrap();
    println!("now, in the core:    {:?}", began.elapsed());
    let began = Instant::now();
    let entries = core.entries.iter().cloned().map(Ok::<_, ReplicaError>);
    let built = task.build(None, entries).unwrap();
    println!("beside it, replay and write: {:?}", began.elapsed());
    let began = Instant::now();
    task.verify(&built).unwrap();
    println!("beside it, restore and compare: {:?}", began.elapsed());
}

fn order(account: u64) -> Command {
    Command::Client(ClientCommand {
        session: SessionId(account),
        client_seq: ClientSeq(1),
        request: Request::New(NewOrder::limit(
            ClOrdId::new(&format!("O{account}")).unwrap(),
            SYMBOL,
            Side::Buy,
            Quantity(100),
            Price(100 * (1 + (account % 900) as i64)),
        )),
    })
}

/// A group of one, with a disk of memory.
struct Core {
    replica: Replica,
    entries: Vec<LogEntry>,
    now: UnixMicros,
}

impl Core {
    fn new() -> Self {
        let config = Config {
            replica: ReplicaId(1),
            members: vec![Member {
                replica: ReplicaId(1),
                center: CenterName::new("a1").unwrap(),
                site: "A".into(),
                role: MemberRole::Voter,
                duty: MemberDuty::Data,
                priority: 1,
                address: None,
            }],
            policy: CommitPolicy::Metro,
            joins: false,
            tick_ms: 10,
            heartbeat_ms: 100,
            election_timeout_ms_min: 500,
            election_timeout_ms_max: 900,
            election_seed: 1,
            retain_entries: 10,
            snapshot_every_entries: 1,
            limits: Limits::default(),
        };
        let now = UnixMicros(1_000_000);
        let replica = Replica::new(config, Recovered::default(), now).unwrap();
        let mut core = Self {
            replica,
            entries: Vec::new(),
            now,
        };
        while !core.replica.serving() {
            core.now.0 += 10_000;
            core.replica.tick(core.now);
            core.turn();
        }
        core
    }

    fn submit(&mut self, command: Command) {
        if !self.replica.has_room() {
            self.turn();
        }
        self.replica.submit(None, command).unwrap();
    }

    fn turn(&mut self) {
        self.replica.propose(self.now).unwrap();
        while let Some(work) = self.replica.take_work() {
            self.entries.extend(work.entries);
            self.replica.persisted(self.now).unwrap();
            self.replica.propose(self.now).unwrap();
        }
    }
}
