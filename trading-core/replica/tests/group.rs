//! Three replicas with a network and disks made of memory: every message and every write passes
//! through the test's hands.

#![allow(clippy::unwrap_used, clippy::panic)]

use journal::{HardState, LogEntry, Recovered, SavedSnapshot};
use replica::{
    Applied, Config, HashPoint, Limits, MembershipChange, MembershipError, Message, Replica,
    ReplicaError, Role, SubmitError, Ticket, TransferError, decode_message, encode_message,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{
    AccountId, CenterName, Command, CommitPolicy, Control, Event, GroupChange, LogIndex, Logon,
    Member, MemberAddress, MemberDuty, MemberRole, Money, OutSeq, ReplicaId, SessionId, UnixMicros,
};

const TICK_MS: u32 = 10;

#[derive(Default)]
struct Disk {
    recovered: Recovered,
}

impl Disk {
    fn empty() -> Self {
        let recovered = Recovered {
            unproven: true,
            ..Recovered::default()
        };
        Self { recovered }
    }

    fn write(&mut self, entries: Vec<LogEntry>, hard_state: Option<HardState>) {
        let log = &mut self.recovered.entries;
        for entry in entries {
            while log.back().is_some_and(|last| last.index >= entry.index) {
                log.pop_back();
            }
            log.push_back(entry);
        }
        if let Some(state) = hard_state {
            self.recovered.hard_state = state;
        }
    }

    fn install(&mut self, snapshot: SavedSnapshot) {
        self.recovered.entries.clear();
        self.recovered.hard_state.commit = snapshot.index;
        self.recovered.snapshot = Some(snapshot);
    }
}

struct Group {
    replicas: BTreeMap<u64, Replica>,
    disks: BTreeMap<u64, Disk>,
    wires: VecDeque<Vec<u8>>,
    cut: BTreeSet<u64>,
    /// Ways on which nothing gets through.
    blocked: BTreeSet<(u64, u64)>,
    /// Replicas whose disk holds writes back.
    stuck: BTreeSet<u64>,
    applied: BTreeMap<u64, Vec<Applied>>,
    founders: Vec<Member>,
    policy: CommitPolicy,
    snapshot_every_entries: u64,
    now_ms: u64,
    tickets: u64,
}

fn member(id: u64, center: &str) -> Member {
    Member {
        replica: ReplicaId(id),
        center: CenterName::new(center).unwrap(),
        site: center[..1].to_uppercase(),
        role: MemberRole::Voter,
        duty: if center == "w" {
            MemberDuty::Witness
        } else {
            MemberDuty::Data
        },
        priority: 10 - id as u32,
        address: None,
    }
}

fn newcomer(id: u64, center: &str) -> Member {
    Member {
        address: Some(MemberAddress {
            replication: format!("{center}:1"),
            orders: format!("{center}:2"),
        }),
        ..member(id, center)
    }
}

impl Group {
    fn new() -> Self {
        Self::with_snapshots(1_000_000)
    }

    fn with_snapshots(snapshot_every_entries: u64) -> Self {
        Self::of(
            &["a1", "a2", "b1"],
            CommitPolicy::Metro,
            snapshot_every_entries,
        )
    }

    fn site_safe(centers: &[&str]) -> Self {
        let policy = CommitPolicy::SiteSafe {
            degrade_after_ms: 500,
        };
        Self::of(centers, policy, 1_000_000)
    }

    fn of(centers: &[&str], policy: CommitPolicy, snapshot_every_entries: u64) -> Self {
        let founders: Vec<Member> = (1..).zip(centers).map(|(id, c)| member(id, c)).collect();
        let ids: Vec<u64> = founders.iter().map(|m| m.replica.0).collect();
        let mut group = Self {
            replicas: BTreeMap::new(),
            disks: ids.iter().map(|id| (*id, Disk::empty())).collect(),
            wires: VecDeque::new(),
            cut: BTreeSet::new(),
            blocked: BTreeSet::new(),
            stuck: BTreeSet::new(),
            applied: BTreeMap::new(),
            founders,
            policy,
            snapshot_every_entries,
            now_ms: 1_000,
            tickets: 0,
        };
        ids.iter().for_each(|id| group.start(*id));
        group
    }

    fn now(&self) -> UnixMicros {
        UnixMicros(self.now_ms * 1_000)
    }

    fn start(&mut self, id: u64) {
        let joins = self.founders.iter().all(|m| m.replica.0 != id);
        let config = Config {
            replica: ReplicaId(id),
            members: self.founders.clone(),
            policy: self.policy,
            joins,
            tick_ms: TICK_MS,
            heartbeat_ms: 50,
            election_timeout_ms_min: 200,
            election_timeout_ms_max: 500,
            election_seed: id,
            retain_entries: 5,
            snapshot_every_entries: self.snapshot_every_entries,
            limits: Limits::small(),
        };
        let disk = self.disks.entry(id).or_insert_with(Disk::empty);
        let recovered = disk.recovered.clone();
        let replica = Replica::new(config, recovered, self.now()).unwrap();
        self.replicas.insert(id, replica);
    }

    fn kill(&mut self, id: u64) {
        self.replicas.remove(&id);
    }

    /// Everything that can be done at this moment, until nothing is left.
    fn settle(&mut self) {
        loop {
            let mut busy = false;
            let now = self.now();
            for (id, replica) in &mut self.replicas {
                replica.propose(now).unwrap();
                if self.stuck.contains(id) {
                    continue;
                }
                while let Some(work) = replica.take_work() {
                    busy = true;
                    self.wires.extend(work.messages.iter().map(encode_message));
                    let disk = self.disks.get_mut(id).unwrap();
                    if let Some(snapshot) = work.snapshot {
                        disk.install(snapshot);
                    }
                    disk.write(work.entries, work.hard_state);
                    let outcome = replica.persisted(now).unwrap();
                    self.wires
                        .extend(outcome.messages.iter().map(encode_message));
                    self.applied.entry(*id).or_default().extend(outcome.applied);
                }
                if let Some(task) = replica.snapshot_due().unwrap() {
                    let recovered = &mut self.disks.get_mut(id).unwrap().recovered;
                    let entries = recovered.entries.iter().cloned().map(Ok::<_, ReplicaError>);
                    let snapshot = task.build(recovered.snapshot.as_ref(), entries).unwrap();
                    task.verify(&snapshot).unwrap();
                    recovered.snapshot = Some(snapshot.clone());
                    replica.snapshot_saved(snapshot);
                }
            }
            let ids: Vec<u64> = self.replicas.keys().copied().collect();
            for id in ids {
                let Some(replica) = self.replicas.get_mut(&id) else {
                    continue;
                };
                if replica.take_proof() {
                    self.disks.get_mut(&id).unwrap().recovered.unproven = false;
                }
                if let Some(leader) = replica.take_rebuild_request()
                    && let Some(leader) = self.replicas.get_mut(&leader.0)
                {
                    leader.rebuild(ReplicaId(id));
                }
            }
            while let Some(bytes) = self.wires.pop_front() {
                busy = true;
                let message: Message = decode_message(&bytes).unwrap();
                let cut = self.cut.contains(&message.from) || self.cut.contains(&message.to);
                if cut || self.blocked.contains(&(message.from, message.to)) {
                    continue;
                }
                if let Some(replica) = self.replicas.get_mut(&message.to) {
                    let (from, snapshot) = (message.from, message.snapshot.is_some());
                    let to = message.to;
                    replica.receive(message, now).unwrap();
                    if snapshot && let Some(sender) = self.replicas.get_mut(&from) {
                        sender.snapshot_sent(ReplicaId(to), true);
                    }
                }
            }
            if !busy {
                return;
            }
        }
    }

    fn run_ms(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds / u64::from(TICK_MS) {
            self.now_ms += u64::from(TICK_MS);
            let now = self.now();
            self.replicas
                .values_mut()
                .for_each(|replica| replica.tick(now));
            self.settle();
        }
    }

    fn leaders(&self) -> Vec<u64> {
        let serving = self.replicas.iter().filter(|(_, r)| r.serving());
        serving.map(|(id, _)| *id).collect()
    }

    fn elect(&mut self) -> u64 {
        for _ in 0..100 {
            self.run_ms(50);
            let reachable: Vec<u64> = self
                .leaders()
                .into_iter()
                .filter(|id| !self.cut.contains(id))
                .collect();
            if let [leader] = reachable[..] {
                return leader;
            }
        }
        panic!("no leader within 5 s");
    }

    fn change(&mut self, at: u64, change: MembershipChange) -> Result<(), MembershipError> {
        let now = self.now();
        let replica = self.replicas.get_mut(&at).unwrap();
        replica.change_membership(None, change, now)
    }

    fn voters(&self, id: u64) -> Vec<u64> {
        let group = self.replicas[&id].state().group();
        group.voters().map(|member| member.replica.0).collect()
    }

    fn degraded(&self, id: u64) -> bool {
        let level = self.replicas[&id].state().group().protection.level;
        level != engine::ProtectionLevel::Full
    }

    fn open_account(&mut self, at: u64, account: u64) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let command = Command::Control(Control::OpenAccount {
            account: AccountId(account),
            cash: Money(1),
            positions: vec![],
        });
        let replica = self.replicas.get_mut(&at).unwrap();
        replica.submit(Some(ticket), command).unwrap();
        ticket
    }

    fn answered(&self, at: u64, ticket: Ticket) -> bool {
        let applied = self.applied.get(&at).into_iter().flatten();
        applied.filter(|a| a.ticket == Some(ticket)).count() == 1
    }

    fn hash(&self, id: u64) -> [u8; 8] {
        self.replicas[&id].state().history_hash().to_bytes()
    }
}

