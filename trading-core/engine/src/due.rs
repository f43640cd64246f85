//! What time brings about: the commands that the leader owes the log by its clock.
//!
//! ```text
//!   clock ──► Shard::due ──► SetPhase   the calendar's phase is another than the market's
//!             (the leader)   Tick       a grace or a suspension has run out, and no traffic carries
//!                                       the time
//!                               │
//!                               └──► log ──► every replica applies the same
//! ```
//! Looking changes nothing, and asking twice does no harm: both commands are idempotent.

use crate::Shard;
use crate::listing::MarketBook;
use rules::{NowHolds, OutsideCalendar, RuleSet};
use types::{Board, Command, Control, Phase, PhaseScope, SessionId, UnixMicros};

/// Commands of one look at most; the next look finds the rest.
const COMMANDS_MAX: usize = 256;

/// What is due at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// What to submit, in this order.
    pub commands: Vec<Command>,
    /// When something comes next that this state knows of; none when nothing does.
    pub next: Option<UnixMicros>,
    /// The calendar does not cover the time: phases are held as they are.
    pub outside_calendar: Option<OutsideCalendar>,
}

impl<B: MarketBook> Shard<B> {
    /// What is due by the leader's clock. Without rules loaded, phases are moved by hand alone, and
    /// halted symbols are left as they are with any.
    ///
    /// Looks at every symbol once rules are loaded, so ask again at [`Due::next`] or a second later,
    /// not with every batch.
    #[must_use]
    pub fn due(&self, now: UnixMicros) -> Due {
        let mut due = Due::default();
        if let Some(rules) = self.facts.risk.rule_set() {
            match self.due_phases(rules, now) {
                Ok((commands, next)) => {
                    due.commands = commands;
                    due.next = next;
                }
                Err(outside) => due.outside_calendar = Some(outside),
            }
        }
        for (until, _) in [self.graces.first(), self.suspensions.first()]
            .into_iter()
            .flatten()
        {
            // A command of any kind carries the time.
            if *until <= now && due.commands.is_empty() {
                due.commands.push(Command::Tick);
            }
            let at = (*until).max(now);
            due.next = Some(due.next.map_or(at, |next| next.min(at)));
        }
        due
    }

    /// Sessions that asked for cancel on disconnect and whose grace does not run: a connection holds
    /// them, or they left long ago. A new leader tells the log that all of them are disconnected
    /// ([`Command::Disconnect`]), before any can come back to it; those that left lose nothing more.
    pub fn sessions_held_by_connections(&self) -> impl Iterator<Item = SessionId> {
        let held = |session: &&crate::session::Session| {
            session.cancel_on_disconnect_ms.is_some() && session.grace_until.is_none()
        };
        self.sessions.iter().filter(held).map(|session| session.id)
    }

    fn due_phases(
        &self,
        rules: &RuleSet,
        now: UnixMicros,
    ) -> Result<(Vec<Command>, Option<UnixMicros>), OutsideCalendar> {
        let holds: Result<Vec<NowHolds>, _> = (rules.markets.iter())
            .map(|market| rules.now_holds(market, now))
            .collect();
        let holds = holds?;
        let next = (holds.iter().filter_map(|holds| holds.next)).map(|next| next.at);
        let mut commands = Vec::new();
        let mut set = |scope, phase| {
            if commands.len() < COMMANDS_MAX {
                commands.push(Command::Control(Control::SetPhase { scope, phase }));
            }
        };
        let mut settled = [None; Board::ALL.len()];
        for board in Board::ALL {
            let of_board = rules.markets.iter().zip(&holds);
            let mut phases = of_board
                .filter(|(market, _)| market.board == board)
                .map(|(_, holds)| holds.phase);
            let Some(phase) = phases.next().filter(|first| phases.all(|it| it == *first)) else {
                continue;
            };
            settled[board as usize] = Some(phase);
            let differs = |held: Phase| held != phase && held != Phase::Halted;
            let is_due = differs(self.facts.phases[board as usize])
                || (self.listings.iter())
                    .any(|it| it.definition.board == board && differs(it.phase));
            if is_due {
                set(PhaseScope::Board(board), phase);
            }
        }
        // Where the markets of a board go different ways, each symbol is told.
        for listing in &self.listings {
            let definition = &listing.definition;
            if settled[definition.board as usize].is_some() || listing.phase == Phase::Halted {
                continue;
            }
            let own = rules.markets.iter().position(|market| {
                market.board == definition.board && market.securities.contains(&definition.security)
            });
            if let Some(holds) = own.and_then(|market| holds.get(market))
                && holds.phase != listing.phase
            {
                set(PhaseScope::Symbol(definition.symbol), holds.phase);
            }
        }
        Ok((commands, next.min()))
    }
}
