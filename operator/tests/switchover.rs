//! Planned moves against a real API server, with the rights that the chart gives the operator. The
//! replicas are scripted, but keep operations with the engine's own code.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use crds::{Switchover, SwitchoverPhase, SwitchoverStatus, Verdict};
use operator::switchover;
use sha2::Digest;
use types::{OperationKind, OperationOutcome, OperationRecord};
use world::crash::{CrashPoint, mortal_client, mortal_core};
use world::*;

struct Moves {
    world: World,
    server: &'static Server,
}

impl Moves {
    async fn new(namespace: &str) -> Self {
        Self {
            world: World::new(namespace).await,
            server: shared(),
        }
    }

    async fn operator(&self, center: &str) -> switchover::Context {
        switchover::Context::new(
            client_of(&self.server.operator).await,
            center.to_owned(),
            Arc::new(GrpcCore::new()),
            Metrics::new().unwrap(),
        )
    }

    fn api(&self) -> Api<Switchover> {
        Api::namespaced(self.world.admin.clone(), &self.world.namespace)
    }

    async fn asked(&self, name: &str, spec: Value) -> kube::Result<Switchover> {
        let object = serde_json::from_value(json!({
            "apiVersion": "tricenter.dev/v1alpha1", "kind": "Switchover",
            "metadata": {"name": name, "namespace": self.world.namespace}, "spec": spec,
        }))
        .unwrap();
        self.api().create(&PostParams::default(), &object).await
    }

