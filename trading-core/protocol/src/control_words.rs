//! The words of control records: boards, phases, kill switches, and how they go over the wire.

use crate::admin;
use crate::bad_field::BadField;
use types::{AccountId, SymbolId, TraderId};
use types::{Board, KillMode, KillScope, Phase, PhaseScope, ReferencePrice, Security, Side};

fn unknown(field: &'static str, value: i32, accepted: &str) -> BadField {
    BadField::new(field, format!("{value} is not accepted: use {accepted}"))
}

pub(crate) fn read_board(field: &'static str, value: i32) -> Result<Board, BadField> {
    let board = admin::Board::try_from(value).map_err(|_| unknown(field, value, "0 to 4"))?;
    Ok(match board {
        admin::Board::ShanghaiMain => Board::ShanghaiMain,
        admin::Board::ShanghaiStar => Board::ShanghaiStar,
        admin::Board::ShenzhenMain => Board::ShenzhenMain,
        admin::Board::ShenzhenChiNext => Board::ShenzhenChiNext,
        admin::Board::Beijing => Board::Beijing,
    })
}

pub(crate) fn board(board: Board) -> i32 {
    match board {
        Board::ShanghaiMain => admin::Board::ShanghaiMain,
        Board::ShanghaiStar => admin::Board::ShanghaiStar,
        Board::ShenzhenMain => admin::Board::ShenzhenMain,
        Board::ShenzhenChiNext => admin::Board::ShenzhenChiNext,
        Board::Beijing => admin::Board::Beijing,
    }
    .into()
}

pub(crate) fn read_security(value: i32) -> Result<Security, BadField> {
    let security = admin::Security::try_from(value)
        .map_err(|_| unknown("define_symbol.security", value, "0 to 4"))?;
    Ok(match security {
        admin::Security::Share => Security::Share,
        admin::Security::RiskWarningShare => Security::RiskWarningShare,
        admin::Security::Fund => Security::Fund,
        admin::Security::SameDayFund => Security::SameDayFund,
        admin::Security::ConvertibleBond => Security::ConvertibleBond,
    })
}

pub(crate) fn security(security: Security) -> i32 {
    match security {
        Security::Share => admin::Security::Share,
        Security::RiskWarningShare => admin::Security::RiskWarningShare,
        Security::Fund => admin::Security::Fund,
        Security::SameDayFund => admin::Security::SameDayFund,
        Security::ConvertibleBond => admin::Security::ConvertibleBond,
    }
    .into()
}

fn read_phase(value: i32) -> Result<Phase, BadField> {
    let phase =
        admin::Phase::try_from(value).map_err(|_| unknown("set_phase.phase", value, "0 to 8"))?;
    Ok(match phase {
        admin::Phase::Closed => Phase::Closed,
        admin::Phase::OpeningCall => Phase::OpeningCall,
        admin::Phase::OpeningCallNoCancel => Phase::OpeningCallNoCancel,
        admin::Phase::PreContinuous => Phase::PreContinuous,
        admin::Phase::Continuous => Phase::Continuous,
        admin::Phase::LunchBreak => Phase::LunchBreak,
        admin::Phase::ClosingCall => Phase::ClosingCall,
        admin::Phase::AfterHours => Phase::AfterHours,
        admin::Phase::Halted => Phase::Halted,
    })
}

pub(crate) fn phase(phase: Phase) -> i32 {
    match phase {
        Phase::Closed => admin::Phase::Closed,
        Phase::OpeningCall => admin::Phase::OpeningCall,
        Phase::OpeningCallNoCancel => admin::Phase::OpeningCallNoCancel,
        Phase::PreContinuous => admin::Phase::PreContinuous,
        Phase::Continuous => admin::Phase::Continuous,
        Phase::LunchBreak => admin::Phase::LunchBreak,
        Phase::ClosingCall => admin::Phase::ClosingCall,
        Phase::AfterHours => admin::Phase::AfterHours,
        Phase::Halted => admin::Phase::Halted,
    }
    .into()
}

pub(crate) fn read_set_phase(set: &admin::SetPhase) -> Result<(PhaseScope, Phase), BadField> {
    use admin::set_phase::Scope;
    let scope = match &set.scope {
        Some(Scope::All(_)) => PhaseScope::All,
        Some(Scope::Board(board)) => PhaseScope::Board(read_board("set_phase.board", *board)?),
        Some(Scope::Symbol(symbol)) => PhaseScope::Symbol(SymbolId(*symbol)),
        None => {
            let accepted = "use all, board or symbol";
            return Err(BadField::missing("set_phase.scope", accepted));
        }
    };
    Ok((scope, read_phase(set.phase)?))
}

