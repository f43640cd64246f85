use super::*;
use crate::validate::tests::core as lab_core;
use crate::view::{Answer, tests::group};
use crds::{ApprovalVerdict, TakeoverStep, Verdict};
use protocol::admin::{CommitPolicy, Member, Role};

/// 2027-01-15, by every clock here.
const NOW_SECOND: i64 = 1_800_000_000;
const NOW_US: u64 = 1_800_000_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW_SECOND).unwrap()
}

fn seconds_ago(seconds: i64) -> String {
    Timestamp::from_second(NOW_SECOND - seconds)
        .unwrap()
        .to_string()
}

/// Site A is gone: only b1 answers, and hears nobody lead.
fn site_lost() -> Vec<Answer> {
    let mut answers = group(0);
    for answer in &mut answers {
        if answer.replica != 3 {
            answer.status = Err("no answer".to_owned());
        } else if let Ok(status) = &mut answer.status {
            *status = survivor(status.clone());
        }
    }
    answers
}

fn survivor(mut status: protocol::admin::ReplicaStatus) -> protocol::admin::ReplicaStatus {
    (status.last_index, status.commit_index) = (5_002, 5_000);
    status.now_us = NOW_US;
    status.last_batch_at_us = NOW_US - 60_000_000;
    if let Some(group) = &mut status.group {
        group.generation = 1;
        group.members = (1..=3)
            .map(|replica| Member {
                replica,
                role: MemberRole::Voter.into(),
                ..Member::default()
            })
            .collect();
        group.policy = Some(CommitPolicy {
            name: protocol::admin::PolicyName::Metro.into(),
            degrade_after_ms: 0,
        });
    }
    status
}

/// A takeover by b1, and all that its operator sees.
struct Case {
    spec: TakeoverSpec,
    status: TakeoverStatus,
    core: TradingCore,
    answers: Vec<Answer>,
    facts: Facts,
    approvals: Vec<JudgedApproval>,
    other_running: Option<&'static str>,
    is_rerouted: bool,
    age_seconds: i64,
}

impl Case {
    fn new() -> Self {
        let spec = serde_json::from_value(serde_json::json!({
            "core": "core", "center": "b1", "lost": ["a1", "a2"], "requestedBy": "carl",
            "reason": "fire",
        }));
        Self {
            spec: spec.unwrap(),
            status: TakeoverStatus {
                passing_since: Some(seconds_ago(60)),
                ..TakeoverStatus::default()
            },
            core: lab_core(),
            answers: site_lost(),
            facts: Facts {
                is_held: false,
                runs: true,
                command: CommandFacts::Absent,
            },
            approvals: Vec::new(),
            other_running: None,
            is_rerouted: false,
            age_seconds: 60,
        }
    }

    fn approved(mut self) -> Self {
        self.approvals = ["anna", "bela"]
            .into_iter()
            .map(|person| JudgedApproval {
                name: person.to_owned(),
                approver: person.to_owned(),
                verdict: ApprovalVerdict::Counts,
            })
            .collect();
        self
    }

    /// As it is once it has begun.
    fn running(mut self, steps: &[&str]) -> Self {
        self = self.approved();
        self.status.known = self.known();
        self.status.phase = Some(TakeoverPhase::Running);
        self.status.started_at = Some(seconds_ago(10));
        self.status.steps = (steps.iter())
            .map(|name| TakeoverStep {
                name: (*name).to_owned(),
                at: seconds_ago(5),
            })
            .collect();
        self
    }

    fn survivor(mut self, change: impl FnOnce(&mut protocol::admin::ReplicaStatus)) -> Self {
        change(self.answers[2].status.as_mut().unwrap());
        self
    }

