//! The replica: the consensus library and the engine's state, moved by inputs.

use crate::config::Config;
use crate::election::Elections;
use crate::error::{ReplicaError, SubmitError, TransferError};
use crate::status::{HashPoint, Peer, Role, Status};
use crate::store::{self, LogStore};
use engine::{EntryContext, State};
use journal::{HardState, LogEntry, Recovered, SavedSnapshot};
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use raft::{
    GetEntriesContext, ProgressState, RawNode, Ready, SnapshotStatus, StateRole, Storage as _,
};
use std::collections::{BTreeMap, VecDeque};
use types::mutants::{self, Mutant};
use types::{
    Batch, Command, Epoch, Event, LogIndex, LogSeq, Outbound, ReplicaId, Report, UnixMicros,
    decode_batch, encode_batch,
};

/// Most commands in one entry.
const BATCH_COMMANDS_MAX: usize = 1_024;
/// Most entries of this leader that may wait for their commit before the next is formed. More would
/// only make entries smaller: what waits meanwhile goes into the next one together.
const ENTRIES_IN_FLIGHT_MAX: usize = 64;
/// Most commands that wait for an entry.
const SUBMISSIONS_MAX: usize = 8_192;
/// Entries between two hashes that replicas compare.
const HASH_POINT_ENTRIES: u64 = 1_024;
/// Hashes kept for comparison.
const HASH_POINTS_KEPT: usize = 16;
/// Largest message to a follower, in bytes, unless one entry is larger.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Messages to a follower under way at once.
const MESSAGES_IN_FLIGHT_MAX: usize = 256;
/// Committed bytes handed over at once, so that a long replay does not starve the timers.
const COMMITTED_BYTES_MAX: u64 = 4 << 20;

/// Names a submitted command, for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What must be done before [`Replica::persisted`] is called.
#[derive(Debug, Default)]
pub struct Work {
    /// To be sent at once: a leader's disk and its followers' work side by side.
    pub messages: Vec<Message>,
    /// To be put in the place of the whole log, before the entries.
    pub snapshot: Option<SavedSnapshot>,
    /// To be appended.
    pub entries: Vec<LogEntry>,
    /// To be written after them.
    pub hard_state: Option<HardState>,
    /// Whether it must be on the disk before going on.
    pub sync: bool,
}

/// A command that has taken effect.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The entry it went into.
    pub index: LogIndex,
    /// Whose it was, when it was submitted here in this epoch.
    pub ticket: Option<Ticket>,
    /// What it caused.
    pub events: Vec<Event>,
}

/// What became of the work.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be sent: promises that had to wait for the disk.
    pub messages: Vec<Message>,
    /// Commands applied while this replica serves, with what they caused, in order.
    pub applied: Vec<Applied>,
    /// When the batches that were committed had been formed; only this leader's own.
    pub formed_at: Vec<UnixMicros>,
    /// It led and does so no longer: open tickets get no answer.
    pub leadership_lost: bool,
    /// Its opening entry was applied just now: it serves.
    pub began_serving: bool,
    /// The last entry of a peer's snapshot that took the place of the state.
    pub restored: Option<LogIndex>,
}

struct Flight {
    index: u64,
    epoch: u64,
    formed_at: UnixMicros,
    tickets: Vec<Option<Ticket>>,
}

/// One replica.
pub struct Replica {
    config: Config,
    node: RawNode<LogStore>,
    state: State,
    applied: u64,
    submissions: VecDeque<(Option<Ticket>, Command)>,
    in_flight: VecDeque<Flight>,
    ready: Option<Ready>,
    was_leader: bool,
    /// The epoch whose opening entry it has applied as leader.
    serving_epoch: Option<u64>,
    elections: Elections,
    heard: BTreeMap<u64, UnixMicros>,
    hash_points: VecDeque<HashPoint>,
    /// Hashes of peers for entries that are not applied here yet.
    hashes_ahead: VecDeque<(ReplicaId, HashPoint)>,
    overflows: u64,
    snapshot_asked_at: u64,
    highest_time: UnixMicros,
    unproven: Option<Unproven>,
}

/// A replica whose disk was empty may have promised what it no longer knows: until it has all that
/// its group had committed when it first heard of it, it votes for nobody whose log is not empty.
#[derive(Clone, Copy, Debug, Default)]
struct Unproven {
    /// What the leader had committed when it was first heard; 0 before.
    goal: u64,
    /// The leader counts on entries that this replica does not have, and must be told.
    rebuild_from: Option<u64>,
    /// Its log was damaged and set aside: there is a group with a history, whatever the others say.
    set_aside: bool,
}

