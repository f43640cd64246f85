//! The agent's metrics, in Prometheus' text form: made anew from the cards at each scrape, so that
//! nothing stays that is not known any more.

use card_health::{LATENCY_BOUNDS_NS, LatencyHistogram, Reading, State, Statistics};
use probes::Probes;
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use tokio::sync::watch;

use crate::watch::{Cards, Snapshot};

/// What the agent shows over HTTP.
#[derive(Debug)]
pub struct Shown {
    /// The node's cards.
    pub cards: watch::Receiver<Cards>,
    /// The node's name.
    pub node: String,
}

impl Probes for Shown {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        let families = families(&self.node, &self.cards.borrow());
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&families, &mut text)
            .map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn healthy(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        let cards = self.cards.borrow();
        match cards.iter().find(|(_, it)| it.judgement.is_none()) {
            Some((address, _)) => Err(format!("card {address} was never read")),
            None => Ok(()),
        }
    }
}

type Figure = (&'static str, &'static str, fn(&Reading) -> Option<f64>);
type Count = (&'static str, &'static str, fn(&Statistics) -> u64);

const GAUGES: &[Figure] = &[
    (
        "tricenter_card_present",
        "1 while the kernel has the device.",
        |it| Some(f64::from(u8::from(it.is_present))),
    ),
    ("tricenter_card_temperature_celsius", "Temperature.", |it| {
        it.temperature_millidegrees.map(|value| value as f64 / 1e3)
    }),
    ("tricenter_card_power_watts", "Power drawn.", |it| {
        it.power_milliwatts.map(|value| value as f64 / 1e3)
    }),
    (
        "tricenter_card_supply_volts",
        "The supply's voltage.",
        |it| it.voltage_millivolts.map(|value| value as f64 / 1e3),
    ),
    (
        "tricenter_card_link_width",
        "Lanes of the PCI Express link.",
        |it| it.link.map(|link| f64::from(link.width)),
    ),
    (
        "tricenter_card_link_megatransfers_per_second",
        "Speed of a lane.",
        |it| it.link.map(|link| f64::from(link.speed_mts)),
    ),
    (
        "tricenter_card_clock_locked",
        "1 while the clock follows its reference.",
        |it| {
            it.statistics
                .map(|it| f64::from(u8::from(it.is_clock_locked)))
        },
    ),
    (
        "tricenter_card_ptp_locked",
        "1 while the time follows the grandmaster.",
        |it| {
            it.statistics
                .map(|it| f64::from(u8::from(it.is_ptp_locked)))
        },
    ),
    (
        "tricenter_card_ptp_offset_seconds",
        "Distance to the grandmaster's time.",
        |it| it.statistics.map(|it| it.ptp_offset_ns as f64 / 1e9),
    ),
    (
        "tricenter_card_dma_queue_depth",
        "Messages that wait to be written to memory.",
        |it| it.statistics.map(|it| it.dma_queue_depth as f64),
    ),
];