    /// Rounds by one center's operator, until nothing more happens.
    async fn run_by(&self, center: &str, name: &str) -> SwitchoverStatus {
        let context = self.operator(center).await;
        for _ in 0..5 {
            let object = self.api().get(name).await.unwrap();
            switchover::round(&object, &context).await.unwrap();
            // As the controller pauses; statuses grow newer meanwhile.
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        self.status(name).await
    }

    async fn status(&self, name: &str) -> SwitchoverStatus {
        self.api()
            .get(name)
            .await
            .unwrap()
            .status
            .unwrap_or_default()
    }

    fn leader(&self) -> u64 {
        self.world.group.lock().unwrap()[0].leader
    }
}

fn to(center: &str) -> Value {
    json!({"core": "core", "to": center, "reason": "a test"})
}

#[tokio::test]
async fn a_move_is_checked_made_verified_and_measured() {
    let moves = Moves::new("moves").await;
    moves.asked("to-a2", to("a2")).await.unwrap();
    let status = moves.run_by("a1", "to-a2").await;
    assert_eq!(status.phase, Some(SwitchoverPhase::Succeeded), "{status:?}");
    assert_eq!(moves.leader(), 2);
    assert_eq!(status.from.as_deref(), Some("a1"));
    assert_eq!(
        (status.epoch_before, status.epoch_after),
        (Some(1), Some(2))
    );
    assert_eq!(status.gap_ms, Some(4.2));
    let legs: Vec<&str> = status.legs.iter().map(|leg| leg.name.as_str()).collect();
    assert_eq!(legs, ["begin", "transfer", "verify"]);
    assert!(status.checks.iter().all(|it| it.verdict == Verdict::Passed));
    let told = moves.world.event("SwitchoverSucceeded").await;
    assert_eq!(
        told.note.as_deref(),
        Some("a2 leads since epoch 2, after a gap of 4.2 ms")
    );
    // The log says where leadership belongs now, and that the move has ended.
    let operations = moves.world.operations.lock().unwrap().clone();
    assert_eq!(operations.preferred.unwrap().replica.0, 2);
    assert_eq!(
        operations.ended[0].outcome,
        Some(OperationOutcome::Succeeded)
    );
}

#[tokio::test]
async fn leadership_stays_where_a_move_put_it() {
    let moves = Moves::new("stays").await;
    moves
        .world
        .change(json!({"spec": {"handBack": {"policy": "Automatic", "afterSeconds": 1}}}))
        .await;
    moves.world.all_well().await;
    moves.asked("to-a2", to("a2")).await.unwrap();
    moves.run_by("a1", "to-a2").await;
    for _ in 0..3 {
        moves.world.round().await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert_eq!(moves.leader(), 2, "a1's operator took leadership back");
    // A later declaration counts again: b1 is declared, and a1's operator leaves it to b1's.
    moves
        .world
        .change(json!({"spec": {"primaryCenter": "b1"}}))
        .await;
    let core = moves.world.core().await;
    assert_eq!(core.spec.primary_center, "b1");
}

#[tokio::test]
async fn what_is_missing_is_told_by_name_and_nothing_moves() {
    let moves = Moves::new("refused").await;
    moves.world.group(|group| {
        group[0].peers[0].lag_entries = 9_000;
        group[0].phases[0].phase = admin::Phase::OpeningCall.into();
        group[1].disk_free_bytes = 0;
    });
    moves.asked("to-a2", to("a2")).await.unwrap();
    let status = moves.run_by("a1", "to-a2").await;
    assert_eq!(status.phase, Some(SwitchoverPhase::Refused));
    assert_eq!(moves.leader(), 1);
    let failing: Vec<_> = (status.checks.iter())
        .filter(|check| check.verdict != Verdict::Passed)
        .map(|check| (check.name.as_str(), check.verdict))
        .collect();
    assert_eq!(
        failing,
        [
            ("TargetInStep", Verdict::Failed),
            ("TradingPhase", Verdict::Failed),
            ("DiskSpace", Verdict::Unknown),
        ]
    );
    // Refused is final: that all is well later moves nothing.
    moves.world.group(|group| {
        group[0].peers[0].lag_entries = 0;
        group[0].phases[0].phase = admin::Phase::Continuous.into();
        group[1].disk_free_bytes = 8 << 30;
    });
    moves.run_by("a1", "to-a2").await;
    assert_eq!(moves.leader(), 1);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_changes_nothing() {
    let moves = Moves::new("predicted").await;
    moves
        .world
        .group(|group| group[0].peers[0].round_trip_us = 1_000);
    let mut spec = to("a2");
    spec["dryRun"] = json!(true);
    moves.asked("what-if", spec).await.unwrap();
    let status = moves.run_by("a1", "what-if").await;
    assert_eq!(status.phase, Some(SwitchoverPhase::Predicted));
    assert_eq!(
        status.message.as_deref(),
        Some("all checks pass: leadership would move from a1 to a2, with a gap of about 3.0 ms")
    );
    assert_eq!(moves.leader(), 1);
    assert_eq!(
        *moves.world.operations.lock().unwrap(),
        Operations::default()
    );
}

#[tokio::test]
async fn checks_are_waited_for_when_asked() {
    let moves = Moves::new("waits").await;
    moves
        .world
        .group(|group| group[0].all_voters_in_step = false);
    let mut spec = to("a2");
    spec["waitSeconds"] = json!(600);
    moves.asked("later", spec).await.unwrap();
    let status = moves.run_by("a1", "later").await;
    assert_eq!(status.phase, Some(SwitchoverPhase::Pending));
    moves
        .world
        .group(|group| group[0].all_voters_in_step = true);
    let status = moves.run_by("a1", "later").await;
    assert_eq!(status.phase, Some(SwitchoverPhase::Succeeded), "{status:?}");
}

#[tokio::test]
async fn another_center_goes_on_from_the_step_where_the_first_died() {
    let moves = Moves::new("resumes").await;
    moves.asked("to-a2", to("a2")).await.unwrap();
    // The operator of b1 began, checked, handed over, and died before it could say so.
    let object = moves.api().get("to-a2").await.unwrap();
    let digest = sha2::Sha256::digest(serde_json::to_vec(&object.spec).unwrap()).into();
    let (name, holder) = ("resumes/to-a2".to_owned(), "operator/b1".to_owned());
    let long_ago = UnixMicros(now_us() - 25_000_000);
    {
        let mut operations = moves.world.operations.lock().unwrap();
        let begin = OperationRecord::Begin {
            name: name.clone(),
            kind: OperationKind::Switchover,
            digest,
            holder: holder.clone(),
            ttl_ms: 20_000,
        };
        operations.apply(&begin, long_ago).unwrap();
        let step = OperationRecord::Step {
            name,
            holder,
            ttl_ms: 20_000,
            step: "Checked".to_owned(),
            detail: json!({"replica": 1, "from": "a1", "epoch": 1}).to_string(),
        };
        operations.apply(&step, long_ago).unwrap();
    }
    moves.world.group(|group| lead(group, 2, 2));
    let status = moves.run_by("a1", "to-a2").await;
    assert_eq!(status.phase, Some(SwitchoverPhase::Succeeded), "{status:?}");
    assert_eq!(moves.leader(), 2, "it was moved once");
    assert_eq!(status.epoch_after, Some(2));
    assert_eq!(status.run_by.as_deref(), Some("operator/a1"));
    // Nobody measured the gap, and nobody says so.
    assert_eq!(status.gap_ms, None);
}

#[tokio::test]
async fn one_operation_runs_at_a_time_and_the_refusal_names_it() {
    let moves = Moves::new("one").await;
    let begin = OperationRecord::Begin {
        name: "elsewhere/first".to_owned(),
        kind: OperationKind::Switchover,
        digest: [0; 32],
        holder: "operator/b1".to_owned(),
        ttl_ms: 60_000,
    };
    let now = UnixMicros(now_us());
    let begun = moves.world.operations.lock().unwrap().apply(&begin, now);
    begun.unwrap();
    moves.asked("second", to("a2")).await.unwrap();
    let status = moves.run_by("a1", "second").await;
    assert_eq!(status.phase, Some(SwitchoverPhase::Refused));
    assert_eq!(
        status.message.as_deref(),
        Some("NoOtherOperation: elsewhere/first runs, held by operator/b1")
    );
}

#[tokio::test]
async fn a_core_or_center_that_is_not_there_is_told_with_what_is() {
    let moves = Moves::new("unknown").await;
    moves.asked("nowhere", to("c9")).await.unwrap();
    let status = moves.run_by("a1", "nowhere").await;
    assert_eq!(
        status.message.as_deref(),
        Some("spec.to: c9 is no center of core; accepted are a1, a2, b1")
    );
    let mut spec = to("a2");
    spec["core"] = json!("other");
    moves.asked("no-core", spec).await.unwrap();
    let status = moves.run_by("a1", "no-core").await;
    assert_eq!(
        status.message.as_deref(),
        Some("spec.core: there is no TradingCore other in namespace unknown")
    );
}

#[tokio::test]
async fn a_move_cannot_change_and_nonsense_is_refused_at_the_door() {
    let moves = Moves::new("admission").await;
    moves.asked("to-a2", to("a2")).await.unwrap();
    let changed = moves
        .api()
        .patch(
            "to-a2",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"to": "b1"}})),
        )
        .await
        .unwrap_err();
    assert!(
        changed.to_string().contains("a move runs once"),
        "{changed}"
    );
    for (field, value) in [
        ("reason", json!("")),
        ("deadlineSeconds", json!(1)),
        ("gapMsMax", json!(0)),
        ("to", json!("Not A Center")),
    ] {
        let mut spec = to("a2");
        spec[field] = value;
        let refused = moves.asked("bad", spec).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("spec.{field}")), "{refused}");
    }
}

