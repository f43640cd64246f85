//! `tricenter takeover` and `tricenter approve`: a forced move from a command line.
//!
//! ```text
//!   one person:  who am I? ─► apply a Takeover in the survivor's cluster ─► tell its digest, follow it
//!   two others:  read it ─► who am I? ─► compute the digest anew ─► show, ask ─► apply an Approval
//! ```
//! The API server says who sends; a name that is not the sender's is refused there.

use std::fmt::Write as _;
use std::time::Duration;

use crds::{
    Approval, ApprovalSpec, RequestKind, RequestReference, Takeover, TakeoverAction, TakeoverPhase,
    TakeoverSpec, TakeoverStatus, Verdict, request_digest,
};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::ResourceExt;
use kube::api::{Api, PostParams};

use crate::language::{Language, pad};

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks in a row that may fail.
const FAILURES_MAX: u32 = 3;

/// Why something could not be asked for, approved or followed.
#[derive(Debug, thiserror::Error)]
pub enum ForcedError {
    /// The API server did not do it.
    #[error("failed to {action} {what}: {said}")]
    Api {
        /// What was tried.
        action: &'static str,
        /// With what.
        what: String,
        /// What the API server said.
        said: String,
    },
    /// The API server does not say who asks.
    #[error("failed to learn your user name: the API server does not tell it")]
    Nobody,
    /// Another request has the name.
    #[error("Takeover {name} is there and asks for something else: give this one another --name")]
    NameTaken {
        /// Which.
        name: String,
    },
    /// Whoever asks cannot approve.
    #[error(
        "{person} asked for Takeover {name}, and whoever asks cannot approve: ask somebody else"
    )]
    OwnRequest {
        /// Who.
        person: String,
        /// Which.
        name: String,
    },
    /// It needs no approval any more.
    #[error("Takeover {name} is {phase}: there is nothing to approve any more")]
    Ended {
        /// Which.
        name: String,
        /// Where it is.
        phase: &'static str,
    },
    /// It was asked for and has not ended.
    #[error(
        "failed to see the end of Takeover {name} within {after_seconds} s: it goes on without this program"
    )]
    NotEnded {
        /// Which.
        name: String,
        /// How long it was followed, in seconds.
        after_seconds: u64,
    },
}

fn failed(action: &'static str, what: impl Into<String>, error: &kube::Error) -> ForcedError {
    let said = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    ForcedError::Api {
        action,
        what: what.into(),
        said,
    }
}

/// What ends the program, for scripts.
#[must_use]
pub fn exit_code(phase: TakeoverPhase) -> u8 {
    match phase {
        TakeoverPhase::Succeeded | TakeoverPhase::Predicted => 0,
        TakeoverPhase::Refused => 3,
        TakeoverPhase::Failed => 4,
        TakeoverPhase::Pending | TakeoverPhase::AwaitingApproval | TakeoverPhase::Running => 5,
    }
}

/// A name that says who takes over and when.
#[must_use]
pub fn name_for(spec: &TakeoverSpec, now: jiff::Timestamp) -> String {
    let what = match (spec.dry_run, spec.action) {
        (true, _) => "check",
        (false, TakeoverAction::Form) => "takeover",
        (false, TakeoverAction::Rejoin) => "rejoin",
    };
    format!("{what}-{}-{}", spec.center, now.strftime("%Y%m%d-%H%M%S"))
}

/// Who the API server takes the sender for.
///
/// # Errors
/// [`ForcedError::Api`] and [`ForcedError::Nobody`].
pub async fn who_am_i(client: kube::Client) -> Result<String, ForcedError> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let (plain, empty) = (PostParams::default(), SelfSubjectReview::default());
    let review = reviews.create(&plain, &empty).await;
    let review = review.map_err(|error| failed("learn", "your user name", &error))?;
    let user = review.status.and_then(|status| status.user_info);
    user.and_then(|user| user.username)
        .ok_or(ForcedError::Nobody)
}

