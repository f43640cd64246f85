//! What must be true before a group is formed anew, or a replica comes back. Pure.
//!
//! A takeover by mistake is worse than none: whatever shows a quorum, or leaves one possible, refuses.

use std::collections::BTreeSet;

use crds::conditions::reasons;
use crds::{Check, Verdict};
use protocol::admin::{MemberRole, ReplicaStatus};

use crate::takeover::plan::Situation;

/// Names of the checks, in the order in which they count.
pub mod names {
    /// The survivor tells what it has.
    pub const SURVIVOR_ANSWERS: &str = "SurvivorAnswers";
    /// No replica serves, and the survivor hears no leader.
    pub const NOBODY_LEADS: &str = "NobodyLeads";
    /// Those that answer are no quorum.
    pub const NO_QUORUM: &str = "NoQuorum";
    /// Whoever is silent was said to be lost, and whoever was said to be lost is silent.
    pub const LOST_ARE_SILENT: &str = "LostAreSilent";
    /// The survivor has data, votes, and has the newest log of those that answer.
    pub const SURVIVOR_IS_NEWEST: &str = "SurvivorIsNewest";
    /// No other takeover of this core runs here.
    pub const NO_OTHER_TAKEOVER: &str = "NoOtherTakeover";
    /// A leader in another center serves.
    pub const LEADER_SERVES: &str = "LeaderServes";
    /// The replica does not belong to the leader's group.
    pub const NOT_A_MEMBER: &str = "NotAMember";
}

/// A check with the reason that it gives when it does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// As it is reported.
    pub check: Check,
    /// One of [`reasons`].
    pub reason: &'static str,
}

fn judged(
    name: &str,
    holds: Option<bool>,
    reason: &'static str,
    message: impl Into<String>,
) -> Judged {
    Judged {
        check: Check {
            name: name.to_owned(),
            verdict: match holds {
                Some(true) => Verdict::Passed,
                Some(false) => Verdict::Failed,
                None => Verdict::Unknown,
            },
            message: message.into(),
        },
        reason,
    }
}

/// The first that did not pass; one that failed counts before one that nobody can tell.
#[must_use]
pub fn failing(checks: &[Judged]) -> Option<&Judged> {
    let with = |verdict: Verdict| checks.iter().find(move |it| it.check.verdict == verdict);
    with(Verdict::Failed).or_else(|| with(Verdict::Unknown))
}

/// All checks before a group is formed.
#[must_use]
pub fn before_forming(situation: &Situation<'_>) -> Vec<Judged> {
    vec![
        survivor_answers(situation),
        nobody_leads(situation),
        no_quorum(situation),
        lost_are_silent(situation),
        survivor_is_newest(situation),
        no_other_takeover(situation),
    ]
}

/// Those of them that others than the survivor can tell, which has been stopped meanwhile.
#[must_use]
pub fn while_stopped(situation: &Situation<'_>) -> Vec<Judged> {
    vec![nobody_leads(situation), lost_are_silent(situation)]
}

/// All checks before a replica comes back.
#[must_use]
pub fn before_rejoining(situation: &Situation<'_>) -> Vec<Judged> {
    vec![
        leader_serves(situation),
        not_a_member(situation),
        no_other_takeover(situation),
    ]
}

fn own<'a>(situation: &Situation<'a>) -> Option<&'a ReplicaStatus> {
    situation.view.status_of(situation.own.replica)
}

/// Who votes, by the survivor's log.
#[must_use]
pub fn voters(status: &ReplicaStatus) -> BTreeSet<u64> {
    let members = status.group.iter().flat_map(|group| &group.members);
    members
        .filter(|member| member.role() != MemberRole::Learner)
        .map(|member| member.replica)
        .collect()
}

/// The replicas that the request calls lost.
#[must_use]
pub fn lost(situation: &Situation<'_>) -> BTreeSet<u64> {
    let centers = situation.core.centers.iter();
    centers
        .filter(|center| situation.spec.lost.contains(&center.name))
        .map(|center| center.replica)
        .collect()
}

fn survivor_answers(situation: &Situation<'_>) -> Judged {
    let center = &situation.own.name;
    let (holds, message) = match own(situation) {
        Some(status) if !voters(status).is_empty() => (
            Some(true),
            format!("the replica of {center} has entry {}", status.last_index),
        ),
        Some(_) => (
            None,
            format!("the replica of {center} does not say who votes"),
        ),
        None => (None, format!("the replica of {center} could not be asked")),
    };
    judged(
        names::SURVIVOR_ANSWERS,
        holds,
        reasons::SURVIVOR_SILENT,
        message,
    )
}

fn nobody_leads(situation: &Situation<'_>) -> Judged {
    let view = situation.view;
    let answering = || (view.answers().iter()).filter_map(|it| it.status.as_ref().ok());
    let serving = answering().find(|status| status.serving);
    let hearing = answering().find(|status| status.leader != 0);
    let (holds, message) = match (serving, hearing) {
        (Some(status), _) => (
            false,
            format!(
                "the replica of {} leads epoch {} and takes orders: there is a quorum",
                status.center, status.epoch
            ),
        ),
        (None, Some(status)) => (
            false,
            format!(
                "the replica of {} hears replica {} lead: there may be a quorum",
                status.center, status.leader
            ),
        ),
        (None, None) => (true, "no replica that answers hears a leader".to_owned()),
    };
    let reason = if serving.is_some() {
        reasons::QUORUM_EXISTS
    } else {
        reasons::QUORUM_POSSIBLE
    };
    judged(names::NOBODY_LEADS, Some(holds), reason, message)
}