    fn with<T>(&self, ask: impl FnOnce(&Situation<'_>) -> T) -> T {
        let view = View::of(self.answers.clone());
        ask(&Situation {
            spec: &self.spec,
            status: &self.status,
            core: &self.core.spec,
            own: &self.core.spec.centers[2],
            view: &view,
            facts: &self.facts,
            approvals: &self.approvals,
            other_running: self.other_running,
            is_rerouted: self.is_rerouted,
            age_seconds: self.age_seconds,
            now: now(),
        })
    }

    fn plan(&self) -> Plan {
        self.with(plan)
    }

    fn known(&self) -> Option<KnownState> {
        self.with(known)
    }
}

fn refused_by(case: &Case, reason: &str) {
    let plan = case.plan();
    let found = (plan.phase, plan.reason);
    assert_eq!(found, (TakeoverPhase::Refused, reason), "{}", plan.message);
    assert_eq!(plan.step, Step::Rest);
}

#[test]
fn a_lost_site_is_taken_over_once_two_people_have_approved() {
    let waits = Case::new().plan();
    assert_eq!(waits.phase, TakeoverPhase::AwaitingApproval);
    assert!(waits.message.contains("0 of 2"), "{}", waits.message);
    let begins = Case::new().approved().plan();
    assert_eq!(begins.step, Step::UseApprovals);
    assert_eq!(begins.phase, TakeoverPhase::Running);
    let checks = begins.checks.unwrap();
    assert!(checks.iter().all(|it| it.verdict == Verdict::Passed));
}

#[test]
fn a_takeover_by_mistake_is_refused_by_name() {
    let mut serving = Case::new().approved();
    serving.answers = group(1);
    serving.answers[2].status = serving.answers[2].status.clone().map(survivor);
    refused_by(&serving, reasons::QUORUM_EXISTS);

    let hears = Case::new().approved().survivor(|it| it.leader = 1);
    refused_by(&hears, reasons::QUORUM_POSSIBLE);

    // Two of three answer and have not elected yet.
    let mut electing = Case::new().approved();
    electing.spec.lost = vec!["a1".to_owned()];
    electing.answers[1].status = Ok(protocol::admin::ReplicaStatus {
        replica: 2,
        role: Role::Candidate.into(),
        epoch: 7,
        ..protocol::admin::ReplicaStatus::default()
    });
    refused_by(&electing, reasons::QUORUM_EXISTS);

    let mut undeclared = Case::new().approved();
    undeclared.spec.lost = vec!["a1".to_owned()];
    refused_by(&undeclared, reasons::QUORUM_POSSIBLE);

    let mut unknown = Case::new().approved();
    unknown.spec.lost.push("c9".to_owned());
    refused_by(&unknown, reasons::INVALID);

    let mut other = Case::new().approved();
    other.other_running = Some("first");
    refused_by(&other, reasons::OTHER_OPERATION);

    let witness = Case::new().approved().survivor(|it| {
        it.group.as_mut().unwrap().members[2].witness = true;
    });
    refused_by(&witness, reasons::SURVIVOR_NOT_NEWEST);
}

#[test]
fn a_center_that_was_called_lost_and_answers_refuses() {
    // Of five voters, two that answer are no quorum.
    let mut case = Case::new().approved().survivor(|it| {
        let members = &mut it.group.as_mut().unwrap().members;
        members.extend((4..=5).map(|replica| Member {
            replica,
            role: MemberRole::Voter.into(),
            ..Member::default()
        }));
    });
    case.answers[1].status = Ok(protocol::admin::ReplicaStatus {
        replica: 2,
        epoch: 7,
        ..protocol::admin::ReplicaStatus::default()
    });
    refused_by(&case, reasons::LOST_CENTER_ANSWERS);
    // Said to be there, it refuses only where it has the newer log.
    case.spec.lost = vec!["a1".to_owned()];
    assert_eq!(case.plan().step, Step::UseApprovals);
    case.answers[1].status.as_mut().unwrap().last_index = 5_003;
    refused_by(&case, reasons::SURVIVOR_NOT_NEWEST);
}

#[test]
fn a_survivor_that_could_not_be_asked_is_waited_for_and_not_taken_for_anything() {
    let mut case = Case::new().approved();
    case.answers[2].status = Err("no answer".to_owned());
    let plan = case.plan();
    assert_eq!(
        (plan.phase, plan.reason),
        (TakeoverPhase::Pending, reasons::SURVIVOR_SILENT)
    );
    assert!(!plan.passing);
    case.age_seconds = 3_600;
    refused_by(&case, reasons::SURVIVOR_SILENT);
}

#[test]
fn silence_must_last_before_anything_is_done() {
    let mut case = Case::new().approved();
    for since in [None, Some(seconds_ago(29))] {
        case.status.passing_since = since;
        let plan = case.plan();
        assert_eq!(plan.reason, reasons::SILENCE_TOO_SHORT);
        assert_eq!(plan.step, Step::Rest);
    }
    case.status.passing_since = Some(seconds_ago(30));
    assert_eq!(case.plan().step, Step::UseApprovals);
}

#[test]
fn approvals_are_not_waited_for_for_ever() {
    let mut case = Case::new();
    case.age_seconds = 3_600;
    refused_by(&case, reasons::APPROVALS_MISSING);
}

#[test]
fn a_dry_run_tells_what_would_happen_and_does_nothing() {
    let mut case = Case::new().approved();
    case.spec.dry_run = true;
    case.status.passing_since = None;
    let plan = case.plan();
    assert_eq!(
        (plan.phase, plan.step),
        (TakeoverPhase::Predicted, Step::Rest)
    );
    assert!(plan.message.contains("in generation 2"), "{}", plan.message);
    assert!(plan.message.contains("2 people must approve"));
}

fn site_safe(case: Case, degrade_after_ms: u32) -> Case {
    case.survivor(|it| {
        let policy = it.group.as_mut().unwrap().policy.as_mut().unwrap();
        policy.set_name(protocol::admin::PolicyName::SiteSafe);
        policy.degrade_after_ms = degrade_after_ms;
    })
}

#[test]
fn nobody_must_approve_while_the_log_proves_that_nothing_is_lost() {
    // The last batch is 60 s old, and the lost leader would wait 300 s for this site.
    let proven = site_safe(Case::new(), 300_000);
    assert_eq!(proven.known().unwrap().loss_bound, LossBound::Zero);
    assert_eq!(proven.plan().step, Step::UseApprovals);
    assert_eq!(proven.plan().phase, TakeoverPhase::Running);
    // Two clocks may differ by a second.
    let too_near = site_safe(Case::new(), 61_000);
    let known = too_near.known().unwrap();
    assert_eq!(known.loss_bound, LossBound::AfterDegradation);
    assert_eq!(too_near.plan().phase, TakeoverPhase::AwaitingApproval);
}

#[test]
fn what_may_be_lost_is_bounded_and_has_a_reason() {
    let metro = Case::new().known().unwrap();
    assert_eq!(metro.loss_bound, LossBound::AfterLastBatch);
    assert_eq!(metro.loss_begins, Some(seconds_ago(60)));
    assert!(metro.loss_reason.contains("the policy was not SiteSafe"));
    let degraded = site_safe(Case::new(), 300_000).survivor(|it| {
        let group = it.group.as_mut().unwrap();
        group.protection.as_mut().unwrap().degraded = true;
    });
    let degraded = degraded.known().unwrap();
    assert_eq!(degraded.loss_bound, LossBound::AfterLastBatch);
    assert!(degraded.loss_reason.contains("did not wait for this site"));
    let mut beside = site_safe(Case::new(), 300_000);
    beside.core.spec.centers[2].site = "A".to_owned();
    let beside = beside.known().unwrap();
    assert!(beside.loss_reason.contains("of this site are lost as well"));
    // What nobody said is not "full".
    let unsaid =
        site_safe(Case::new(), 300_000).survivor(|it| it.group.as_mut().unwrap().protection = None);
    assert_ne!(unsaid.known().unwrap().loss_bound, LossBound::Zero);
}

#[test]
fn the_replica_is_stopped_before_its_disk_is_touched() {
    let mut case = Case::new().running(&["Approved"]);
    assert_eq!(case.plan().step, Step::Hold);
    case.facts.is_held = true;
    case.answers[2].status = Err("no answer".to_owned());
    assert_eq!(case.plan().step, Step::Rest, "its pod is still there");
    case.facts.runs = false;
    let plan = case.plan();
    assert_eq!(plan.done, Some(steps::FENCED));
    assert_eq!(
        plan.step,
        Step::Form(FormOrder {
            generation: 2,
            lost: BTreeSet::from([1, 2]),
            last_index_min: 5_000,
            not_after_us: None,
        })
    );
}

#[test]
fn a_proof_has_an_end_that_the_command_is_told_and_the_operator_keeps() {
    let mut case = site_safe(Case::new(), 300_000).running(&["Approved"]);
    case.approvals.clear();
    case.facts = Facts {
        is_held: true,
        runs: false,
        command: CommandFacts::Absent,
    };
    let Step::Form(order) = case.plan().step else {
        panic!("it was not formed");
    };
    assert_eq!(order.not_after_us, Some(NOW_US + 239_000_000));
    case.status.known.as_mut().unwrap().loss_begins = Some(now().to_string());
    let plan = case.plan();
    assert_eq!(
        (plan.step, plan.reason),
        (Step::Release, reasons::LOSS_POSSIBLE)
    );
}

#[test]
fn what_no_longer_holds_before_the_command_ends_it_without_a_trace() {
    let held = || {
        let mut case = Case::new().running(&["Approved"]);
        case.facts.is_held = true;
        case
    };
    let mut withdrawn = held();
    withdrawn.approvals.pop();
    let mut healed = held();
    healed.answers[0].status = group(1)[0].status.clone();
    let mut late = held();
    late.status.started_at = Some(seconds_ago(301));
    for (mut case, reason) in [
        (withdrawn, reasons::APPROVAL_WITHDRAWN),
        (healed, reasons::QUORUM_EXISTS),
        (late, reasons::DEADLINE_EXCEEDED),
    ] {
        let plan = case.plan();
        assert_eq!((plan.step, plan.reason), (Step::Release, reason));
        assert_eq!(plan.phase, TakeoverPhase::Running);
        case.facts.is_held = false;
        let plan = case.plan();
        assert_eq!((plan.step, plan.phase), (Step::Rest, TakeoverPhase::Failed));
    }
}

#[test]
fn once_the_command_was_started_nothing_stops_it_half_way() {
    let mut case = Case::new().running(&["Approved", "Fenced"]);
    case.approvals.clear();
    case.facts = Facts {
        is_held: true,
        runs: false,
        command: CommandFacts::Active,
    };
    assert_eq!(case.plan().step, Step::Rest);
    case.facts.command = CommandFacts::Failed("no disk".to_owned());
    let plan = case.plan();
    assert_eq!(
        (plan.step, plan.reason),
        (Step::Release, reasons::COMMAND_FAILED)
    );
    assert!(plan.message.contains("no disk"));
}

#[test]
fn a_formed_group_is_released_serves_and_is_routed_to() {
    let answer = r#"{"generation": 2, "epoch": 1000000, "formed_at_index": 5003,
                     "uncommitted_entries_kept": 2, "already": false}"#;
    let mut case = Case::new().running(&["Approved", "Fenced"]);
    case.facts = Facts {
        is_held: true,
        runs: false,
        command: CommandFacts::Succeeded(answer.to_owned()),
    };
    let plan = case.plan();
    assert_eq!(plan.done, Some(steps::FORMED));
    let result = plan.result.unwrap();
    assert_eq!(result.formed_at_index, Some(5_003));
    case.status.result = Some(result);

