//! The client's half: what it says.

use super::bytes::{bad_number, i64_at, id_at, put, put_id, u32_at, u64_at, zeros};
use super::frame::{Frame, begin};
use super::layout::{
    cancel, header, heartbeat, logon, mass_cancel, new_order, order_status, replace,
};
use crate::BadField;
use crate::bad_field::from_one;
use crate::order_entry::{Inbound, Logon};
use types::{
    AccountId, ClientSeq, MarketStyle, NewOrder, OrderKind, OutSeq, Price, Quantity, Request,
    SelfTradePrevention, SessionId, Side, SymbolId, TimeInForce, TraderId, UnixMicros,
};

// Values of `order_kind`.
const LIMIT: u8 = 1;
const MARKET: u8 = 2;
const STOP: u8 = 3;
const STOP_LIMIT: u8 = 4;
// Bits of `terms`.
const POST_ONLY: u8 = 1;
const DISPLAY: u8 = 2;
const PROTECTION: u8 = 4;

/// Reads what a client said.
///
/// # Errors
/// [`BadField`], to be told by [`super::write_bad_request`]; the connection goes on.
#[inline]
pub fn read_client(frame: Frame<'_>) -> Result<Inbound, BadField> {
    let bytes = frame.bytes();
    zeros(bytes, header::FLAGS, 4, "header.zeros")?;
    match frame.kind() {
        new_order::KIND => request(frame, Request::New(read_new_order(bytes)?)),
        cancel::KIND => {
            zeros(bytes, cancel::ZEROS, 4, "cancel.zeros")?;
            let original = id_at(
                bytes,
                cancel::ORIGINAL_CL_ORD_ID,
                "cancel.original_cl_ord_id",
            )?;
            request(frame, Request::Cancel { original })
        }
        replace::KIND => {
            let original = id_at(
                bytes,
                replace::ORIGINAL_CL_ORD_ID,
                "replace.original_cl_ord_id",
            )?;
            let replacement = id_at(bytes, replace::CL_ORD_ID, "replace.cl_ord_id")?;
            let replace = Request::Replace {
                original,
                replacement,
                price: Price(i64_at(bytes, replace::PRICE)),
                quantity: Quantity(u64_at(bytes, replace::QUANTITY)),
            };
            request(frame, replace)
        }
        mass_cancel::KIND => request(frame, read_mass_cancel(bytes)?),
        order_status::KIND => {
            zeros(bytes, order_status::ZEROS, 4, "order_status.zeros")?;
            let field = "order_status.original_cl_ord_id";
            let original = id_at(bytes, order_status::ORIGINAL_CL_ORD_ID, field)?;
            request(frame, Request::Status { original })
        }
        logon::KIND => {
            no_client_seq(frame)?;
            read_logon(bytes).map(Inbound::Logon)
        }
        heartbeat::KIND => {
            no_client_seq(frame)?;
            Ok(Inbound::Heartbeat {
                sent_at: UnixMicros(u64_at(bytes, heartbeat::SENT_AT_US)),
            })
        }
        other => {
            let accepted = "a client sends kinds 1 (logon) to 7 (heartbeat)";
            Err(bad_number("header.kind", other.into(), accepted))
        }
    }
}

fn read_logon(bytes: &[u8]) -> Result<Logon, BadField> {
    zeros(bytes, logon::ZEROS, 3, "logon.zeros")?;
    let grace_ms = u32_at(bytes, logon::CANCEL_ON_DISCONNECT_MS);
    let cancel_on_disconnect_ms = match (bytes[logon::CANCEL_ON_DISCONNECT], grace_ms) {
        (0, 0) => None,
        (1, grace_ms) => Some(grace_ms),
        (0, grace_ms) => {
            let accepted = "use 0, or set cancel_on_disconnect to 1";
            let field = "logon.cancel_on_disconnect_ms";
            return Err(bad_number(field, grace_ms.into(), accepted));
        }
        (found, _) => {
            let accepted = "use 0 (orders stay) or 1 (they are cancelled)";
            return Err(bad_number(
                "logon.cancel_on_disconnect",
                found.into(),
                accepted,
            ));
        }
    };
    Ok(Logon {
        session: SessionId(from_one("logon.session", u64_at(bytes, logon::SESSION))?),
        account: AccountId(from_one("logon.account", u64_at(bytes, logon::ACCOUNT))?),
        trader: TraderId(u64_at(bytes, logon::TRADER)),
        last_out_seq_seen: OutSeq(u64_at(bytes, logon::LAST_OUT_SEQ_SEEN)),
        cancel_on_disconnect_ms,
    })
}