impl Unproven {
    /// Whether it may found a group: only one that may never have had a log, and has none.
    fn may_found(self, last_index: u64) -> bool {
        !self.set_aside && last_index == 0
    }
}

impl Replica {
    /// Takes up what the disk holds.
    ///
    /// # Errors
    /// [`ReplicaError`] when the configuration or the snapshot cannot be used.
    pub fn new(
        config: Config,
        mut recovered: Recovered,
        now: UnixMicros,
    ) -> Result<Self, ReplicaError> {
        let (state, applied) = match &mut recovered.snapshot {
            Some(snapshot) => (State::restore(&snapshot.state)?, snapshot.index.0),
            None => (State::new(), 0),
        };
        let (min_election_tick, max_election_tick) = config.election_ticks();
        let unproven = recovered.unproven.then(|| Unproven {
            set_aside: recovered.set_aside.is_some(),
            ..Unproven::default()
        });
        let raft_config = raft::Config {
            id: config.replica.0,
            election_tick: config.lease_ticks(),
            heartbeat_tick: config.ticks(config.heartbeat_ms),
            min_election_tick,
            max_election_tick,
            applied,
            max_size_per_msg: MESSAGE_BYTES_MAX,
            max_inflight_msgs: MESSAGES_IN_FLIGHT_MAX,
            max_committed_size_per_ready: COMMITTED_BYTES_MAX,
            check_quorum: true,
            pre_vote: !mutants::is(Mutant::NoPreVote),
            ..raft::Config::default()
        };
        raft_config.validate()?;
        let voters: Vec<ReplicaId> = config.members.iter().map(|m| m.replica).collect();
        let store = LogStore::new(&voters, recovered);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let heard = voters.iter().map(|voter| (voter.0, now)).collect();
        let mut replica = Self {
            node: RawNode::new(&raft_config, store, &logger)?,
            config,
            state,
            applied,
            submissions: VecDeque::new(),
            in_flight: VecDeque::new(),
            ready: None,
            was_leader: false,
            serving_epoch: None,
            elections: Elections::default(),
            heard,
            hash_points: VecDeque::new(),
            hashes_ahead: VecDeque::new(),
            overflows: 0,
            snapshot_asked_at: applied,
            highest_time: UnixMicros(0),
            unproven,
        };
        replica.draw_election_timeout();
        Ok(replica)
    }

    /// One tick of the timers.
    pub fn tick(&mut self, now: UnixMicros) {
        let last = self.node.raft.raft_log.last_index();
        let leads = self.node.raft.state == StateRole::Leader;
        if !leads && self.unproven.is_some_and(|u| !u.may_found(last)) {
            // It asks for no votes: it may lack what it once helped to commit.
            self.node.raft.election_elapsed = 0;
        }
        self.node.tick();
        self.draw_election_timeout();
        self.observe(now);
    }

    /// `raft` draws a new timeout with each change of epoch from a generator of the thread; ours
    /// takes its place, so that the same seed leads to the same elections.
    fn draw_election_timeout(&mut self) {
        let timeout = self.config.election_timeout(self.node.raft.term);
        self.node.raft.set_randomized_election_timeout(timeout);
    }

    /// A peer's message.
    ///
    /// # Errors
    /// [`ReplicaError`] when the consensus library cannot go on. A message that is merely out of
    /// place is dropped.
    pub fn receive(&mut self, mut message: Message, now: UnixMicros) -> Result<(), ReplicaError> {
        if message.to != self.config.replica.0
            || !self.node.store().voters().contains(&message.from)
        {
            return Ok(());
        }
        self.heard.insert(message.from, now);
        if mutants::is(Mutant::NoEpochFence) && message.term > 0 {
            message.term = message.term.max(self.node.raft.term);
        }
        let Some(message) = self.admit_unproven(message) else {
            return Ok(());
        };
        match self.node.step(message) {
            Ok(())
            | Err(
                raft::Error::StepPeerNotFound
                | raft::Error::StepLocalMsg
                | raft::Error::ProposalDropped,
            ) => {}
            Err(error) => return Err(error.into()),
        }
        self.draw_election_timeout();
        self.observe(now);
        Ok(())
    }