    let mut case = case.running(&["Approved", "Fenced", "Formed"]);
    assert_eq!(case.plan().step, Step::Release);
    case.facts.is_held = false;
    assert_eq!(case.plan().step, Step::Rest, "it does not serve yet");
    let mut case = case.survivor(|it| {
        (it.serving, it.leader, it.epoch) = (true, 3, 1_000_001);
        it.group.as_mut().unwrap().generation = 2;
    });
    assert_eq!(case.plan().done, Some(steps::SERVED));
    let mut case = {
        case.status.steps.push(TakeoverStep {
            name: steps::SERVED.to_owned(),
            at: seconds_ago(1),
        });
        case
    };
    assert_eq!(case.plan().phase, TakeoverPhase::Running, "not routed to");
    case.is_rerouted = true;
    let plan = case.plan();
    assert_eq!(plan.phase, TakeoverPhase::Succeeded);
    assert_eq!(plan.message, "b1 serves generation 2 in epoch 1000001");
}

#[test]
fn an_older_generation_that_serves_is_not_the_new_group() {
    let mut case = Case::new().running(&["Approved", "Fenced", "Formed"]);
    case.status.result = Some(DiskResult {
        generation: Some(2),
        ..DiskResult::default()
    });
    case.is_rerouted = true;
    let case = case.survivor(|it| (it.serving, it.leader) = (true, 3));
    assert_eq!(case.plan().phase, TakeoverPhase::Running);
}