#[inline]
fn request(frame: Frame<'_>, request: Request) -> Result<Inbound, BadField> {
    let client_seq = ClientSeq(from_one("client_seq", frame.number())?);
    Ok(Inbound::Request {
        client_seq,
        request,
    })
}

fn no_client_seq(frame: Frame<'_>) -> Result<(), BadField> {
    match frame.number() {
        0 => Ok(()),
        found => {
            let accepted = "a logon or heartbeat carries 0";
            Err(bad_number("client_seq", found, accepted))
        }
    }
}

#[inline]
fn read_new_order(bytes: &[u8]) -> Result<NewOrder, BadField> {
    zeros(bytes, new_order::ZEROS, 2, "new_order.zeros")?;
    let terms = bytes[new_order::TERMS];
    if terms > POST_ONLY | DISPLAY | PROTECTION {
        let accepted = "use the sum of 1 (post only), 2 (display) and 4 (protection)";
        return Err(bad_number("new_order.terms", terms.into(), accepted));
    }
    let display = u64_at(bytes, new_order::DISPLAY);
    if terms & DISPLAY == 0 && display != 0 {
        let accepted = "use 0, or add 2 to terms";
        return Err(bad_number("new_order.display", display, accepted));
    }
    Ok(NewOrder {
        cl_ord_id: id_at(bytes, new_order::CL_ORD_ID, "new_order.cl_ord_id")?,
        symbol: SymbolId(u32_at(bytes, new_order::SYMBOL)),
        side: read_side("new_order.side", bytes[new_order::SIDE])?,
        quantity: Quantity(u64_at(bytes, new_order::QUANTITY)),
        kind: read_kind(bytes)?,
        time_in_force: match bytes[new_order::TIME_IN_FORCE] {
            0 => TimeInForce::Day,
            1 => TimeInForce::ImmediateOrCancel,
            2 => TimeInForce::GoodTillCancel,
            3 => TimeInForce::FillOrKill,
            found => {
                let accepted = "use 0 (day), 1 (immediate or cancel), 2 (good till cancel) or 3 \
                                (fill or kill)";
                return Err(bad_number(
                    "new_order.time_in_force",
                    found.into(),
                    accepted,
                ));
            }
        },
        post_only: terms & POST_ONLY != 0,
        display: (terms & DISPLAY != 0).then_some(Quantity(display)),
        self_trade_prevention: match bytes[new_order::SELF_TRADE_PREVENTION] {
            0 => SelfTradePrevention::CancelNewest,
            1 => SelfTradePrevention::CancelOldest,
            2 => SelfTradePrevention::CancelBoth,
            found => {
                let accepted = "use 0 (cancel newest), 1 (cancel oldest) or 2 (cancel both)";
                let field = "new_order.self_trade_prevention";
                return Err(bad_number(field, found.into(), accepted));
            }
        },
    })
}