#[test]
fn the_preferred_replica_leads_and_all_hold_the_same_state() {
    let mut group = Group::new();
    let leader = group.elect();
    assert_eq!(leader, 1);
    let ticket = group.open_account(leader, 7);
    group.run_ms(200);
    assert!(group.answered(leader, ticket));
    assert!(group.replicas[&3].state().account(AccountId(7)).is_some());
    assert_eq!(group.hash(1), group.hash(2));
    assert_eq!(group.hash(1), group.hash(3));
    let status = group.replicas[&1].status(group.now());
    assert!(status.all_voters_in_step && status.serving);
    assert_eq!(status.peers.len(), 2);
}

#[test]
fn nothing_is_answered_before_a_majority_has_it_on_disk() {
    let mut group = Group::new();
    let leader = group.elect();
    group.stuck = BTreeSet::from([2, 3]);
    let ticket = group.open_account(leader, 7);
    group.run_ms(100);
    assert!(!group.answered(leader, ticket));
    group.stuck.clear();
    group.run_ms(100);
    assert!(group.answered(leader, ticket));
}

#[test]
fn a_leader_cut_off_answers_nothing_and_its_epoch_ends() {
    let mut group = Group::new();
    let old = group.elect();
    let old_epoch = group.replicas[&old].epoch();
    group.cut.insert(old);
    let lost = group.open_account(old, 8);
    let new = group.elect();
    assert_ne!(new, old);
    assert!(group.replicas[&new].epoch() > old_epoch);
    let kept = group.open_account(new, 9);
    group.run_ms(1_000);
    assert!(group.answered(new, kept));
    // By itself, having heard no quorum: no other told it.
    assert!(!group.replicas[&old].serving());
    assert!(matches!(
        group.replicas.get_mut(&old).unwrap().submit(None, opens(1)),
        Err(SubmitError::NotServing { .. })
    ));
    group.cut.clear();
    group.run_ms(1_000);
    assert!(!group.answered(old, lost));
    let state = group.replicas[&old].state();
    assert!(state.account(AccountId(9)).is_some());
    assert!(state.account(AccountId(8)).is_none());
    assert_eq!(group.hash(old), group.hash(new));
}