fn no_quorum(situation: &Situation<'_>) -> Judged {
    let (name, reason) = (names::NO_QUORUM, reasons::QUORUM_EXISTS);
    let Some(status) = own(situation) else {
        let message = "the survivor could not be asked who votes";
        return judged(name, None, reasons::SURVIVOR_SILENT, message);
    };
    let voters = voters(status);
    let here = (voters.iter())
        .filter(|voter| situation.view.status_of(**voter).is_some())
        .count();
    let needed = voters.len() / 2 + 1;
    let message = if here >= needed {
        format!(
            "{here} of {} voters answer and {needed} are a quorum: they elect a leader without loss",
            voters.len()
        )
    } else {
        format!(
            "{here} of {} voters answer; {needed} would be a quorum",
            voters.len()
        )
    };
    judged(name, Some(here < needed), reason, message)
}

fn lost_are_silent(situation: &Situation<'_>) -> Judged {
    let (name, view) = (names::LOST_ARE_SILENT, situation.view);
    let declared = &situation.spec.lost;
    let known = |lost: &&String| situation.core.centers.iter().any(|it| it.name == **lost);
    if let Some(unknown) = declared.iter().find(|it| !known(it)) {
        let message = format!("spec.lost: {unknown} is no center of this core");
        return judged(name, Some(false), reasons::INVALID, message);
    }
    if let Some(status) = own(situation) {
        let voters = voters(status);
        let stranger = (situation.core.centers.iter())
            .find(|it| declared.contains(&it.name) && !voters.contains(&it.replica));
        if let Some(stranger) = stranger {
            let message = format!(
                "spec.lost names {}, which does not vote by the survivor's log: leave it out",
                stranger.name
            );
            return judged(name, Some(false), reasons::INVALID, message);
        }
    }
    let answers = || {
        view.answers()
            .iter()
            .filter(|it| it.center != situation.own.name)
    };
    if let Some(answer) = answers().find(|it| declared.contains(&it.center) && it.status.is_ok()) {
        let message = format!("spec.lost names {}, which answers", answer.center);
        return judged(name, Some(false), reasons::LOST_CENTER_ANSWERS, message);
    }
    if let Some(answer) = answers().find(|it| !declared.contains(&it.center) && it.status.is_err())
    {
        let message = format!(
            "{} is silent, and spec.lost does not name it: it may be part of a quorum that is not \
             heard here",
            answer.center
        );
        return judged(name, Some(false), reasons::QUORUM_POSSIBLE, message);
    }
    let message = format!("{} do not answer, as the request says", declared.join(", "));
    judged(name, Some(true), reasons::QUORUM_POSSIBLE, message)
}

fn survivor_is_newest(situation: &Situation<'_>) -> Judged {
    let (name, reason) = (names::SURVIVOR_IS_NEWEST, reasons::SURVIVOR_NOT_NEWEST);
    let center = &situation.own.name;
    let Some(status) = own(situation) else {
        return judged(
            name,
            None,
            reasons::SURVIVOR_SILENT,
            "it could not be asked",
        );
    };
    let members = status.group.iter().flat_map(|group| &group.members);
    let member = members.into_iter().find(|it| it.replica == status.replica);
    if member.is_none_or(|it| it.witness || it.role() == MemberRole::Learner) {
        let message = format!("the replica of {center} does not vote, or is a witness");
        return judged(name, Some(false), reason, message);
    }
    let newer = (situation.view.answers().iter())
        .filter_map(|answer| answer.status.as_ref().ok())
        .find(|it| it.last_index > status.last_index);
    if let Some(newer) = newer {
        let message = format!(
            "the replica of {} has entry {}, that of {center} only {}: take that one",
            newer.center, newer.last_index, status.last_index
        );
        return judged(name, Some(false), reason, message);
    }
    let message = format!("no replica that answers has more than that of {center}");
    judged(name, Some(true), reason, message)
}

fn no_other_takeover(situation: &Situation<'_>) -> Judged {
    let (name, reason) = (names::NO_OTHER_TAKEOVER, reasons::OTHER_OPERATION);
    match situation.other_running {
        Some(other) => judged(name, Some(false), reason, format!("Takeover {other} runs")),
        None => judged(name, Some(true), reason, "no other takeover runs here"),
    }
}

fn leader_serves(situation: &Situation<'_>) -> Judged {
    let (holds, message) = match situation.view.leader_status() {
        Some(status) if status.replica == situation.own.replica => (
            Some(false),
            "this very replica leads: there is nothing to come back to".to_owned(),
        ),
        Some(status) if status.serving => (
            Some(true),
            format!("the replica of {} leads and serves", status.center),
        ),
        _ => (None, "no leader that serves could be asked".to_owned()),
    };
    judged(names::LEADER_SERVES, holds, reasons::NO_LEADER, message)
}

fn not_a_member(situation: &Situation<'_>) -> Judged {
    let (name, reason) = (names::NOT_A_MEMBER, reasons::STILL_A_MEMBER);
    let Some(group) = (situation.view.leader_status()).and_then(|it| it.group.as_ref()) else {
        return judged(name, None, reasons::NO_LEADER, "no leader says who belongs");
    };
    let replica = situation.own.replica;
    let is_member = group.members.iter().any(|it| it.replica == replica);
    let message = if is_member || group.members.is_empty() {
        format!("replica {replica} belongs to the leader's group: it needs only to be started")
    } else {
        format!(
            "replica {replica} does not belong to generation {}",
            group.generation
        )
    };
    let holds = !is_member && !group.members.is_empty();
    judged(name, Some(holds), reason, message)
}
