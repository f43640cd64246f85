//! What is reported: conditions, figures and the last failover, and what is worth an event. Pure.

use jiff::Timestamp;

use crds::conditions::{self, Finding, reasons};
use crds::{
    ConditionStatus, LastFailover, ReplicaRole, ReplicaSummary, TradingCore, TradingCoreStatus,
};
use protocol::admin::{ElectionRecord, Role};

use crate::observe::{EntryFacts, Observed, WorkloadFacts};
use crate::plan::Restart;
use crate::takeover::check::voters;
use crate::view::{Leader, View};

/// Something that people should hear of, as an Event of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is a warning.
    pub is_warning: bool,
    /// One word for programs.
    pub reason: &'static str,
    /// What was being done. Events of the same reason and action are counted as one, under the
    /// first one's text.
    pub action: String,
    /// One sentence for people.
    pub text: String,
}

impl Notice {
    /// Something that went as it should.
    #[must_use]
    pub fn normal(reason: &'static str, action: impl Into<String>, text: String) -> Self {
        Self {
            is_warning: false,
            reason,
            action: action.into(),
            text,
        }
    }

    /// Something that somebody should look at.
    #[must_use]
    pub fn warning(reason: &'static str, action: impl Into<String>, text: String) -> Self {
        Self {
            is_warning: true,
            reason,
            action: action.into(),
            text,
        }
    }
}

/// What came of applying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All was applied, and nothing of the workloads changed by it.
    Applied,
    /// All was applied, and the workloads are asked for something new.
    Changed,
    /// Something was not applied.
    Failed(String),
    /// Nothing was to be applied.
    Paused,
}

/// What a report rests on.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was seen.
    pub observed: &'a Observed,
    /// What came of applying.
    pub outcome: &'a Outcome,
    /// Where this center's replica is in a restart.
    pub restart: &'a Restart,
    /// Since when hand-back has been possible.
    pub hand_back_ready_since: Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// The status of an object from which nothing can be made.
#[must_use]
pub fn refused(
    core: &TradingCore,
    reason: &'static str,
    message: &str,
    now: Timestamp,
) -> TradingCoreStatus {
    let before = core.status.clone().unwrap_or_default();
    let mut findings: Vec<Finding> = conditions::TYPES
        .into_iter()
        .map(|type_| {
            let status = if type_ == conditions::READY {
                ConditionStatus::False
            } else {
                ConditionStatus::Unknown
            };
            Finding::new(type_, status, reason, message)
        })
        .collect();
    findings.push(Finding::new(
        conditions::STALLED,
        ConditionStatus::True,
        reason,
        message,
    ));
    let generation = core.metadata.generation.unwrap_or_default();
    TradingCoreStatus {
        observed_generation: Some(generation),
        conditions: conditions::update(&before.conditions, &findings, generation, &now.to_string()),
        ..TradingCoreStatus::default()
    }
}

/// The status from what was seen.
#[must_use]
pub fn update(core: &TradingCore, report: &Report<'_>) -> TradingCoreStatus {
    let before = core.status.clone().unwrap_or_default();
    let view = &report.observed.view;
    let generation = core.metadata.generation.unwrap_or_default();
    let leader = view.leader_replica();
    let rpo = rpo_zero(view);
    TradingCoreStatus {
        observed_generation: Some(generation),
        conditions: conditions::update(
            &before.conditions,
            &findings(core, report),
            generation,
            &report.now.to_string(),
        ),
        leader,
        leader_center: leader
            .and_then(|replica| view.center_of(replica))
            .map(ToOwned::to_owned),
        epoch: view.epoch(),
        lag_entries: view
            .answers()
            .iter()
            .filter_map(|answer| view.lag_entries(answer.replica))
            .max(),
        rpo_zero: match rpo.status {
            ConditionStatus::True => Some(true),
            ConditionStatus::False => Some(false),
            ConditionStatus::Unknown => None,
        },
        replicas: replicas(view),
        last_failover: last_failover(view).or(before.last_failover),
        hand_back_ready_since: report.hand_back_ready_since.map(|since| since.to_string()),
    }
}

fn findings(core: &TradingCore, report: &Report<'_>) -> Vec<Finding> {
    let view = &report.observed.view;
    let available = available(view);
    let (ready, hindrance) = ready(core, report, &available);
    let mut findings = vec![
        ready,
        available,
        leader_known(view),
        replicas_in_step(view),
        rpo_zero(view),
        entry_ready(report.observed),
    ];
    findings.extend(hindrance);
    findings
}

