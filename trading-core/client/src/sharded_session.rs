//! One client over several shards: an order session for each, and a router that chooses.
//!
//! ```text
//!                   ┌─ shard 1: numbers 1, 2, 3 …  ──► entry ─► gateway ─► leader of shard 1
//!   submit(symbol) ─┤
//!                   └─ shard 2: numbers 1, 2, 3 …  ──► entry ─► gateway ─► leader of shard 2
//! ```
//!
//! # Guarantees
//! - Each shard's session is an [`OrderSession`]: what it promises holds for each shard, whatever
//!   happens to the others. While one shard has no leader, orders for the others flow.
//! - A symbol's requests go to the shard that `types::shard_of` names, in the order of their submission.
//!   Between shards there is no order.

use crate::connection::AddressError;
use crate::order_session::OrderSession;
use crate::session::{Event, SessionOptions, SubmitError};
use futures::future::select_all;
use types::{ClientSeq, Request, ShardId, SymbolId, shard_of};

/// Why a request goes to no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It names another symbol than it was submitted for.
    #[error(
        "failed to route: the request is about symbol {named}, not {given}: give its own symbol"
    )]
    AnotherSymbol {
        /// The symbol that it was submitted for.
        given: SymbolId,
        /// The symbol that it names.
        named: SymbolId,
    },
    /// It is about all symbols.
    #[error("failed to route: the request is about every symbol: submit it everywhere")]
    EverySymbol,
    /// The shard's session does not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// The same session of one client on every shard.
pub struct ShardedSession {
    shards: Vec<ShardId>,
    sessions: Vec<(ShardId, OrderSession)>,
    /// Whose events are looked for first: each in turn.
    turn: usize,
}

impl ShardedSession {
    /// A session on each of `shards`, all through these entries (`host:port` of gateways in front of
    /// all of them); `first` is the one to begin with. They connect when [`ShardedSession::next`] is
    /// awaited.
    ///
    /// # Errors
    /// [`AddressError`] for an entry that is no address, or an empty list of entries or shards.
    pub fn new(
        options: &SessionOptions,
        shards: &[ShardId],
        entries: &[String],
        first: usize,
    ) -> Result<Self, AddressError> {
        if shards.is_empty() {
            return Err(AddressError {
                address: String::new(),
                detail: "no shard is given".to_owned(),
            });
        }
        let mut sessions = Vec::new();
        for shard in shards {
            let options = SessionOptions {
                // Those that lose an entry together must not come back in step.
                seed: options.seed ^ (u64::from(shard.0) << 32),
                ..options.clone()
            };
            let session = OrderSession::new(options, entries, first)?.of_shard(*shard);
            sessions.push((*shard, session));
        }
        Ok(Self {
            shards: shards.to_vec(),
            sessions,
            turn: 0,
        })
    }

    /// Numbers a request about a symbol on its shard and sends it, now or after that shard's next
    /// logon. Never waits.
    ///
    /// # Errors
    /// [`RouteError`]: nothing was numbered or sent.
    pub fn submit(
        &mut self,
        symbol: SymbolId,
        request: Request,
    ) -> Result<(ShardId, ClientSeq), RouteError> {
        check(symbol, &request)?;
        let home = shard_of(symbol, &self.shards);
        let session = self.sessions.iter_mut().find(|(it, _)| Some(*it) == home);
        let (shard, session) = session.expect("there is a session for each shard, and one shard");
        Ok((*shard, session.submit(request)?))
    }

    /// Submits a request to every shard, such as a mass cancel of all symbols.
    pub fn submit_everywhere(
        &mut self,
        request: Request,
    ) -> Vec<(ShardId, Result<ClientSeq, SubmitError>)> {
        let each = self.sessions.iter_mut();
        each.map(|(shard, session)| (*shard, session.submit(request)))
            .collect()
    }

    /// What happens next, and on which shard. A shard whose session has ended tells nothing more; when
    /// all have, it never returns. Cancel-safe.
    pub async fn next(&mut self) -> (ShardId, Event) {
        self.turn = (self.turn + 1) % self.sessions.len();
        let (before, from_turn) = self.sessions.split_at_mut(self.turn);
        let each = from_turn.iter_mut().chain(before);
        let each = each.map(|(shard, session)| {
            let shard = *shard;
            Box::pin(async move { (shard, session.next().await) })
        });
        select_all(each).await.0
    }

    /// The shards with their sessions.
    pub fn sessions(&self) -> impl Iterator<Item = (ShardId, &OrderSession)> {
        self.sessions
            .iter()
            .map(|(shard, session)| (*shard, session))
    }
}

/// The request is about this symbol, as far as it says.
fn check(given: SymbolId, request: &Request) -> Result<(), RouteError> {
    let named = match request {
        Request::New(new) => new.symbol,
        Request::MassCancel {
            symbol: Some(named),
        } => *named,
        Request::MassCancel { symbol: None } => return Err(RouteError::EverySymbol),
        // They name an order: who entered it knows its symbol.
        Request::Cancel { .. } | Request::Replace { .. } | Request::Status { .. } => return Ok(()),
    };
    if named == given {
        return Ok(());
    }
    Err(RouteError::AnotherSymbol { given, named })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Timing;
    use types::{AccountId, ClOrdId, NewOrder, Price, Quantity, SessionId, Side};

    fn session(shards: &[ShardId]) -> Result<ShardedSession, AddressError> {
        let options = SessionOptions {
            session: SessionId(7),
            account: AccountId(9),
            in_flight_max: 4,
            seed: 1,
            timing: Timing::default(),
        };
        ShardedSession::new(&options, shards, &["127.0.0.1:1".to_owned()], 0)
    }

    #[test]
    fn a_request_about_another_or_every_symbol_goes_nowhere() {
        let mut session = session(&[ShardId(1), ShardId(2)]).unwrap();
        let (given, named) = (SymbolId(1), SymbolId(2));
        let new = NewOrder::limit(
            ClOrdId::new("A").unwrap(),
            named,
            Side::Buy,
            Quantity(100),
            Price(1),
        );
        let error = session.submit(given, Request::New(new)).unwrap_err();
        assert_eq!(error, RouteError::AnotherSymbol { given, named });
        let all = Request::MassCancel { symbol: None };
        let error = session.submit(given, all).unwrap_err();
        assert_eq!(error, RouteError::EverySymbol);
        let answers = session.submit_everywhere(all);
        assert_eq!(answers.len(), 2);
        // Nobody has logged on: each shard's session says so itself.
        for (_, answer) in answers {
            assert!(matches!(answer, Err(SubmitError::NotLoggedOn { .. })));
        }
    }

    #[test]
    fn a_session_over_no_shard_is_refused() {
        assert!(session(&[]).is_err());
    }
}