#[test]
fn an_answer_that_is_none_forms_nothing() {
    let mut case = Case::new().running(&["Approved", "Fenced"]);
    case.facts.is_held = true;
    case.facts.command = CommandFacts::Succeeded("hello".to_owned());
    let plan = case.plan();
    assert_eq!(
        (plan.step, plan.reason),
        (Step::Release, reasons::COMMAND_FAILED)
    );
}

// -- coming back --------------------------------------------------------------------------------

/// a1 leads generation 2 alone; b1 comes back and cannot serve.
fn returned() -> Case {
    let mut case = Case::new();
    case.spec.action = TakeoverAction::Rejoin;
    case.spec.lost.clear();
    case.answers = group(1);
    case.answers[2].status = Err("its process ends: generation 2 was met".to_owned());
    let leader = case.answers[0].status.as_mut().unwrap();
    let group = leader.group.as_mut().unwrap();
    group.generation = 2;
    group.members = vec![Member {
        replica: 1,
        role: MemberRole::Voter.into(),
        ..Member::default()
    }];
    case
}

fn role_of_b1(case: &mut Case, role: MemberRole) {
    let leader = case.answers[0].status.as_mut().unwrap();
    leader.group.as_mut().unwrap().members.push(Member {
        replica: 3,
        role: role.into(),
        ..Member::default()
    });
}