/// A price, trigger or style that nothing reads must not look as if it counted.
#[inline]
fn read_kind(bytes: &[u8]) -> Result<OrderKind, BadField> {
    let price = i64_at(bytes, new_order::PRICE);
    let trigger = i64_at(bytes, new_order::TRIGGER);
    let style = bytes[new_order::MARKET_STYLE];
    let protected = bytes[new_order::TERMS] & PROTECTION != 0;
    let order_kind = bytes[new_order::ORDER_KIND];
    let kind = match order_kind {
        LIMIT => OrderKind::Limit {
            price: Price(price),
        },
        MARKET => OrderKind::Market {
            style: read_style(style)?,
            protection: protected.then_some(Price(price)),
        },
        STOP => OrderKind::Stop {
            trigger: Price(trigger),
        },
        STOP_LIMIT => OrderKind::StopLimit {
            trigger: Price(trigger),
            price: Price(price),
        },
        found => {
            let accepted = "use 1 (limit), 2 (market), 3 (stop) or 4 (stop limit)";
            return Err(bad_number("new_order.order_kind", found.into(), accepted));
        }
    };
    let priced = matches!(order_kind, LIMIT | STOP_LIMIT) || protected;
    let unread = match order_kind {
        _ if protected && order_kind != MARKET => Some(("new_order.terms", 4)),
        _ if !priced && price != 0 => Some(("new_order.price", price)),
        LIMIT | MARKET if trigger != 0 => Some(("new_order.trigger", trigger)),
        LIMIT | STOP | STOP_LIMIT if style != 0 => Some(("new_order.market_style", style.into())),
        _ => None,
    };
    match unread {
        None => Ok(kind),
        Some((field, value)) => Err(unread_field(field, value)),
    }
}

#[cold]
fn unread_field(field: &'static str, value: i64) -> BadField {
    let text = format!("{value} is not accepted: an order of this kind does not use it, leave 0");
    BadField::new(field, text)
}

fn read_style(style: u8) -> Result<MarketStyle, BadField> {
    Ok(match style {
        1 => MarketStyle::ImmediateOrCancel,
        2 => MarketStyle::BestFiveOrCancel,
        3 => MarketStyle::BestFiveThenLimit,
        4 => MarketStyle::CounterpartyBest,
        5 => MarketStyle::OwnBest,
        6 => MarketStyle::FillOrKill,
        found => {
            let accepted = "a market order uses 1 to 6";
            return Err(bad_number("new_order.market_style", found.into(), accepted));
        }
    })
}

fn style_number(style: MarketStyle) -> u8 {
    match style {
        MarketStyle::ImmediateOrCancel => 1,
        MarketStyle::BestFiveOrCancel => 2,
        MarketStyle::BestFiveThenLimit => 3,
        MarketStyle::CounterpartyBest => 4,
        MarketStyle::OwnBest => 5,
        MarketStyle::FillOrKill => 6,
    }
}

fn read_mass_cancel(bytes: &[u8]) -> Result<Request, BadField> {
    zeros(bytes, mass_cancel::ZEROS, 3, "mass_cancel.zeros")?;
    let symbol = u32_at(bytes, mass_cancel::SYMBOL);
    let symbol = match (bytes[mass_cancel::ONE_SYMBOL], symbol) {
        (0, 0) => None,
        (1, symbol) => Some(SymbolId(symbol)),
        (0, symbol) => {
            let accepted = "use 0, or set one_symbol to 1";
            return Err(bad_number("mass_cancel.symbol", symbol.into(), accepted));
        }
        (found, _) => {
            let accepted = "use 0 (all symbols) or 1 (the one in symbol)";
            return Err(bad_number("mass_cancel.one_symbol", found.into(), accepted));
        }
    };
    Ok(Request::MassCancel { symbol })
}

/// Reads a side.
#[inline]
pub(super) fn read_side(field: &'static str, value: u8) -> Result<Side, BadField> {
    match value {
        1 => Ok(Side::Buy),
        2 => Ok(Side::Sell),
        found => Err(bad_number(field, found.into(), "use 1 (buy) or 2 (sell)")),
    }
}

pub(super) fn side_number(side: Side) -> u8 {
    match side {
        Side::Buy => 1,
        Side::Sell => 2,
    }
}

/// Appends a logon.
pub fn write_logon(logon: Logon, out: &mut Vec<u8>) {
    let frame = begin(out, logon::KIND, logon::BYTES, 0);
    put(frame, logon::SESSION, &logon.session.0.to_le_bytes());
    put(frame, logon::ACCOUNT, &logon.account.0.to_le_bytes());
    let seen = logon.last_out_seq_seen.0;
    put(frame, logon::LAST_OUT_SEQ_SEEN, &seen.to_le_bytes());
    put(frame, logon::TRADER, &logon.trader.0.to_le_bytes());
    if let Some(grace_ms) = logon.cancel_on_disconnect_ms {
        put(
            frame,
            logon::CANCEL_ON_DISCONNECT_MS,
            &grace_ms.to_le_bytes(),
        );
        frame[logon::CANCEL_ON_DISCONNECT] = 1;
    }
}