#[test]
fn a_replica_that_comes_back_does_not_unseat_the_leader() {
    let mut group = Group::new();
    let leader = group.elect();
    let epoch = group.replicas[&leader].epoch();
    group.cut.insert(3);
    group.run_ms(3_000);
    assert_eq!(group.replicas[&3].role(), Role::PreCandidate);
    group.cut.clear();
    group.run_ms(1_000);
    assert_eq!(group.leaders(), [leader]);
    assert_eq!(group.replicas[&leader].epoch(), epoch);
}

#[test]
fn a_crash_of_the_leader_loses_nothing_that_was_answered() {
    let mut group = Group::new();
    let old = group.elect();
    let tickets: Vec<Ticket> = (1..=50).map(|n| group.open_account(old, n)).collect();
    group.settle();
    assert!(tickets.iter().all(|ticket| group.answered(old, *ticket)));
    group.kill(old);
    let new = group.elect();
    for account in 1..=50 {
        assert!(
            group.replicas[&new]
                .state()
                .account(AccountId(account))
                .is_some()
        );
    }
    let election = group.replicas[&new].status(group.now()).elections[0];
    assert_eq!(election.previous_leader, ReplicaId(old));
    assert!(!election.planned);
    assert!(election.suspected_at <= election.campaigned_at);
    assert!(election.campaigned_at <= election.elected_at);
    assert!(election.elected_at <= election.serving_at);
    group.start(old);
    group.run_ms(1_000);
    assert_eq!(group.hash(old), group.hash(new));
}