/// Applies a request. The same name again, with the same content, is the same request.
///
/// # Errors
/// [`ForcedError::Api`] with the API server's own words, which name the field.
pub async fn ask(
    client: kube::Client,
    namespace: &str,
    name: &str,
    spec: TakeoverSpec,
) -> Result<Takeover, ForcedError> {
    let takeovers: Api<Takeover> = Api::namespaced(client, namespace);
    let what = || format!("Takeover {name}");
    let wanted = Takeover::new(name, spec);
    match takeovers.create(&PostParams::default(), &wanted).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let there = takeovers.get(name).await;
            let there = there.map_err(|error| failed("read", what(), &error))?;
            if there.spec == wanted.spec {
                return Ok(there);
            }
            Err(ForcedError::NameTaken {
                name: name.to_owned(),
            })
        }
        created => created.map_err(|error| failed("apply", what(), &error)),
    }
}

/// Reads a request.
///
/// # Errors
/// [`ForcedError::Api`].
pub async fn read(
    client: kube::Client,
    namespace: &str,
    name: &str,
) -> Result<Takeover, ForcedError> {
    let takeovers: Api<Takeover> = Api::namespaced(client, namespace);
    let read = takeovers.get(name).await;
    read.map_err(|error| failed("read", format!("Takeover {name}"), &error))
}

/// The approval of exactly this request by this person. Pure.
///
/// # Errors
/// [`ForcedError::OwnRequest`] and [`ForcedError::Ended`].
pub fn approval(
    takeover: &Takeover,
    person: &str,
    reason: &str,
    valid_seconds: u32,
) -> Result<ApprovalSpec, ForcedError> {
    let name = takeover.name_any();
    if takeover.spec.requested_by == person {
        return Err(ForcedError::OwnRequest {
            person: person.to_owned(),
            name,
        });
    }
    let phase = takeover.status.as_ref().and_then(|status| status.phase);
    if let Some(phase) = phase.filter(|phase| phase.is_final()) {
        return Err(ForcedError::Ended {
            name,
            phase: phase.as_str(),
        });
    }
    let namespace = takeover.namespace().unwrap_or_default();
    let uid = takeover.uid().unwrap_or_default();
    Ok(ApprovalSpec {
        // Computed from what was shown, not taken from anybody's status.
        digest: request_digest(
            RequestKind::Takeover,
            &namespace,
            &name,
            &uid,
            &takeover.spec,
        ),
        request: RequestReference {
            kind: RequestKind::Takeover,
            name,
            uid,
        },
        approver: person.to_owned(),
        reason: reason.to_owned(),
        valid_seconds,
    })
}

/// Gives an approval, under a name of its own.
///
/// # Errors
/// [`ForcedError::Api`] with the API server's own words.
pub async fn approve(
    client: kube::Client,
    namespace: &str,
    spec: ApprovalSpec,
) -> Result<Approval, ForcedError> {
    let approvals: Api<Approval> = Api::namespaced(client, namespace);
    let what = format!("the Approval of {}", spec.request.name);
    let mut wanted = Approval::new("", spec);
    wanted.metadata.name = None;
    wanted.metadata.generate_name = Some(format!("{}-", wanted.spec.request.name));
    let given = approvals.create(&PostParams::default(), &wanted).await;
    given.map_err(|error| failed("apply", what, &error))
}

