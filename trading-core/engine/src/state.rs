//! The state and its one way to change.

use crate::accounts::Accounts;
use crate::clearing::Clearing;
use crate::client_ids::ClientIds;
use crate::fees::FeesCollected;
use crate::group::Group;
use crate::history_hash::HistoryHash;
use crate::index::Index;
use crate::listing::{Listing, MarketBook};
use crate::lookup::{GOLDEN, Lookup};
use crate::messages::Messages;
use crate::operations::Operations;
use crate::orders::{Order, Orders};
use crate::risk::Risk;
use crate::session::Session;
use crate::transfer::Transfers;
use crate::{Counters, Limits};
use book::{AuctionFill, Fill};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use surveillance::{Finding, Surveillance};
use types::{
    AccountId, AccountTerms, Board, ClientSeq, Command, Epoch, Event, LogIndex, LogSeq, Logon,
    MaintenanceLease, Money, OrderId, OrderView, OutSeq, Outbound, Phase, Price, Quantity,
    RejectReason, Report, SessionId, Side, SymbolDefinition, SymbolId, Table, TradeId, TradingDay,
    UnixMicros,
};

/// Where in the log a command stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryContext {
    /// The epoch whose leader wrote the entry.
    pub epoch: Epoch,
    /// The entry.
    pub index: LogIndex,
    /// The batch's time.
    pub leader_time: UnixMicros,
}

/// What an account holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Cash, what is frozen included.
    pub cash: Money,
    /// Cash set aside for open buys.
    pub cash_frozen: Money,
    /// Symbol, shares held, and of these set aside for open sells; by symbol.
    pub positions: Vec<(SymbolId, Quantity, Quantity)>,
    /// Orders that rest or wait for their trigger.
    pub open_orders: u64,
    /// What it may trade.
    pub terms: AccountTerms,
}

/// An entry that may not come after the last one applied: the log is not one log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to apply entry {index} of epoch {epoch}: entry {last_index} of epoch {last_epoch} is \
     applied already, and neither may go back: stop this replica and compare its log with its peers'"
)]
pub struct StaleEntry {
    /// The entry.
    pub index: LogIndex,
    /// Its epoch.
    pub epoch: Epoch,
    /// The last entry applied.
    pub last_index: LogIndex,
    /// The last epoch applied.
    pub last_epoch: Epoch,
}

/// Steps of matching that one order is expected to cause at most; more make the buffer grow once.
const FILLS: usize = 4_096;

/// What came in by opening accounts and never changes by trading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub cash: Money,
    pub shares: BTreeMap<SymbolId, Quantity>,
}

/// The session and number that a command's effects answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    /// The session's row.
    pub session: u32,
    pub client_seq: ClientSeq,
    /// The account's row.
    pub account: u32,
}

/// Facts of the whole shard that a snapshot keeps as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub limits: Limits,
    pub context: EntryContext,
    pub last_seq: LogSeq,
    pub hash: HistoryHash,
    pub counters: Counters,
    pub last_trade: TradeId,
    pub maintenance: Option<MaintenanceLease>,
    pub operations: Operations,
    pub totals: Totals,
    pub group: Group,
    /// The last day that was settled.
    pub settled_day: TradingDay,
    /// What symbols listed from now on begin with, by board.
    pub phases: [Phase; 5],
    pub risk: Risk,
    pub clearing: Clearing,
    pub transfers: Transfers,
    pub surveillance: Surveillance,
    /// Kept apart, see `snapshot.rs`.
    #[serde(skip)]
    pub fees: FeesCollected,
}

/// The replicated state of one shard, over books of a kind. See [`crate::State`].
#[derive(Clone)]
pub struct Shard<B> {
    pub(crate) facts: Facts,
    pub(crate) listings: Vec<Listing<B>>,
    pub(crate) listing_of: Lookup,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Vec<Session>,
    pub(crate) session_of: Index,
    pub(crate) messages: Messages,
    pub(crate) orders: Orders,
    pub(crate) client_ids: ClientIds,
    /// Sessions that are disconnected and whose orders go, by when.
    pub(crate) graces: BTreeSet<(UnixMicros, u32)>,
    /// Symbols' rows whose trading is suspended, by until when.
    pub(crate) suspensions: BTreeSet<(UnixMicros, u32)>,
    /// Symbols' rows that hold orders outside of a cage.
    pub(crate) holding: BTreeSet<u32>,
    /// Reused between commands, empty between them.
    pub(crate) fills: Vec<Fill>,
    pub(crate) auction_fills: Vec<AuctionFill>,
    pub(crate) findings: Vec<Finding>,
}

