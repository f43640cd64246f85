//! The report that the lab's last run left behind, as far as the screen shows it.

use serde::Deserialize;

use crate::model::{Failover, LegsSource};

/// The form of the report that is understood here.
const FORMAT: u32 = 1;

/// Why a report cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It is torn or not a report.
    #[error("failed to understand the report: {0}")]
    Torn(#[from] serde_json::Error),
    /// It is of another version.
    #[error(
        "failed to read the report: its format is {0}, accepted is {FORMAT}; run `make lab` again"
    )]
    Format(u32),
}

/// The parts of `report.json` that are shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunReport {
    format: u32,
    /// `Passed`, `Failed` or `Inconclusive`.
    pub verdict: String,
    fault: Fault,
    moments: Moments,
    legs: Option<Legs>,
    orders: Orders,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Fault {
    center: String,
    new_center: String,
    new_epoch: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Moments {
    serving_at_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields are named as in the report"
)]
struct Legs {
    detect_us: u64,
    fence_us: u64,
    elect_us: u64,
    replay_us: u64,
    reroute_us: u64,
    first_order_us: u64,
    rto_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Orders {
    acknowledged: u64,
    lost: u64,
    doubled: u64,
}

impl RunReport {
    /// Reads `report.json`.
    ///
    /// # Errors
    /// When it is torn or of another format.
    pub fn read(text: &str) -> Result<Self, ReportError> {
        let report: Self = serde_json::from_str(text)?;
        if report.format != FORMAT {
            return Err(ReportError::Format(report.format));
        }
        Ok(report)
    }

    /// The failover that the run made. Losses are told only when the run could judge them.
    #[must_use]
    pub fn failover(&self) -> Failover {
        let legs_us = self.legs.as_ref().map_or([None; 6], |legs| {
            [
                legs.detect_us,
                legs.fence_us,
                legs.elect_us,
                legs.replay_us,
                legs.reroute_us,
                legs.first_order_us,
            ]
            .map(Some)
        });
        let is_judged = self.verdict != "Inconclusive" && self.orders.acknowledged > 0;
        Failover {
            epoch: self.fault.new_epoch,
            from: self.fault.center.clone(),
            to: self.fault.new_center.clone(),
            at_us: self.moments.serving_at_us,
            legs_us,
            total_us: self.legs.as_ref().map(|legs| legs.rto_us),
            lost_and_doubled: is_judged.then_some((self.orders.lost, self.orders.doubled)),
            is_planned: false,
            source: LegsSource::Run,
        }
    }
}

#[cfg(test)]
pub(crate) const EXAMPLE: &str = r#"{
  "format": 1, "ended_at": "2026-11-24T12:00:00Z", "verdict": "Passed", "findings": [],
  "machine": {"processors": 2, "memory_mib": 8000, "kernel": "6.12"},
  "fault": {"kind": "CenterPowerOff", "center": "a1", "old_leader": 1, "old_epoch": 3,
            "new_leader": 2, "new_center": "a2", "new_epoch": 4},
  "moments": {"fault_at_us": 1763985600000000, "suspected_at_us": 1763985600612300,
              "campaigned_at_us": 1763985600614000, "elected_at_us": 1763985600651000,
              "serving_at_us": 1763985600668200, "rerouted_at_us": 1763985600702000,
              "first_order_at_us": 1763985600731400},
  "legs": {"detect_us": 612300, "fence_us": 1700, "elect_us": 37000, "replay_us": 17200,
           "reroute_us": 33800, "first_order_us": 29400, "rto_us": 731400,
           "stamps_out_of_order": 0},
  "full_load_us": 900000,
  "orders": {"offered_per_second": 2000, "client_processes": 3, "sessions": 6, "sent": 40000,
             "acknowledged": 39990, "rejected": 12, "unknown": 10, "lost": 0, "doubled": 0,
             "latency_before_us": null},
  "recovery": null, "steps": []
}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_all_legs_and_the_orders_lost() {
        let failover = RunReport::read(EXAMPLE).unwrap().failover();
        assert_eq!(failover.total_us, Some(731_400));
        assert_eq!(failover.legs_us[0], Some(612_300));
        assert_eq!(failover.lost_and_doubled, Some((0, 0)));
    }

    #[test]
    fn an_inconclusive_run_does_not_claim_that_nothing_was_lost() {
        let text = EXAMPLE.replace("Passed", "Inconclusive");
        let failover = RunReport::read(&text).unwrap().failover();
        assert_eq!(failover.lost_and_doubled, None);
    }

    #[test]
    fn a_report_of_another_format_is_refused() {
        let text = EXAMPLE.replace("\"format\": 1", "\"format\": 2");
        let error = RunReport::read(&text).unwrap_err().to_string();
        assert!(error.contains("format is 2, accepted is 1"), "{error}");
    }
}