const COUNTERS: &[Count] = &[
    (
        "tricenter_card_packets_total",
        "Packets from the feed.",
        |it| it.packets,
    ),
    ("tricenter_card_messages_total", "Messages decoded.", |it| {
        it.messages
    }),
    ("tricenter_card_drops_total", "Messages dropped.", |it| {
        it.drops
    }),
    (
        "tricenter_card_sequence_gaps_total",
        "Holes in the feed's numbers.",
        |it| it.sequence_gaps,
    ),
    (
        "tricenter_card_ecc_corrected_total",
        "Memory errors corrected.",
        |it| it.ecc_corrected,
    ),
    (
        "tricenter_card_ecc_uncorrected_total",
        "Memory errors not corrected.",
        |it| it.ecc_uncorrected,
    ),
    (
        "tricenter_card_link_retrains_total",
        "Times the link was trained anew.",
        |it| it.link_retrains,
    ),
];

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn labelled(node: &str, address: &str, more: &[(&str, &str)]) -> Metric {
    let mut labels = vec![label("address", address), label("node", node)];
    labels.extend(more.iter().map(|(name, value)| label(name, value)));
    let mut metric = Metric::default();
    metric.set_label(labels);
    metric
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> Option<MetricFamily> {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    let is_empty = metrics.is_empty();
    family.set_metric(metrics);
    (!is_empty).then_some(family)
}

fn gauge(mut metric: Metric, value: f64) -> Metric {
    let mut gauge = prometheus::proto::Gauge::default();
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

fn counter(mut metric: Metric, value: u64) -> Metric {
    let mut counter = prometheus::proto::Counter::default();
    counter.set_value(value as f64);
    metric.set_counter(counter);
    metric
}

fn families(node: &str, cards: &Cards) -> Vec<MetricFamily> {
    let each = |make: &dyn Fn(&str, &Snapshot) -> Vec<Metric>| -> Vec<Metric> {
        let made = cards
            .iter()
            .flat_map(|(address, it)| make(address.as_str(), it));
        made.collect()
    };
    let mut families = Vec::new();
    families.extend(family(
        "tricenter_card_state",
        "1 for the state that the card is in, 0 for the others.",
        MetricType::GAUGE,
        each(&|address, it| states(node, address, it)),
    ));
    for (name, help, value) in GAUGES {
        let metrics = each(&|address, it| {
            let value = it.reading.as_ref().and_then(value);
            value
                .map(|value| gauge(labelled(node, address, &[]), value))
                .into_iter()
                .collect()
        });
        families.extend(family(name, help, MetricType::GAUGE, metrics));
    }
    for (name, help, value) in COUNTERS {
        let metrics = each(&|address, it| {
            let statistics = it.reading.as_ref().and_then(|it| it.statistics.as_ref());
            statistics
                .map(|it| counter(labelled(node, address, &[]), value(it)))
                .into_iter()
                .collect()
        });
        families.extend(family(name, help, MetricType::COUNTER, metrics));
    }
    families.extend(family(
        "tricenter_card_pcie_errors_total",
        "PCI Express errors by severity: correctable, nonfatal or fatal.",
        MetricType::COUNTER,
        each(&|address, it| pcie_errors(node, address, it)),
    ));
    families.extend(family(
        "tricenter_card_cross_checks_total",
        "Decoded messages compared with the software decoder, by result: equal or different.",
        MetricType::COUNTER,
        each(&|address, it| {
            let compared = it.compared;
            let equal = compared.compared - compared.mismatches;
            vec![
                counter(labelled(node, address, &[("result", "equal")]), equal),
                counter(
                    labelled(node, address, &[("result", "different")]),
                    compared.mismatches,
                ),
            ]
        }),
    ));
    families.extend(family(
        "tricenter_card_unread_total",
        "Rounds in which no reading came in time.",
        MetricType::COUNTER,
        each(&|address, it| vec![counter(labelled(node, address, &[]), it.unread)]),
    ));
    families.extend(family(
        "tricenter_card_decode_seconds",
        "Time from packet to decoded message, as the driver counts it; the sum is of upper bounds.",
        MetricType::HISTOGRAM,
        each(&|address, it| {
            let statistics = it.reading.as_ref().and_then(|it| it.statistics.as_ref());
            statistics
                .map(|it| histogram(labelled(node, address, &[]), &it.latency))
                .into_iter()
                .collect()
        }),
    ));
    families
}

fn states(node: &str, address: &str, snapshot: &Snapshot) -> Vec<Metric> {
    let Some(judgement) = &snapshot.judgement else {
        return Vec::new();
    };
    State::ALL
        .into_iter()
        .map(|state| {
            let metric = labelled(node, address, &[("state", state.as_str())]);
            gauge(metric, f64::from(u8::from(state == judgement.state)))
        })
        .collect()
}

fn pcie_errors(node: &str, address: &str, snapshot: &Snapshot) -> Vec<Metric> {
    let Some(reading) = &snapshot.reading else {
        return Vec::new();
    };
    [
        ("correctable", reading.correctable_errors),
        ("nonfatal", reading.nonfatal_errors),
        ("fatal", reading.fatal_errors),
    ]
    .into_iter()
    .filter_map(|(severity, count)| {
        Some(counter(
            labelled(node, address, &[("severity", severity)]),
            count?,
        ))
    })
    .collect()
}

fn histogram(mut metric: Metric, latency: &LatencyHistogram) -> Metric {
    let (mut buckets, mut seen, mut sum_ns) = (Vec::new(), 0, 0_f64);
    for (bound, count) in LATENCY_BOUNDS_NS.into_iter().zip(latency.counts) {
        seen += count;
        sum_ns += bound as f64 * count as f64;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64 / 1e9);
        bucket.set_cumulative_count(seen);
        buckets.push(bucket);
    }
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(latency.total());
    histogram.set_sample_sum(sum_ns / 1e9);
    metric.set_histogram(histogram);
    metric
}