/// Appends a client's sign of life.
pub fn write_client_heartbeat(now: UnixMicros, out: &mut Vec<u8>) {
    let frame = begin(out, heartbeat::KIND, heartbeat::BYTES, 0);
    put(frame, heartbeat::SENT_AT_US, &now.0.to_le_bytes());
}

/// Appends a request.
#[inline]
pub fn write_request(client_seq: ClientSeq, request: &Request, out: &mut Vec<u8>) {
    match request {
        Request::New(new) => write_new_order(client_seq, new, out),
        Request::Cancel { original } => {
            let frame = begin(out, cancel::KIND, cancel::BYTES, client_seq.0);
            put_id(frame, cancel::ORIGINAL_CL_ORD_ID, *original);
        }
        Request::Replace {
            original,
            replacement,
            price,
            quantity,
        } => {
            let frame = begin(out, replace::KIND, replace::BYTES, client_seq.0);
            put_id(frame, replace::ORIGINAL_CL_ORD_ID, *original);
            put_id(frame, replace::CL_ORD_ID, *replacement);
            put(frame, replace::PRICE, &price.0.to_le_bytes());
            put(frame, replace::QUANTITY, &quantity.0.to_le_bytes());
        }
        Request::MassCancel { symbol } => {
            let frame = begin(out, mass_cancel::KIND, mass_cancel::BYTES, client_seq.0);
            if let Some(symbol) = symbol {
                put(frame, mass_cancel::SYMBOL, &symbol.0.to_le_bytes());
                frame[mass_cancel::ONE_SYMBOL] = 1;
            }
        }
        Request::Status { original } => {
            let frame = begin(out, order_status::KIND, order_status::BYTES, client_seq.0);
            put_id(frame, order_status::ORIGINAL_CL_ORD_ID, *original);
        }
    }
}

#[inline]
fn write_new_order(client_seq: ClientSeq, new: &NewOrder, out: &mut Vec<u8>) {
    let frame = begin(out, new_order::KIND, new_order::BYTES, client_seq.0);
    put_id(frame, new_order::CL_ORD_ID, new.cl_ord_id);
    put(frame, new_order::SYMBOL, &new.symbol.0.to_le_bytes());
    put(frame, new_order::QUANTITY, &new.quantity.0.to_le_bytes());
    let mut terms = if new.post_only { POST_ONLY } else { 0 };
    if let Some(display) = new.display {
        terms |= DISPLAY;
        put(frame, new_order::DISPLAY, &display.0.to_le_bytes());
    }
    let (order_kind, price, trigger) = match new.kind {
        OrderKind::Limit { price } => (LIMIT, price, Price(0)),
        OrderKind::Stop { trigger } => (STOP, Price(0), trigger),
        OrderKind::StopLimit { trigger, price } => (STOP_LIMIT, price, trigger),
        OrderKind::Market { style, protection } => {
            frame[new_order::MARKET_STYLE] = style_number(style);
            if protection.is_some() {
                terms |= PROTECTION;
            }
            (MARKET, protection.unwrap_or_default(), Price(0))
        }
    };
    put(frame, new_order::PRICE, &price.0.to_le_bytes());
    put(frame, new_order::TRIGGER, &trigger.0.to_le_bytes());
    frame[new_order::ORDER_KIND] = order_kind;
    frame[new_order::TERMS] = terms;
    frame[new_order::SIDE] = side_number(new.side);
    frame[new_order::TIME_IN_FORCE] = match new.time_in_force {
        TimeInForce::Day => 0,
        TimeInForce::ImmediateOrCancel => 1,
        TimeInForce::GoodTillCancel => 2,
        TimeInForce::FillOrKill => 3,
    };
    frame[new_order::SELF_TRADE_PREVENTION] = match new.self_trade_prevention {
        SelfTradePrevention::CancelNewest => 0,
        SelfTradePrevention::CancelOldest => 1,
        SelfTradePrevention::CancelBoth => 2,
    };
}
