//! `tricenter switchover` and `tricenter history`: planned moves from a command line.
//!
//! ```text
//!   ask (typed name, or --yes) ─► apply a Switchover in one cluster ─► follow it ─► tell, exit code
//! ```
//! The operator does the move; losing this program changes nothing about it.

use std::fmt::Write as _;
use std::time::Duration;

use crds::{Switchover, SwitchoverPhase, SwitchoverSpec, SwitchoverStatus, Verdict};
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};

use crate::language::pad;

/// Pause between two looks at a move, which its operator takes about a second for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why a move could not be asked for or followed.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The API server did not do it.
    #[error("failed to {action} Switchover {name}: {said}")]
    Api {
        /// What was tried.
        action: &'static str,
        /// Which.
        name: String,
        /// What the API server said.
        said: String,
    },
    /// Another move has the name.
    #[error("Switchover {name} is there and asks for something else: give this one another --name")]
    NameTaken {
        /// Which.
        name: String,
    },
    /// It was asked for and has not ended.
    #[error(
        "failed to see the end of Switchover {name} within {after_seconds} s: it goes on without \
         this program; look again with `tricenter history`"
    )]
    NotEnded {
        /// Which.
        name: String,
        /// How long it was followed, in seconds.
        after_seconds: u64,
    },
    /// No operator has taken it up.
    #[error(
        "failed to see anybody take up Switchover {name} within {after_seconds} s: is the operator of \
         this cluster running, and is its TradingCore there?"
    )]
    NobodyTookIt {
        /// Which.
        name: String,
        /// How long was waited, in seconds.
        after_seconds: u64,
    },
}

fn failed(action: &'static str, name: &str, error: &kube::Error) -> MoveError {
    let said = match error {
        // What an API server answers for a path that it does not serve is no object.
        kube::Error::Api(status) if status.code == 404 && status.message.contains("page not") => {
            "this cluster does not know the kind: apply the definitions in deploy/helm/tricenter/crds"
                .to_owned()
        }
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    MoveError::Api {
        action,
        name: name.to_owned(),
        said,
    }
}

/// What ends the program, for scripts.
#[must_use]
pub fn exit_code(phase: SwitchoverPhase) -> u8 {
    match phase {
        SwitchoverPhase::Succeeded | SwitchoverPhase::Predicted => 0,
        SwitchoverPhase::Refused => 3,
        SwitchoverPhase::Failed => 4,
        SwitchoverPhase::Pending | SwitchoverPhase::Running => 5,
    }
}

/// A name that says where to and when: `to-a2-20261125-132501-042`; of a dry run, `check-…`.
#[must_use]
pub fn name_for(to: &str, dry_run: bool, now: jiff::Timestamp) -> String {
    let what = if dry_run { "check" } else { "to" };
    format!("{what}-{to}-{}", now.strftime("%Y%m%d-%H%M%S-%3f"))
}

/// Applies a move. The same name again, with the same content, is the same move.
///
/// # Errors
/// [`MoveError::Api`] with the API server's own words, which name the field.
pub async fn ask(
    client: kube::Client,
    namespace: &str,
    name: &str,
    spec: SwitchoverSpec,
) -> Result<Switchover, MoveError> {
    let switchovers: Api<Switchover> = Api::namespaced(client, namespace);
    let api = |action: &'static str| move |error: kube::Error| failed(action, name, &error);
    let wanted = Switchover::new(name, spec);
    match switchovers.create(&PostParams::default(), &wanted).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let there = switchovers.get(name).await.map_err(api("read"))?;
            if there.spec == wanted.spec {
                return Ok(there);
            }
            Err(MoveError::NameTaken {
                name: name.to_owned(),
            })
        }
        created => created.map_err(api("apply")),
    }
}