/// Whether this center runs what was asked for, and if not, whether it is on its way (Reconciling)
/// or needs help (Stalled).
fn ready(
    core: &TradingCore,
    report: &Report<'_>,
    available: &Finding,
) -> (Finding, Option<Finding>) {
    let not = |reason: &'static str, message: String, hindrance: Option<&'static str>| {
        let finding = |type_, status| Finding::new(type_, status, reason, message.clone());
        (
            finding(conditions::READY, ConditionStatus::False),
            hindrance.map(|type_| finding(type_, ConditionStatus::True)),
        )
    };
    let reconciling = Some(conditions::RECONCILING);
    match report.outcome {
        Outcome::Failed(message) => {
            return not(
                reasons::APPLY_FAILED,
                message.clone(),
                Some(conditions::STALLED),
            );
        }
        Outcome::Changed => {
            return not(
                reasons::PODS_STARTING,
                "new objects were applied".to_owned(),
                reconciling,
            );
        }
        Outcome::Paused => {
            return not(
                reasons::PAUSED,
                "spec.paused is set: nothing is applied".to_owned(),
                None,
            );
        }
        Outcome::Applied => {}
    }
    match report.restart {
        Restart::NotNeeded => {}
        Restart::Waiting(why) => {
            return not(
                reasons::RESTART_WAITING,
                format!("the replica waits to be restarted: {why}"),
                reconciling,
            );
        }
        Restart::Running => {
            return not(
                reasons::RESTARTING,
                "the replica is being restarted".to_owned(),
                reconciling,
            );
        }
    }
    let settled = |facts: &Option<WorkloadFacts>, wanted: i32| {
        facts
            .as_ref()
            .is_some_and(|facts| facts.is_current && facts.ready >= wanted)
    };
    let observed = report.observed;
    if !settled(&observed.replica, 1) {
        let held_by = observed.replica.as_ref().and_then(|it| it.held_by.as_ref());
        if let Some((takeover, _)) = held_by {
            let message = format!("Takeover {takeover} holds the replica, to work on its disk");
            return not(reasons::HELD, message, reconciling);
        }
        return not(
            reasons::PODS_STARTING,
            "the replica's pod is not ready".to_owned(),
            reconciling,
        );
    }
    if !settled(&observed.gateway, core.spec.entry.gateway_replicas) {
        return not(
            reasons::PODS_STARTING,
            "not all gateway pods are ready".to_owned(),
            reconciling,
        );
    }
    if available.status != ConditionStatus::True {
        return (
            Finding {
                type_: conditions::READY,
                ..available.clone()
            },
            None,
        );
    }
    (
        Finding::new(
            conditions::READY,
            ConditionStatus::True,
            reasons::AS_SPECIFIED,
            "this center runs what was asked for, and the core serves orders",
        ),
        None,
    )
}

fn no_data(type_: &'static str, message: impl Into<String>) -> Finding {
    Finding::new(type_, ConditionStatus::Unknown, reasons::NO_DATA, message)
}

const NOBODY_ASKED: &str = "no replica could be asked";
const LEADER_SILENT: &str = "the leader could not be asked";

fn available(view: &View) -> Finding {
    let type_ = conditions::AVAILABLE;
    let no_leader =
        |message: &str| Finding::new(type_, ConditionStatus::False, reasons::NO_LEADER, message);
    match view.leader() {
        Leader::NoData => no_data(type_, NOBODY_ASKED),
        Leader::None => no_leader("replicas answer, and none knows a leader"),
        Leader::Differ(_) => differ(type_, view),
        Leader::Known(replica) => match view.leader_status() {
            None => no_data(type_, LEADER_SILENT),
            Some(status) if !status.serving => no_leader("the leader does not serve yet"),
            Some(_) => Finding::new(
                type_,
                ConditionStatus::True,
                reasons::LEADER_SERVES,
                format!(
                    "{} serves orders",
                    view.center_of(*replica).unwrap_or("the leader")
                ),
            ),
        },
    }
}

fn differ(type_: &'static str, view: &View) -> Finding {
    let named = match view.leader() {
        Leader::Differ(named) => named
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(" and "),
        _ => String::new(),
    };
    Finding::new(
        type_,
        ConditionStatus::False,
        reasons::LEADERS_DIFFER,
        format!("replicas of the same epoch name {named} as leader; collect their logs at once"),
    )
}