    /// What an unproven replica may take in. The consensus library relies on a voter to have what
    /// it once confirmed; one that lost its disk must not be held to it, and must not vote.
    fn admit_unproven(&mut self, mut message: Message) -> Option<Message> {
        let Some(unproven) = &mut self.unproven else {
            return Some(message);
        };
        let last = self.node.raft.raft_log.last_index();
        match message.get_msg_type() {
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
                if message.index > 0 || unproven.set_aside =>
            {
                return None;
            }
            // To be handed leadership is to ask for votes, too.
            MessageType::MsgTimeoutNow => return None,
            MessageType::MsgHeartbeat => {
                unproven.goal = unproven.goal.max(message.commit);
                if message.commit > last {
                    message.commit = last;
                    unproven.rebuild_from = Some(message.from);
                }
            }
            MessageType::MsgAppend => unproven.goal = unproven.goal.max(message.commit),
            _ => {}
        }
        Some(message)
    }

    /// The leader that must forget what this replica once confirmed, if there is one to be told.
    pub fn take_rebuild_request(&mut self) -> Option<ReplicaId> {
        let from = self.unproven.as_mut()?.rebuild_from.take()?;
        Some(ReplicaId(from))
    }

    /// A peer says that it lost its disk: all is sent to it again.
    pub fn rebuild(&mut self, peer: ReplicaId) {
        if self.node.raft.state != StateRole::Leader {
            return;
        }
        if let Some(progress) = self.node.raft.mut_prs().get_mut(peer.0)
            && progress.state != ProgressState::Snapshot
        {
            progress.matched = 0;
            progress.next_idx = 1;
            progress.become_probe();
        }
    }

    /// Whether it has just caught up with its group for the first time. Says so once; the journal
    /// must then be told.
    pub fn take_proof(&mut self) -> bool {
        let Some(unproven) = self.unproven else {
            return false;
        };
        let goal = unproven.goal.max(1);
        let proven = self.applied >= goal && unproven.rebuild_from.is_none();
        if proven {
            self.unproven = None;
            // Whom it voted for in this epoch it may have forgotten: it votes for no other.
            if self.node.raft.vote == 0 {
                self.node.raft.vote = self.node.raft.leader_id;
            }
        }
        proven
    }

    /// Messages to a peer were dropped.
    pub fn unreachable(&mut self, peer: ReplicaId) {
        self.node.report_unreachable(peer.0);
    }

    /// A snapshot went to a peer, or did not.
    pub fn snapshot_sent(&mut self, peer: ReplicaId, arrived: bool) {
        let status = if arrived {
            SnapshotStatus::Finish
        } else {
            SnapshotStatus::Failure
        };
        self.node.report_snapshot(peer.0, status);
    }

    /// Takes a command, to go into the next entry.
    ///
    /// # Errors
    /// [`SubmitError`]; the command has no effect then.
    pub fn submit(&mut self, ticket: Option<Ticket>, command: Command) -> Result<(), SubmitError> {
        if !self.serving() {
            return Err(SubmitError::NotServing {
                leader: ReplicaId(self.node.raft.leader_id),
            });
        }
        if !self.has_room() {
            self.overflows += 1;
            return Err(SubmitError::Full {
                waiting: self.submissions.len(),
            });
        }
        self.submissions.push_back((ticket, command));
        Ok(())
    }