pub(crate) fn set_phase(scope: PhaseScope, to: Phase) -> admin::SetPhase {
    use admin::set_phase::Scope;
    let scope = match scope {
        PhaseScope::All => Scope::All(admin::All {}),
        PhaseScope::Board(of) => Scope::Board(board(of)),
        PhaseScope::Symbol(symbol) => Scope::Symbol(symbol.0),
    };
    admin::SetPhase {
        scope: Some(scope),
        phase: phase(to),
    }
}

pub(crate) fn read_reference(value: i32) -> Result<ReferencePrice, BadField> {
    let reference = admin::ReferencePrice::try_from(value)
        .map_err(|_| unknown("set_reference_price.reference", value, "0 to 2"))?;
    Ok(match reference {
        admin::ReferencePrice::PreviousClose => ReferencePrice::PreviousClose,
        admin::ReferencePrice::Market => ReferencePrice::Market,
        admin::ReferencePrice::Issue => ReferencePrice::Issue,
    })
}

pub(crate) fn reference(reference: ReferencePrice) -> i32 {
    match reference {
        ReferencePrice::PreviousClose => admin::ReferencePrice::PreviousClose,
        ReferencePrice::Market => admin::ReferencePrice::Market,
        ReferencePrice::Issue => admin::ReferencePrice::Issue,
    }
    .into()
}

pub(crate) fn read_kill_switch(
    kill: &admin::KillSwitch,
) -> Result<(KillScope, KillMode), BadField> {
    use admin::kill_switch::Scope;
    let scope = match &kill.scope {
        Some(Scope::Firm(_)) => KillScope::Firm,
        Some(Scope::Account(account)) => KillScope::Account(AccountId(*account)),
        Some(Scope::Trader(trader)) => KillScope::Trader(TraderId(*trader)),
        Some(Scope::Symbol(symbol)) => KillScope::Symbol(SymbolId(*symbol)),
        Some(Scope::Side(value)) => KillScope::Side(match admin::Side::try_from(*value) {
            Ok(admin::Side::Buy) => Side::Buy,
            Ok(admin::Side::Sell) => Side::Sell,
            Ok(admin::Side::Unspecified) | Err(_) => {
                let accepted = "SIDE_BUY (1) or SIDE_SELL (2)";
                return Err(unknown("kill_switch.side", *value, accepted));
            }
        }),
        None => {
            let accepted = "use firm, account, trader, symbol or side";
            return Err(BadField::missing("kill_switch.scope", accepted));
        }
    };
    let mode = admin::KillMode::try_from(kill.mode)
        .map_err(|_| unknown("kill_switch.mode", kill.mode, "0 to 2"))?;
    let mode = match mode {
        admin::KillMode::Off => KillMode::Off,
        admin::KillMode::RejectNew => KillMode::RejectNew,
        admin::KillMode::CancelAndReject => KillMode::CancelAndReject,
        admin::KillMode::CloseOnly => KillMode::CloseOnly,
    };
    Ok((scope, mode))
}

pub(crate) fn kill_switch(scope: KillScope, mode: KillMode) -> admin::KillSwitch {
    use admin::kill_switch::Scope;
    let scope = match scope {
        KillScope::Firm => Scope::Firm(admin::All {}),
        KillScope::Account(account) => Scope::Account(account.0),
        KillScope::Trader(trader) => Scope::Trader(trader.0),
        KillScope::Symbol(symbol) => Scope::Symbol(symbol.0),
        KillScope::Side(Side::Buy) => Scope::Side(admin::Side::Buy.into()),
        KillScope::Side(Side::Sell) => Scope::Side(admin::Side::Sell.into()),
    };
    let mode = match mode {
        KillMode::Off => admin::KillMode::Off,
        KillMode::RejectNew => admin::KillMode::RejectNew,
        KillMode::CancelAndReject => admin::KillMode::CancelAndReject,
        KillMode::CloseOnly => admin::KillMode::CloseOnly,
    };
    admin::KillSwitch {
        scope: Some(scope),
        mode: mode.into(),
    }
}
