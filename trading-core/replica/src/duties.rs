//! What a serving leader owes the log by itself: no client asks for it.
//!
//! ```text
//!   begins to serve ──► Disconnect for each session that the leader before held connected
//!   clock ────────────► phases by the calendar, graces that run out (engine::Shard::due)
//! ```
//! Everything goes through the log as a command; whoever leads next does the same, and twice does
//! no harm.

use crate::Replica;
use engine::OutsideCalendar;
use std::collections::VecDeque;
use types::{Command, Epoch, SessionId, UnixMicros};

/// At least so often a leader looks what its clock owes the log.
const LOOK_INTERVAL_US: u64 = 1_000_000;
/// Soonest after a look comes the next one: what was submitted is applied by then.
const LOOK_PAUSE_US: u64 = 20_000;

/// What is still to be done.
#[derive(Debug, Default)]
pub struct Duties {
    served: Option<Epoch>,
    /// Sessions of the leader before that are still to be told disconnected. Their number is bounded
    /// by the sessions that the state may hold.
    left_behind: VecDeque<SessionId>,
    look_at: UnixMicros,
    outside_calendar: Option<OutsideCalendar>,
}

impl Duties {
    /// Clients' commands have to wait: a session that logged on again before its old connection's
    /// end stands in the log would lose its orders.
    #[must_use]
    pub fn come_first(&self) -> bool {
        !self.left_behind.is_empty()
    }

    /// Why the phases of a market are held as they are: the calendar does not reach to this day.
    #[must_use]
    pub fn outside_calendar(&self) -> Option<&OutsideCalendar> {
        self.outside_calendar.as_ref()
    }

    /// Submits what is due, as far as there is room. Called each turn.
    pub fn keep(&mut self, replica: &mut Replica, now: UnixMicros) {
        if !replica.serving() {
            self.served = None;
            self.left_behind.clear();
            self.outside_calendar = None;
            return;
        }
        if self.served != Some(replica.epoch()) {
            self.served = Some(replica.epoch());
            self.left_behind = replica.state().sessions_held_by_connections().collect();
            self.look_at = now;
        }
        while replica.has_room()
            && let Some(session) = self.left_behind.pop_front()
        {
            submit(replica, Command::Disconnect { session });
        }
        if now < self.look_at || self.come_first() {
            return;
        }
        let due = replica.state().due(now);
        self.outside_calendar = due.outside_calendar;
        for command in due.commands {
            submit(replica, command);
        }
        let next = due.next.map_or(u64::MAX, |next| next.0);
        let earliest = now.0 + LOOK_PAUSE_US;
        self.look_at = UnixMicros(next.clamp(earliest, now.0 + LOOK_INTERVAL_US));
    }
}

/// What finds no room now is found due again at the next look.
fn submit(replica: &mut Replica, command: Command) {
    let _ = replica.submit(None, command);
}