#[test]
fn the_whole_group_restarts_from_its_disks() {
    let mut group = Group::with_snapshots(10);
    let leader = group.elect();
    for account in 1..=35 {
        group.open_account(leader, account);
        group.settle();
    }
    group.run_ms(200);
    let before = group.hash(leader);
    (1..=3).for_each(|id| group.kill(id));
    (1..=3).for_each(|id| group.start(id));
    group.elect();
    (1..=3).for_each(|id| assert_eq!(group.hash(id), before));
}

#[test]
fn a_follower_that_lags_far_is_given_a_snapshot() {
    let mut group = Group::with_snapshots(10);
    let leader = group.elect();
    group.kill(3);
    for account in 1..=60 {
        group.open_account(leader, account);
        group.settle();
    }
    group.start(3);
    group.run_ms(2_000);
    assert!(group.disks[&3].recovered.snapshot.is_some());
    assert_eq!(group.hash(3), group.hash(leader));
    assert_eq!(
        group.replicas[&3].applied_index(),
        group.replicas[&leader].applied_index()
    );
}

#[test]
fn a_replica_that_lost_its_disk_is_rebuilt_and_then_counts_again() {
    for snapshot_every_entries in [10, 1_000_000] {
        let mut group = Group::with_snapshots(snapshot_every_entries);
        let leader = group.elect();
        for account in 1..=60 {
            group.open_account(leader, account);
            group.settle();
        }
        group.run_ms(200);
        group.kill(3);
        group.disks.insert(3, Disk::empty());
        group.start(3);
        group.run_ms(2_000);
        assert_eq!(group.hash(3), group.hash(leader));
        assert!(!group.disks[&3].recovered.unproven);
        group.kill(leader);
        assert_ne!(group.elect(), leader);
    }
}

/// Found by the simulator: the consensus library panics over a heartbeat that counts on more than there
/// is.
#[test]
fn a_disk_that_lost_its_last_write_is_found_out_and_rebuilt() {
    let mut group = Group::new();
    let leader = group.elect();
    for account in 1..=5 {
        group.open_account(leader, account);
        group.settle();
    }
    group.run_ms(200);
    group.kill(3);
    let disk = &mut group.disks.get_mut(&3).unwrap().recovered;
    let lost = disk.entries.pop_back().unwrap();
    disk.hard_state.commit = LogIndex(lost.index.0 - 1);
    group.start(3);
    assert!(
        !group.replicas[&3].is_unproven(),
        "nothing tells it by itself"
    );
    group.run_ms(2_000);
    assert!(!group.replicas[&3].is_unproven());
    assert_eq!(group.hash(3), group.hash(leader));
}

