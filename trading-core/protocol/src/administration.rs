//! Administration: control records and the maintenance lease.

use crate::admin;
use crate::admin::control_request::Body as Asked;
use crate::bad_field::{BadField, from_one};
use types::{
    AccountId, Control, ControlOutcome, Epoch, LogIndex, MaintenanceLease, Money, Price, Quantity,
    ReplicaId, SymbolId, UnixMicros,
};

/// Reads a control request.
///
/// # Errors
/// [`BadField`]: to be told as `INVALID_ARGUMENT`.
pub fn read_control(request: &admin::ControlRequest) -> Result<Control, BadField> {
    let body = request.body.as_ref().ok_or_else(|| {
        BadField::missing(
            "body",
            "use define_symbol, open_account, acquire_maintenance or release_maintenance",
        )
    })?;
    Ok(match body {
        Asked::DefineSymbol(define) => Control::DefineSymbol {
            symbol: SymbolId(define.symbol),
            tick: Price(define.tick),
            lot: Quantity(define.lot),
            limit_down: Price(define.limit_down),
            limit_up: Price(define.limit_up),
        },
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
    })
}

/// A control record as it goes over the wire.
#[must_use]
pub fn control_request(control: &Control) -> admin::ControlRequest {
    let body = match control {
        Control::DefineSymbol {
            symbol,
            tick,
            lot,
            limit_down,
            limit_up,
        } => Asked::DefineSymbol(admin::DefineSymbol {
            symbol: symbol.0,
            tick: tick.0,
            lot: lot.0,
            limit_down: limit_down.0,
            limit_up: limit_up.0,
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
    use types::RejectReason;

    fn any_control() -> impl Strategy<Value = Control> {
        prop_oneof![
            any::<(u32, i64, u64, i64, i64)>().prop_map(|(symbol, tick, lot, down, up)| {
                Control::DefineSymbol {
                    symbol: SymbolId(symbol),
                    tick: Price(tick),
                    lot: Quantity(lot),
                    limit_down: Price(down),
                    limit_up: Price(up),
                }
            }),
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
    }

    #[test]
    fn a_refusal_is_told_with_its_code_and_a_held_lease_with_its_holder() {
        let reason = RejectReason::AccountRules {
            account: AccountId(1),
        };
        let refused = ControlOutcome::Refused(reason.clone());
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
