//! What is counted for one unit: an account, or accounts that belong together.

use crate::finding::{AccountSlot, Finding};
use rules::{Conduct, Ratio};
use serde::{Deserialize, Serialize};
use types::{AlertKind, UnixMicros};

/// The counts of a unit's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// The second that `in_second` counts, since 1970.
    second: u64,
    in_second: u32,
    requests: u32,
    orders: u32,
    cancels: u32,
    instantaneous: u32,
    self_trades: u32,
    /// The cancel ratio stands at its level or above.
    ratio_reached: bool,
    /// Several accounts that belong together.
    pub is_group: bool,
    /// The account that acted last, and the last one before it that was another.
    last: Option<AccountSlot>,
    other: Option<AccountSlot>,
}

const MICROS_PER_SECOND: u64 = 1_000_000;

impl Unit {
    /// The unit of an owner of several accounts.
    pub(crate) fn of_group() -> Self {
        Self {
            is_group: true,
            ..Self::default()
        }
    }

    pub(crate) fn begin_day(&mut self) {
        *self = Self {
            is_group: self.is_group,
            ..Self::default()
        };
    }

    fn acted(&mut self, account: AccountSlot) {
        if self.last != Some(account) {
            self.other = self.last.replace(account);
        }
    }

    fn finding(
        &self,
        kind: AlertKind,
        account: AccountSlot,
        observed: u32,
        allowed: u32,
    ) -> Finding {
        Finding {
            kind,
            account,
            related: self.other,
            symbol: None,
            observed: observed.into(),
            allowed: allowed.into(),
        }
    }

    /// A request: the exchanges count them by the second and by the day.
    pub(crate) fn requested(
        &mut self,
        account: AccountSlot,
        now: UnixMicros,
        conduct: &Conduct,
        findings: &mut Vec<Finding>,
    ) {
        self.acted(account);
        let second = now.0 / MICROS_PER_SECOND;
        if second != self.second {
            (self.second, self.in_second) = (second, 0);
        }
        self.in_second = self.in_second.saturating_add(1);
        self.requests = self.requests.saturating_add(1);
        let allowed = conduct.order_rate.per_second_warn;
        if self.in_second == allowed {
            findings.push(self.finding(AlertKind::OrderRate, account, self.in_second, allowed));
        }
        let allowed = conduct.order_rate.per_day_warn;
        if self.requests == allowed {
            findings.push(self.finding(AlertKind::DailyMessages, account, self.requests, allowed));
        }
    }

    pub(crate) fn entered(&mut self, conduct: &Conduct) {
        self.orders = self.orders.saturating_add(1);
        self.ratio_reached &= self.is_ratio_reached(conduct);
    }

    /// A cancel: whether it came at once after its order, and how many of all orders were cancelled.
    pub(crate) fn cancelled(
        &mut self,
        account: AccountSlot,
        now: UnixMicros,
        entered: UnixMicros,
        conduct: &Conduct,
        findings: &mut Vec<Finding>,
    ) {
        self.cancels = self.cancels.saturating_add(1);
        let age = now.0.saturating_sub(entered.0);
        if age < u64::from(conduct.cancels.instantaneous_ms) * 1_000 {
            self.instantaneous = self.instantaneous.saturating_add(1);
            let allowed = conduct.cancels.instantaneous_per_day_warn;
            if allowed > 0 && self.instantaneous.is_multiple_of(allowed) {
                let observed = self.instantaneous;
                findings.push(self.finding(AlertKind::FrequentCancels, account, observed, allowed));
            }
        }
        if !self.ratio_reached && self.is_ratio_reached(conduct) {
            self.ratio_reached = true;
            let allowed = u64::from(self.orders) * u64::from(conduct.cancels.ratio_warn.0);
            findings.push(Finding {
                allowed: allowed.div_ceil(Ratio::ONE.into()),
                ..self.finding(AlertKind::CancelRatio, account, self.cancels, 0)
            });
        }
    }

    fn is_ratio_reached(&self, conduct: &Conduct) -> bool {
        let level = conduct.cancels;
        self.orders >= level.orders_min
            && (level.ratio_warn).is_reached(self.cancels.into(), self.orders.into())
    }

    /// A trade with itself, executed or prevented. None is allowed.
    pub(crate) fn self_traded(&mut self) -> u64 {
        self.self_trades = self.self_trades.saturating_add(1);
        self.self_trades.into()
    }
}