/// Follows a move to its end, and tells each change of phase to `say`.
///
/// # Errors
/// [`MoveError`] when it does not end, or cannot be read three times in a row.
pub async fn follow(
    client: kube::Client,
    namespace: &str,
    name: &str,
    patience: Duration,
    mut say: impl FnMut(&SwitchoverStatus),
) -> Result<SwitchoverStatus, MoveError> {
    const FAILURES_MAX: u32 = 3;
    let switchovers: Api<Switchover> = Api::namespaced(client, namespace);
    let end = tokio::time::Instant::now() + patience;
    let (mut told, mut failures) = (None, 0);
    let after_seconds = patience.as_secs();
    loop {
        match switchovers.get(name).await {
            Ok(object) => {
                failures = 0;
                let status = object.status.unwrap_or_default();
                if status.phase.is_some() && status.phase != told {
                    told = status.phase;
                    say(&status);
                }
                if status.phase.is_some_and(SwitchoverPhase::is_final) {
                    return Ok(status);
                }
            }
            Err(error) => {
                failures += 1;
                if failures == FAILURES_MAX {
                    return Err(failed("read", name, &error));
                }
            }
        }
        if tokio::time::Instant::now() >= end {
            let name = name.to_owned();
            return Err(match told {
                None => MoveError::NobodyTookIt {
                    name,
                    after_seconds,
                },
                Some(_) => MoveError::NotEnded {
                    name,
                    after_seconds,
                },
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The moves of a namespace, the newest first.
///
/// # Errors
/// [`MoveError::Api`].
pub async fn moves(client: kube::Client, namespace: &str) -> Result<Vec<Switchover>, MoveError> {
    let switchovers: Api<Switchover> = Api::namespaced(client, namespace);
    let listed = switchovers.list(&ListParams::default()).await;
    let mut moves = listed
        .map_err(|error| failed("list", &format!("objects of namespace {namespace}"), &error))?
        .items;
    moves.sort_by_key(|it| std::cmp::Reverse(it.metadata.creation_timestamp.clone()));
    Ok(moves)
}

/// One line for a change of phase.
#[must_use]
pub fn progress(status: &SwitchoverStatus) -> String {
    let phase = status.phase.map_or("", SwitchoverPhase::as_str);
    format!(
        "{}{}",
        pad(phase, 12),
        status.message.clone().unwrap_or_default()
    )
}

/// What came of a move, with its checks and legs.
#[must_use]
pub fn text(name: &str, spec: &SwitchoverSpec, status: &SwitchoverStatus) -> String {
    let mut text = String::new();
    let from = status.from.as_deref().unwrap_or("-");
    let phase = status.phase.map_or("not taken up", SwitchoverPhase::as_str);
    let _ = writeln!(text, "{name}: {from} -> {}: {phase}", spec.to);
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
    match status.gap_ms {
        Some(gap) => {
            let mark = if gap <= f64::from(spec.gap_ms_max) {
                "within"
            } else {
                "ABOVE"
            };
            let gap_ms_max = spec.gap_ms_max;
            let _ = writeln!(
                text,
                "  {}{gap:>9.1} ms, {mark} the objective of {gap_ms_max} ms",
                pad("gap", 14)
            );
        }
        None if status.phase == Some(SwitchoverPhase::Succeeded) => {
            let _ = writeln!(text, "  {}  not measured", pad("gap", 14));
        }
        None => {}
    }
    if let Some(message) = &status.message {
        let _ = writeln!(text, "  {message}");
    }
    text
}

/// The history as a table.
#[must_use]
pub fn table(moves: &[Switchover]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}{}{}{}{}REASON",
        pad("NAME", 30),
        pad("CORE", 10),
        pad("MOVE", 14),
        pad("PHASE", 11),
        pad("GAP MS", 8)
    );
    for object in moves {
        let status = object.status.clone().unwrap_or_default();
        let from = status.from.as_deref().unwrap_or("?");
        let gap = status
            .gap_ms
            .map_or_else(|| "-".to_owned(), |gap| format!("{gap:.1}"));
        let _ = writeln!(
            text,
            "{}{}{}{}{}{}",
            pad(&object.name_any(), 30),
            pad(&object.spec.core, 10),
            pad(&format!("{from} -> {}", object.spec.to), 14),
            pad(status.phase.map_or("-", SwitchoverPhase::as_str), 11),
            pad(&gap, 8),
            object.spec.reason
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::{Check, Leg};

    fn spec() -> SwitchoverSpec {
        SwitchoverSpec {
            core: "core".to_owned(),
            to: "a2".to_owned(),
            reason: "maintenance of a1".to_owned(),
            dry_run: false,
            allow_in_auction: false,
            wait_seconds: 0,
            deadline_seconds: 30,
            gap_ms_max: 50,
        }
    }

    #[test]
    fn a_move_is_told_with_its_checks_legs_and_gap() {
        let status = SwitchoverStatus {
            phase: Some(SwitchoverPhase::Succeeded),
            message: Some("a2 leads since epoch 8".to_owned()),
            from: Some("a1".to_owned()),
            gap_ms: Some(4.25),
            checks: vec![Check {
                name: "TargetInStep".to_owned(),
                verdict: Verdict::Passed,
                message: "a2 is 1 entries behind".to_owned(),
            }],
            legs: vec![Leg {
                name: "transfer".to_owned(),
                took_ms: 12.5,
            }],
            ..SwitchoverStatus::default()
        };
        assert_eq!(
            text("to-a2", &spec(), &status),
            "to-a2: a1 -> a2: Succeeded\n\
             \x20 ok  TargetInStep        a2 is 1 entries behind\n\
             \x20 transfer           12.5 ms\n\
             \x20 gap                 4.2 ms, within the objective of 50 ms\n\
             \x20 a2 leads since epoch 8\n"
        );
        assert_eq!(exit_code(SwitchoverPhase::Succeeded), 0);
    }

    #[test]
    fn a_gap_that_nobody_measured_is_said_to_be_so() {
        let status = SwitchoverStatus {
            phase: Some(SwitchoverPhase::Succeeded),
            ..SwitchoverStatus::default()
        };
        assert!(text("to-a2", &spec(), &status).contains("not measured"));
    }

    #[test]
    fn scripts_can_tell_a_refusal_from_a_failure() {
        assert_ne!(
            exit_code(SwitchoverPhase::Refused),
            exit_code(SwitchoverPhase::Failed)
        );
    }

    #[test]
    fn a_name_says_where_to_and_when() {
        let now = "2026-11-25T13:25:01.042Z".parse().unwrap();
        assert_eq!(name_for("a2", false, now), "to-a2-20261125-132501-042");
        assert_eq!(name_for("a2", true, now), "check-a2-20261125-132501-042");
    }

    #[test]
    fn the_history_is_a_table() {
        let mut object = Switchover::new("to-a2", spec());
        object.status = Some(SwitchoverStatus {
            phase: Some(SwitchoverPhase::Refused),
            ..SwitchoverStatus::default()
        });
        let table = table(&[object]);
        let line = table.lines().nth(1).unwrap();
        assert!(
            line.contains("? -> a2") && line.contains("Refused"),
            "{line}"
        );
    }
}
