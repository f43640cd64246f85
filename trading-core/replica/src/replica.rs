//! The replica: the consensus library and the engine's state, moved by inputs.

use crate::commit_rule::CommitRule;
use crate::config::Config;
use crate::election::Elections;
use crate::error::{ReplicaError, SubmitError};
use crate::handover::{Handovers, Suspicion};
use crate::membership;
use crate::snapshots::Snapshots;
use crate::status::{HashPoint, Role};
use crate::store::{self, LogStore};
use crate::unproven::Unproven;
use engine::{Ahead, EntryContext, State};
use journal::{HardState, LogEntry, Recovered, SavedSnapshot, SnapshotWriter};
use raft::eraftpb::{Entry, EntryType, Message};
use raft::{GetEntriesContext, RawNode, Ready, SnapshotStatus, StateRole, Storage as _};
use std::collections::{BTreeMap, VecDeque};
use types::mutants::{self, Mutant};
use types::{
    Batch, Command, Control, Epoch, Event, GroupChange, LogIndex, LogSeq, Outbound, ReplicaId,
    Report, UnixMicros, decode_batch, encode_batch,
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

pub(crate) struct Flight {
    pub index: u64,
    pub epoch: u64,
    pub formed_at: UnixMicros,
    pub tickets: Vec<Option<Ticket>>,
}

/// One replica.
pub struct Replica {
    pub(crate) config: Config,
    /// The part of the election timeouts that is its own, in ticks.
    election_window: (usize, usize),
    pub(crate) node: RawNode<LogStore>,
    pub(crate) state: State,
    pub(crate) applied: u64,
    submissions: VecDeque<(Option<Ticket>, Command)>,
    pub(crate) in_flight: VecDeque<Flight>,
    ready: Option<Ready>,
    /// The group's founding, to be written before anything else.
    founding: Option<Work>,
    /// Answers that the consensus library does not know of.
    pub(crate) own_messages: Vec<Message>,
    was_leader: bool,
    /// The epoch whose opening entry it has applied as leader.
    pub(crate) serving_epoch: Option<u64>,
    pub(crate) elections: Elections,
    pub(crate) heard: BTreeMap<u64, UnixMicros>,
    pub(crate) hash_points: VecDeque<HashPoint>,
    /// Hashes of peers for entries that are not applied here yet.
    hashes_ahead: VecDeque<(ReplicaId, HashPoint)>,
    pub(crate) overflows: u64,
    pub(crate) snapshots: Snapshots,
    pub(crate) highest_time: UnixMicros,
    pub(crate) unproven: Option<Unproven>,
    /// The configuration that the consensus library began with holds from this entry on: earlier
    /// changes are in it already.
    formed_at: u64,
    first_generation: u64,
    pub(crate) commit_rule: CommitRule,
    pub(crate) handover: Handovers,
    pub(crate) suspicion: Option<Suspicion>,
    touches_tables: bool,
}

impl Replica {
    /// Takes up what the disk holds. Who belongs to the group the disk says, too; an empty one founds
    /// the group that the configuration names, unless the replica joins one.
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
            None => (State::with_limits(config.limits), 0),
        };
        let unproven = recovered
            .unproven
            .then(|| Unproven::new(recovered.set_aside.is_some()));
        let founding = found(&config, &mut recovered)?;
        let mut group = state.group().clone();
        if let Some(first) = recovered.entries.front().filter(|e| e.index.0 == 1)
            && group.generation == 0
        {
            let founders = membership::formed_by(&first.data);
            let founders = founders.ok_or(ReplicaError::NoGroup)?;
            (group.members, group.generation) = (founders.members, founders.generation);
        }
        // After a forced takeover the lost members count no longer, not even while the entries from
        // before it are applied again.
        let commit = recovered.hard_state.commit;
        let later = recovered.entries.iter().filter(|e| e.index.0 > applied);
        let refounded = later
            .filter(|entry| entry.index <= commit)
            .filter_map(|entry| Some((entry.index.0, membership::formed_by(&entry.data)?)))
            .rfind(|(_, formed)| formed.generation > 1);
        let mut formed_at = applied;
        if let Some((index, formed)) = refounded {
            formed_at = index;
            (group.members, group.generation) = (formed.members, formed.generation);
            group.outgoing.clear();
        }
        if group.members.is_empty() && !(config.joins && recovered.last_index().0 == 0) {
            return Err(ReplicaError::NoGroup);
        }
        let conf = membership::conf_state(&group);
        let known = if group.members.is_empty() {
            &config.members
        } else {
            &group.members
        };
        let heard = known.iter().map(|m| (m.replica.0, now)).collect();
        let election_window = config.election_ticks(known);
        let raft_config = raft_config(&config, election_window, applied);
        raft_config.validate()?;
        let store = LogStore::new(conf, recovered);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let mut replica = Self {
            node: RawNode::new(&raft_config, store, &logger)?,
            config,
            election_window,
            state,
            applied,
            submissions: VecDeque::new(),
            in_flight: VecDeque::new(),
            ready: None,
            founding,
            own_messages: Vec::new(),
            was_leader: false,
            serving_epoch: None,
            elections: Elections::default(),
            heard,
            hash_points: VecDeque::new(),
            hashes_ahead: VecDeque::new(),
            overflows: 0,
            snapshots: Snapshots::after(applied),
            highest_time: UnixMicros(0),
            unproven,
            formed_at,
            first_generation: group.generation,
            commit_rule: CommitRule::default(),
            handover: Handovers::default(),
            suspicion: None,
            touches_tables: false,
        };
        replica.draw_election_timeout();
        Ok(replica)
    }

    /// `raft` draws a new timeout with each change of epoch from a generator of the thread; ours
    /// takes its place, so that the same seed leads to the same elections.
    fn draw_election_timeout(&mut self) {
        let epoch = self.node.raft.term;
        let timeout = self.config.election_timeout(self.election_window, epoch);
        self.node.raft.set_randomized_election_timeout(timeout);
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
        self.tick_suspicion();
        self.tick_handover();
        self.observe(now);
        self.watch_sites(now);
    }

    /// A peer's message.
    ///
    /// # Errors
    /// [`ReplicaError`] when the consensus library cannot go on. A message that is merely out of
    /// place is dropped.
    pub fn receive(&mut self, mut message: Message, now: UnixMicros) -> Result<(), ReplicaError> {
        if message.to != self.config.replica.0 {
            return Ok(());
        }
        self.heard.insert(message.from, now);
        if mutants::is(Mutant::NoEpochFence) && message.term > 0 {
            message.term = message.term.max(self.node.raft.term);
        }
        self.refuse_other_founding(&message)?;
        let Some(message) = self.admit_joining(message) else {
            return Ok(());
        };
        let Some(message) = self.admit_unproven(message) else {
            return Ok(());
        };
        let behind = self.is_behind_witness(&message);
        match self.node.step(message) {
            Ok(())
            | Err(
                raft::Error::StepPeerNotFound
                | raft::Error::StepLocalMsg
                | raft::Error::ProposalDropped,
            ) => {}
            Err(error) => return Err(error.into()),
        }
        if behind {
            self.stand_in()?;
        }
        self.draw_election_timeout();
        self.observe(now);
        self.release_when_recorded();
        Ok(())
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

    /// What is to be done now; nothing when nothing changed.
    pub fn take_work(&mut self) -> Option<Work> {
        if self.ready.is_some() {
            return None;
        }
        if let Some(founding) = self.founding.take() {
            return Some(founding);
        }
        if !self.own_messages.is_empty() {
            return Some(Work {
                messages: std::mem::take(&mut self.own_messages),
                ..Work::default()
            });
        }
        if !self.node.has_ready() {
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
        let mut messages = ready.take_messages();
        self.name_committed(&mut messages);
        let work = Work {
            messages,
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
        self.name_committed(&mut outcome.messages);
        committed.extend(light.take_committed_entries());
        for entry in committed {
            self.apply(entry, now, &mut outcome)?;
        }
        self.node.advance_apply_to(self.applied);
        self.observe(now);
        self.align_commit_rule(now);
        self.release_when_recorded();
        self.leave_joint(now)?;
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

    /// Reads snapshots for followers from there, instead of holding the newest in memory.
    pub(crate) fn read_snapshots_from(&mut self, disk: SnapshotWriter) {
        self.node.mut_store().read_snapshots_from(disk);
    }

    /// Takes all memory of the tables now, and again when a peer's snapshot takes their place.
    pub fn touch_tables(&mut self) {
        self.touches_tables = true;
        self.state.touch_tables();
    }

    fn restore(&mut self, ready: &Ready) -> Result<(), ReplicaError> {
        let snapshot = ready.snapshot();
        let (index, epoch) = (snapshot.get_metadata().index, snapshot.get_metadata().term);
        self.state = State::restore(&snapshot.data)?;
        if self.touches_tables {
            self.state.touch_tables();
        }
        self.applied = index;
        self.formed_at = index;
        let group = self.state.group();
        self.commit_rule.group_changed(group, LogIndex(index));
        self.snapshots = Snapshots::after(index);
        self.hash_points.clear();
        let conf = membership::conf_state(self.state.group());
        self.node.mut_store().install(
            SavedSnapshot {
                index: LogIndex(index),
                epoch: Epoch(epoch),
                state: snapshot.data.clone(),
            },
            conf,
        );
        Ok(())
    }

    fn apply(
        &mut self,
        entry: Entry,
        now: UnixMicros,
        outcome: &mut Outcome,
    ) -> Result<(), ReplicaError> {
        let index = LogIndex(entry.index);
        let flight = self.take_flight(&entry);
        if entry.get_entry_type() != EntryType::EntryNormal {
            let unreadable = |detail: String| ReplicaError::Membership { index, detail };
            let (change, batch) =
                membership::batch_of(&entry.data).map_err(|e| unreadable(e.to_string()))?;
            self.apply_batch(&entry, &batch, flight, now, outcome)?;
            if entry.index > self.formed_at {
                self.node.apply_conf_change(&change)?;
            }
        } else if !entry.data.is_empty() {
            self.apply_batch(&entry, &entry.data, flight, now, outcome)?;
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
        self.handover.applied(entry.term, now);
        let leads = self.node.raft.state == StateRole::Leader;
        if leads && entry.term == self.node.raft.term && self.serving_epoch != Some(entry.term) {
            self.serving_epoch = Some(entry.term);
            if self.serving() {
                self.elections.served(Epoch(entry.term), now);
                outcome.began_serving = true;
            }
        }
        Ok(())
    }

    fn apply_batch(
        &mut self,
        entry: &Entry,
        bytes: &[u8],
        flight: Option<Flight>,
        now: UnixMicros,
        outcome: &mut Outcome,
    ) -> Result<(), ReplicaError> {
        let index = LogIndex(entry.index);
        let batch = decode_batch(bytes).map_err(|source| ReplicaError::Entry { index, source })?;
        let context = EntryContext {
            epoch: Epoch(entry.term),
            index,
            leader_time: batch.leader_time,
        };
        self.state.begin_entry(context, bytes)?;
        self.highest_time = self.highest_time.max(batch.leader_time);
        let answers = self.serving() && entry.term == self.node.raft.term;
        outcome
            .formed_at
            .extend(flight.as_ref().map(|f| f.formed_at));
        let mut tickets = flight.map(|f| f.tickets).unwrap_or_default().into_iter();
        let mut ahead = Ahead::default();
        let mut spare = Vec::new();
        for (at, command) in batch.commands.iter().enumerate() {
            ahead.look(&self.state, &batch.commands[at..]);
            // Whoever answers gives them away; a follower needs the memory again.
            let mut events = std::mem::take(&mut spare);
            self.state.apply(context, command, &mut events);
            if matches!(command, Command::Control(Control::Group(_))) {
                self.commit_rule.group_changed(self.state.group(), index);
            }
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
            } else {
                events.clear();
                spare = events;
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

    /// Whether it leads, has applied its opening entry, and so all before it.
    #[must_use]
    pub fn serving(&self) -> bool {
        self.opened() && !self.is_witness()
    }

    /// Whether it leads and has applied its opening entry.
    pub(crate) fn opened(&self) -> bool {
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

    /// The last entry that is on its disk.
    #[must_use]
    pub fn persisted_index(&self) -> LogIndex {
        LogIndex(self.node.store().persisted_index())
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

    /// The generation of its group; 0 for a replica that joins and has not been told.
    #[must_use]
    pub fn generation(&self) -> u64 {
        // What the disk held at the start is not applied at once.
        self.first_generation.max(self.state.group().generation)
    }

    /// The last entry that changed the group, as far as it was applied since the start.
    #[must_use]
    pub fn group_changed_at(&self) -> LogIndex {
        self.commit_rule.changed_at()
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

    /// The last command applied.
    #[must_use]
    pub fn last_seq(&self) -> LogSeq {
        self.state.last_seq()
    }

    pub(crate) fn observe(&mut self, now: UnixMicros) {
        self.elections
            .observe(self.role(), self.epoch(), self.leader(), now);
    }
}

/// The group's first entry, when this disk is the first to hear of it.
fn found(config: &Config, recovered: &mut Recovered) -> Result<Option<Work>, ReplicaError> {
    let empty = recovered.last_index().0 == 0 && recovered.hard_state == HardState::default();
    if config.joins || !empty {
        return Ok(None);
    }
    let change = GroupChange::Found {
        members: config.members.clone(),
        policy: config.policy,
    };
    // The same bytes on every founder's disk, so none of them needs the others to begin.
    let index = LogIndex(1);
    let data = membership::batch_with(change, UnixMicros(0))
        .map_err(|source| ReplicaError::Entry { index, source })?;
    let epoch = Epoch(1);
    let entry = LogEntry { index, epoch, data };
    let hard_state = HardState {
        epoch,
        vote: ReplicaId(0),
        commit: index,
    };
    recovered.entries.push_back(entry.clone());
    recovered.hard_state = hard_state;
    Ok(Some(Work {
        entries: vec![entry],
        hard_state: Some(hard_state),
        sync: true,
        ..Work::default()
    }))
}

fn raft_config(config: &Config, window: (usize, usize), applied: u64) -> raft::Config {
    let (min_election_tick, max_election_tick) = window;
    raft::Config {
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