/// Whoever deletes the object of a move that runs has not stopped the move: the object stays until the
/// log says how it ended, wherever the operator had died.
#[tokio::test]
async fn a_move_whose_object_is_deleted_still_ends_in_the_log_and_lets_the_object_go() {
    for at in 2..6 {
        let moves = Moves::new(&format!("deleted-{at}")).await;
        moves.asked("to-a2", to("a2")).await.unwrap();
        let point = CrashPoint::new(at, true);
        let mortal = switchover::Context::new(
            mortal_client(&moves.server.operator, &point).await,
            "a1".to_owned(),
            Arc::new(mortal_core(&point)),
            Metrics::new().unwrap(),
        );
        let object = moves.api().get("to-a2").await.unwrap();
        // That it fails is what a dead operator does.
        let _ = switchover::round(&object, &mortal).await;
        let has_begun = moves.world.operations.lock().unwrap().running.is_some();

        let how = kube::api::DeleteParams::default();
        moves.api().delete("to-a2", &how).await.unwrap();
        let operator = moves.operator("a1").await;
        for _ in 0..5 {
            let Some(object) = moves.api().get_opt("to-a2").await.unwrap() else {
                break;
            };
            switchover::round(&object, &operator).await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        let left = moves.api().get_opt("to-a2").await.unwrap();
        assert!(left.is_none(), "dead at write {at}: {left:?}");
        let operations = moves.world.operations.lock().unwrap().clone();
        assert_eq!(operations.running, None, "dead at write {at}");
        // What had begun was ended; what had not, never begins.
        assert_eq!(operations.ended.len(), usize::from(has_begun));
        assert_eq!(moves.leader(), if has_begun { 2 } else { 1 });
    }
}

/// Every write of a whole move, to the core and to the API server, is once the last one that the
/// operator sends, and once the last one that is done.
#[tokio::test]
async fn an_operator_that_dies_at_any_write_leaves_a_move_that_ends_the_same() {
    for when_done in [false, true] {
        for at in 0.. {
            let namespace = format!("crash-{}-{at}", if when_done { "done" } else { "lost" });
            let moves = Moves::new(&namespace).await;
            moves.asked("to-a2", to("a2")).await.unwrap();
            let point = CrashPoint::new(at, when_done);
            let mortal = switchover::Context::new(
                mortal_client(&moves.server.operator, &point).await,
                "a1".to_owned(),
                Arc::new(mortal_core(&point)),
                Metrics::new().unwrap(),
            );
            for _ in 0..3 {
                let object = moves.api().get("to-a2").await.unwrap();
                // That it fails is what a dead operator does.
                let _ = switchover::round(&object, &mortal).await;
            }
            let status = moves.run_by("a1", "to-a2").await;
            assert_eq!(
                status.phase,
                Some(SwitchoverPhase::Succeeded),
                "dead at write {at}, done: {when_done}: {status:?}"
            );
            assert_eq!(moves.leader(), 2);
            let epoch = moves.world.group.lock().unwrap()[0].epoch;
            assert_eq!(
                epoch, 2,
                "moved once, dead at write {at}, done: {when_done}"
            );
            let operations = moves.world.operations.lock().unwrap().clone();
            assert_eq!((operations.running, operations.ended.len()), (None, 1));
            let object = moves.api().get("to-a2").await.unwrap();
            assert_eq!(object.metadata.finalizers, None, "dead at write {at}");
            if !point.has_struck() {
                assert!(at >= 7, "a move has more writes than {at}");
                break;
            }
        }
    }
}
