//! Counting what a client process sends and sees.

use crate::ground::power::now_us;
use hdrhistogram::Histogram;
use history::{Record, SeenReport};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use types::{ClientSeq, SessionId};

/// Length of one window of latencies; the last one or two are shown.
const WINDOW: Duration = Duration::from_secs(5);
/// Longest latency told apart, in microseconds.
const LATENCY_US_MAX: u64 = 120_000_000;

/// What a client process prints each 200 ms.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When, in microseconds since 1970.
    pub at_us: u64,
    /// Requests sent, each counted once.
    pub sent: u64,
    /// Answered.
    pub acknowledged: u64,
    /// Of these, refused with a reason.
    pub rejected: u64,
    /// Given up.
    pub unknown: u64,
    /// Sent and not answered.
    pub in_flight: u64,
    /// The highest epoch heard.
    pub epoch: u64,
    /// When the first logon in that epoch was answered, in microseconds since 1970; 0 before.
    pub epoch_first_logon_us: u64,
    /// When the first order caused in that epoch was accepted; 0 before.
    pub epoch_first_ack_us: u64,
    /// Median latency of the last seconds, from when the order was due.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Largest.
    pub max_us: u64,
    /// The entry used last.
    pub entry: String,
}

/// The counters.
pub struct Meter {
    sample: Sample,
    open: HashSet<(SessionId, ClientSeq)>,
    current: Histogram<u64>,
    previous: Histogram<u64>,
    since: Instant,
    /// The entry used last.
    pub entry: String,
}

impl Default for Meter {
    fn default() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, LATENCY_US_MAX, 2)
                .expect("the bounds are constants that are accepted")
        };
        Self {
            sample: Sample::default(),
            open: HashSet::new(),
            current: histogram(),
            previous: histogram(),
            since: Instant::now(),
            entry: String::new(),
        }
    }
}

impl Meter {
    /// Takes in what was written down. `latency_us` belongs to the first answer to a request.
    pub fn record(&mut self, record: &Record, latency_us: Option<u64>) {
        match record {
            Record::Sent {
                session,
                client_seq,
                ..
            } => {
                if latency_us.is_none() && self.open.insert((*session, *client_seq)) {
                    self.sample.sent += 1;
                }
            }
            Record::LoggedOn {
                at_us,
                leader_epoch,
                ..
            } => {
                self.hear(leader_epoch.0);
                if leader_epoch.0 == self.sample.epoch && self.sample.epoch_first_logon_us == 0 {
                    self.sample.epoch_first_logon_us = at_us.0;
                }
            }
            Record::Received {
                at_us,
                session,
                leader_epoch,
                message,
                ..
            } => {
                self.hear(leader_epoch.0);
                let accepted = matches!(message.report, SeenReport::Accepted { .. });
                if accepted
                    && message.epoch.0 == self.sample.epoch
                    && self.sample.epoch_first_ack_us == 0
                {
                    self.sample.epoch_first_ack_us = at_us.0;
                }
                if let Some(number) = message.in_reply_to
                    && self.open.remove(&(*session, number))
                {
                    self.sample.acknowledged += 1;
                    let rejected = matches!(message.report, SeenReport::Rejected { .. });
                    self.sample.rejected += u64::from(rejected);
                    if let Some(latency_us) = latency_us {
                        self.current.saturating_record(latency_us.max(1));
                    }
                }
            }
            Record::Unknown {
                session,
                client_seq,
                ..
            } => {
                if self.open.remove(&(*session, *client_seq)) {
                    self.sample.unknown += 1;
                }
            }
            Record::Refused { .. } => {}
        }
    }

    fn hear(&mut self, epoch: u64) {
        if epoch > self.sample.epoch {
            self.sample.epoch = epoch;
            self.sample.epoch_first_logon_us = 0;
            self.sample.epoch_first_ack_us = 0;
        }
    }

    /// The line to be printed now.
    pub fn sample(&mut self) -> Sample {
        if self.since.elapsed() >= WINDOW {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.reset();
            self.since = Instant::now();
        }
        let mut both = self.previous.clone();
        // The bounds are the same, so that nothing is left out.
        if both.add(&self.current).is_ok() && !both.is_empty() {
            self.sample.p50_us = both.value_at_quantile(0.5);
            self.sample.p99_us = both.value_at_quantile(0.99);
            self.sample.max_us = both.max();
        }
        self.sample.at_us = now_us();
        self.sample.in_flight = self.open.len() as u64;
        self.sample.entry.clone_from(&self.entry);
        self.sample.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::SeenMessage;
    use types::{ClOrdId, Epoch, LogSeq, OrderId, OutSeq, Request, UnixMicros};

    fn sent(number: u64) -> Record {
        Record::Sent {
            at_us: UnixMicros(1),
            session: SessionId(1),
            client_seq: ClientSeq(number),
            request: Request::MassCancel { symbol: None },
        }
    }

    fn accepted(number: u64, epoch: u64, at_us: u64) -> Record {
        Record::Received {
            at_us: UnixMicros(at_us),
            session: SessionId(1),
            leader_epoch: Epoch(2),
            possible_duplicate: false,
            message: SeenMessage {
                out_seq: OutSeq(number),
                in_reply_to: Some(ClientSeq(number)),
                log_seq: LogSeq(1),
                epoch: Epoch(epoch),
                report: SeenReport::Accepted {
                    cl_ord_id: ClOrdId::new("A").unwrap(),
                    order_id: OrderId(1),
                },
            },
        }
    }

    #[test]
    fn a_request_counts_once_however_often_it_is_sent_and_answered() {
        let mut meter = Meter::default();
        meter.record(&sent(1), None);
        meter.record(&sent(1), None);
        meter.record(&accepted(1, 2, 5), Some(100));
        meter.record(&accepted(1, 2, 6), Some(100));
        meter.record(&sent(2), None);
        let sample = meter.sample();
        assert_eq!(
            (sample.sent, sample.acknowledged, sample.in_flight),
            (2, 1, 1)
        );
    }

    #[test]
    fn an_answer_of_the_old_epoch_told_by_the_new_leader_is_no_new_order() {
        let mut meter = Meter::default();
        meter.record(&sent(1), None);
        meter.record(&accepted(1, 1, 5), Some(100));
        assert_eq!(meter.sample().epoch_first_ack_us, 0);
        meter.record(&sent(2), None);
        meter.record(&accepted(2, 2, 9), Some(100));
        assert_eq!(meter.sample().epoch_first_ack_us, 9);
    }
}