/// Its lost vote may have been what made an entry safe.
/// Found by the simulator: an old state of a disk ended in an entry that another leader had replaced.
/// The leader counted on more, so the replica took what it had for committed, and held another state.
#[test]
fn an_old_disk_that_ends_in_a_replaced_entry_is_not_taken_for_committed() {
    // With later entries the old log is too short; without, only the epoch of its end tells.
    for later in [3, 0] {
        let mut group = Group::new();
        assert_eq!(group.elect(), 1);
        group.cut.insert(1);
        group.open_account(1, 7);
        group.run_ms(20);
        let old = group.disks[&1].recovered.clone();
        let leader = group.elect();
        (0..later).for_each(|account| {
            group.open_account(leader, 20 + account);
            group.run_ms(20);
        });
        group.cut.clear();
        group.run_ms(1_000);
        assert_eq!(group.hash(1), group.hash(3));
        let behind = group.replicas[&1].applied_index().0 - old.last_index().0;
        assert_eq!(behind, later, "what the case is about");

        group.kill(1);
        group.disks.get_mut(&1).unwrap().recovered = old;
        group.start(1);
        group.run_ms(1_000);
        assert!(!group.replicas[&1].is_unproven());
        assert!(group.replicas[&1].state().account(AccountId(7)).is_none());
        assert_eq!(group.hash(1), group.hash(3));
    }
}

#[test]
fn a_replica_that_lost_its_disk_elects_nobody_before_it_is_rebuilt() {
    let mut group = Group::new();
    let leader = group.elect();
    group.cut.insert(3);
    for account in 1..=5 {
        group.open_account(leader, account);
        group.settle();
    }
    // Replicas 1 and 2 have the entries; 2 loses its disk and 1 is gone: 3 must not lead with 2.
    group.kill(leader);
    group.kill(2);
    group.disks.insert(2, Disk::empty());
    group.start(2);
    group.cut.clear();
    group.run_ms(5_000);
    assert_eq!(group.leaders(), Vec::<u64>::new());
    group.start(leader);
    group.elect();
    group.run_ms(2_000);
    assert!((1..=3).all(|id| group.replicas[&id].state().account(AccountId(5)).is_some()));
}

#[test]
fn leadership_is_handed_over_to_a_replica_in_step_only() {
    let mut group = Group::new();
    let old = group.elect();
    let now = group.now();
    let leader = group.replicas.get_mut(&old).unwrap();
    assert_eq!(leader.successor(now), Some(ReplicaId(2)));
    assert!(matches!(
        leader.transfer(ReplicaId(9), now),
        Err(TransferError::NoVoter { .. })
    ));
    leader.transfer(ReplicaId(3), now).unwrap();
    group.run_ms(100);
    assert_eq!(group.leaders(), [3]);
    assert!(group.replicas[&3].status(group.now()).elections[0].planned);
    group.cut.insert(1);
    group.run_ms(1_200);
    let now = group.now();
    let refused = group
        .replicas
        .get_mut(&3)
        .unwrap()
        .transfer(ReplicaId(1), now);
    assert!(matches!(refused, Err(TransferError::NotReady { .. })));
}

#[test]
fn another_hash_at_the_same_entry_stops_the_replica() {
    let mut group = Group::new();
    let leader = group.elect();
    for account in 1..=1_100 {
        group.open_account(leader, account);
        group.settle();
    }
    let replica = group.replicas.get_mut(&leader).unwrap();
    let point = replica.newest_hash().unwrap();
    assert_eq!(point.index, LogIndex(1_024));
    replica.compare(ReplicaId(2), point).unwrap();
    let mut other = point;
    other.hash[0] ^= 1;
    assert!(matches!(
        replica.compare(ReplicaId(2), other),
        Err(ReplicaError::Divergence { .. })
    ));
    // A peer may be ahead: its hash waits until the entry is applied here.
    let ahead = HashPoint {
        index: LogIndex(2_048),
        hash: [0; 8],
    };
    replica.compare(ReplicaId(2), ahead).unwrap();
}

#[test]
fn a_logon_is_answered_by_the_log() {
    let mut group = Group::new();
    let leader = group.elect();
    group.open_account(leader, 7);
    let logon = Command::Logon(Logon::new(SessionId(1), AccountId(7), OutSeq(0)));
    let replica = group.replicas.get_mut(&leader).unwrap();
    replica.submit(Some(Ticket(99)), logon).unwrap();
    group.settle();
    let events = &group.applied[&leader].last().unwrap().events;
    assert!(matches!(events[..], [Event::LoggedOn { .. }]));
}

