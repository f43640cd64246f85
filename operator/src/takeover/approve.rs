//! Which approvals count for a request. Pure.

use std::collections::BTreeSet;

use crds::{Approval, ApprovalVerdict, JudgedApproval, RequestKind, Takeover, request_digest};
use jiff::Timestamp;
use kube::ResourceExt;

/// The request that approvals are judged against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// SHA-256 over all of it, in hex.
    pub digest: String,
    /// Who asks.
    pub requested_by: String,
}

impl Request {
    /// What is asked for by an object, exactly.
    #[must_use]
    pub fn of(takeover: &Takeover) -> Self {
        let (name, uid) = (takeover.name_any(), takeover.uid().unwrap_or_default());
        let namespace = takeover.namespace().unwrap_or_default();
        Self {
            digest: request_digest(
                RequestKind::Takeover,
                &namespace,
                &name,
                &uid,
                &takeover.spec,
            ),
            requested_by: takeover.spec.requested_by.clone(),
            name,
            uid,
        }
    }
}

/// Judges every approval that names the request, the oldest first. One that is being deleted was taken
/// back.
#[must_use]
pub fn judge(approvals: &[Approval], request: &Request, now: Timestamp) -> Vec<JudgedApproval> {
    let mut named: Vec<&Approval> = approvals
        .iter()
        .filter(|it| it.spec.request.kind == RequestKind::Takeover)
        .filter(|it| it.spec.request.name == request.name)
        .filter(|it| it.metadata.deletion_timestamp.is_none())
        .collect();
    named.sort_by_key(|it| (it.metadata.creation_timestamp.clone(), it.name_any()));
    let mut people = BTreeSet::new();
    named
        .into_iter()
        .map(|approval| {
            let mut verdict = verdict(approval, request, now);
            if verdict == ApprovalVerdict::Counts && !people.insert(&approval.spec.approver) {
                verdict = ApprovalVerdict::SamePerson;
            }
            JudgedApproval {
                name: approval.name_any(),
                approver: approval.spec.approver.clone(),
                verdict,
            }
        })
        .collect()
}

fn verdict(approval: &Approval, request: &Request, now: Timestamp) -> ApprovalVerdict {
    let spec = &approval.spec;
    if spec.digest != request.digest || spec.request.uid != request.uid {
        return ApprovalVerdict::OtherRequest;
    }
    if spec.approver == request.requested_by {
        return ApprovalVerdict::GivenByRequester;
    }
    let used_by = approval.status.as_ref().and_then(|it| it.used_by.as_ref());
    if used_by.is_some_and(|uid| *uid != request.uid) {
        return ApprovalVerdict::Used;
    }
    // One without a time was never taken by an API server.
    let given = approval.metadata.creation_timestamp.as_ref();
    let age_seconds = given.map(|given| now.as_second() - given.0.as_second());
    if age_seconds.is_none_or(|age| age >= i64::from(spec.valid_seconds)) {
        return ApprovalVerdict::Expired;
    }
    ApprovalVerdict::Counts
}

/// How many count.
#[must_use]
pub fn counted(judged: &[JudgedApproval]) -> usize {
    let counts = |it: &&JudgedApproval| it.verdict == ApprovalVerdict::Counts;
    judged.iter().filter(counts).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    const NOW_SECOND: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request() -> Request {
        Request {
            name: "b1-takes-over".to_owned(),
            uid: "uid-1".to_owned(),
            digest: "d".repeat(64),
            requested_by: "carl".to_owned(),
        }
    }

    fn approval(name: &str, approver: &str, age_seconds: i64) -> Approval {
        let mut approval: Approval = serde_json::from_value(json!({
            "apiVersion": "tricenter.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name},
            "spec": {
                "request": {"kind": "Takeover", "name": "b1-takes-over", "uid": "uid-1"},
                "digest": "d".repeat(64), "approver": approver, "reason": "seen it",
            },
        }))
        .unwrap();
        approval.metadata.creation_timestamp = Some(Time(at(NOW_SECOND - age_seconds)));
        approval
    }

    fn verdicts(approvals: &[Approval]) -> Vec<ApprovalVerdict> {
        let judged = judge(approvals, &request(), at(NOW_SECOND));
        judged.into_iter().map(|it| it.verdict).collect()
    }

    #[test]
    fn two_people_count_and_one_person_counts_once() {
        let given = [
            approval("one", "anna", 9),
            approval("two", "anna", 8),
            approval("three", "bela", 7),
        ];
        let judged = judge(&given, &request(), at(NOW_SECOND));
        assert_eq!(counted(&judged), 2);
        assert_eq!(judged[1].verdict, ApprovalVerdict::SamePerson);
    }

    #[test]
    fn whoever_asks_cannot_approve() {
        let given = [approval("own", "carl", 1)];
        assert_eq!(verdicts(&given), [ApprovalVerdict::GivenByRequester]);
    }

    #[test]
    fn an_approval_ends_by_itself() {
        let given = [approval("old", "anna", 900), approval("young", "bela", 899)];
        assert_eq!(
            verdicts(&given),
            [ApprovalVerdict::Expired, ApprovalVerdict::Counts]
        );
        let mut timeless = approval("timeless", "anna", 1);
        timeless.metadata.creation_timestamp = None;
        assert_eq!(verdicts(&[timeless]), [ApprovalVerdict::Expired]);
    }

    #[test]
    fn a_request_that_was_made_again_needs_its_own_approvals() {
        let mut other_content = approval("content", "anna", 2);
        other_content.spec.digest = "e".repeat(64);
        let mut other_object = approval("object", "bela", 1);
        other_object.spec.request.uid = "uid-0".to_owned();
        assert_eq!(
            verdicts(&[other_content, other_object]),
            [ApprovalVerdict::OtherRequest; 2]
        );
    }

    #[test]
    fn an_approval_is_used_once_and_whoever_used_it_may_go_on() {
        let used = |by: &str| {
            let mut approval = approval("given", "anna", 1);
            approval.status = Some(crds::ApprovalStatus {
                used_by: Some(by.to_owned()),
                used_at: None,
            });
            approval
        };
        assert_eq!(verdicts(&[used("uid-0")]), [ApprovalVerdict::Used]);
        assert_eq!(verdicts(&[used("uid-1")]), [ApprovalVerdict::Counts]);
    }
}