#[test]
fn a_returned_replica_needs_no_approval_and_is_kept_aside_first() {
    let case = returned();
    assert_eq!(case.plan().step, Step::UseApprovals);
    let mut case = case.running(&["Approved"]);
    case.facts.is_held = true;
    case.facts.runs = false;
    assert_eq!(case.plan().step, Step::KeepAside);
}

#[test]
fn a_replica_that_belongs_to_the_group_is_not_emptied() {
    let mut case = returned();
    role_of_b1(&mut case, MemberRole::Voter);
    refused_by(&case, reasons::STILL_A_MEMBER);
    // A leader that does not say who belongs says nothing.
    let mut case = returned();
    let leader = case.answers[0].status.as_mut().unwrap();
    leader.group.as_mut().unwrap().members.clear();
    refused_by(&case, reasons::STILL_A_MEMBER);
}

#[test]
fn a_returned_replica_learns_and_then_votes() {
    let mut case = returned().running(&["Approved", "Fenced", "KeptAside"]);
    assert_eq!(case.plan().step, Step::AddLearner);
    role_of_b1(&mut case, MemberRole::Learner);
    assert_eq!(case.plan().step, Step::Promote);
    let leader = case.answers[0].status.as_mut().unwrap();
    leader.peers[1].lag_entries = 100_000;
    assert_eq!(case.plan().step, Step::Rest, "it lags");
    let leader = case.answers[0].status.as_mut().unwrap();
    leader.group.as_mut().unwrap().members.pop();
    role_of_b1(&mut case, MemberRole::Voter);
    let plan = case.plan();
    assert_eq!(plan.phase, TakeoverPhase::Succeeded);
    assert_eq!(plan.done, Some(steps::JOINED));
}