fn leader_known(view: &View) -> Finding {
    let type_ = conditions::LEADER_KNOWN;
    match view.leader() {
        Leader::NoData => no_data(type_, NOBODY_ASKED),
        Leader::None => Finding::new(
            type_,
            ConditionStatus::False,
            reasons::NO_LEADER,
            "replicas answer, and none knows a leader",
        ),
        Leader::Differ(_) => differ(type_, view),
        Leader::Known(replica) => Finding::new(
            type_,
            ConditionStatus::True,
            reasons::LEADER_SERVES,
            format!(
                "replica {replica} in {} leads",
                view.center_of(*replica).unwrap_or("an unknown center")
            ),
        ),
    }
}

fn diverged(type_: &'static str, view: &View) -> Option<Finding> {
    let (one, other) = view.divergence()?;
    Some(Finding::new(
        type_,
        ConditionStatus::False,
        reasons::CONTENT_DIFFERS,
        format!("replicas {one} and {other} differ at the same place of the log"),
    ))
}

fn replicas_in_step(view: &View) -> Finding {
    let type_ = conditions::REPLICAS_IN_STEP;
    if let Some(finding) = diverged(type_, view) {
        return finding;
    }
    if view.leader_status().is_none() {
        return no_data(type_, LEADER_SILENT);
    }
    let late: Vec<&str> = view
        .answers()
        .iter()
        .filter(|answer| view.in_step(answer.replica) != Some(true))
        .map(|answer| answer.center.as_str())
        .collect();
    if late.is_empty() {
        Finding::new(
            type_,
            ConditionStatus::True,
            reasons::IN_STEP,
            "every replica follows closely",
        )
    } else {
        Finding::new(
            type_,
            ConditionStatus::False,
            reasons::REPLICA_BEHIND,
            format!("behind or silent: {}", late.join(", ")),
        )
    }
}

/// With fewer voters the loss of one center stops the rest, or is the loss of all.
const VOTERS_MIN: usize = 3;

fn rpo_zero(view: &View) -> Finding {
    let type_ = conditions::RPO_ZERO;
    if let Some(finding) = diverged(type_, view) {
        return finding;
    }
    match view.leader_status() {
        None => no_data(type_, LEADER_SILENT),
        Some(status) if (1..VOTERS_MIN).contains(&voters(status).len()) => Finding::new(
            type_,
            ConditionStatus::False,
            reasons::VOTER_MISSING,
            format!(
                "{} of at least {VOTERS_MIN} replicas have a vote, as after a takeover: bring the others \
                 back",
                voters(status).len()
            ),
        ),
        Some(status) if status.all_voters_in_step => Finding::new(
            type_,
            ConditionStatus::True,
            reasons::IN_STEP,
            "every voter confirms: the loss of any one center would lose no acknowledged order",
        ),
        Some(_) => Finding::new(
            type_,
            ConditionStatus::False,
            reasons::VOTER_MISSING,
            "a voter has not confirmed lately; bring it back before anything else is taken down",
        ),
    }
}

fn entry_ready(observed: &Observed) -> Finding {
    let type_ = conditions::ENTRY_READY;
    let not =
        |reason, message: String| Finding::new(type_, ConditionStatus::False, reason, message);
    let gateways = observed.gateway.as_ref().map_or(0, |facts| facts.ready);
    match &observed.entry {
        EntryFacts::ApiMissing => not(
            reasons::GATEWAY_API_MISSING,
            "the cluster has no Gateway API: install its CRDs and a controller".to_owned(),
        ),
        EntryFacts::Pending(why) => not(reasons::ENTRY_PENDING, why.clone()),
        EntryFacts::Programmed if gateways == 0 => {
            not(reasons::GATEWAY_DOWN, "no gateway pod is ready".to_owned())
        }
        EntryFacts::Programmed => Finding::new(
            type_,
            ConditionStatus::True,
            reasons::ENTRY_SERVES,
            "the entry takes clients",
        ),
    }
}

fn replicas(view: &View) -> Vec<ReplicaSummary> {
    view.answers()
        .iter()
        .map(|answer| {
            let status = answer.status.as_ref().ok();
            ReplicaSummary {
                replica: answer.replica,
                center: answer.center.clone(),
                role: status.map_or(ReplicaRole::Unknown, |status| role(status.role)),
                epoch: status.map(|status| status.epoch),
                applied_index: status.map(|status| status.applied_index),
                lag_entries: view.lag_entries(answer.replica),
                version: status.map(|status| status.version.clone()),
            }
        })
        .collect()
}

