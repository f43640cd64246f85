//! From FIX to the core: what a counterparty's message asks for. The table is in the crate's README.

use crate::dictionary::{Field, Kind};
use crate::message::Message;
use crate::orders::{Entered, SELF_TRADE_DEFAULT};
use crate::value;
use types::{
    AccountId, ClOrdId, MarketStyle, NewOrder, OrderKind, Price, Request, SelfTradePrevention,
    Side, SymbolId, TimeInForce,
};

/// Why a message that keeps the rules of FIX cannot be asked of the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of which kind.
    pub cause: Cause,
    /// In words: the field, the value, what is accepted.
    pub text: String,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A field that this kind of order must have is missing.
    Missing(Field),
    /// Something that FIX has and the core has not.
    Unsupported(Field),
    /// No such symbol can be.
    Symbol,
    /// Another account than the session's.
    Account,
    /// An id that the core cannot have.
    Id(Field),
}

fn refuse<T>(cause: Cause, text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        cause,
        text: text.into(),
    })
}

/// What a message asks for; `None` when its kind is no request.
///
/// # Errors
/// [`Refusal`], to be answered as the message's kind wants it.
pub fn read(message: &Message<'_>, account: AccountId) -> Result<Option<Entered>, Refusal> {
    if message.has(Field::Account) && message.count(Field::Account) != Some(account.0) {
        let named = message.text(Field::Account).unwrap_or_default();
        let text = format!("Account (1) {named:?} is not accepted: use {account} or leave it out");
        return refuse(Cause::Account, text);
    }
    Ok(Some(match message.kind() {
        Some(Kind::NewOrderSingle) => Entered::New(new_order(message)?),
        Some(Kind::OrderCancelRequest) => {
            symbol(message)?;
            side(message)?;
            Entered::Cancel {
                id: id(message, Field::ClOrdID)?,
                original: id(message, Field::OrigClOrdID)?,
            }
        }
        Some(Kind::OrderCancelReplaceRequest) => replace(message)?,
        Some(Kind::OrderMassCancelRequest) => mass_cancel(message)?,
        Some(Kind::OrderStatusRequest) => Entered::Status {
            original: id(message, Field::ClOrdID)?,
            request_id: message.text(Field::OrdStatusReqID).map(str::to_owned),
        },
        _ => return Ok(None),
    }))
}

fn id(message: &Message<'_>, field: Field) -> Result<ClOrdId, Refusal> {
    let bytes = message.bytes_of(field).unwrap_or_default();
    ClOrdId::of_bytes(bytes).map_or_else(|| {
        let text = message.text(field).unwrap_or_default();
        let text = format!(
            "{} ({}) {text:?} is not accepted: use 1 to {} printable ASCII characters without spaces",
            field.rule().name,
            field.tag(),
            ClOrdId::LENGTH_MAX
        );
        refuse(Cause::Id(field), text)
    }, Ok)
}

fn symbol(message: &Message<'_>) -> Result<SymbolId, Refusal> {
    let bytes = message.bytes_of(Field::Symbol).unwrap_or_default();
    let number = value::count(bytes).and_then(|number| u32::try_from(number).ok());
    match number {
        Some(number) if bytes.len() == 6 => Ok(SymbolId(number)),
        _ => {
            let text = message.text(Field::Symbol).unwrap_or_default();
            let text = format!("Symbol (55) {text:?} is not accepted: use six digits");
            refuse(Cause::Symbol, text)
        }
    }
}

fn side(message: &Message<'_>) -> Result<Side, Refusal> {
    match message.character(Field::Side) {
        Some(b'1') => Ok(Side::Buy),
        Some(b'2') => Ok(Side::Sell),
        _ => unsupported(message, Field::Side, "use 1 (buy) or 2 (sell)"),
    }
}

fn unsupported<T>(message: &Message<'_>, field: Field, accepted: &str) -> Result<T, Refusal> {
    let value = message.text(field).unwrap_or_default();
    let (name, tag) = (field.rule().name, field.tag());
    let text = format!("{name} ({tag}) {value:?} is not supported: {accepted}");
    refuse(Cause::Unsupported(field), text)
}

fn price(message: &Message<'_>, field: Field) -> Result<Price, Refusal> {
    message.price(field).map_or_else(
        || {
            let text = format!(
                "{} ({}) is missing: this OrdType (40) needs it",
                field.rule().name,
                field.tag()
            );
            refuse(Cause::Missing(field), text)
        },
        Ok,
    )
}

/// A field that this kind of order may not have: ignored it would look accepted.
fn absent(message: &Message<'_>, field: Field) -> Result<(), Refusal> {
    if message.has(field) {
        return unsupported(message, field, "leave it out with this OrdType (40)");
    }
    Ok(())
}

