//! Reading probes: what each saw, or that it saw nothing.

use std::time::Duration;

use chaos_scenario::{Probe, Reading};
use history::{History, Record, SeenReport};
use lab::ground::cluster::Cluster;
use lab::progress::Detail;
use lab::run::centers::{Centers, Watch};
use lab::run::clients::Clients;
use tokio::time::timeout;

const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// What probes look at.
pub struct Sight<'a> {
    /// The centers.
    pub centers: &'a Centers,
    /// The replicas' statuses.
    pub watch: &'a Watch,
    /// The load.
    pub clients: &'a Clients,
    /// What it offers, in orders a second.
    pub offered: u64,
    /// The epoch before the injection.
    pub epoch_before: u64,
}

impl Sight<'_> {
    /// Reads one probe now.
    pub async fn read(&self, probe: &Probe) -> Reading {
        match probe {
            Probe::AcknowledgedRate { percent_min } => {
                let needed = self.offered * u64::from(*percent_min) / 100;
                self.rate(|rate| rate >= needed)
            }
            Probe::AcknowledgedRateAtMost { percent_max } => {
                let allowed = self.offered * u64::from(*percent_max) / 100;
                self.rate(|rate| rate <= allowed)
            }
            Probe::Latency { p99_ms_max } => match self.clients.latency() {
                None => Reading::NoData("no order has been answered yet".to_owned()),
                Some(latency) => judge(
                    latency.p99_us <= p99_ms_max * 1_000,
                    format!(
                        "p99 {}.{} ms",
                        latency.p99_us / 1_000,
                        latency.p99_us % 1_000 / 100
                    ),
                ),
            },
            Probe::OneLeader {} => {
                let seen = self.watch.seen();
                let leaders = seen.leaders();
                match seen.heard() {
                    0 => Reading::NoData("no replica is heard".to_owned()),
                    heard => judge(
                        leaders.len() == 1,
                        format!("of {heard} replicas heard, {leaders:?} lead the highest epoch"),
                    ),
                }
            }
            Probe::AllVotersInStep {} => match self.watch.leader() {
                None => Reading::Broken("nobody leads".to_owned()),
                Some(leader) => judge(
                    leader.all_voters_in_step,
                    format!(
                        "the leader in {} says {}",
                        leader.center, leader.all_voters_in_step
                    ),
                ),
            },
            Probe::EqualStates {} => match self.watch.seen().equal_at(self.centers.all.len()) {
                Some(index) => Reading::Holds(format!("equal at entry {index}")),
                None => Reading::Broken(format!(
                    "not all equal; {} replicas heard",
                    self.watch.seen().heard()
                )),
            },
            Probe::ConditionsTrue {} => {
                let detail = Detail::default();
                let look = self.centers.wait_until_all_true(Duration::ZERO, &detail);
                match timeout(ANSWER_LIMIT * 2, look).await {
                    Ok(Ok(())) => Reading::Holds("all conditions are True".to_owned()),
                    Ok(Err(error)) => Reading::Broken(format!("{error:#}")),
                    Err(_) => Reading::NoData("an API server does not answer".to_owned()),
                }
            }
            Probe::LeaderChanges { min, max } => {
                let seen = self.watch.seen();
                let Some(leader) = seen.leader() else {
                    // Without a leader nobody can say how many there were; none now is no change.
                    return Reading::NoData("nobody leads".to_owned());
                };
                // One that nobody told of is taken for one that nobody asked for.
                let untold = leader.epoch > self.epoch_before && !seen.knows_election(leader.epoch);
                let changes = seen.unplanned_elections_above(self.epoch_before) + u64::from(untold);
                judge(
                    (*min..=*max).contains(&changes),
                    format!(
                        "{changes} unplanned leaderships since epoch {}, now epoch {} in {}",
                        self.epoch_before, leader.epoch, leader.center
                    ),
                )
            }
            Probe::ApiServersAnswer {} => self.api_servers().await,
            Probe::Witness {} | Probe::LongestSilence { .. } => {
                Reading::NoData("it is judged at the end".to_owned())
            }
        }
    }

    fn rate(&self, is_right: impl Fn(u64) -> bool) -> Reading {
        let (sent, _, in_flight) = self.clients.totals();
        if sent == 0 {
            return Reading::NoData("the load has not begun".to_owned());
        }
        let rate = self.clients.rate();
        judge(
            is_right(rate),
            format!("{rate} of {} orders/s, {in_flight} in flight", self.offered),
        )
    }

    async fn api_servers(&self) -> Reading {
        let mut silent = Vec::new();
        for center in &self.centers.all {
            let asking = async {
                let cluster = Cluster::connect(&center.kubeconfig).await.ok()?;
                cluster.client().apiserver_version().await.ok()
            };
            if timeout(ANSWER_LIMIT, asking).await.ok().flatten().is_none() {
                silent.push(center.name.clone());
            }
        }
        match silent.is_empty() {
            true => Reading::Holds("all API servers answer".to_owned()),
            false => Reading::Broken(format!("no answer from {}", silent.join(", "))),
        }
    }
}