fn role(role: i32) -> ReplicaRole {
    match Role::try_from(role) {
        Ok(Role::Leader) => ReplicaRole::Leader,
        Ok(Role::Follower) => ReplicaRole::Follower,
        Ok(Role::PreCandidate | Role::Candidate) => ReplicaRole::Candidate,
        Ok(Role::Unspecified) | Err(_) => ReplicaRole::Unknown,
    }
}

/// The election that made today's leader, as that leader lived it. The very first one of a core
/// took over from nobody and is no failover.
fn last_failover(view: &View) -> Option<LastFailover> {
    let leader = view.leader_status()?;
    let record = leader.elections.iter().find(|record| {
        record.epoch == leader.epoch && record.serving_at_us != 0 && record.previous_leader != 0
    })?;
    Some(failover(record, view, &leader.center))
}

fn failover(record: &ElectionRecord, view: &View, to: &str) -> LastFailover {
    let between = |from_us: u64, until_us: u64| {
        if from_us == 0 {
            0
        } else {
            until_us.saturating_sub(from_us).div_ceil(1_000)
        }
    };
    let at = i64::try_from(record.serving_at_us)
        .ok()
        .and_then(|us| Timestamp::from_microsecond(us).ok())
        .unwrap_or_default();
    LastFailover {
        epoch: record.epoch,
        from: view
            .center_of(record.previous_leader)
            .map(ToOwned::to_owned),
        to: to.to_owned(),
        at: at.to_string(),
        detect_ms: between(record.suspected_at_us, record.campaigned_at_us),
        // A quorum's answer fences the old epoch and elects at the same moment.
        fence_ms: None,
        elect_ms: between(record.campaigned_at_us, record.elected_at_us),
        replay_ms: between(record.elected_at_us, record.serving_at_us),
        planned: record.planned,
    }
}

/// What changed between two statuses that people should hear of.
#[must_use]
pub fn notices(before: Option<&TradingCoreStatus>, after: &TradingCoreStatus) -> Vec<Notice> {
    let empty = TradingCoreStatus::default();
    let before = before.unwrap_or(&empty);
    let mut notices = Vec::new();
    let refusal = |status: &TradingCoreStatus| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == conditions::STALLED)
            .map(|condition| (condition.reason.clone(), condition.message.clone()))
    };
    if let Some((reason, message)) = refusal(after)
        && refusal(before) != Some((reason.clone(), message.clone()))
    {
        let word = if reason == reasons::APPLY_FAILED {
            "ApplyFailed"
        } else {
            "Refused"
        };
        notices.push(Notice::warning(word, "Validate", message));
    }
    if let Some(failover) = &after.last_failover
        && before.last_failover.as_ref().map(|last| last.epoch) != Some(failover.epoch)
    {
        let text = format!(
            "{} leads since epoch {} ({} before): detect {} ms, elect {} ms, replay {} ms",
            failover.to,
            failover.epoch,
            failover.from.as_deref().unwrap_or("unknown"),
            failover.detect_ms,
            failover.elect_ms,
            failover.replay_ms
        );
        let action = format!("Elect epoch {}", failover.epoch);
        notices.push(if failover.planned {
            Notice::normal("LeaderTransferred", action, text)
        } else {
            Notice::warning("Failover", action, text)
        });
    } else if let Some(leader) = &after.leader_center
        && before.leader_center.as_ref() != Some(leader)
    {
        notices.push(Notice::normal(
            "LeaderChanged",
            format!("Elect epoch {}", after.epoch.unwrap_or_default()),
            format!(
                "{leader} leads, epoch {} ({} before)",
                after.epoch.unwrap_or_default(),
                before.leader_center.as_deref().unwrap_or("none")
            ),
        ));
    }
    let word_of = |status: &TradingCoreStatus, type_: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .map(|condition| condition.reason.clone())
    };
    for alarm in [reasons::CONTENT_DIFFERS, reasons::LEADERS_DIFFER] {
        for type_ in [conditions::REPLICAS_IN_STEP, conditions::LEADER_KNOWN] {
            let is_now = word_of(after, type_).as_deref() == Some(alarm);
            if is_now
                && word_of(before, type_).as_deref() != Some(alarm)
                && let Some(condition) = after
                    .conditions
                    .iter()
                    .find(|condition| condition.type_ == type_)
            {
                notices.push(Notice::warning(
                    if alarm == reasons::CONTENT_DIFFERS {
                        "ContentDiffers"
                    } else {
                        "LeadersDiffer"
                    },
                    "Compare",
                    condition.message.clone(),
                ));
            }
        }
    }
    notices
}

