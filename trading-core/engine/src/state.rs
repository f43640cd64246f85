//! The state and its one way to change.

use crate::account::Account;
use crate::history_hash::{Chain, HistoryHash};
use crate::order::{Order, Orders};
use crate::session::Session;
use crate::{Counters, Limits};
use book::{Fill, NaiveBook};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use types::{
    AccountId, ClientSeq, Command, Epoch, Event, LogIndex, LogSeq, MaintenanceLease, Money,
    OrderId, OutSeq, Outbound, Price, Quantity, RejectReason, Report, SessionId, Side, SymbolId,
    Table, TradeId, UnixMicros,
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

/// A symbol's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolRules {
    /// Prices are multiples of it.
    pub tick: Price,
    /// Buy quantities are multiples of it.
    pub lot: Quantity,
    /// Lowest accepted price.
    pub limit_down: Price,
    /// Highest accepted price.
    pub limit_up: Price,
}

impl SymbolRules {
    /// The worst price inside the day's limits: what a market order goes up or down to.
    pub(crate) fn worst_price(&self, side: Side) -> Price {
        match side {
            Side::Buy => self.limit_up,
            Side::Sell => self.limit_down,
        }
    }
}

/// What an account holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Cash, what is frozen included.
    pub cash: Money,
    /// Cash set aside for open buys.
    pub cash_frozen: Money,
    /// Symbol, shares held, and of these set aside for open sells.
    pub positions: Vec<(SymbolId, Quantity, Quantity)>,
    /// Orders that rest.
    pub open_orders: u64,
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    pub rules: SymbolRules,
    pub book: NaiveBook,
}

/// What came in by opening accounts and never changes by trading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub cash: Money,
    pub shares: BTreeMap<SymbolId, Quantity>,
}

/// The session and number that a command's effects answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    pub session: SessionId,
    pub client_seq: ClientSeq,
    pub account: AccountId,
}