fn new_order(message: &Message<'_>) -> Result<NewOrder, Refusal> {
    let time_in_force = time_in_force(message)?;
    let kind = match message.character(Field::OrdType) {
        Some(b'1') => {
            absent(message, Field::StopPx)?;
            // The price of a market order is the worst that it accepts.
            OrderKind::Market {
                style: market_style(message)?,
                protection: message.price(Field::Price),
            }
        }
        Some(b'2') => {
            absent(message, Field::StopPx)?;
            OrderKind::Limit {
                price: price(message, Field::Price)?,
            }
        }
        Some(b'3') => {
            absent(message, Field::Price)?;
            OrderKind::Stop {
                trigger: price(message, Field::StopPx)?,
            }
        }
        Some(b'4') => OrderKind::StopLimit {
            trigger: price(message, Field::StopPx)?,
            price: price(message, Field::Price)?,
        },
        _ => {
            let accepted = "use 1 (market), 2 (limit), 3 (stop) or 4 (stop limit)";
            return unsupported(message, Field::OrdType, accepted);
        }
    };
    Ok(NewOrder {
        cl_ord_id: id(message, Field::ClOrdID)?,
        symbol: symbol(message)?,
        side: side(message)?,
        quantity: message.quantity(Field::OrderQty).unwrap_or_default(),
        kind,
        time_in_force,
        post_only: is_post_only(message)?,
        display: message.quantity(Field::MaxFloor),
        self_trade_prevention: self_trade_prevention(message),
    })
}

fn time_in_force(message: &Message<'_>) -> Result<TimeInForce, Refusal> {
    Ok(match message.character(Field::TimeInForce) {
        None | Some(b'0') => TimeInForce::Day,
        Some(b'1') => TimeInForce::GoodTillCancel,
        Some(b'3') => TimeInForce::ImmediateOrCancel,
        Some(b'4') => TimeInForce::FillOrKill,
        _ => {
            let accepted = "use 0 (day), 1 (GTC), 3 (IOC) or 4 (FOK)";
            return unsupported(message, Field::TimeInForce, accepted);
        }
    })
}

fn market_style(message: &Message<'_>) -> Result<MarketStyle, Refusal> {
    match message.character(Field::TimeInForce) {
        None | Some(b'0' | b'3') => Ok(MarketStyle::ImmediateOrCancel),
        Some(b'4') => Ok(MarketStyle::FillOrKill),
        _ => {
            let accepted = "use 0, 3 (IOC) or 4 (FOK) with a market order";
            unsupported(message, Field::TimeInForce, accepted)
        }
    }
}

/// `ExecInst` may hold several characters, a space between each.
fn is_post_only(message: &Message<'_>) -> Result<bool, Refusal> {
    match message.text(Field::ExecInst) {
        None => Ok(false),
        Some("6") => Ok(true),
        Some(_) => {
            let accepted = "use 6 (participate, do not initiate) or leave it out";
            unsupported(message, Field::ExecInst, accepted)
        }
    }
}

fn self_trade_prevention(message: &Message<'_>) -> SelfTradePrevention {
    match message.character(Field::SelfMatchPreventionInstruction) {
        Some(b'2') => SelfTradePrevention::CancelOldest,
        Some(b'3') => SelfTradePrevention::CancelBoth,
        Some(_) => SelfTradePrevention::CancelNewest,
        None => SELF_TRADE_DEFAULT,
    }
}

fn replace(message: &Message<'_>) -> Result<Entered, Refusal> {
    symbol(message)?;
    side(message)?;
    if message.character(Field::OrdType) != Some(b'2') {
        let accepted = "only limit orders are replaced, use 2";
        return unsupported(message, Field::OrdType, accepted);
    }
    for field in [Field::StopPx, Field::MaxFloor] {
        if message.has(field) {
            return unsupported(
                message,
                field,
                "price and quantity are replaced, leave it out",
            );
        }
    }
    Ok(Entered::Replace {
        original: id(message, Field::OrigClOrdID)?,
        replacement: id(message, Field::ClOrdID)?,
        price: price(message, Field::Price)?,
        quantity: message.quantity(Field::OrderQty).unwrap_or_default(),
    })
}

fn mass_cancel(message: &Message<'_>) -> Result<Entered, Refusal> {
    let symbol = match message.character(Field::MassCancelRequestType) {
        Some(b'1') if !message.has(Field::Symbol) => {
            let text = "Symbol (55) is missing: MassCancelRequestType (530) 1 needs it";
            return refuse(Cause::Missing(Field::Symbol), text);
        }
        Some(b'1') => Some(symbol(message)?),
        Some(b'7') => None,
        _ => {
            let accepted = "use 1 (a symbol) or 7 (all)";
            return unsupported(message, Field::MassCancelRequestType, accepted);
        }
    };
    Ok(Entered::MassCancel {
        id: id(message, Field::ClOrdID)?,
        symbol,
    })
}

/// What the core is asked.
#[must_use]
pub fn to_core(entered: &Entered) -> Request {
    match entered {
        Entered::New(new) => Request::New(*new),
        Entered::Cancel { original, .. } => Request::Cancel {
            original: *original,
        },
        Entered::Replace {
            original,
            replacement,
            price,
            quantity,
        } => Request::Replace {
            original: *original,
            replacement: *replacement,
            price: *price,
            quantity: *quantity,
        },
        Entered::MassCancel { symbol, .. } => Request::MassCancel { symbol: *symbol },
        Entered::Status { original, .. } => Request::Status {
            original: *original,
        },
        Entered::LookUp(_) | Entered::Learn { .. } => Request::Status {
            original: entered.id(),
        },
    }
}
