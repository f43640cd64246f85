//! The judgement: histories against the promoted log, and the moments into legs.

use super::centers::{Centers, Watch};
use super::clients::Offer;
use super::legs::Moments;
use super::report::{
    Fault, FaultReport, Machine, Orders, Percentiles, REPORT_FORMAT, Recovery, Report, Step,
    Verdict,
};
use crate::progress::Detail;
use anyhow::{Context as _, Result, bail};
use client::admin::AdminConnection;
use history::{FirstContact, History, Log, Record, SeenReport, check, first_contact};
use protocol::admin::{ElectionRecord, log_chunk};
use types::{Epoch, LogIndex};

/// The reader of a log may pause this long.
const LOG_SILENCE_MS_MAX: u64 = 10_000;

/// What the log and the histories together say.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The check's outcome.
    pub verdict: history::Verdict,
    /// Requests in the log.
    pub commands: u64,
    /// Sessions in the histories.
    pub sessions: usize,
    /// The histories, for the moments.
    pub histories: Vec<History>,
}

/// Reads the leader's log, replays it, and holds the histories against it.
///
/// # Errors
/// When the log cannot be read or is none.
pub async fn judge(
    centers: &Centers,
    watch: &Watch,
    histories: &[History],
    detail: &Detail,
) -> Result<Judged> {
    let leader = watch
        .leader()
        .context("failed to find a leader whose log could be read")?;
    judge_at(
        &centers.get(&leader.center)?.administration,
        histories,
        detail,
    )
    .await
}

/// The same with a leader whose address is known.
///
/// # Errors
/// As [`judge`].
pub async fn judge_at(address: &str, histories: &[History], detail: &Detail) -> Result<Judged> {
    let connection = AdminConnection::connect(address).await?;
    let mut reader = connection.read_log(LogIndex(1)).await?;
    let mut log = Log::new();
    let mut ended = None;
    while let Some(chunk) = reader.next(LOG_SILENCE_MS_MAX).await? {
        match chunk.body {
            Some(log_chunk::Body::Snapshot(snapshot)) => {
                log = Log::from_snapshot(LogIndex(snapshot.index), &snapshot.state)?;
            }
            Some(log_chunk::Body::Entry(entry)) => {
                log.entry(LogIndex(entry.index), Epoch(entry.epoch), &entry.batch)?;
                if entry.index.is_multiple_of(1_000) {
                    detail.set(format!("entry {} replayed", entry.index));
                }
            }
            Some(log_chunk::Body::End(end)) => ended = Some(end),
            None => {}
        }
    }
    let Some(end) = ended else {
        bail!(
            "failed to read the log: it breaks off after entry {}",
            log.last_index()
        );
    };
    log.compare(&end.history_hash)?;
    let verdict = check(&log, histories);
    Ok(Judged {
        commands: log.requests() as u64,
        sessions: history::sessions(histories),
        verdict,
        histories: histories.to_vec(),
    })
}

/// All that a report is made of.
pub struct Evidence {
    /// When the fault was made.
    pub fault_at_us: u64,
    /// What it was, and who leads since.
    pub fault: FaultReport,
    /// The election as its winner lived it.
    pub election: Option<ElectionRecord>,
    /// Log and histories.
    pub judged: Judged,
    /// Latencies before the fault.
    pub latency_before: Option<Percentiles>,
    /// Fault to full load.
    pub full_load_us: Option<u64>,
    /// The center's way back.
    pub recovery: Option<Recovery>,
    /// What did not hold so far.
    pub findings: Vec<String>,
    /// Steps and their times.
    pub steps: Vec<Step>,
    /// What was offered.
    pub offer: Offer,
    /// Above this recovery time the run has failed.
    pub rto_ms_max: u64,
    /// When it ended.
    pub ended_at: String,
    /// Where.
    pub machine: Machine,
}