    /// Whether it takes more commands now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.submissions.len() < SUBMISSIONS_MAX
    }

    /// Forms entries of what waits. `now` becomes their time, unless an earlier entry's was later.
    ///
    /// # Errors
    /// [`ReplicaError`] when the consensus library cannot go on.
    pub fn propose(&mut self, now: UnixMicros) -> Result<(), ReplicaError> {
        while !self.submissions.is_empty()
            && self.serving()
            // A leader that hands over takes nothing new; the rest waits for the outcome.
            && self.node.raft.lead_transferee.is_none()
            && self.in_flight.len() < ENTRIES_IN_FLIGHT_MAX
        {
            let count = self.submissions.len().min(BATCH_COMMANDS_MAX);
            let (tickets, commands) = self.submissions.drain(..count).unzip();
            // Time in the log never goes back, though wall clocks do.
            self.highest_time = self.highest_time.max(now);
            let batch = Batch {
                leader_time: self.highest_time,
                commands,
            };
            let data = encode_batch(&batch).map_err(|source| ReplicaError::Entry {
                index: LogIndex(self.node.raft.raft_log.last_index() + 1),
                source,
            })?;
            match self.node.propose(Vec::new(), data) {
                Ok(()) => self.in_flight.push_back(Flight {
                    index: self.node.raft.raft_log.last_index(),
                    epoch: self.node.raft.term,
                    formed_at: now,
                    tickets,
                }),
                Err(raft::Error::ProposalDropped) => {
                    let commands = tickets.into_iter().zip(batch.commands);
                    for (offset, submission) in commands.enumerate() {
                        self.submissions.insert(offset, submission);
                    }
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Begins to hand leadership over. Whether it went is seen in the status.
    ///
    /// # Errors
    /// [`TransferError`] naming what is missing.
    pub fn transfer(&mut self, to: ReplicaId, now: UnixMicros) -> Result<(), TransferError> {
        if self.node.raft.state != StateRole::Leader {
            return Err(TransferError::NotLeader {
                leader: ReplicaId(self.node.raft.leader_id),
            });
        }
        if to == self.config.replica {
            return Ok(());
        }
        let peers = self.peers(now);
        let peer = peers
            .iter()
            .find(|peer| peer.replica == to)
            .ok_or(TransferError::NoVoter { to })?;
        if !peer.in_step() {
            return Err(TransferError::NotReady {
                to,
                lag_entries: peer.lag_entries,
                silent_ms: peer.silent_ms,
                lag_entries_max: Peer::LAG_ENTRIES_MAX,
                silent_ms_max: Peer::SILENT_MS_MAX,
            });
        }
        self.node.transfer_leader(to.0);
        Ok(())
    }

    /// The follower best suited to take over, for a leader that is about to stop: the most
    /// preferred of those in step.
    #[must_use]
    pub fn successor(&self, now: UnixMicros) -> Option<ReplicaId> {
        let in_step = self.peers(now).into_iter().filter(Peer::in_step);
        in_step
            .map(|peer| peer.replica)
            .max_by_key(|replica| self.priority(*replica))
    }

    fn priority(&self, replica: ReplicaId) -> u32 {
        let member = self.config.members.iter().find(|m| m.replica == replica);
        member.map_or(0, |m| m.priority)
    }

    /// What is to be done now; nothing when nothing changed.
    pub fn take_work(&mut self) -> Option<Work> {
        if self.ready.is_some() || !self.node.has_ready() {
            return None;
        }
        let mut ready = self.node.ready();
        let snapshot = (!ready.snapshot().is_empty()).then(|| {
            let snapshot = ready.snapshot();
            SavedSnapshot {
                index: LogIndex(snapshot.get_metadata().index),
                epoch: Epoch(snapshot.get_metadata().term),
                state: snapshot.data.clone(),
            }
        });
        let work = Work {
            messages: ready.take_messages(),
            snapshot,
            entries: ready.entries().iter().map(store::from_raft).collect(),
            hard_state: ready.hs().map(store::hard_state),
            sync: ready.must_sync(),
        };
        self.ready = Some(ready);
        Some(work)
    }

    /// The work's entries and hard state are on disk.
    ///
    /// # Errors
    /// [`ReplicaError`] after which the replica must stop.
    pub fn persisted(&mut self, now: UnixMicros) -> Result<Outcome, ReplicaError> {
        let mut outcome = Outcome::default();
        let Some(mut ready) = self.ready.take() else {
            return Ok(outcome);
        };
        if !ready.snapshot().is_empty() {
            self.restore(&ready)?;
            outcome.restored = Some(LogIndex(self.applied));
        }
        self.node.mut_store().append(ready.take_entries());
        outcome.messages = ready.take_persisted_messages();
        let mut committed = ready.take_committed_entries();
        let mut light = self.node.advance(ready);
        outcome.messages.extend(light.take_messages());
        committed.extend(light.take_committed_entries());
        for entry in committed {
            self.apply(entry, now, &mut outcome)?;
        }
        self.node.advance_apply_to(self.applied);
        self.observe(now);
        let leads = self.node.raft.state == StateRole::Leader;
        if self.was_leader && !leads {
            outcome.leadership_lost = true;
            self.serving_epoch = None;
            self.submissions.clear();
            self.in_flight.clear();
        }
        self.was_leader = leads;
        Ok(outcome)
    }

    fn restore(&mut self, ready: &Ready) -> Result<(), ReplicaError> {
        let snapshot = ready.snapshot();
        let (index, epoch) = (snapshot.get_metadata().index, snapshot.get_metadata().term);
        self.state = State::restore(&snapshot.data)?;
        self.applied = index;
        self.snapshot_asked_at = index;
        self.hash_points.clear();
        self.node.mut_store().install(SavedSnapshot {
            index: LogIndex(index),
            epoch: Epoch(epoch),
            state: snapshot.data.clone(),
        });
        Ok(())
    }

    fn apply(
        &mut self,
        entry: Entry,
        now: UnixMicros,
        outcome: &mut Outcome,
    ) -> Result<(), ReplicaError> {
        let index = LogIndex(entry.index);
        if entry.get_entry_type() != EntryType::EntryNormal {
            return Err(ReplicaError::Membership { index });
        }
        let flight = self.take_flight(&entry);
        if !entry.data.is_empty() {
            self.apply_batch(&entry, flight, now, outcome)?;
        }
        self.applied = entry.index;
        if entry.index.is_multiple_of(HASH_POINT_ENTRIES) {
            self.hash_points.push_front(HashPoint {
                index,
                hash: self.state.history_hash().to_bytes(),
            });
            self.hash_points.truncate(HASH_POINTS_KEPT);
            self.compare_hashes_ahead()?;
        }
        let leads = self.node.raft.state == StateRole::Leader;
        if leads && entry.term == self.node.raft.term && self.serving_epoch != Some(entry.term) {
            self.serving_epoch = Some(entry.term);
            self.elections.served(Epoch(entry.term), now);
            outcome.began_serving = true;
        }
        Ok(())
    }

    fn apply_batch(
        &mut self,
        entry: &Entry,
        flight: Option<Flight>,
        now: UnixMicros,
        outcome: &mut Outcome,
    ) -> Result<(), ReplicaError> {
        let index = LogIndex(entry.index);
        let batch =
            decode_batch(&entry.data).map_err(|source| ReplicaError::Entry { index, source })?;
        let context = EntryContext {
            epoch: Epoch(entry.term),
            index,
            leader_time: batch.leader_time,
        };
        self.state.begin_entry(context, &entry.data)?;
        self.highest_time = self.highest_time.max(batch.leader_time);
        let answers = self.serving() && entry.term == self.node.raft.term;
        outcome
            .formed_at
            .extend(flight.as_ref().map(|f| f.formed_at));
        let mut tickets = flight.map(|f| f.tickets).unwrap_or_default().into_iter();
        for command in &batch.commands {
            let mut events = Vec::new();
            self.state.apply(context, command, &mut events);
            if answers && matches!(command, Command::Client(_)) && accepted(&events) {
                self.elections.ordered(context.epoch, now);
            }
            let ticket = tickets.next().flatten();
            if answers {
                outcome.applied.push(Applied {
                    index,
                    ticket,
                    events,
                });
            }
        }
        Ok(())
    }

    /// The note on this entry, if it is one that this leader formed.
    fn take_flight(&mut self, entry: &Entry) -> Option<Flight> {
        while let Some(flight) = self.in_flight.front() {
            if flight.index > entry.index {
                return None;
            }
            let flight = self.in_flight.pop_front()?;
            if flight.index == entry.index && flight.epoch == entry.term {
                return Some(flight);
            }
        }
        None
    }

    /// A peer's hash, to be held against this replica's own.
    ///
    /// # Errors
    /// [`ReplicaError::Divergence`] when both applied the same entries and hold different states.
    pub fn compare(&mut self, peer: ReplicaId, point: HashPoint) -> Result<(), ReplicaError> {
        if point.index.0 > self.applied {
            self.hashes_ahead.push_back((peer, point));
            if self.hashes_ahead.len() > HASH_POINTS_KEPT * self.config.members.len() {
                self.hashes_ahead.pop_front();
            }
            return Ok(());
        }
        let own = self.hash_points.iter().find(|own| own.index == point.index);
        match own {
            Some(own) if own.hash != point.hash => Err(ReplicaError::Divergence {
                index: point.index,
                own: hex(&own.hash),
                other: hex(&point.hash),
                replica: peer,
            }),
            _ => Ok(()),
        }
    }

    fn compare_hashes_ahead(&mut self) -> Result<(), ReplicaError> {
        for (peer, point) in std::mem::take(&mut self.hashes_ahead) {
            self.compare(peer, point)?;
        }
        Ok(())
    }

    /// The newest hash, to be told to the peers.
    #[must_use]
    pub fn newest_hash(&self) -> Option<HashPoint> {
        self.hash_points.front().copied()
    }

    /// The state up to now, when it is time to save it. The same is not given twice.
    ///
    /// # Errors
    /// [`ReplicaError`] when the state cannot be written.
    pub fn snapshot_due(&mut self) -> Result<Option<SavedSnapshot>, ReplicaError> {
        if self.applied < self.snapshot_asked_at + self.config.snapshot_every_entries {
            return Ok(None);
        }
        self.snapshot_asked_at = self.applied;
        let epoch = self.node.raft.raft_log.term(self.applied)?;
        Ok(Some(SavedSnapshot {
            index: LogIndex(self.applied),
            epoch: Epoch(epoch),
            state: self.state.snapshot()?,
        }))
    }

    /// A snapshot is on disk: entries that it covers may leave the memory.
    pub fn snapshot_saved(&mut self, snapshot: SavedSnapshot) {
        if snapshot.index.0 > self.node.store().snapshot_index() {
            let retain = self.config.retain_entries;
            self.node.mut_store().compact(snapshot, retain);
        }
    }

    /// Whether it leads, has applied its opening entry, and so all before it.
    #[must_use]
    pub fn serving(&self) -> bool {
        self.node.raft.state == StateRole::Leader && self.serving_epoch == Some(self.node.raft.term)
    }

    /// The last entry applied.
    #[must_use]
    pub fn applied_index(&self) -> LogIndex {
        LogIndex(self.applied)
    }

    /// The last entry that it knows to be committed.
    #[must_use]
    pub fn commit_index(&self) -> LogIndex {
        LogIndex(self.node.raft.raft_log.committed)
    }

    /// Whether its disk was empty once and it has not caught up with its group since.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        self.unproven.is_some()
    }

    /// Applied entries after one that a looker-on has seen, while they are in memory.
    #[must_use]
    pub fn entries_after(&self, index: LogIndex) -> Vec<LogEntry> {
        let (low, high) = (index.0 + 1, self.applied + 1);
        let store = self.node.store();
        let context = GetEntriesContext::empty(false);
        let entries = store.entries(low, high.max(low), None, context);
        let entries = entries.unwrap_or_default();
        entries.iter().map(store::from_raft).collect()
    }

    /// The replicated state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Its part now.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.node.raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::PreCandidate => Role::PreCandidate,
            StateRole::Candidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        }
    }

    /// Its epoch now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.node.raft.term)
    }

    /// Who leads, as far as it knows; 0 for nobody.
    #[must_use]
    pub fn leader(&self) -> ReplicaId {
        ReplicaId(self.node.raft.leader_id)
    }

    /// All that it knows of itself and its group.
    #[must_use]
    pub fn status(&self, now: UnixMicros) -> Status {
        let raft = &self.node.raft;
        let peers = self.peers(now);
        let leads = raft.state == StateRole::Leader;
        Status {
            role: self.role(),
            epoch: self.epoch(),
            leader: self.leader(),
            serving: self.serving(),
            last_index: LogIndex(raft.raft_log.last_index()),
            commit_index: LogIndex(raft.raft_log.committed),
            applied_index: LogIndex(self.applied),
            last_seq: self.state.last_seq(),
            history_hash: self.state.history_hash().to_bytes(),
            hash_points: self.hash_points.iter().copied().collect(),
            all_voters_in_step: leads && peers.iter().all(Peer::in_step),
            peers,
            elections: self.elections.recent(),
            counters: self.state.counters().clone(),
            overflows: self.overflows,
            maintenance: self.state.maintenance().cloned(),
            now,
        }
    }

    /// The last command applied.
    #[must_use]
    pub fn last_seq(&self) -> LogSeq {
        self.state.last_seq()
    }

    fn peers(&self, now: UnixMicros) -> Vec<Peer> {
        let raft = &self.node.raft;
        if raft.state != StateRole::Leader {
            return Vec::new();
        }
        let last = raft.raft_log.last_index();
        let others = raft.prs().iter().filter(|(id, _)| **id != raft.id);
        let mut peers: Vec<Peer> = others
            .map(|(id, progress)| Peer {
                replica: ReplicaId(*id),
                matched_index: LogIndex(progress.matched),
                lag_entries: last.saturating_sub(progress.matched),
                silent_ms: now.0.saturating_sub(self.heard.get(id).map_or(0, |t| t.0)) / 1_000,
            })
            .collect();
        peers.sort_by_key(|peer| peer.replica);
        peers
    }

    fn observe(&mut self, now: UnixMicros) {
        self.elections
            .observe(self.role(), self.epoch(), self.leader(), now);
    }
}

fn accepted(events: &[Event]) -> bool {
    events.iter().any(|event| {
        matches!(
            event,
            Event::ToSession(Outbound {
                report: Report::Accepted { .. },
                ..
            })
        )
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