/// Follows a request to its end, and tells each change to `say`.
///
/// # Errors
/// [`ForcedError`] when it does not end, or cannot be read three times in a row.
pub async fn follow(
    client: kube::Client,
    namespace: &str,
    name: &str,
    patience: Duration,
    mut say: impl FnMut(&TakeoverStatus),
) -> Result<TakeoverStatus, ForcedError> {
    let end = tokio::time::Instant::now() + patience;
    let (mut told, mut failures) = (None, 0);
    loop {
        match read(client.clone(), namespace, name).await {
            Ok(object) => {
                failures = 0;
                let status = object.status.unwrap_or_default();
                let now = Some((status.phase, status.approved.clone(), status.steps.len()));
                if status.phase.is_some() && now != told {
                    told = now;
                    say(&status);
                }
                if status.phase.is_some_and(TakeoverPhase::is_final) {
                    return Ok(status);
                }
            }
            Err(error) => {
                failures += 1;
                if failures == FAILURES_MAX {
                    return Err(error);
                }
            }
        }
        if tokio::time::Instant::now() >= end {
            return Err(ForcedError::NotEnded {
                name: name.to_owned(),
                after_seconds: patience.as_secs(),
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Words of the two commands.
#[derive(Debug, Clone, Copy)]
enum Phrase {
    Request,
    AskedBy,
    Reason,
    Lost,
    Known,
    Generation,
    Loss,
    Approved,
    Digest,
    Kept,
    TypeToTakeOver,
    TypeToRejoin,
    TypeToApprove,
}

const fn phrase(language: Language, phrase: Phrase) -> &'static str {
    let (english, chinese) = match phrase {
        Phrase::Request => ("request", "请求"),
        Phrase::AskedBy => ("asked by", "申请人"),
        Phrase::Reason => ("reason", "原因"),
        Phrase::Lost => ("lost", "失联中心"),
        Phrase::Known => ("last entry", "最后日志"),
        Phrase::Generation => ("generation", "代次"),
        Phrase::Loss => ("loss", "数据损失"),
        Phrase::Approved => ("approved", "已批准"),
        Phrase::Digest => ("digest", "摘要"),
        Phrase::Kept => ("salvaged", "待核对"),
        Phrase::TypeToTakeOver => (
            "This makes the replica of the center the whole group, for good. Type the core's name to go on: ",
            "此操作将使该中心的副本成为唯一的复制组，不可撤销。请输入交易核心的名称以继续：",
        ),
        Phrase::TypeToRejoin => (
            "This keeps the replica's log aside and lets it join anew. Type the core's name to go on: ",
            "此操作将封存该副本的日志并使其重新加入。请输入交易核心的名称以继续：",
        ),
        Phrase::TypeToApprove => (
            "You approve exactly this. Type the request's name to go on: ",
            "您批准的正是以上内容。请输入请求的名称以继续：",
        ),
    };
    match language {
        Language::English => english,
        Language::Chinese => chinese,
    }
}

/// What whoever asks is asked before.
#[must_use]
pub fn question_before_asking(language: Language, action: TakeoverAction) -> &'static str {
    let word = match action {
        TakeoverAction::Form => Phrase::TypeToTakeOver,
        TakeoverAction::Rejoin => Phrase::TypeToRejoin,
    };
    phrase(language, word)
}

/// What whoever approves is asked before.
#[must_use]
pub fn question_before_approving(language: Language) -> &'static str {
    phrase(language, Phrase::TypeToApprove)
}

/// One line for a change.
#[must_use]
pub fn progress(status: &TakeoverStatus) -> String {
    let phase = status.phase.map_or("", TakeoverPhase::as_str);
    let message = status.message.clone().unwrap_or_default();
    let reason = status.reason.clone().unwrap_or_default();
    format!("{}{}{message}", pad(phase, 18), pad(&reason, 20))
}

/// A request with all that is known of it: what an approver must have seen.
#[must_use]
pub fn text(language: Language, takeover: &Takeover) -> String {
    let (spec, status) = (&takeover.spec, takeover.status.clone().unwrap_or_default());
    let mut text = String::new();
    let mut line = |word: Phrase, value: &str| {
        let _ = writeln!(text, "  {}{value}", pad(phrase(language, word), 12));
    };
    let action = match spec.action {
        TakeoverAction::Form => "Form",
        TakeoverAction::Rejoin => "Rejoin",
    };
    let namespace = takeover.namespace().unwrap_or_default();
    line(
        Phrase::Request,
        &format!(
            "{namespace}/{}: {action}, core {}, center {}",
            takeover.name_any(),
            spec.core,
            spec.center
        ),
    );
    line(Phrase::AskedBy, &spec.requested_by);
    line(Phrase::Reason, &spec.reason);
    if !spec.lost.is_empty() {
        line(Phrase::Lost, &spec.lost.join(", "));
    }
    if let Some(known) = &status.known {
        let place = format!(
            "{}, committed {}, epoch {}, {}",
            known.last_index, known.commit_index, known.epoch, known.commit_policy
        );
        line(Phrase::Known, &place);
        let generations = format!("{} -> {}", known.generation, known.generation + 1);
        line(Phrase::Generation, &generations);
        line(Phrase::Loss, &known.loss_reason);
    }
    if let Some(approved) = &status.approved {
        line(Phrase::Approved, approved);
    }
    if let Some(digest) = &status.digest {
        line(Phrase::Digest, digest);
    }
    if let Some(result) = &status.result
        && let Some(requests) = result.requests_salvaged
    {
        let kept_in = result.kept_in.as_deref().unwrap_or_default();
        line(Phrase::Kept, &format!("{requests}: {kept_in}"));
    }
    for check in &status.checks {
        let mark = match check.verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "NO",
            Verdict::Unknown => "??",
        };
        let _ = writeln!(text, "  {mark}  {}{}", pad(&check.name, 20), check.message);
    }
    for leg in &status.legs {
        let _ = writeln!(text, "  {}{:>9.1} ms", pad(&leg.name, 14), leg.took_ms);
    }
    if status.phase.is_some() {
        let _ = writeln!(text, "  {}", progress(&status));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn takeover(status: serde_json::Value) -> Takeover {
        serde_json::from_value(json!({
            "apiVersion": "tricenter.dev/v1alpha1", "kind": "Takeover",
            "metadata": {"name": "b1-takes-over", "namespace": "trading", "uid": "uid-1"},
            "spec": {
                "core": "core", "center": "b1", "lost": ["a1", "a2"], "requestedBy": "carl",
                "reason": "fire",
            },
            "status": status,
        }))
        .unwrap()
    }

    fn waiting() -> Takeover {
        takeover(json!({
            "phase": "AwaitingApproval", "reason": "ApprovalsMissing", "approved": "0/2",
            "message": "0 of 2 people have approved",
            "known": {
                "replica": 3, "generation": 1, "epoch": 7, "lastIndex": 5002, "commitIndex": 5000,
                "commitPolicy": "Metro", "degraded": false, "lossBound": "AfterLastBatch",
                "lossReason": "what was answered after 12:00 may be lost",
            },
        }))
    }

    #[test]
    fn whoever_approves_sees_what_may_be_lost_first() {
        assert_eq!(
            text(Language::English, &waiting()),
            "  request     trading/b1-takes-over: Form, core core, center b1\n\
             \x20 asked by    carl\n\
             \x20 reason      fire\n\
             \x20 lost        a1, a2\n\
             \x20 last entry  5002, committed 5000, epoch 7, Metro\n\
             \x20 generation  1 -> 2\n\
             \x20 loss        what was answered after 12:00 may be lost\n\
             \x20 approved    0/2\n\
             \x20 AwaitingApproval  ApprovalsMissing    0 of 2 people have approved\n"
        );
        let chinese = text(Language::Chinese, &waiting());
        assert!(chinese.contains("申请人      carl"), "{chinese}");
    }

    #[test]
    fn an_approval_is_of_exactly_what_was_shown() {
        let shown = waiting();
        let given = approval(&shown, "anna", "seen it", 900).unwrap();
        assert_eq!(given.request.uid, "uid-1");
        let mut changed = waiting();
        changed.spec.lost.pop();
        let other = approval(&changed, "anna", "seen it", 900).unwrap();
        assert_ne!(given.digest, other.digest);
    }

    #[test]
    fn whoever_asks_is_told_to_ask_somebody_else() {
        let error = approval(&waiting(), "carl", "mine", 900).unwrap_err();
        assert!(error.to_string().contains("whoever asks cannot approve"));
        let ended = takeover(json!({"phase": "Refused"}));
        let error = approval(&ended, "anna", "late", 900).unwrap_err();
        assert!(error.to_string().contains("is Refused"));
    }

    #[test]
    fn a_name_says_what_who_and_when() {
        let now = "2026-11-25T13:25:01Z".parse().unwrap();
        let mut spec = waiting().spec;
        assert_eq!(name_for(&spec, now), "takeover-b1-20261125-132501");
        spec.dry_run = true;
        assert_eq!(name_for(&spec, now), "check-b1-20261125-132501");
    }
}