/// Makes the report. Pure.
#[must_use]
pub fn report(evidence: Evidence) -> Report {
    let first = first_contact(&evidence.judged.histories, Epoch(evidence.fault.new_epoch));
    let moments = moments(evidence.fault_at_us, evidence.election, first);
    let longest_silence_us = longest_silence(&evidence.judged.histories, evidence.fault_at_us);
    let mut findings = evidence.findings;
    let mut failed = !findings.is_empty();
    let legs = match moments.legs() {
        Ok(legs) => {
            // A planned move may wait for its checks while orders are served: it is held to what
            // clients felt of it.
            let (what, took_us) = match (evidence.fault.kind, longest_silence_us) {
                (Fault::PlannedMove, Some(silence_us)) => ("longest silence", silence_us),
                _ => ("RTO", legs.rto_us),
            };
            if took_us > evidence.rto_ms_max * 1_000 {
                failed = true;
                findings.push(format!(
                    "{what} {} ms is above {} ms",
                    took_us / 1_000,
                    evidence.rto_ms_max
                ));
            }
            Some(legs)
        }
        Err(error) => {
            findings.push(error.to_string());
            None
        }
    };
    if evidence.full_load_us.is_none() {
        failed = true;
        findings.push("the full rate was not acknowledged again".into());
    }
    let checked = &evidence.judged.verdict;
    let broken = checked.lost + checked.doubled + checked.contradictions;
    failed |= broken > 0;
    findings.extend(checked.findings.iter().cloned());
    let conclusive = legs.is_some() && checked.acknowledged > 0 && checked.unverifiable == 0;
    if checked.acknowledged == 0 {
        findings.push("no order was acknowledged: there is nothing to judge by".into());
    }
    if checked.unverifiable > 0 {
        findings.push(format!(
            "{} answers are older than the kept log and could not be looked up",
            checked.unverifiable
        ));
    }
    let verdict = match (failed, conclusive) {
        (true, _) => Verdict::Failed,
        (false, true) => Verdict::Passed,
        (false, false) => Verdict::Inconclusive,
    };
    Report {
        format: REPORT_FORMAT,
        ended_at: evidence.ended_at,
        verdict,
        findings,
        machine: evidence.machine,
        fault: evidence.fault,
        moments,
        legs,
        full_load_us: evidence.full_load_us,
        longest_silence_us,
        orders: Orders {
            offered_per_second: evidence.offer.per_second,
            client_processes: evidence.offer.processes,
            sessions: evidence.judged.sessions,
            sent: checked.sent,
            acknowledged: checked.acknowledged,
            rejected: checked.rejected,
            unknown: checked.unknown,
            lost: checked.lost,
            doubled: checked.doubled,
            latency_before_us: evidence.latency_before,
        },
        recovery: evidence.recovery,
        steps: evidence.steps,
    }
}

/// The longest time between two orders that any clients saw accepted, counted from the last before
/// the fault.
fn longest_silence(histories: &[History], fault_at_us: u64) -> Option<u64> {
    let records = histories.iter().flat_map(|history| &history.records);
    let mut accepted: Vec<u64> = records
        .filter_map(|record| match record {
            Record::Received { at_us, message, .. }
                if matches!(message.report, SeenReport::Accepted { .. }) =>
            {
                Some(at_us.0)
            }
            _ => None,
        })
        .collect();
    accepted.sort_unstable();
    let after = accepted.partition_point(|at_us| *at_us < fault_at_us);
    let from = after.saturating_sub(1);
    let pairs = accepted[from..].windows(2);
    pairs.map(|pair| pair[1] - pair[0]).max()
}

fn moments(fault_at_us: u64, election: Option<ElectionRecord>, first: FirstContact) -> Moments {
    let election = election.unwrap_or_default();
    Moments {
        fault_at_us,
        suspected_at_us: election.suspected_at_us,
        campaigned_at_us: election.campaigned_at_us,
        elected_at_us: election.elected_at_us,
        serving_at_us: election.serving_at_us,
        rerouted_at_us: first.logged_on_at.map_or(0, |at| at.0),
        first_order_at_us: first.accepted_at.map_or(0, |at| at.0),
    }
}

