//! Matches a few orders and prints what each caused: the engine alone, no replicas, no network, no
//! Kubernetes.
//!
//! ```text
//! cargo run -p engine --example match_a_few
//! ```

use engine::{EntryContext, State};
use types::{
    AccountId, ClOrdId, ClientCommand, ClientSeq, Command, Control, Epoch, Event, LogIndex, Logon,
    Money, NewOrder, OutSeq, Price, Quantity, Report, Request, SessionId, Side, SymbolDefinition,
    SymbolId, UnixMicros,
};

const SYMBOL: SymbolId = SymbolId(600_000);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let yuan = |yuan: i64| Price(yuan * Price::PER_YUAN);
    let mut state = State::new();
    let mut commands = vec![Command::Control(Control::DefineSymbol(
        SymbolDefinition::share(SYMBOL, yuan(9), yuan(11)),
    ))];
    for id in [1, 2] {
        commands.push(Command::Control(Control::OpenAccount {
            account: AccountId(id),
            cash: Money(100_000 * Price::PER_YUAN),
            positions: vec![(SYMBOL, Quantity(1_000))],
        }));
        commands.push(Command::Logon(Logon::new(
            SessionId(id),
            AccountId(id),
            OutSeq(0),
        )));
    }
    // Account 1 offers at two prices; account 2 takes the first and a part of the second.
    commands.push(limit(1, 1, "offer-1", Side::Sell, 300, yuan(10))?);
    commands.push(limit(1, 2, "offer-2", Side::Sell, 500, Price(101_000))?);
    commands.push(limit(2, 1, "bid-1", Side::Buy, 600, Price(101_000))?);
    // Sent again, as a client does that saw no answer: it takes effect once.
    commands.push(limit(2, 1, "bid-1", Side::Buy, 600, Price(101_000))?);
    // Out of today's limits: refused with a code and a text.
    commands.push(limit(2, 2, "bid-2", Side::Buy, 100, yuan(12))?);

    for (position, command) in (1..).zip(&commands) {
        let context = EntryContext {
            epoch: Epoch(1),
            index: LogIndex(position),
            leader_time: UnixMicros(1_700_000_000_000_000),
        };
        let mut events = Vec::new();
        state.apply(context, command, &mut events);
        for event in &events {
            print(event);
        }
    }
    state.check_conservation()?;
    println!("cash and shares only changed hands");
    Ok(())
}

fn limit(
    session: u64,
    client_seq: u64,
    name: &str,
    side: Side,
    quantity: u64,
    price: Price,
) -> Result<Command, types::IdError> {
    Ok(Command::Client(ClientCommand {
        session: SessionId(session),
        client_seq: ClientSeq(client_seq),
        request: Request::New(NewOrder::limit(
            ClOrdId::new(name)?,
            SYMBOL,
            side,
            Quantity(quantity),
            price,
        )),
    }))
}

fn print(event: &Event) {
    match event {
        Event::ToSession(message) => {
            let session = message.session;
            match &message.report {
                Report::Accepted { cl_ord_id, .. } => {
                    println!("session {session}: {cl_ord_id} accepted");
                }
                Report::Filled {
                    cl_ord_id,
                    price,
                    quantity,
                    remaining,
                    ..
                } => println!(
                    "session {session}: {cl_ord_id} filled {quantity} at {price}, {remaining} left"
                ),
                Report::Rejected { reason, .. } => {
                    println!("session {session}: rejected, {}: {reason}", reason.code());
                }
                other => println!("session {session}: {other:?}"),
            }
        }
        Event::Duplicate {
            session,
            client_seq,
            ..
        } => println!("session {session}: request {client_seq} was seen before, answered as then"),
        Event::LoggedOn { session, .. } => println!("session {session}: logged on"),
        other => println!("{other:?}"),
    }
}
