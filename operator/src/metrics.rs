//! The operator's metrics, in Prometheus' text format.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crds::{ConditionStatus, TradingCoreStatus};

const OBJECT: [&str; 2] = ["namespace", "name"];

/// All metrics of one operator.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    steps: IntCounterVec,
    unanswered: IntCounterVec,
    conditions: IntGaugeVec,
    epoch: IntGaugeVec,
    lag_entries: IntGaugeVec,
}

impl Metrics {
    /// Fresh metrics in a registry of their own.
    ///
    /// # Errors
    /// When a name is not one that Prometheus accepts.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let reconciles = counter(
            "tricenter_operator_reconciles_total",
            "Rounds by result: ok, refused, apply_failed or error.",
            &["result"],
        )?;
        let steps = counter(
            "tricenter_operator_steps_total",
            "Steps performed on the running core, by step and result.",
            &["step", "result"],
        )?;
        let unanswered = counter(
            "tricenter_operator_replica_unanswered_total",
            "Questions to replicas that brought no answer, by center.",
            &["center"],
        )?;
        let conditions = gauge(
            "tricenter_trading_core_condition",
            "1 when the condition is True, 0 when False, -1 when Unknown.",
            &["namespace", "name", "type"],
        )?;
        let epoch = gauge(
            "tricenter_trading_core_epoch",
            "The newest epoch that was seen.",
            &OBJECT,
        )?;
        let lag_entries = gauge(
            "tricenter_trading_core_lag_entries",
            "Entries by which the slowest replica is behind the leader.",
            &OBJECT,
        )?;
        let reconcile_seconds = HistogramVec::new(
            HistogramOpts::new(
                "tricenter_operator_reconcile_seconds",
                "How long a round took.",
            )
            .buckets(vec![0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]),
            &["result"],
        )?;
        registry.register(Box::new(reconcile_seconds.clone()))?;
        Ok(Self {
            registry,
            reconciles,
            reconcile_seconds,
            steps,
            unanswered,
            conditions,
            epoch,
            lag_entries,
        })
    }

    /// Counts a round.
    pub fn reconciled(&self, result: &str, seconds: f64) {
        self.reconciles.with_label_values(&[result]).inc();
        self.reconcile_seconds
            .with_label_values(&[result])
            .observe(seconds);
    }

    /// Counts a step.
    pub fn stepped(&self, step: &str, is_done: bool) {
        let result = if is_done { "done" } else { "failed" };
        self.steps.with_label_values(&[step, result]).inc();
    }

    /// Counts a question without an answer.
    pub fn unanswered(&self, center: &str) {
        self.unanswered.with_label_values(&[center]).inc();
    }

    /// Shows a status.
    pub fn show(&self, namespace: &str, name: &str, status: &TradingCoreStatus) {
        for condition in &status.conditions {
            self.conditions
                .with_label_values(&[namespace, name, &condition.type_])
                .set(match condition.status {
                    ConditionStatus::True => 1,
                    ConditionStatus::False => 0,
                    ConditionStatus::Unknown => -1,
                });
        }
        let shown = |gauge: &IntGaugeVec, value: Option<u64>| match value {
            Some(value) => gauge
                .with_label_values(&[namespace, name])
                .set(i64::try_from(value).unwrap_or(i64::MAX)),
            // What is not known is not shown as an old figure.
            None => {
                let _ = gauge.remove_label_values(&[namespace, name]);
            }
        };
        shown(&self.epoch, status.epoch);
        shown(&self.lag_entries, status.lag_entries);
    }

    /// All of it as text.
    ///
    /// # Errors
    /// When a metric cannot be written, which those above can.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_shown() {
        let metrics = Metrics::new().unwrap();
        let mut status = TradingCoreStatus {
            epoch: Some(7),
            ..TradingCoreStatus::default()
        };
        metrics.show("trading", "core", &status);
        assert!(metrics.text().unwrap().contains("core_epoch{"));
        status.epoch = None;
        metrics.show("trading", "core", &status);
        assert!(!metrics.text().unwrap().contains("core_epoch{"));
    }
}