/// The machine that this runs on.
#[must_use]
pub fn machine() -> Machine {
    let memory_kib = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .unwrap_or(0);
    Machine {
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        memory_mib: memory_kib / 1_024,
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::Record;
    use types::{AccountId, ClOrdId, ClientSeq, LogSeq, OrderId, OutSeq, SessionId, UnixMicros};

    fn histories() -> Vec<History> {
        let accepted = Record::Received {
            at_us: UnixMicros(1_900_000),
            session: SessionId(1),
            leader_epoch: Epoch(2),
            possible_duplicate: false,
            message: history::SeenMessage {
                out_seq: OutSeq(1),
                in_reply_to: Some(ClientSeq(1)),
                log_seq: LogSeq(5),
                epoch: Epoch(2),
                report: history::SeenReport::Accepted {
                    cl_ord_id: ClOrdId::new("A").unwrap(),
                    order_id: OrderId(1),
                },
            },
        };
        let logged_on = Record::LoggedOn {
            at_us: UnixMicros(1_800_000),
            session: SessionId(1),
            account: AccountId(1),
            last_out_seq_seen: OutSeq(0),
            leader_epoch: Epoch(2),
            next_client_seq: ClientSeq(1),
            next_out_seq: OutSeq(1),
            replay_missing: 0,
        };
        vec![History {
            client: "test".into(),
            records: vec![logged_on, accepted],
            torn_lines: 0,
        }]
    }

    fn evidence() -> Evidence {
        Evidence {
            fault_at_us: 1_000_000,
            fault: FaultReport {
                kind: Fault::CenterPowerOff,
                center: "a1".into(),
                old_leader: 1,
                old_epoch: 1,
                new_leader: 2,
                new_center: "a2".into(),
                new_epoch: 2,
            },
            election: Some(ElectionRecord {
                epoch: 2,
                suspected_at_us: 1_600_000,
                campaigned_at_us: 1_650_000,
                elected_at_us: 1_700_000,
                serving_at_us: 1_750_000,
                ..ElectionRecord::default()
            }),
            judged: Judged {
                verdict: history::Verdict {
                    sent: 10,
                    acknowledged: 10,
                    ..history::Verdict::default()
                },
                commands: 10,
                sessions: 1,
                histories: histories(),
            },
            latency_before: None,
            full_load_us: Some(2_000_000),
            recovery: None,
            findings: vec![],
            steps: vec![],
            offer: Offer {
                processes: 1,
                sessions_per_process: 1,
                per_second: 10,
                seed: 1,
            },
            rto_ms_max: 5_000,
            ended_at: String::new(),
            machine: Machine {
                processors: 2,
                memory_mib: 1,
                kernel: String::new(),
            },
        }
    }

    #[test]
    fn a_failover_without_loss_within_the_time_passes() {
        let report = report(evidence());
        assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.findings);
        assert_eq!(report.legs.unwrap().rto_us, 900_000);
    }

    #[test]
    fn a_lost_order_fails_the_run() {
        let mut evidence = evidence();
        evidence.judged.verdict.lost = 1;
        assert_eq!(report(evidence).verdict, Verdict::Failed);
    }

    #[test]
    fn a_slow_failover_fails_the_run_and_says_so() {
        let mut evidence = evidence();
        evidence.rto_ms_max = 500;
        let report = report(evidence);
        assert_eq!(report.verdict, Verdict::Failed);
        assert!(report.findings[0].contains("RTO 900 ms is above 500 ms"));
    }

    #[test]
    fn a_planned_move_that_waited_while_orders_were_served_is_held_to_their_silence() {
        let mut moved = evidence();
        moved.rto_ms_max = 500;
        moved.fault.kind = Fault::PlannedMove;
        let records = &mut moved.judged.histories[0].records;
        let mut earlier = records[1].clone();
        if let Record::Received { at_us, message, .. } = &mut earlier {
            (*at_us, message.epoch) = (UnixMicros(1_880_000), Epoch(1));
        }
        records.insert(0, earlier);
        let held = report(moved);
        assert_eq!(held.longest_silence_us, Some(20_000));
        assert_eq!(held.verdict, Verdict::Passed, "{:?}", held.findings);
    }

    #[test]
    fn no_data_is_inconclusive_never_passed() {
        let mut unseen = evidence();
        unseen.election = None;
        assert_eq!(report(unseen).verdict, Verdict::Inconclusive);
        let mut silent = evidence();
        silent.judged.verdict.acknowledged = 0;
        assert_eq!(report(silent).verdict, Verdict::Inconclusive);
        let mut hidden = evidence();
        hidden.judged.verdict.unverifiable = 1;
        assert_eq!(report(hidden).verdict, Verdict::Inconclusive);
    }
}
