//! Which shards this gateway stands in front of, and which of them a stream or an order is for.
//!
//! ```text
//!   first message: Logon, shard 2 ──► route ──► view of shard 2 ──► its leader
//!   NewOrder, symbol 300750 ──► home: shard 1 ──► not this stream's: told so, and not carried
//! ```

use crate::leader::View;
use protocol::order::client_message::Body;
use protocol::order::{BadRequest, ClientMessage};
use std::collections::BTreeMap;
use tokio::sync::watch;
use tonic::transport::Channel;
use types::{ShardId, SymbolId, shard_of};

/// Who leads each shard.
pub(crate) struct Shards {
    ids: Vec<ShardId>,
    views: BTreeMap<ShardId, watch::Receiver<View<Channel>>>,
}

impl Shards {
    pub(crate) fn new(views: BTreeMap<ShardId, watch::Receiver<View<Channel>>>) -> Self {
        Self {
            ids: views.keys().copied().collect(),
            views,
        }
    }

    /// The shard, where there is only one: then no stream has to say which.
    pub(crate) fn only(&self) -> Option<ShardId> {
        match self.ids.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = (ShardId, &watch::Receiver<View<Channel>>)> {
        self.views.iter().map(|(shard, view)| (*shard, view))
    }

    pub(crate) fn view(&self, shard: ShardId) -> Option<&watch::Receiver<View<Channel>>> {
        self.views.get(&shard)
    }

    /// The shard of a stream whose logon asks for `asked`; else what to say to the client.
    pub(crate) fn route(&self, asked: Option<ShardId>) -> Result<ShardId, String> {
        match (asked, self.only()) {
            (Some(asked), _) if self.views.contains_key(&asked) => Ok(asked),
            (Some(asked), _) => Err(format!(
                "shard {asked} is not served here: use {}",
                self.listed()
            )),
            (None, Some(only)) => Ok(only),
            (None, None) => Err(format!(
                "this entry serves several shards: the logon must name one of {}",
                self.listed()
            )),
        }
    }

    fn listed(&self) -> String {
        let listed: Vec<String> = self.ids.iter().map(ToString::to_string).collect();
        listed.join(", ")
    }

    /// What to say of an order whose symbol belongs to another shard than its stream: it is not
    /// carried, so that a client with an older map of the shards cannot place it where the symbol does
    /// not trade.
    pub(crate) fn misplaced(&self, shard: ShardId, message: &ClientMessage) -> Option<BadRequest> {
        let Some(Body::NewOrder(new)) = &message.body else {
            return None;
        };
        let home = shard_of(SymbolId(new.symbol), &self.ids).filter(|home| *home != shard)?;
        Some(BadRequest {
            client_seq: message.client_seq,
            field: "new_order.symbol".to_owned(),
            text: format!(
                "symbol {} belongs to shard {home}, this stream is for shard {shard}: send it on \
                 that shard's",
                new.symbol
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::order::NewOrder;

    fn shards(ids: &[u16]) -> Shards {
        let view = || watch::channel(View::default()).1;
        Shards::new(ids.iter().map(|id| (ShardId(*id), view())).collect())
    }

    #[test]
    fn a_stream_goes_to_the_shard_that_its_logon_names() {
        let several = shards(&[1, 2]);
        assert_eq!(several.only(), None);
        assert_eq!(several.route(Some(ShardId(2))), Ok(ShardId(2)));
        let text = several.route(Some(ShardId(3))).unwrap_err();
        assert!(text.ends_with("use 1, 2"), "{text}");
        let text = several.route(None).unwrap_err();
        assert!(text.ends_with("must name one of 1, 2"), "{text}");
        let one = shards(&[0]);
        assert_eq!(one.only(), Some(ShardId(0)));
        assert_eq!(one.route(None), Ok(ShardId(0)));
        assert!(one.route(Some(ShardId(1))).is_err());
    }

    #[test]
    fn an_order_for_another_shards_symbol_is_told_where_it_belongs() {
        let order = |symbol| ClientMessage {
            client_seq: 5,
            body: Some(Body::NewOrder(NewOrder {
                symbol,
                ..NewOrder::default()
            })),
        };
        // As the table in `types` has it: of two shards, 300750 is of the first, 600000 of the second.
        let several = shards(&[1, 2]);
        assert_eq!(several.misplaced(ShardId(1), &order(300_750)), None);
        let told = several.misplaced(ShardId(1), &order(600_000)).unwrap();
        assert_eq!((told.client_seq, &*told.field), (5, "new_order.symbol"));
        assert!(told.text.contains("belongs to shard 2"), "{}", told.text);
        assert_eq!(shards(&[0]).misplaced(ShardId(0), &order(600_000)), None);
    }
}