fn opens(account: u64) -> Command {
    Command::Control(Control::OpenAccount {
        account: AccountId(account),
        cash: Money(1),
        positions: vec![],
    })
}

/// Found by the simulator: two of three whose damaged logs had been set aside founded the group
/// anew, and what had been answered was gone.
#[test]
fn a_group_whose_logs_were_set_aside_is_not_founded_anew() {
    let mut group = Group::new();
    let leader = group.elect();
    group.open_account(leader, 1);
    group.run_ms(100);
    for id in [1, 2] {
        group.kill(id);
        let disk = group.disks.get_mut(&id).unwrap();
        *disk = Disk::empty();
        disk.recovered.set_aside = Some("a record's checksum does not match".into());
    }
    group.kill(3);
    [1, 2].iter().for_each(|id| group.start(*id));
    group.run_ms(5_000);
    assert_eq!(group.leaders(), []);
}

#[test]
fn under_site_safe_an_answer_waits_for_the_other_site() {
    let mut group = Group::site_safe(&["a1", "a2", "b1"]);
    let leader = group.elect();
    group.stuck.insert(3);
    let waits = group.open_account(leader, 7);
    group.run_ms(300);
    assert!(!group.answered(leader, waits));
    group.stuck.clear();
    group.run_ms(100);
    assert!(group.answered(leader, waits));
    assert!(group.replicas[&3].state().account(AccountId(7)).is_some());
    assert!(!group.degraded(leader));
}

#[test]
fn a_lost_site_degrades_the_policy_by_a_record_and_recovers_by_another() {
    let mut group = Group::site_safe(&["a1", "a2", "b1"]);
    let leader = group.elect();
    group.run_ms(200);
    let confirmed = group.replicas[&3].status(group.now()).last_index;
    group.cut.insert(3);
    let waits = group.open_account(leader, 7);
    group.run_ms(400);
    assert!(!group.answered(leader, waits));
    group.run_ms(300);
    assert!(group.answered(leader, waits));
    // Replicated, not the leader's opinion, and it says up to where all is safe.
    for id in [1, 2] {
        assert!(group.degraded(id), "{id}");
        let protection = group.replicas[&id].state().group().protection;
        assert!(matches!(
            protection.level,
            engine::ProtectionLevel::Degraded { confirmed: at, waited_ms } if at == confirmed && waited_ms > 500
        ));
    }
    group.cut.clear();
    group.run_ms(3_000);
    assert!((1..=3).all(|id| !group.degraded(id)));
    group.stuck.insert(3);
    let waits = group.open_account(leader, 8);
    group.run_ms(300);
    assert!(!group.answered(leader, waits));
}

#[test]
fn a_new_leader_of_a_degraded_group_does_not_wait_for_the_lost_site() {
    let mut group = Group::site_safe(&["a1", "a2", "b1", "a3", "a4"]);
    let old = group.elect();
    group.cut = BTreeSet::from([3]);
    group.run_ms(1_000);
    assert!(group.degraded(old));
    group.kill(old);
    let new = group.elect();
    let ticket = group.open_account(new, 7);
    group.run_ms(50);
    assert!(group.answered(new, ticket));
}

#[test]
fn the_policy_is_changed_by_a_record_of_the_log() {
    let mut group = Group::new();
    let leader = group.elect();
    let policy = CommitPolicy::SiteSafe {
        degrade_after_ms: 60_000,
    };
    let command = Command::Control(Control::Group(GroupChange::Policy(policy)));
    let replica = group.replicas.get_mut(&leader).unwrap();
    replica.submit(None, command).unwrap();
    group.run_ms(100);
    assert!((1..=3).all(|id| group.replicas[&id].state().group().policy == policy));
    group.stuck.insert(3);
    let waits = group.open_account(leader, 7);
    group.run_ms(300);
    assert!(!group.answered(leader, waits));
}

