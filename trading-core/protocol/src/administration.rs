//! Administration: control records and the maintenance lease.

use crate::admin;
use crate::admin::control_request::Body as Asked;
use crate::bad_field::{BadField, from_one, up_to};
use crate::control_words as words;
use crate::membership;
use crate::operations;
use types::{
    AccountId, AccountLimits, AccountTerms, Board, Boards, Control, ControlOutcome, Epoch,
    GroupChange, LogIndex, MaintenanceLease, Money, OwnerId, Phase, Price, Quantity, ReplicaId,
    ShardId, SymbolDefinition, SymbolId, TradingDay, TransferId, UnixMicros,
};

/// Reads a control request.
///
/// # Errors
/// [`BadField`]: to be told as `INVALID_ARGUMENT`.
pub fn read_control(request: &admin::ControlRequest) -> Result<Control, BadField> {
    let body = request.body.as_ref().ok_or_else(|| {
        BadField::missing(
            "body",
            "use one of the control records of ControlRequest, such as define_symbol",
        )
    })?;
    Ok(match body {
        Asked::DefineSymbol(define) => Control::DefineSymbol(SymbolDefinition {
            symbol: SymbolId(define.symbol),
            board: words::read_board("define_symbol.board", define.board)?,
            security: words::read_security(define.security)?,
            tick: Price(define.tick),
            lot: Quantity(define.lot),
            limit_down: Price(define.limit_down),
            limit_up: Price(define.limit_up),
            float: Quantity(define.float),
        }),
        Asked::OpenAccount(open) => Control::OpenAccount {
            account: AccountId(from_one("open_account.account", open.account)?),
            cash: Money(open.cash),
            positions: open
                .positions
                .iter()
                .map(|position| (SymbolId(position.symbol), Quantity(position.quantity)))
                .collect(),
        },
        Asked::AcquireMaintenance(acquire) => Control::AcquireMaintenance {
            replica: ReplicaId(from_one("acquire_maintenance.replica", acquire.replica)?),
            holder: acquire.holder.clone(),
            ttl_ms: acquire.ttl_ms,
        },
        Asked::ReleaseMaintenance(release) => Control::ReleaseMaintenance {
            holder: release.holder.clone(),
        },
        Asked::SetCommitPolicy(set) => {
            let policy = set.policy.as_ref();
            let policy = policy.ok_or_else(|| {
                BadField::missing("set_commit_policy.policy", "use METRO or SITE_SAFE")
            })?;
            Control::Group(GroupChange::Policy(membership::read_policy(
                "set_commit_policy.policy",
                policy,
            )?))
        }
        Asked::BeginOperation(begin) => Control::Operation(operations::read_begin(begin)?),
        Asked::RecordStep(step) => Control::Operation(operations::read_step(step)),
        Asked::EndOperation(end) => Control::Operation(operations::read_end(end)?),
        Asked::SetPhase(set) => {
            let (scope, phase) = words::read_set_phase(set)?;
            Control::SetPhase { scope, phase }
        }
        Asked::SetReferencePrice(set) => Control::SetReferencePrice {
            symbol: SymbolId(set.symbol),
            reference: words::read_reference(set.reference)?,
            price: Price(set.price),
        },
        Asked::KillSwitch(kill) => {
            let (scope, mode) = words::read_kill_switch(kill)?;
            Control::KillSwitch { scope, mode }
        }
        Asked::SettleDay(settle) => Control::SettleDay {
            trading_day: TradingDay(settle.trading_day),
        },
        Asked::LoadRules(load) => Control::LoadRules {
            document: load.document.clone(),
        },
        asked => read_account_control(asked)?,
    })
}

