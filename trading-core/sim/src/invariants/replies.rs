//! Source: references/reliability.md B: replies match the log; nothing is answered before it is
//! committed. Held at the moment at which a client is told.

use super::{Invariant, Seen};
use history::SeenMessage;
use std::collections::BTreeMap;
use types::{Event, OutSeq, SessionId};

/// What the log says to each session.
#[derive(Default)]
pub struct Replies(BTreeMap<(SessionId, OutSeq), SeenMessage>);

impl Invariant for Replies {
    fn words(&self) -> &'static str {
        "a client is told what the log says, once it is committed"
    }

    fn see(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Entry { commands, .. } => {
                for event in commands.iter().flat_map(|(_, events)| events) {
                    if let Event::ToSession(told) = event {
                        self.0.insert((told.session, told.out_seq), told.into());
                    }
                }
                Ok(())
            }
            Seen::Told { session, message } if message.out_seq.0 > 0 => {
                match self.0.get(&(*session, message.out_seq)) {
                    Some(logged) if logged == *message => Ok(()),
                    Some(logged) => Err(format!(
                        "session {session} was told {message:?}, the log says {logged:?}"
                    )),
                    None => Err(format!(
                        "session {session} was told {message:?}, which is not committed"
                    )),
                }
            }
            _ => Ok(()),
        }
    }
}