/// Whether two statuses differ in more than figures that move with every order.
#[must_use]
pub fn differs_in_substance(one: &TradingCoreStatus, other: &TradingCoreStatus) -> bool {
    let substance = |status: &TradingCoreStatus| {
        let mut status = status.clone();
        status.lag_entries = status.lag_entries.map(|_| 0);
        for replica in &mut status.replicas {
            replica.applied_index = replica.applied_index.map(|_| 0);
            replica.lag_entries = replica.lag_entries.map(|_| 0);
        }
        status
    };
    substance(one) != substance(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::tests::core;
    use crate::view::tests::{changed, group, silent};
    use crds::conditions::status_of;

    fn observed(view: View) -> Observed {
        let workload = Some(WorkloadFacts {
            generation: 1,
            is_current: true,
            ready: 1,
            held_by: None,
        });
        Observed {
            replica: workload.clone(),
            pod: None,
            gateway: workload,
            entry: EntryFacts::Programmed,
            view,
        }
    }

    fn status(observed: &Observed, outcome: &Outcome, restart: &Restart) -> TradingCoreStatus {
        update(
            &core(),
            &Report {
                observed,
                outcome,
                restart,
                hand_back_ready_since: None,
                now: Timestamp::UNIX_EPOCH,
            },
        )
    }

    fn quiet(view: View) -> TradingCoreStatus {
        status(&observed(view), &Outcome::Applied, &Restart::NotNeeded)
    }

    fn statuses(status: &TradingCoreStatus) -> Vec<(&str, &str)> {
        status
            .conditions
            .iter()
            .map(|condition| (condition.type_.as_str(), condition.status.as_str()))
            .collect()
    }

    #[test]
    fn when_all_is_well_every_condition_is_true() {
        let status = quiet(View::of(group(1)));
        assert_eq!(
            statuses(&status),
            conditions::TYPES.map(|type_| (type_, "True"))
        );
        assert_eq!(status.leader_center.as_deref(), Some("a1"));
        assert_eq!(status.lag_entries, Some(3));
        assert_eq!(status.rpo_zero, Some(true));
        assert_eq!(status.observed_generation, Some(1));
    }

    #[test]
    fn without_data_nothing_is_true_that_needs_it() {
        let status = quiet(silent(1, &[1, 2, 3]));
        for type_ in [
            conditions::READY,
            conditions::AVAILABLE,
            conditions::LEADER_KNOWN,
            conditions::REPLICAS_IN_STEP,
            conditions::RPO_ZERO,
        ] {
            assert_eq!(
                status_of(&status.conditions, type_),
                Some(ConditionStatus::Unknown),
                "{type_}"
            );
        }
        assert_eq!((status.leader, status.epoch), (None, None));
        assert_eq!((status.rpo_zero, status.lag_entries), (None, None));
    }

    #[test]
    fn a_silent_leader_leaves_its_state_unknown() {
        let status = quiet(silent(1, &[1]));
        assert_eq!(
            status_of(&status.conditions, conditions::LEADER_KNOWN),
            Some(ConditionStatus::True)
        );
        assert_eq!(
            status_of(&status.conditions, conditions::AVAILABLE),
            Some(ConditionStatus::Unknown)
        );
        assert_eq!(status.replicas[0].role, ReplicaRole::Unknown);
    }

    #[test]
    fn a_replica_behind_is_named() {
        let status = quiet(changed(1, 1, |status| {
            status.peers[1].lag_entries = 70_000;
            status.all_voters_in_step = false;
        }));
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == conditions::REPLICAS_IN_STEP)
            .unwrap();
        assert_eq!(condition.reason, reasons::REPLICA_BEHIND);
        assert!(condition.message.contains("b1"), "{}", condition.message);
        assert_eq!(status.rpo_zero, Some(false));
        assert_eq!(
            status_of(&status.conditions, conditions::READY),
            Some(ConditionStatus::True),
            "trading goes on"
        );
    }

    #[test]
    fn different_content_is_never_rpo_zero() {
        let status = quiet(changed(1, 3, |status| {
            status.hash_points[0].hash = vec![0];
        }));
        assert_eq!(status.rpo_zero, Some(false));
        let notices = notices(Some(&quiet(View::of(group(1)))), &status);
        assert!(
            notices
                .iter()
                .any(|notice| notice.reason == "ContentDiffers" && notice.is_warning)
        );
    }

    #[test]
    fn what_is_on_its_way_is_reconciling_and_what_needs_help_is_stalled() {
        let observed = observed(View::of(group(1)));
        let cases = [
            (
                Outcome::Changed,
                Restart::NotNeeded,
                conditions::RECONCILING,
            ),
            (Outcome::Applied, Restart::Running, conditions::RECONCILING),
            (
                Outcome::Applied,
                Restart::Waiting("x".to_owned()),
                conditions::RECONCILING,
            ),
            (
                Outcome::Failed("x".to_owned()),
                Restart::NotNeeded,
                conditions::STALLED,
            ),
        ];
        for (outcome, restart, type_) in cases {
            let status = status(&observed, &outcome, &restart);
            assert_eq!(
                status_of(&status.conditions, type_),
                Some(ConditionStatus::True)
            );
            assert_eq!(
                status_of(&status.conditions, conditions::READY),
                Some(ConditionStatus::False)
            );
        }
    }

    #[test]
    fn a_missing_gateway_api_is_told() {
        let mut observed = observed(View::of(group(1)));
        observed.entry = EntryFacts::ApiMissing;
        let status = status(&observed, &Outcome::Applied, &Restart::NotNeeded);
        let condition = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == conditions::ENTRY_READY)
            .unwrap();
        assert_eq!(condition.reason, reasons::GATEWAY_API_MISSING);
    }

    fn elected(planned: bool) -> View {
        changed(2, 2, |status| {
            status.elections = vec![ElectionRecord {
                epoch: 7,
                suspected_at_us: 1_000_000,
                campaigned_at_us: 1_812_000,
                elected_at_us: 1_843_000,
                serving_at_us: 1_846_500,
                first_order_at_us: 0,
                previous_leader: 1,
                planned,
            }];
        })
    }

    #[test]
    fn a_failover_is_reported_with_its_legs_once() {
        let before = quiet(View::of(group(1)));
        let after = quiet(elected(false));
        let last = after.last_failover.clone().unwrap();
        assert_eq!(
            (last.from.as_deref(), last.to.as_str(), last.detect_ms),
            (Some("a1"), "a2", 812)
        );
        assert_eq!((last.elect_ms, last.replay_ms), (31, 4));
        let told = notices(Some(&before), &after);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].reason, told[0].is_warning), ("Failover", true));
        assert!(notices(Some(&after), &after).is_empty());
    }

    #[test]
    fn a_planned_move_is_no_warning() {
        let told = notices(Some(&quiet(View::of(group(1)))), &quiet(elected(true)));
        assert_eq!(
            (told[0].reason, told[0].is_warning),
            ("LeaderTransferred", false)
        );
    }

    #[test]
    fn the_last_failover_is_kept_while_the_leader_is_silent() {
        let mut core = core();
        core.status = Some(quiet(elected(false)));
        let observed = observed(silent(2, &[2]));
        let after = update(
            &core,
            &Report {
                observed: &observed,
                outcome: &Outcome::Applied,
                restart: &Restart::NotNeeded,
                hand_back_ready_since: None,
                now: Timestamp::UNIX_EPOCH,
            },
        );
        assert_eq!(after.last_failover.unwrap().epoch, 7);
    }

    #[test]
    fn figures_alone_are_no_change_of_substance() {
        let one = quiet(View::of(group(1)));
        let mut other = one.clone();
        other.replicas[0].applied_index = Some(6_000);
        other.lag_entries = Some(9);
        assert!(!differs_in_substance(&one, &other));
        other.epoch = Some(8);
        assert!(differs_in_substance(&one, &other));
    }

    #[test]
    fn a_refusal_is_stalled_and_told_once() {
        let status = refused(
            &core(),
            reasons::CENTER_NOT_LISTED,
            "not here",
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            status_of(&status.conditions, conditions::STALLED),
            Some(ConditionStatus::True)
        );
        assert_eq!(
            status_of(&status.conditions, conditions::RPO_ZERO),
            Some(ConditionStatus::Unknown)
        );
        assert_eq!(notices(None, &status)[0].reason, "Refused");
        assert!(notices(Some(&status), &status).is_empty());
    }
}