/// Reads what is about one account's terms or funds.
fn read_account_control(asked: &Asked) -> Result<Control, BadField> {
    Ok(match asked {
        Asked::SetAccountTerms(set) => Control::SetAccountTerms {
            account: AccountId(from_one("set_account_terms.account", set.account)?),
            terms: AccountTerms {
                active: set.active,
                boards: Boards(up_to("set_account_terms.boards", set.boards)?),
                owner: OwnerId(set.owner),
            },
        },
        Asked::TransferOut(out) => Control::TransferOut {
            transfer: TransferId(from_one("transfer_out.transfer", out.transfer)?),
            account: AccountId(from_one("transfer_out.account", out.account)?),
            amount: Money(out.amount),
            to: ShardId(up_to("transfer_out.to_shard", out.to_shard)?),
        },
        Asked::TransferIn(into) => Control::TransferIn {
            transfer: TransferId(from_one("transfer_in.transfer", into.transfer)?),
            account: AccountId(from_one("transfer_in.account", into.account)?),
            amount: Money(into.amount),
            from: ShardId(up_to("transfer_in.from_shard", into.from_shard)?),
        },
        Asked::TransferDone(done) => Control::TransferDone {
            transfer: TransferId(from_one("transfer_done.transfer", done.transfer)?),
        },
        Asked::SetAccountLimits(set) => Control::SetAccountLimits {
            account: AccountId(from_one("set_account_limits.account", set.account)?),
            limits: AccountLimits {
                order_amount_max: Money(set.order_amount_max),
                open_amount_max: Money(set.open_amount_max),
            },
        },
        Asked::RestrictSymbol(restrict) => Control::RestrictSymbol {
            symbol: SymbolId(restrict.symbol),
            account: (restrict.account != 0).then_some(AccountId(restrict.account)),
            is_restricted: restrict.is_restricted,
        },
        other => {
            let text = format!("{other:?} is not accepted here: it is about no account");
            return Err(BadField::new("body", text));
        }
    })
}

/// A control record as it goes over the wire. A change of the group other than its policy is not
/// asked for this way: it has no body, and is refused.
#[must_use]
pub fn control_request(control: &Control) -> admin::ControlRequest {
    let body = match control {
        Control::Group(GroupChange::Policy(policy)) => {
            Asked::SetCommitPolicy(admin::SetCommitPolicy {
                policy: Some(membership::policy(*policy)),
            })
        }
        Control::Group(_) => return admin::ControlRequest { body: None },
        Control::Operation(record) => operations::request(record),
        Control::DefineSymbol(definition) => Asked::DefineSymbol(admin::DefineSymbol {
            symbol: definition.symbol.0,
            tick: definition.tick.0,
            lot: definition.lot.0,
            limit_down: definition.limit_down.0,
            limit_up: definition.limit_up.0,
            board: words::board(definition.board),
            security: words::security(definition.security),
            float: definition.float.0,
        }),
        Control::OpenAccount {
            account,
            cash,
            positions,
        } => Asked::OpenAccount(admin::OpenAccount {
            account: account.0,
            cash: cash.0,
            positions: positions
                .iter()
                .map(|(symbol, quantity)| admin::Position {
                    symbol: symbol.0,
                    quantity: quantity.0,
                })
                .collect(),
        }),
        Control::AcquireMaintenance {
            replica,
            holder,
            ttl_ms,
        } => Asked::AcquireMaintenance(admin::AcquireMaintenance {
            replica: replica.0,
            holder: holder.clone(),
            ttl_ms: *ttl_ms,
        }),
        Control::ReleaseMaintenance { holder } => {
            Asked::ReleaseMaintenance(admin::ReleaseMaintenance {
                holder: holder.clone(),
            })
        }
        Control::SetPhase { scope, phase } => Asked::SetPhase(words::set_phase(*scope, *phase)),
        Control::SetReferencePrice {
            symbol,
            reference,
            price,
        } => Asked::SetReferencePrice(admin::SetReferencePrice {
            symbol: symbol.0,
            reference: words::reference(*reference),
            price: price.0,
        }),
        Control::KillSwitch { scope, mode } => Asked::KillSwitch(words::kill_switch(*scope, *mode)),
        Control::LoadRules { document } => Asked::LoadRules(admin::LoadRules {
            document: document.clone(),
        }),
        Control::SettleDay { trading_day } => Asked::SettleDay(admin::SettleDay {
            trading_day: trading_day.0,
        }),
        Control::SetAccountTerms { account, terms } => {
            Asked::SetAccountTerms(admin::SetAccountTerms {
                account: account.0,
                active: terms.active,
                boards: terms.boards.0.into(),
                owner: terms.owner.0,
            })
        }
        Control::TransferOut {
            transfer,
            account,
            amount,
            to,
        } => Asked::TransferOut(admin::TransferOut {
            transfer: transfer.0,
            account: account.0,
            amount: amount.0,
            to_shard: to.0.into(),
        }),
        Control::TransferIn {
            transfer,
            account,
            amount,
            from,
        } => Asked::TransferIn(admin::TransferIn {
            transfer: transfer.0,
            account: account.0,
            amount: amount.0,
            from_shard: from.0.into(),
        }),
        Control::SetAccountLimits { account, limits } => {
            Asked::SetAccountLimits(admin::SetAccountLimits {
                account: account.0,
                order_amount_max: limits.order_amount_max.0,
                open_amount_max: limits.open_amount_max.0,
            })
        }
        Control::RestrictSymbol {
            symbol,
            account,
            is_restricted,
        } => Asked::RestrictSymbol(admin::RestrictSymbol {
            symbol: symbol.0,
            account: account.map_or(0, |account| account.0),
            is_restricted: *is_restricted,
        }),
        Control::TransferDone { transfer } => Asked::TransferDone(admin::TransferDone {
            transfer: transfer.0,
        }),
    };
    admin::ControlRequest { body: Some(body) }
}