/// The replicated state of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) limits: Limits,
    pub(crate) context: EntryContext,
    pub(crate) last_seq: LogSeq,
    pub(crate) chain: Chain,
    pub(crate) counters: Counters,
    pub(crate) symbols: BTreeMap<SymbolId, Listing>,
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) orders: Orders,
    pub(crate) last_trade: TradeId,
    pub(crate) maintenance: Option<MaintenanceLease>,
    pub(crate) totals: Totals,
    /// Reused between commands, empty between them.
    #[serde(skip)]
    pub(crate) fills: Vec<Fill>,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// The state before the first command, with the default [`Limits`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// The state before the first command with bounds of one's own.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            context: EntryContext::default(),
            last_seq: LogSeq(0),
            chain: Chain::default(),
            counters: Counters::default(),
            symbols: BTreeMap::new(),
            accounts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            orders: Orders::default(),
            last_trade: TradeId(0),
            maintenance: None,
            totals: Totals::default(),
            fills: Vec::new(),
        }
    }

    /// Whether an entry may come next: neither index nor epoch goes back.
    ///
    /// The replication layer sees to that; whoever feeds [`State::apply`] asks here once an entry,
    /// so that a fault there stops the replica instead of spreading.
    ///
    /// # Errors
    /// [`StaleEntry`] when it may not.
    pub fn admit(&self, context: EntryContext) -> Result<(), StaleEntry> {
        if context.epoch >= self.context.epoch && context.index >= self.context.index {
            return Ok(());
        }
        Err(StaleEntry {
            index: context.index,
            epoch: context.epoch,
            last_index: self.context.index,
            last_epoch: self.context.epoch,
        })
    }

    /// Applies the next command of the log and appends what it causes.
    pub fn apply(&mut self, context: EntryContext, command: &Command, events: &mut Vec<Event>) {
        let first = events.len();
        self.context = context;
        self.last_seq.0 += 1;
        self.counters.commands += 1;
        self.end_expired_maintenance();
        match command {
            Command::Logon(logon) => self.logon(
                logon.session,
                logon.account,
                logon.last_out_seq_seen,
                events,
            ),
            // Cancel on disconnect is not executed yet, and nothing else waits for these.
            Command::Disconnect { .. } | Command::Tick => {}
            Command::Client(command) => self.client(command, events),
            Command::Control(control) => {
                let outcome = self.control(control);
                events.push(Event::Control(outcome));
            }
        }
        self.chain
            .extend(context, self.last_seq, command, &events[first..]);
    }

    fn logon(&mut self, id: SessionId, account: AccountId, seen: OutSeq, events: &mut Vec<Event>) {
        events.push(match self.try_logon(id, account, seen) {
            Ok(logged_on) => logged_on,
            Err(reason) => {
                self.counters.refused += 1;
                Event::LogonRefused {
                    session: id,
                    reason,
                }
            }
        });
    }

    fn try_logon(
        &mut self,
        id: SessionId,
        account: AccountId,
        seen: OutSeq,
    ) -> Result<Event, RejectReason> {
        if !self.accounts.contains_key(&account) {
            return Err(RejectReason::UnknownAccount { account });
        }
        let known = self.sessions.get(&id);
        if let Some(owner) = known.map(|session| session.account)
            && owner != account
        {
            return Err(RejectReason::SessionOfAnotherAccount {
                session: id,
                owner,
                account,
            });
        }
        let last = known.map_or(OutSeq(0), Session::last_out_seq);
        if seen > last {
            return Err(RejectReason::OutSeqAhead {
                session: id,
                seen,
                last,
            });
        }
        if known.is_none() {
            let max = self.limits.sessions_max;
            bounded(Table::Sessions, self.sessions.len(), max)?;
            self.counters.sessions += 1;
        }
        let session = self
            .sessions
            .entry(id)
            .or_insert_with(|| Session::new(id, account));
        let (replay, replay_missing) = session.replay(seen);
        Ok(Event::LoggedOn {
            session: id,
            next_client_seq: session.next_client_seq,
            next_out_seq: session.next_out_seq,
            replay,
            replay_missing,
        })
    }

    /// Numbers a message to a session, keeps it for replay and emits it.
    pub(crate) fn send(
        &mut self,
        to: SessionId,
        in_reply_to: Option<ClientSeq>,
        report: Report,
        events: &mut Vec<Event>,
    ) {
        let cause = (self.last_seq, self.context.epoch);
        let messages_max = self.limits.replay_messages_max;
        let session = self
            .sessions
            .get_mut(&to)
            .expect("a session that entered an order stays");
        let (message, dropped) = session.send(cause, in_reply_to, report, messages_max);
        self.counters.replay_dropped += dropped;
        events.push(Event::ToSession(message));
    }

    /// Tells the session that entered an order what happened to it.
    pub(crate) fn report(
        &mut self,
        order: OrderId,
        requester: Option<Requester>,
        report: Report,
        events: &mut Vec<Event>,
    ) {
        let owner = self.orders.known(order).session;
        let in_reply_to = requester
            .filter(|requester| requester.session == owner)
            .map(|requester| requester.client_seq);
        self.send(owner, in_reply_to, report, events);
    }

    pub(crate) fn account_of(&mut self, order: &Order) -> &mut Account {
        self.accounts
            .get_mut(&order.account)
            .expect("an account that has an order stays open")
    }

    pub(crate) fn book_of(&mut self, symbol: SymbolId) -> &mut NaiveBook {
        let listing = self.symbols.get_mut(&symbol);
        &mut listing
            .expect("a symbol that has an order stays listed")
            .book
    }

    /// The number of the last command applied.
    #[must_use]
    pub fn last_seq(&self) -> LogSeq {
        self.last_seq
    }

    /// The entry, epoch and time of the last command applied.
    #[must_use]
    pub fn last_entry(&self) -> EntryContext {
        self.context
    }

    /// The running hash of all commands and events.
    #[must_use]
    pub fn history_hash(&self) -> HistoryHash {
        self.chain.hash()
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The maintenance lease that stands at the time of the last command.
    #[must_use]
    pub fn maintenance(&self) -> Option<&MaintenanceLease> {
        self.maintenance.as_ref()
    }

    /// The number that a session's next request must carry; `None` before its first logon.
    #[must_use]
    pub fn next_client_seq(&self, session: SessionId) -> Option<ClientSeq> {
        Some(self.sessions.get(&session)?.next_client_seq)
    }

    /// The account that a session trades for; `None` before its first logon.
    #[must_use]
    pub fn account_of_session(&self, session: SessionId) -> Option<AccountId> {
        Some(self.sessions.get(&session)?.account)
    }

    /// A message that is still kept for replay.
    #[must_use]
    pub fn message(&self, session: SessionId, out_seq: OutSeq) -> Option<&Outbound> {
        self.sessions.get(&session)?.message(out_seq)
    }

    /// The bounds in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A symbol's rules.
    #[must_use]
    pub fn symbol_rules(&self, symbol: SymbolId) -> Option<SymbolRules> {
        self.symbols.get(&symbol).map(|listing| listing.rules)
    }

    /// A symbol's book.
    #[must_use]
    pub fn book(&self, symbol: SymbolId) -> Option<&NaiveBook> {
        self.symbols.get(&symbol).map(|listing| &listing.book)
    }

    /// What an account holds.
    #[must_use]
    pub fn account(&self, account: AccountId) -> Option<AccountView> {
        let account = self.accounts.get(&account)?;
        let positions = account.positions.iter();
        Some(AccountView {
            cash: account.cash,
            cash_frozen: account.cash_frozen,
            positions: positions.map(|(s, p)| (*s, p.held, p.frozen)).collect(),
            open_orders: account.open.len() as u64,
        })
    }
}

/// Refuses one more of something that has a bound.
pub(crate) fn bounded(table: Table, present: usize, max: u64) -> Result<(), RejectReason> {
    if (present as u64) < max {
        return Ok(());
    }
    Err(RejectReason::Full { table, max })
}