impl<B: MarketBook> Default for Shard<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: MarketBook> Shard<B> {
    /// The state before the first command, with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// The state before the first command with bounds of one's own.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            facts: Facts {
                limits,
                context: EntryContext::default(),
                last_seq: LogSeq(0),
                hash: HistoryHash::default(),
                counters: Counters::default(),
                last_trade: TradeId(0),
                maintenance: None,
                operations: Operations::default(),
                totals: Totals::default(),
                group: Group::default(),
                settled_day: TradingDay(0),
                phases: [Phase::default(); 5],
                risk: Risk::default(),
                clearing: Clearing::default(),
                transfers: Transfers::default(),
                surveillance: Surveillance::default(),
                fees: FeesCollected::default(),
            },
            listings: Vec::new(),
            listing_of: Lookup::with_room(limits.symbols_max as usize),
            accounts: Accounts::new(&limits),
            sessions: Vec::with_capacity(limits.sessions_max as usize),
            session_of: Index::with_room(limits.sessions_max as usize),
            messages: Messages::new(&limits),
            orders: Orders::new(&limits),
            client_ids: ClientIds::with_room(limits.client_order_ids_max, limits.accounts_max),
            graces: BTreeSet::new(),
            suspensions: BTreeSet::new(),
            holding: BTreeSet::new(),
            fills: Vec::with_capacity(FILLS),
            auction_fills: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Makes the operating system hand out the tables' pages now, so that no command waits for one.
    /// Takes the memory that [`Limits`] tells. What the state holds does not change.
    pub fn touch_tables(&mut self) {
        self.client_ids.touch();
        self.messages.touch();
        self.session_of.touch();
        self.orders.touch();
        self.accounts.touch();
    }

    /// Whether an entry may come next: neither index nor epoch goes back.
    ///
    /// The replication layer sees to that; whoever feeds [`Shard::apply`] asks here once an entry,
    /// so that a fault there stops the replica instead of spreading.
    ///
    /// # Errors
    /// [`StaleEntry`] when it may not.
    pub fn admit(&self, context: EntryContext) -> Result<(), StaleEntry> {
        let last = self.facts.context;
        if context.epoch >= last.epoch && context.index >= last.index {
            return Ok(());
        }
        Err(StaleEntry {
            index: context.index,
            epoch: context.epoch,
            last_index: last.index,
            last_epoch: last.epoch,
        })
    }

    /// [`Shard::admit`], and takes the entry's bytes into the history hash: once an entry, before
    /// its commands. All replicas of a shard do so, or none.
    ///
    /// # Errors
    /// [`StaleEntry`] when the entry may not come next; nothing has changed then.
    pub fn begin_entry(&mut self, context: EntryContext, bytes: &[u8]) -> Result<(), StaleEntry> {
        self.admit(context)?;
        self.facts.hash.entry(context, bytes);
        Ok(())
    }

    /// Applies the next command of the log and appends what it causes.
    ///
    /// Once the tables and `events` have grown to their size, a client's requests about limit and
    /// market orders allocate nothing, as far as the book allocates nothing; logons, control
    /// records, stop orders and the end of an auction may.
    pub fn apply(&mut self, context: EntryContext, command: &Command, events: &mut Vec<Event>) {
        let first = events.len();
        self.facts.context = context;
        self.facts.last_seq.0 += 1;
        self.facts.counters.commands += 1;
        self.end_expired_maintenance();
        self.end_expired_graces(events);
        if !self.suspensions.is_empty() {
            self.end_suspensions(events);
        }
        match command {
            Command::Client(command) => self.client(command, events),
            Command::Logon(logon) => self.logon(logon, events),
            Command::Disconnect { session } => self.disconnect(*session),
            Command::Tick => {}
            Command::Control(control) => {
                let outcome = self.control(control, events);
                self.enter_held(events);
                events.push(Event::Control(outcome));
            }
        }
        if !self.holding.is_empty() {
            self.enter_held(events);
        }
        self.accounts.assert_nothing_appeared();
        self.raise_alerts(command, events);
        let seq = self.facts.last_seq;
        self.facts.hash.command(context, seq, &events[first..]);
    }

    fn logon(&mut self, logon: &Logon, events: &mut Vec<Event>) {
        events.push(match self.try_logon(logon) {
            Ok(logged_on) => logged_on,
            Err(reason) => {
                self.facts.counters.refused += 1;
                Event::LogonRefused {
                    session: logon.session,
                    reason,
                }
            }
        });
    }

    fn try_logon(&mut self, logon: &Logon) -> Result<Event, RejectReason> {
        let (id, account, seen) = (logon.session, logon.account, logon.last_out_seq_seen);
        let account_row = self.accounts.row_of(account);
        let account_row = account_row.ok_or(RejectReason::UnknownAccount { account })?;
        let known = self.session_row(id);
        let session = known.map(|row| &self.sessions[row as usize]);
        if let Some(owner) = session.map(|session| session.account)
            && owner != account_row
        {
            return Err(RejectReason::SessionOfAnotherAccount {
                session: id,
                owner: self.accounts.at(owner).id,
                account,
            });
        }
        let last = session.map_or(OutSeq(0), Session::last_out_seq);
        if seen > last {
            return Err(RejectReason::OutSeqAhead {
                session: id,
                seen,
                last,
            });
        }
        let row = match known {
            Some(row) => row,
            None => self.open_session(id, account_row)?,
        };
        self.end_grace(row);
        let session = &mut self.sessions[row as usize];
        session.trader = logon.trader;
        session.cancel_on_disconnect_ms = logon.cancel_on_disconnect_ms;
        let (replay, replay_missing) = session.replay(&self.messages, seen);
        Ok(Event::LoggedOn {
            session: id,
            next_client_seq: session.next_client_seq,
            next_out_seq: session.next_out_seq,
            replay,
            replay_missing,
        })
    }

    fn open_session(&mut self, id: SessionId, account: u32) -> Result<u32, RejectReason> {
        let max = self.facts.limits.sessions_max;
        bounded(Table::Sessions, self.sessions.len() as u64, max)?;
        let row = self.sessions.len() as u32;
        let session = Session::new(id, account, &mut self.messages);
        self.sessions.push(session);
        let sessions = &self.sessions;
        (self.session_of).insert(session_hash(id), row, |row| {
            session_hash(sessions[row as usize].id)
        });
        self.facts.counters.sessions += 1;
        Ok(row)
    }

    /// The row of a session.
    #[inline]
    pub(crate) fn session_row(&self, id: SessionId) -> Option<u32> {
        let is_it = |row: u32| self.sessions[row as usize].id == id;
        self.session_of.get(session_hash(id), is_it)
    }

    /// Numbers a message to a session, keeps it for replay and emits it.
    #[inline(always)]
    pub(crate) fn send(
        &mut self,
        to: u32,
        in_reply_to: Option<ClientSeq>,
        report: Report,
        events: &mut Vec<Event>,
    ) {
        let cause = (self.facts.last_seq, self.facts.context.epoch);
        let max = self.facts.limits.replay_messages_max;
        let session = &mut self.sessions[to as usize];
        let (message, dropped) = session.send(&mut self.messages, cause, in_reply_to, report, max);
        self.facts.counters.replay_dropped += dropped;
        emit(events, || Event::ToSession(message));
    }

    /// Tells the session that entered an order what happened to it.
    #[inline(always)]
    pub(crate) fn report(
        &mut self,
        order: u32,
        requester: Option<Requester>,
        report: Report,
        events: &mut Vec<Event>,
    ) {
        let owner = self.orders.at(order).session;
        let in_reply_to = requester
            .filter(|requester| requester.session == owner)
            .map(|requester| requester.client_seq);
        self.send(owner, in_reply_to, report, events);
    }

    pub(crate) fn listing_row(&self, symbol: SymbolId) -> Option<u32> {
        self.listing_of.get(symbol.0.into())
    }

    pub(crate) fn listing(&self, row: u32) -> &Listing<B> {
        &self.listings[row as usize]
    }

    pub(crate) fn listing_mut(&mut self, row: u32) -> &mut Listing<B> {
        &mut self.listings[row as usize]
    }

    pub(crate) fn view_of(&self, order: &Order) -> OrderView {
        let account = self.accounts.at(order.account).id;
        let symbol = self.listing(order.symbol).definition.symbol;
        crate::orders::view(order, account, symbol)
    }

    /// The number of the last command applied.
    #[must_use]
    pub fn last_seq(&self) -> LogSeq {
        self.facts.last_seq
    }

    /// The entry, epoch and time of the last command applied.
    #[must_use]
    pub fn last_entry(&self) -> EntryContext {
        self.facts.context
    }

    /// The running hash of all entries and events.
    #[must_use]
    pub fn history_hash(&self) -> HistoryHash {
        self.facts.hash
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.facts.counters
    }

    /// The maintenance lease that stands at the time of the last command.
    #[must_use]
    pub fn maintenance(&self) -> Option<&MaintenanceLease> {
        self.facts.maintenance.as_ref()
    }

    /// The operation that runs, those that ended, and where the last one put leadership.
    #[must_use]
    pub fn operations(&self) -> &Operations {
        &self.facts.operations
    }

    /// What symbols of each board begin with when they are listed: the phase that the board is in.
    #[must_use]
    pub fn phase_of(&self, board: Board) -> Phase {
        self.facts.phases[board as usize]
    }

    /// The number that a session's next request must carry; `None` before its first logon.
    #[must_use]
    pub fn next_client_seq(&self, session: SessionId) -> Option<ClientSeq> {
        Some(self.session(session)?.next_client_seq)
    }

    /// The account that a session trades for; `None` before its first logon.
    #[must_use]
    pub fn account_of_session(&self, session: SessionId) -> Option<AccountId> {
        Some(self.accounts.at(self.session(session)?.account).id)
    }

    /// A message that is still kept for replay.
    #[must_use]
    pub fn message(&self, session: SessionId, out_seq: OutSeq) -> Option<Outbound> {
        self.session(session)?.message(&self.messages, out_seq)
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(self.session_row(id)? as usize)
    }

    /// The bounds in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.facts.limits
    }

    /// A symbol as it is listed.
    #[must_use]
    pub fn symbol(&self, symbol: SymbolId) -> Option<&SymbolDefinition> {
        Some(&self.listing(self.listing_row(symbol)?).definition)
    }

    /// All listed symbols, in the order in which they were listed first.
    pub fn symbols(&self) -> impl Iterator<Item = &SymbolDefinition> {
        self.listings.iter().map(|listing| &listing.definition)
    }

    /// The phase that a symbol is in.
    #[must_use]
    pub fn phase(&self, symbol: SymbolId) -> Option<Phase> {
        Some(self.listing(self.listing_row(symbol)?).phase)
    }

    /// The price of a symbol's last trade; `None` before its first, and for unlisted symbols.
    #[must_use]
    pub fn last_price(&self, symbol: SymbolId) -> Option<Price> {
        self.listing(self.listing_row(symbol)?).last
    }

    /// The last price of the trading day before, as a day's end or a control record told it; `None`
    /// where neither has.
    #[must_use]
    pub fn previous_close(&self, symbol: SymbolId) -> Option<Price> {
        self.listing(self.listing_row(symbol)?).previous_close
    }

    /// A symbol's book.
    #[must_use]
    pub fn book(&self, symbol: SymbolId) -> Option<&B> {
        Some(&self.listing(self.listing_row(symbol)?).book)
    }

    /// The best price that rests on a side of a symbol's book.
    #[must_use]
    pub fn best_price(&self, symbol: SymbolId, side: Side) -> Option<Price> {
        self.book(symbol)?.best(side)
    }

    /// An order that is open, or closed not long ago.
    #[must_use]
    pub fn order(&self, order: OrderId) -> Option<OrderView> {
        let row = self.orders.row_of(order)?;
        Some(self.view_of(self.orders.at(row)))
    }

    /// What an account holds.
    #[must_use]
    pub fn account(&self, account: AccountId) -> Option<AccountView> {
        let account = self.accounts.at(self.accounts.row_of(account)?);
        let mut positions: Vec<_> = self
            .accounts
            .positions_of(account)
            .map(|position| {
                let symbol = self.listing(position.symbol).definition.symbol;
                (symbol, position.held, position.frozen)
            })
            .collect();
        positions.sort_unstable();
        Some(AccountView {
            cash: account.cash,
            cash_frozen: account.cash_frozen,
            positions,
            open_orders: account.open_orders.into(),
            terms: account.terms,
        })
    }
}

/// Equal states go on equally: they have equal snapshots.
impl<B: MarketBook> PartialEq for Shard<B> {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.snapshot(), other.snapshot()), (Ok(one), Ok(two)) if one == two)
    }
}

impl<B> fmt::Debug for Shard<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// Where a session is looked for.
#[inline]
pub(crate) fn session_hash(id: SessionId) -> u64 {
    id.0.wrapping_mul(GOLDEN) >> 32
}

/// Appends an event that is made where it will stand: to be pushed, it would be made on the stack and
/// read back from there.
#[inline(always)]
pub(crate) fn emit(events: &mut Vec<Event>, make: impl FnOnce() -> Event) {
    events.extend(std::iter::once_with(make));
}

/// Refuses one more of something that has a bound.
pub(crate) fn bounded(table: Table, present: u64, max: u64) -> Result<(), RejectReason> {
    if present < max {
        return Ok(());
    }
    Err(RejectReason::Full { table, max })
}