/// The answer to a control request. `standing` is the lease that stands after it.
#[must_use]
pub fn control_response(
    epoch: Epoch,
    index: LogIndex,
    outcome: &ControlOutcome,
    standing: Option<&MaintenanceLease>,
) -> admin::ControlResponse {
    let (done, code, text, lease) = match outcome {
        ControlOutcome::Done => (true, 0, String::new(), standing),
        ControlOutcome::Refused(reason) => {
            (false, reason.code().into(), reason.to_string(), standing)
        }
        ControlOutcome::MaintenanceGranted(lease) => (true, 0, String::new(), Some(lease)),
        ControlOutcome::MaintenanceHeld(lease) => {
            let text = format!(
                "maintenance of replica {} is held by {} until {} µs: ask again later",
                lease.replica, lease.holder, lease.until
            );
            (false, MAINTENANCE_HELD, text, Some(lease))
        }
        ControlOutcome::OperationRefused(refusal) => (
            false,
            operations::OPERATION_REFUSED,
            refusal.to_string(),
            standing,
        ),
    };
    admin::ControlResponse {
        epoch: epoch.0,
        log_index: index.0,
        done,
        code,
        text,
        maintenance: lease.map(maintenance),
    }
}

/// Code of a maintenance request that must wait because someone else holds the lease.
pub const MAINTENANCE_HELD: u32 = 904;

/// The phase of a board as it goes over the wire.
#[must_use]
pub fn board_phase(board: Board, phase: Phase) -> admin::BoardPhase {
    admin::BoardPhase {
        board: words::board(board),
        phase: words::phase(phase),
    }
}

/// A lease as it goes over the wire.
#[must_use]
pub fn maintenance(lease: &MaintenanceLease) -> admin::MaintenanceLease {
    admin::MaintenanceLease {
        replica: lease.replica.0,
        holder: lease.holder.clone(),
        until_us: lease.until.0,
    }
}