fn judge(holds: bool, seen: String) -> Reading {
    match holds {
        true => Reading::Holds(seen),
        false => Reading::Broken(seen),
    }
}

/// The longest time without an accepted order, between two moments in microseconds since 1970; in
/// milliseconds. None when nothing was accepted at all. Where orders are not accepted by the rules
/// (a break), any answer counts.
#[must_use]
pub fn longest_silence_ms(
    histories: &[History],
    from_us: u64,
    to_us: u64,
    any_answer: bool,
) -> Option<u64> {
    let counts = |record: &Record| match record {
        Record::Received {
            at_us,
            possible_duplicate: false,
            message,
            ..
        } => {
            let accepted = matches!(message.report, SeenReport::Accepted { .. });
            (accepted || (any_answer && message.in_reply_to.is_some())).then_some(at_us.0)
        }
        _ => None,
    };
    let mut moments: Vec<u64> = histories
        .iter()
        .flat_map(|history| &history.records)
        .filter_map(counts)
        .filter(|at_us| (from_us..=to_us).contains(at_us))
        .collect();
    if moments.is_empty() {
        return None;
    }
    moments.sort_unstable();
    moments.push(to_us);
    let mut previous = from_us;
    let mut longest = 0;
    for at_us in moments {
        longest = longest.max(at_us.saturating_sub(previous));
        previous = at_us;
    }
    Some(longest / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{ClOrdId, ClientSeq, Epoch, LogSeq, OrderId, OutSeq, SessionId, UnixMicros};

    fn accepted(at_ms: u64, possible_duplicate: bool) -> Record {
        Record::Received {
            at_us: UnixMicros(at_ms * 1_000),
            session: SessionId(1),
            leader_epoch: Epoch(1),
            possible_duplicate,
            message: history::SeenMessage {
                out_seq: OutSeq(1),
                in_reply_to: Some(ClientSeq(1)),
                log_seq: LogSeq(1),
                epoch: Epoch(1),
                report: SeenReport::Accepted {
                    cl_ord_id: ClOrdId::new("A").unwrap(),
                    order_id: OrderId(1),
                },
            },
        }
    }

    fn silence(at_ms: &[u64]) -> Option<u64> {
        let history = History {
            client: "c".into(),
            records: at_ms.iter().map(|at| accepted(*at, false)).collect(),
            torn_lines: 0,
        };
        longest_silence_ms(&[history], 1_000_000, 5_000_000, false)
    }

    #[test]
    fn the_silence_after_the_last_order_counts_too() {
        assert_eq!(silence(&[1_100, 1_200, 2_000]), Some(3_000));
        assert_eq!(silence(&[1_100, 3_900, 4_900]), Some(2_800));
        assert_eq!(
            silence(&[4_000]),
            Some(3_000),
            "the one before the first counts"
        );
    }

    #[test]
    fn nothing_accepted_is_no_figure() {
        assert_eq!(silence(&[]), None);
        assert_eq!(silence(&[900, 6_000]), None, "outside of the time");
    }

    #[test]
    fn an_answer_told_again_is_no_new_order() {
        let history = History {
            client: "c".into(),
            records: vec![accepted(1_500, false), accepted(4_000, true)],
            torn_lines: 0,
        };
        assert_eq!(
            longest_silence_ms(&[history], 1_000_000, 5_000_000, false),
            Some(3_500)
        );
    }
}