/// Two centers of site A, two replicas in b1 and a witness: what the loss of site A leaves.
#[test]
fn the_loss_of_a_site_is_survived_although_only_the_witness_has_the_newest_entries() {
    let mut group = Group::site_safe(&["a1", "a2", "b1", "b1", "w"]);
    let leader = group.elect();
    assert_eq!(leader, 1);
    // Site B is a moment behind: the commit stands on site A and the witness.
    group.blocked = [(1, 3), (1, 4)].into();
    let ticket = group.open_account(leader, 7);
    group.settle();
    assert!(group.answered(leader, ticket));
    assert!(group.replicas[&3].state().account(AccountId(7)).is_none());
    group.kill(1);
    group.kill(2);
    group.blocked.clear();
    let mut served_by_witness = false;
    for _ in 0..300 {
        group.run_ms(10);
        served_by_witness |= group.replicas[&5].serving();
    }
    assert!(!served_by_witness);
    let new = group.elect();
    assert!(matches!(new, 3 | 4));
    assert!(group.replicas[&new].state().account(AccountId(7)).is_some());
    let ticket = group.open_account(new, 8);
    group.run_ms(2_000);
    assert!(group.answered(new, ticket));
    let refused = {
        let now = group.now();
        let leader = group.replicas.get_mut(&new).unwrap();
        leader.transfer(ReplicaId(5), now)
    };
    assert!(matches!(refused, Err(TransferError::Witness { .. })));
}

#[test]
fn a_learner_catches_up_by_snapshot_and_then_votes() {
    let mut group = Group::with_snapshots(1_000_000);
    let leader = group.elect();
    for account in 1..=30 {
        group.open_account(leader, account);
        group.settle();
    }
    group
        .change(leader, MembershipChange::AddLearner(newcomer(4, "c1")))
        .unwrap();
    group.run_ms(300);
    let promote = MembershipChange::Promote(ReplicaId(4));
    let refused = group.change(leader, promote.clone());
    assert!(
        matches!(refused, Err(MembershipError::NotCaughtUp { .. })),
        "{refused:?}"
    );
    group.start(4);
    group.run_ms(1_000);
    assert!(group.disks[&4].recovered.snapshot.is_some());
    assert_eq!(group.hash(4), group.hash(leader));
    assert_eq!(group.voters(leader), [1, 2, 3]);
    group.change(leader, promote).unwrap();
    group.run_ms(200);
    assert!((1..=4).all(|id| group.voters(id) == [1, 2, 3, 4]));
    // Its vote counts: with one of the others gone as well, two of four are too few.
    group.cut = BTreeSet::from([2, 4]);
    let waits = group.open_account(leader, 99);
    group.run_ms(100);
    assert!(!group.answered(leader, waits));
}

#[test]
fn a_replica_is_replaced_in_one_step_and_the_disk_says_who_belongs() {
    let mut group = Group::with_snapshots(20);
    let leader = group.elect();
    let add = MembershipChange::AddLearner(newcomer(4, "b1"));
    group.change(leader, add).unwrap();
    group.start(4);
    group.run_ms(500);
    let replace = MembershipChange::Replace {
        old: ReplicaId(3),
        new: ReplicaId(4),
    };
    group.change(leader, replace).unwrap();
    group.run_ms(500);
    assert!([1, 2, 4].iter().all(|id| group.voters(*id) == [1, 2, 4]));
    assert!(group.replicas[&leader].state().group().outgoing.is_empty());
    group.kill(3);
    for account in 1..=50 {
        group.open_account(leader, account);
        group.settle();
    }
    // All start again, with the configuration files of the beginning.
    [1, 2, 4].iter().for_each(|id| group.kill(*id));
    [1, 2, 4].iter().for_each(|id| group.start(*id));
    let leader = group.elect();
    assert_eq!(group.voters(leader), [1, 2, 4]);
    group.kill(leader);
    let new = group.elect();
    assert_ne!(new, leader);
}