/// Reads a lease.
#[must_use]
pub fn read_maintenance(lease: &admin::MaintenanceLease) -> MaintenanceLease {
    MaintenanceLease {
        replica: ReplicaId(lease.replica),
        holder: lease.holder.clone(),
        until: UnixMicros(lease.until_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::{
        CenterName, CommitPolicy, KillMode, KillScope, OperationKind, OperationOutcome,
        OperationRecord, PhaseScope, PreferredLeader, ReferencePrice, RejectReason, Security, Side,
        TraderId,
    };

    fn any_definition() -> impl Strategy<Value = Control> {
        let numbers = any::<(u32, i64, u64, i64, i64, u64)>();
        let board = prop::sample::select(&Board::ALL[..]);
        let security = prop::sample::select(vec![
            Security::Share,
            Security::RiskWarningShare,
            Security::Fund,
            Security::SameDayFund,
            Security::ConvertibleBond,
        ]);
        (numbers, board, security).prop_map(|(numbers, board, security)| {
            let (symbol, tick, lot, down, up, float) = numbers;
            Control::DefineSymbol(SymbolDefinition {
                symbol: SymbolId(symbol),
                board,
                security,
                tick: Price(tick),
                lot: Quantity(lot),
                limit_down: Price(down),
                limit_up: Price(up),
                float: Quantity(float),
            })
        })
    }

    fn any_market_control() -> impl Strategy<Value = Control> {
        let phase = prop::sample::select(&Phase::ALL[..]);
        let scope = prop_oneof![
            Just(PhaseScope::All),
            prop::sample::select(&Board::ALL[..]).prop_map(PhaseScope::Board),
            any::<u32>().prop_map(|symbol| PhaseScope::Symbol(SymbolId(symbol))),
        ];
        let kill = prop_oneof![
            Just(KillScope::Firm),
            any::<u64>().prop_map(|account| KillScope::Account(AccountId(account))),
            any::<u64>().prop_map(|trader| KillScope::Trader(TraderId(trader))),
            any::<u32>().prop_map(|symbol| KillScope::Symbol(SymbolId(symbol))),
            Just(KillScope::Side(Side::Buy)),
            Just(KillScope::Side(Side::Sell)),
        ];
        let mode = prop::sample::select(vec![
            KillMode::Off,
            KillMode::RejectNew,
            KillMode::CancelAndReject,
            KillMode::CloseOnly,
        ]);
        let reference = prop::sample::select(vec![
            ReferencePrice::PreviousClose,
            ReferencePrice::Market,
            ReferencePrice::Issue,
        ]);
        prop_oneof![
            (scope, phase).prop_map(|(scope, phase)| Control::SetPhase { scope, phase }),
            (kill, mode).prop_map(|(scope, mode)| Control::KillSwitch { scope, mode }),
            (any::<u32>(), reference, any::<i64>()).prop_map(|(symbol, reference, price)| {
                Control::SetReferencePrice {
                    symbol: SymbolId(symbol),
                    reference,
                    price: Price(price),
                }
            }),
            any::<Vec<u8>>().prop_map(|document| Control::LoadRules { document }),
            any::<u32>().prop_map(|day| Control::SettleDay {
                trading_day: TradingDay(day)
            }),
        ]
    }

    fn any_account_control() -> impl Strategy<Value = Control> {
        let transfer = (1_u64.., 1_u64.., any::<i64>(), any::<u16>());
        prop_oneof![
            (1_u64.., any::<bool>(), any::<u8>(), any::<u64>()).prop_map(
                |(account, active, boards, owner)| Control::SetAccountTerms {
                    account: AccountId(account),
                    terms: AccountTerms {
                        active,
                        boards: Boards(boards),
                        owner: OwnerId(owner),
                    },
                }
            ),
            (any::<bool>(), transfer).prop_map(|(out, (transfer, account, amount, shard))| {
                let (transfer, account) = (TransferId(transfer), AccountId(account));
                let (amount, shard) = (Money(amount), ShardId(shard));
                if out {
                    Control::TransferOut {
                        transfer,
                        account,
                        amount,
                        to: shard,
                    }
                } else {
                    Control::TransferIn {
                        transfer,
                        account,
                        amount,
                        from: shard,
                    }
                }
            }),
            (1_u64.., any::<i64>(), any::<i64>()).prop_map(|(account, order, open)| {
                Control::SetAccountLimits {
                    account: AccountId(account),
                    limits: AccountLimits {
                        order_amount_max: Money(order),
                        open_amount_max: Money(open),
                    },
                }
            }),
            (any::<u32>(), any::<Option<u64>>(), any::<bool>()).prop_map(
                |(symbol, account, is_restricted)| Control::RestrictSymbol {
                    symbol: SymbolId(symbol),
                    account: account.filter(|account| *account > 0).map(AccountId),
                    is_restricted,
                }
            ),
            (1_u64..).prop_map(|transfer| Control::TransferDone {
                transfer: TransferId(transfer)
            }),
        ]
    }

    fn any_operation() -> impl Strategy<Value = Control> {
        let texts = (any::<String>(), any::<String>(), any::<u32>());
        let outcome = prop::sample::select(vec![
            OperationOutcome::Succeeded,
            OperationOutcome::Failed,
            OperationOutcome::Abandoned,
        ]);
        let preferred = prop::option::of((1_u64..).prop_map(|replica| PreferredLeader {
            replica: ReplicaId(replica),
            declared: CenterName::new("a1").unwrap(),
        }));
        let rest = (any::<[u8; 32]>(), outcome, preferred, 0..3);
        (texts, any::<String>(), rest).prop_map(|((name, holder, ttl_ms), text, rest)| {
            let (digest, outcome, preferred, which) = rest;
            Control::Operation(match which {
                0 => OperationRecord::Begin {
                    name,
                    kind: OperationKind::Switchover,
                    digest,
                    holder,
                    ttl_ms,
                },
                1 => OperationRecord::Step {
                    name,
                    holder,
                    ttl_ms,
                    step: text,
                    detail: String::new(),
                },
                _ => OperationRecord::End {
                    name,
                    holder,
                    outcome,
                    detail: text,
                    preferred,
                },
            })
        })
    }

    fn any_control() -> impl Strategy<Value = Control> {
        prop_oneof![
            any_definition(),
            any_market_control(),
            any_account_control(),
            (
                1_u64..,
                any::<i64>(),
                prop::collection::vec(any::<(u32, u64)>(), 0..4)
            )
                .prop_map(|(account, cash, positions)| Control::OpenAccount {
                    account: AccountId(account),
                    cash: Money(cash),
                    positions: positions
                        .into_iter()
                        .map(|(symbol, quantity)| (SymbolId(symbol), Quantity(quantity)))
                        .collect(),
                }),
            (1_u64.., any::<String>(), any::<u32>()).prop_map(|(replica, holder, ttl_ms)| {
                Control::AcquireMaintenance {
                    replica: ReplicaId(replica),
                    holder,
                    ttl_ms,
                }
            }),
            any::<String>().prop_map(|holder| Control::ReleaseMaintenance { holder }),
            any_operation(),
            Just(Control::Group(GroupChange::Policy(CommitPolicy::Metro))),
            (100_u32..=600_000).prop_map(|degrade_after_ms| {
                Control::Group(GroupChange::Policy(CommitPolicy::SiteSafe {
                    degrade_after_ms,
                }))
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_control_record_reads_as_it_was_written(control in any_control()) {
            prop_assert_eq!(read_control(&control_request(&control)), Ok(control));
        }
    }

    #[test]
    fn a_control_request_that_cannot_be_read_names_its_field() {
        let refused = |body| {
            read_control(&admin::ControlRequest { body })
                .unwrap_err()
                .field
        };
        assert_eq!(refused(None), "body");
        let open = Asked::OpenAccount(admin::OpenAccount::default());
        assert_eq!(refused(Some(open)), "open_account.account");
        let acquire = Asked::AcquireMaintenance(admin::AcquireMaintenance::default());
        assert_eq!(refused(Some(acquire)), "acquire_maintenance.replica");
        let phase = Asked::SetPhase(admin::SetPhase::default());
        assert_eq!(refused(Some(phase)), "set_phase.scope");
        let kill = Asked::KillSwitch(admin::KillSwitch::default());
        assert_eq!(refused(Some(kill)), "kill_switch.scope");
        let terms = Asked::SetAccountTerms(admin::SetAccountTerms {
            account: 1,
            boards: 256,
            ..admin::SetAccountTerms::default()
        });
        assert_eq!(refused(Some(terms)), "set_account_terms.boards");
    }

    #[test]
    fn a_refusal_is_told_with_its_code_and_a_held_lease_with_its_holder() {
        let reason = RejectReason::AccountRules {
            account: AccountId(1),
        };
        let refused = ControlOutcome::Refused(reason);
        let told = control_response(Epoch(2), LogIndex(3), &refused, None);
        assert_eq!((told.done, told.code), (false, 902));
        assert_eq!(told.text, reason.to_string());

        let lease = MaintenanceLease {
            replica: ReplicaId(2),
            holder: "operator/a1".to_owned(),
            until: UnixMicros(5),
        };
        let held = ControlOutcome::MaintenanceHeld(lease.clone());
        let told = control_response(Epoch(2), LogIndex(3), &held, None);
        assert_eq!((told.done, told.code), (false, MAINTENANCE_HELD));
        assert!(told.text.contains("operator/a1"), "{}", told.text);
        assert_eq!(read_maintenance(&told.maintenance.unwrap()), lease);
        let granted = ControlOutcome::MaintenanceGranted(lease);
        assert!(control_response(Epoch(2), LogIndex(3), &granted, None).done);
    }
}