#[test]
fn whoever_leads_ends_a_replacement_that_a_crash_interrupted() {
    let mut group = Group::new();
    let leader = group.elect();
    let add = MembershipChange::AddLearner(newcomer(4, "b1"));
    group.change(leader, add).unwrap();
    group.start(4);
    group.run_ms(500);
    let replace = MembershipChange::Replace {
        old: ReplicaId(3),
        new: ReplicaId(4),
    };
    group.change(leader, replace).unwrap();
    // The first half goes out; the leader falls before it hears that it was taken in.
    let work = group
        .replicas
        .get_mut(&leader)
        .unwrap()
        .take_work()
        .unwrap();
    group.wires.extend(work.messages.iter().map(encode_message));
    group.kill(leader);
    group.settle();
    let new = group.elect();
    group.run_ms(1_000);
    let state = group.replicas[&new].state().group();
    assert!(state.outgoing.is_empty());
    assert_eq!(group.voters(new), [1, 2, 4]);
}

#[test]
fn one_change_at_a_time() {
    let mut group = Group::new();
    let leader = group.elect();
    let add = |id| MembershipChange::AddLearner(newcomer(id, "c1"));
    group.change(leader, add(4)).unwrap();
    let refused = group.change(leader, add(5));
    assert!(matches!(refused, Err(MembershipError::Busy { .. })));
    group.run_ms(100);
    let refused = group.change(leader, add(5));
    assert!(matches!(refused, Err(MembershipError::Busy { .. })));
    group
        .change(leader, MembershipChange::Remove(ReplicaId(4)))
        .unwrap();
    group.run_ms(100);
    group.change(leader, add(5)).unwrap();
    let refused = group.change(2, add(6));
    assert!(matches!(refused, Err(MembershipError::NotLeader { .. })));
}

#[test]
fn a_dead_process_is_missed_before_its_silence_is_over() {
    let mut group = Group::new();
    let old = group.elect();
    group.run_ms(100);
    let died_at = group.now_ms;
    group.kill(old);
    for replica in group.replicas.values_mut() {
        replica.suspect(ReplicaId(old));
    }
    while group.leaders().is_empty() {
        group.run_ms(10);
        assert!(group.now_ms < died_at + 150, "no sooner than by silence");
    }
    assert_eq!(group.leaders(), [2]);
}

#[test]
fn a_false_alarm_about_the_leader_does_no_harm() {
    let mut group = Group::new();
    let leader = group.elect();
    let epoch = group.replicas[&leader].epoch();
    for id in [2, 3].into_iter().cycle().take(20) {
        group.run_ms(130);
        let follower = group.replicas.get_mut(&id).unwrap();
        follower.suspect(ReplicaId(leader));
        group.run_ms(20);
    }
    group.run_ms(500);
    assert_eq!(group.leaders(), [leader]);
    assert_eq!(group.replicas[&leader].epoch(), epoch);
}

#[test]
fn a_hand_over_tells_how_long_nobody_served() {
    let mut group = Group::new();
    let old = group.elect();
    let now = group.now();
    let leader = group.replicas.get_mut(&old).unwrap();
    leader.transfer(ReplicaId(2), now).unwrap();
    group.run_ms(100);
    let handover = group.replicas[&old].status(group.now()).handover.unwrap();
    assert_eq!(handover.to, ReplicaId(2));
    assert_eq!(handover.epoch, group.replicas[&2].epoch());
    assert!(handover.gap_us <= 100_000);
}

#[test]
fn a_snapshot_that_the_disk_does_not_lead_to_stops_the_replica() {
    let mut group = Group::new();
    let leader = group.elect();
    for account in 1..=5 {
        group.open_account(leader, account);
        group.settle();
    }
    group.snapshot_every_entries = 1;
    group.kill(2);
    group.start(2);
    let replica = group.replicas.get_mut(&2).unwrap();
    while replica.take_work().is_some() {
        replica.persisted(UnixMicros(1)).unwrap();
    }
    let task = replica.snapshot_due().unwrap().unwrap();
    let entries = group.disks[&2].recovered.entries.clone();
    let without_last = entries
        .iter()
        .filter(|entry| entry.index < task.index)
        .cloned();
    let built = task.build(None, without_last.map(Ok::<_, ReplicaError>));
    assert!(matches!(built, Err(ReplicaError::Replay { .. })));
    let whole = task.build(None, entries.into_iter().map(Ok::<_, ReplicaError>));
    task.verify(&whole.unwrap()).unwrap();
}
