//! Forced takeovers and their approvals against a real API server, with the rights that the chart gives
//! the operator. The replicas are scripted; the test is the kubelet and the command on the disk.
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use crds::{Approval, ApprovalVerdict, Takeover, TakeoverPhase, TakeoverStatus, request_digest};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use kube::api::DeleteParams;
use operator::takeover;
use std::sync::atomic::{AtomicU64, Ordering};
use world::crash::{CrashPoint, mortal_client, mortal_core};
use world::*;

/// Everybody may do all here, so that what is refused is refused by the policy or a rule.
async fn person(name: &str) -> Client {
    let server = &shared().server;
    let kubeconfig = server.kubeconfig_of(name, Some("system:masters")).unwrap();
    client_of(&kubeconfig).await
}

fn asking(name: &str, requested_by: &str) -> Value {
    json!({
        "apiVersion": "tricenter.dev/v1alpha1", "kind": "Takeover", "metadata": {"name": name},
        "spec": {
            "core": "core", "center": "a1", "lost": ["a2", "b1"], "requestedBy": requested_by,
            "reason": "the others burn", "silenceSeconds": 0,
        },
    })
}

fn approval(name: &str, approver: &str, digest: &str) -> Value {
    json!({
        "apiVersion": "tricenter.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name},
        "spec": {
            "request": {"kind": "Takeover", "name": "all-is-lost", "uid": "1"},
            "digest": digest, "approver": approver, "reason": "seen it",
        },
    })
}

async fn create<K>(who: &str, namespace: &str, object: Value) -> kube::Result<K>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(person(who).await, namespace);
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await
}

// ---------------------------------------------------------------------------------------------
// Admission

#[tokio::test]
async fn who_approves_and_who_asks_is_who_the_api_server_says() {
    let world = World::new("who").await;
    let digest = "0".repeat(64);
    let given = approval("given", "anna", &digest);
    create::<Approval>("anna", &world.namespace, given)
        .await
        .unwrap();
    let forged = approval("forged", "bela", &digest);
    let refused = create::<Approval>("anna", &world.namespace, forged).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("spec.approver: bela is not who sends this; accepted is anna"),
        "{refused}"
    );
    let asked = asking("all-is-lost", "carl");
    create::<Takeover>("carl", &world.namespace, asked)
        .await
        .unwrap();
    let forged = asking("forged", "carl");
    let refused = create::<Takeover>("anna", &world.namespace, forged).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("spec.requestedBy: carl is not who sends this; accepted is anna"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_request_and_an_approval_cannot_change() {
    let world = World::new("immutable").await;
    let namespace = &world.namespace;
    let asked: Takeover = create("carl", namespace, asking("all-is-lost", "carl"))
        .await
        .unwrap();
    let given: Approval = create(
        "anna",
        namespace,
        approval("given", "anna", &"0".repeat(64)),
    )
    .await
    .unwrap();
    let takeovers: Api<Takeover> = Api::namespaced(world.admin.clone(), namespace);
    let (asked_name, given_name) = (asked.name_any(), given.name_any());
    let plain = PatchParams::default();
    let patch = Patch::Merge(json!({"spec": {"lost": ["b1"]}}));
    let refused = takeovers.patch(&asked_name, &plain, &patch);
    let refused = refused.await.unwrap_err().to_string();
    assert!(
        refused.contains("what people approve is this request"),
        "{refused}"
    );
    let approvals: Api<Approval> = Api::namespaced(world.admin.clone(), namespace);
    let patch = Patch::Merge(json!({"spec": {"validSeconds": 3600}}));
    let refused = approvals.patch(&given_name, &plain, &patch);
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("spec cannot change"), "{refused}");
}

#[tokio::test]
async fn nonsense_is_refused_at_the_door() {
    let world = World::new("nonsense").await;
    for (field, value, text) in [
        ("lost", json!(["a1"]), "spec.lost names spec.center"),
        ("lost", json!([]), "Form needs the centers that are gone"),
        ("action", json!("Rejoin"), "Rejoin has none"),
        ("reason", json!(""), "spec.reason"),
        ("deadlineSeconds", json!(1), "spec.deadlineSeconds"),
        ("approvalWaitSeconds", json!(0), "spec.approvalWaitSeconds"),
    ] {
        let mut asked = asking("bad", "carl");
        asked["spec"][field] = value;
        let refused = create::<Takeover>("carl", &world.namespace, asked).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(text), "{field}: {refused}");
    }
    for (field, value) in [
        ("digest", json!("abc")),
        ("validSeconds", json!(86_400)),
        ("reason", json!("")),
    ] {
        let mut given = approval("bad", "anna", &"0".repeat(64));
        given["spec"][field] = value;
        let refused = create::<Approval>("anna", &world.namespace, given).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(&format!("spec.{field}")), "{refused}");
    }
}

#[tokio::test]
async fn a_digest_computed_from_what_was_sent_is_that_of_what_is_stored() {
    let world = World::new("digest").await;
    let sent = asking("all-is-lost", "carl");
    let sent: Takeover = serde_json::from_value(sent).unwrap();
    let stored: Takeover = create("carl", &world.namespace, asking("all-is-lost", "carl"))
        .await
        .unwrap();
    let uid = stored.uid().unwrap();
    let of = |object: &Takeover| {
        let (kind, name) = (crds::RequestKind::Takeover, object.name_any());
        request_digest(kind, &world.namespace, &name, &uid, &object.spec)
    };
    assert_eq!(of(&sent), of(&stored), "defaults are part of a request");
}

// ---------------------------------------------------------------------------------------------
// A core of which only a1 is left, and the machine under it

/// The annotation by which a takeover holds the replica.
const HELD_BY: &str = "tricenter.dev/held-by";

struct Lost {
    world: World,
    server: &'static Server,
    /// What a1's disk says: the generation, which only the command raises.
    disk_generation: AtomicU64,
}

impl Lost {
    async fn new(namespace: &str) -> Self {
        let world = World::new(namespace).await;
        world.all_well().await;
        let lost = Self {
            world,
            server: shared(),
            disk_generation: AtomicU64::new(1),
        };
        lost.world.group(|group| {
            for status in group.iter_mut() {
                let known = status.group.as_mut().unwrap();
                known.generation = 1;
                known.policy = Some(CommitPolicy {
                    name: PolicyName::Metro.into(),
                    degrade_after_ms: 0,
                });
                known.members = (1..=3).map(voter).collect();
            }
            group[0].role = Role::Follower.into();
            (group[0].leader, group[0].serving) = (0, false);
            (group[0].last_index, group[0].commit_index) = (5_002, 5_000);
            group[0].last_batch_at_us = now_us() - 60_000_000;
            (group[1].replica, group[2].replica) = (0, 0);
        });
        lost
    }

    async fn operator(&self) -> takeover::Context {
        takeover::Context::new(
            client_of(&self.server.operator).await,
            "a1".to_owned(),
            Arc::new(GrpcCore::new()),
            Metrics::new().unwrap(),
        )
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.world.admin.clone(), &self.world.namespace)
    }

    async fn asked(&self, change: impl FnOnce(&mut Value)) -> Takeover {
        let mut asked = asking("all-is-lost", "carl");
        change(&mut asked["spec"]);
        create("carl", &self.world.namespace, asked).await.unwrap()
    }

    async fn approve(&self, name: &str, person: &str, takeover: &Takeover) {
        let uid = takeover.uid().unwrap();
        let digest = takeover::approve::Request::of(takeover).digest;
        let mut given = approval(name, person, &digest);
        given["spec"]["request"] =
            json!({"kind": "Takeover", "name": takeover.name_any(), "uid": uid});
        let _: Approval = create(person, &self.world.namespace, given).await.unwrap();
    }

    async fn status(&self) -> TakeoverStatus {
        let object = self.api::<Takeover>().get("all-is-lost").await.unwrap();
        object.status.unwrap_or_default()
    }

    /// Rounds of both controllers and of what is under them, until nothing more happens.
    async fn run(&self) -> TakeoverStatus {
        self.run_by(&self.operator().await, 12).await
    }

    async fn run_by(&self, context: &takeover::Context, rounds: usize) -> TakeoverStatus {
        for _ in 0..rounds {
            let Ok(object) = self.api::<Takeover>().get("all-is-lost").await else {
                break;
            };
            let status = object.status.clone().unwrap_or_default();
            if status.phase.is_some_and(TakeoverPhase::is_final) {
                break;
            }
            // That a dead operator's round fails is no surprise.
            let _ = takeover::round(&object, context).await;
            self.world.round().await;
            self.machine().await;
            // Without more approvals nothing more happens.
            let waits = status.phase == Some(TakeoverPhase::AwaitingApproval);
            if waits && self.status().await == status {
                break;
            }
        }
        self.world.round().await;
        self.machine().await;
        self.status().await
    }

    /// The StatefulSet's controller, the Job's, the kubelet, and the processes.
    async fn machine(&self) {
        let set = self.api::<StatefulSet>().get("core-replica").await.unwrap();
        let wants_pod = set.spec.unwrap().replicas != Some(0);
        let has_pod = self.world.pods().get_opt("core-replica-0").await.unwrap();
        match (wants_pod, has_pod.is_some()) {
            (false, true) => {
                let at_once = DeleteParams {
                    grace_period_seconds: Some(0),
                    ..DeleteParams::default()
                };
                self.world
                    .pods()
                    .delete("core-replica-0", &at_once)
                    .await
                    .unwrap();
                self.world.group(|group| group[0].replica = 0);
            }
            (true, false) => {
                self.world.start_pod("one").await;
                self.world.group(|group| self.replica_starts(group));
            }
            _ => {}
        }
        for job in self
            .api::<Job>()
            .list(&ListParams::default())
            .await
            .unwrap()
        {
            self.run_job(&job).await;
        }
    }

    fn replica_starts(&self, group: &mut [ReplicaStatus]) {
        group[0].replica = 1;
        let generation = self.disk_generation.load(Ordering::Relaxed);
        if generation > 1 {
            let status = &mut group[0];
            let known = status.group.as_mut().unwrap();
            known.generation = generation;
            known.members = vec![voter(1)];
            status.role = Role::Leader.into();
            (status.leader, status.serving, status.epoch) = (1, true, 1_000_001);
        }
    }

    async fn run_job(&self, job: &Job) {
        let spec = job.spec.as_ref().unwrap();
        if job
            .status
            .as_ref()
            .is_some_and(|it| it.completion_time.is_some())
        {
            return;
        }
        let pod_there = self.world.pods().get_opt("core-replica-0").await.unwrap();
        assert!(pod_there.is_none(), "the command ran beside the replica");
        let name = job.name_any();
        let pod = json!({
            "metadata": {"name": format!("{name}-x"),
                         "labels": {"batch.kubernetes.io/job-name": name}},
            "spec": spec.template.spec,
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let arguments = pod.spec.as_ref().unwrap().containers[0]
            .args
            .clone()
            .unwrap();
        self.world
            .pods()
            .create(&PostParams::default(), &pod)
            .await
            .unwrap();
        let answer = match arguments[1].as_str() {
            "form" => {
                assert!(arguments.contains(&"--lost=2".to_owned()), "{arguments:?}");
                assert!(arguments.contains(&"--lost=3".to_owned()), "{arguments:?}");
                assert!(
                    arguments.contains(&"--generation=2".to_owned()),
                    "{arguments:?}"
                );
                let before = self.disk_generation.fetch_add(1, Ordering::Relaxed);
                assert_eq!(before, 1, "formed once");
                json!({"generation": 2, "epoch": 1_000_000, "formed_at_index": 5_003,
                       "uncommitted_entries_kept": 2, "already": false})
            }
            _ => {
                json!({"listed_in": "/data/salvage-before-generation-2", "kept_in": "/data/kept-1",
                        "requests": 7, "answered": 5, "already": false})
            }
        };
        let now = jiff::Timestamp::now().to_string();
        let status = json!({"status": {"phase": "Succeeded", "containerStatuses": [{
            "name": "takeover", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "message": answer.to_string()}},
        }]}});
        let pods = self.world.pods();
        let plain = PatchParams::default();
        pods.patch_status(&format!("{name}-x"), &plain, &Patch::Merge(status))
            .await
            .unwrap();
        let condition = |type_: &str| json!({"type": type_, "status": "True", "lastProbeTime": now, "lastTransitionTime": now});
        let status = json!({"status": {
            "startTime": now, "completionTime": now, "succeeded": 1,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
        }});
        self.api::<Job>()
            .patch_status(&name, &plain, &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// As b1 is in the lab: the core made anew with a1 in a site of its own.
    async fn alone_in_its_site(&self) {
        let mut core = serde_json::to_value(self.world.core().await).unwrap();
        core["metadata"] = json!({"name": "core"});
        core.as_object_mut().unwrap().remove("status");
        for (center, site) in core["spec"]["centers"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(["B", "A", "A"])
        {
            center["site"] = json!(site);
        }
        let cores = self.world.cores();
        cores
            .delete("core", &DeleteParams::default())
            .await
            .unwrap();
        let core: TradingCore = serde_json::from_value(core).unwrap();
        cores.create(&PostParams::default(), &core).await.unwrap();
        self.world.round().await;
    }

    async fn jobs(&self) -> usize {
        self.api::<Job>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len()
    }

    async fn held_by(&self) -> Option<String> {
        let set = self.api::<StatefulSet>().get("core-replica").await.unwrap();
        set.annotations().get(HELD_BY).cloned()
    }
}

fn voter(replica: u64) -> Member {
    Member {
        replica,
        role: MemberRole::Voter.into(),
        ..Member::default()
    }
}

// ---------------------------------------------------------------------------------------------
// Taking over

#[tokio::test]
async fn two_people_approve_and_the_last_replica_becomes_the_group() {
    let lost = Lost::new("takes-over").await;
    let asked = lost.asked(|_| {}).await;
    let status = lost.run().await;
    assert_eq!(
        status.phase,
        Some(TakeoverPhase::AwaitingApproval),
        "{status:?}"
    );
    assert_eq!(status.approved.as_deref(), Some("0/2"));
    let known = status.known.unwrap();
    assert_eq!((known.last_index, known.commit_index), (5_002, 5_000));
    assert!(known.loss_reason.contains("the policy was not SiteSafe"));
    assert_eq!((lost.jobs().await, lost.held_by().await), (0, None));

    lost.approve("first", "anna", &asked).await;
    let status = lost.run().await;
    assert_eq!(status.approved.as_deref(), Some("1/2"));
    lost.approve("second", "bela", &asked).await;
    let status = lost.run().await;
    assert_eq!(status.phase, Some(TakeoverPhase::Succeeded), "{status:?}");
    assert_eq!(
        status.message.as_deref(),
        Some("a1 serves generation 2 in epoch 1000001")
    );
    let steps: Vec<&str> = status.steps.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        steps,
        ["Approved", "Fenced", "Formed", "Served", "Rerouted"]
    );
    let legs: Vec<&str> = status.legs.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(legs, ["fence", "form", "serve", "reroute"]);
    assert_eq!(status.result.unwrap().formed_at_index, Some(5_003));
    assert_eq!(lost.held_by().await, None);
    for name in ["first", "second"] {
        let used = lost
            .api::<Approval>()
            .get(name)
            .await
            .unwrap()
            .status
            .unwrap();
        assert_eq!(used.used_by, asked.uid());
    }
    for reason in [
        "TakeoverAwaitingApproval",
        "TakeoverRunning",
        "TakeoverSucceeded",
    ] {
        lost.world.event(reason).await;
    }
    // One replica is not what an installation should stay with, and nobody says it is.
    let core = lost.world.core().await;
    assert!(is(&core, conditions::RPO_ZERO, ConditionStatus::False));
}

#[tokio::test]
async fn nobody_must_approve_while_the_log_proves_that_nothing_is_lost() {
    let lost = Lost::new("proven").await;
    lost.world.group(|group| {
        let policy = group[0].group.as_mut().unwrap().policy.as_mut().unwrap();
        policy.set_name(PolicyName::SiteSafe);
        policy.degrade_after_ms = 600_000;
    });
    lost.alone_in_its_site().await;
    lost.asked(|_| {}).await;
    let status = lost.run().await;
    assert_eq!(status.phase, Some(TakeoverPhase::Succeeded), "{status:?}");
    assert_eq!(status.approved.as_deref(), Some("0/0"));
    let job = &lost
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items[0];
    let template = &job.spec.as_ref().unwrap().template;
    let arguments = template.spec.as_ref().unwrap().containers[0]
        .args
        .clone()
        .unwrap();
    let has_an_end = arguments.iter().any(|it| it.starts_with("--not-after-us="));
    assert!(has_an_end, "a proof ends: {arguments:?}");
    let conditions = status.conditions.iter();
    let mut zero = conditions.filter(|it| it.type_ == conditions::RPO_ZERO);
    let zero = zero.next().unwrap();
    assert_eq!(zero.reason, reasons::LOG_PROVES_ZERO);
}

#[tokio::test]
async fn a_takeover_by_mistake_is_refused_and_changes_nothing() {
    let lost = Lost::new("mistake").await;
    lost.world.group(|group| {
        (group[1].replica, group[2].replica) = (2, 3);
        lead(group, 2, 2);
    });
    let asked = lost.asked(|_| {}).await;
    lost.approve("first", "anna", &asked).await;
    lost.approve("second", "bela", &asked).await;
    let status = lost.run().await;
    assert_eq!(status.phase, Some(TakeoverPhase::Refused), "{status:?}");
    assert_eq!(status.reason.as_deref(), Some(reasons::QUORUM_EXISTS));
    assert_eq!((lost.jobs().await, lost.held_by().await), (0, None));
    lost.world.event("TakeoverRefused").await;
    // Final: that all is lost later does nothing by this request.
    lost.world
        .group(|group| (group[1].replica, group[2].replica) = (0, 0));
    lost.run().await;
    assert_eq!(lost.jobs().await, 0);
}

#[tokio::test]
async fn approvals_by_the_requester_twice_or_for_another_request_do_not_count() {
    let lost = Lost::new("not-counted").await;
    let first = lost.asked(|spec| spec["lost"] = json!(["a2"])).await;
    lost.approve("of-the-first", "anna", &first).await;
    let plain = DeleteParams::default();
    lost.api::<Takeover>()
        .delete("all-is-lost", &plain)
        .await
        .unwrap();
    // The same name, changed after it was approved.
    let asked = lost.asked(|_| {}).await;
    lost.approve("own", "carl", &asked).await;
    lost.approve("one", "bela", &asked).await;
    lost.approve("two", "bela", &asked).await;
    let status = lost.run().await;
    assert_eq!(
        status.phase,
        Some(TakeoverPhase::AwaitingApproval),
        "{status:?}"
    );
    assert_eq!(status.approved.as_deref(), Some("1/2"));
    let mut verdicts: Vec<_> = (status.approvals.iter())
        .map(|it| (it.name.as_str(), it.verdict))
        .collect();
    verdicts.sort_by_key(|(name, _)| *name);
    assert_eq!(verdicts[0], ("of-the-first", ApprovalVerdict::OtherRequest));
    assert_eq!(verdicts[2], ("own", ApprovalVerdict::GivenByRequester));
    let both = [verdicts[1].1, verdicts[3].1];
    assert!(both.contains(&ApprovalVerdict::Counts), "{both:?}");
    assert!(both.contains(&ApprovalVerdict::SamePerson), "{both:?}");
    assert_eq!((lost.jobs().await, lost.held_by().await), (0, None));
}

#[tokio::test]
async fn an_approval_that_was_used_by_another_request_does_not_count() {
    let lost = Lost::new("reused").await;
    let asked = lost.asked(|_| {}).await;
    lost.approve("first", "anna", &asked).await;
    lost.approve("second", "bela", &asked).await;
    let used = Patch::Merge(json!({"status": {"usedBy": "somebody-else"}}));
    let plain = PatchParams::default();
    lost.api::<Approval>()
        .patch_status("first", &plain, &used)
        .await
        .unwrap();
    let status = lost.run().await;
    assert_eq!(
        status.phase,
        Some(TakeoverPhase::AwaitingApproval),
        "{status:?}"
    );
    assert_eq!(status.approvals[0].verdict, ApprovalVerdict::Used);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_changes_nothing() {
    let lost = Lost::new("dry").await;
    lost.asked(|spec| spec["dryRun"] = json!(true)).await;
    let status = lost.run().await;
    assert_eq!(status.phase, Some(TakeoverPhase::Predicted), "{status:?}");
    assert!(status.message.unwrap().contains("2 people must approve"));
    assert_eq!((lost.jobs().await, lost.held_by().await), (0, None));
    assert!(
        lost.world
            .pods()
            .get_opt("core-replica-0")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn only_the_operator_of_the_center_takes_it_up() {
    let lost = Lost::new("elsewhere").await;
    lost.asked(|spec| {
        spec["center"] = json!("b1");
        spec["lost"] = json!(["a1", "a2"]);
    })
    .await;
    let status = lost.run().await;
    assert_eq!(
        status.reason.as_deref(),
        Some(reasons::OTHER_CENTER),
        "{status:?}"
    );
}

// ---------------------------------------------------------------------------------------------
// What comes between

#[tokio::test]
async fn a_site_that_heals_before_the_command_ends_the_takeover_and_the_replica_runs_again() {
    let lost = Lost::new("heals-before").await;
    let asked = lost.asked(|_| {}).await;
    lost.approve("first", "anna", &asked).await;
    lost.approve("second", "bela", &asked).await;
    let operator = lost.operator().await;
    takeover::round(&asked, &operator).await.unwrap();
    assert!(lost.held_by().await.is_some());
    // Its pod is going when the others are heard again.
    lost.world.group(|group| {
        (group[1].replica, group[2].replica) = (2, 3);
        lead(group, 2, 2);
    });
    let status = lost.run().await;
    assert_eq!(status.phase, Some(TakeoverPhase::Failed), "{status:?}");
    assert_eq!(status.reason.as_deref(), Some(reasons::QUORUM_EXISTS));
    assert_eq!((lost.jobs().await, lost.held_by().await), (0, None));
    assert!(
        lost.world
            .pods()
            .get_opt("core-replica-0")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_site_that_heals_after_the_command_changes_nothing_about_the_takeover() {
    let lost = Lost::new("heals-after").await;
    let asked = lost.asked(|_| {}).await;
    lost.approve("first", "anna", &asked).await;
    lost.approve("second", "bela", &asked).await;
    let operator = lost.operator().await;
    for _ in 0..6 {
        if lost.jobs().await == 0 {
            lost.run_by(&operator, 1).await;
        }
    }
    assert_eq!(lost.jobs().await, 1);
    // A follower of the old group, which the new epoch outvotes.
    lost.world
        .group(|group| (group[1].replica, group[1].leader) = (2, 0));
    let status = lost.run().await;
    assert_eq!(status.phase, Some(TakeoverPhase::Succeeded), "{status:?}");
}

#[tokio::test]
async fn an_approval_that_is_taken_back_before_the_command_stops_it() {
    let lost = Lost::new("taken-back").await;
    let asked = lost.asked(|_| {}).await;
    lost.approve("first", "anna", &asked).await;
    lost.approve("second", "bela", &asked).await;
    takeover::round(&asked, &lost.operator().await)
        .await
        .unwrap();
    let plain = DeleteParams::default();
    lost.api::<Approval>()
        .delete("second", &plain)
        .await
        .unwrap();
    let status = lost.run().await;
    assert_eq!(
        status.reason.as_deref(),
        Some(reasons::APPROVAL_WITHDRAWN),
        "{status:?}"
    );
    assert_eq!(lost.jobs().await, 0);
    assert!(
        lost.world
            .pods()
            .get_opt("core-replica-0")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_takeover_that_is_deleted_while_it_holds_the_replica_lets_it_go() {
    let lost = Lost::new("deleted").await;
    let asked = lost.asked(|_| {}).await;
    lost.approve("first", "anna", &asked).await;
    lost.approve("second", "bela", &asked).await;
    takeover::round(&asked, &lost.operator().await)
        .await
        .unwrap();
    lost.world.round().await;
    lost.machine().await;
    assert!(
        lost.world
            .pods()
            .get_opt("core-replica-0")
            .await
            .unwrap()
            .is_none()
    );
    let ready = condition(&lost.world.round().await, conditions::READY).unwrap();
    assert_eq!(ready.reason, reasons::HELD, "{}", ready.message);
    let plain = DeleteParams::default();
    lost.api::<Takeover>()
        .delete("all-is-lost", &plain)
        .await
        .unwrap();
    lost.world.round().await;
    lost.machine().await;
    assert!(
        lost.world
            .pods()
            .get_opt("core-replica-0")
            .await
            .unwrap()
            .is_some()
    );
}

/// Every write of a whole takeover is once the last one that the operator sends, and once the last one
/// that is done.
#[tokio::test]
async fn an_operator_that_dies_at_any_write_leaves_a_takeover_that_ends_the_same() {
    for when_done in [false, true] {
        for at in 0.. {
            let word = if when_done { "done" } else { "lost" };
            let lost = Lost::new(&format!("takeover-crash-{word}-{at}")).await;
            let asked = lost.asked(|_| {}).await;
            lost.approve("first", "anna", &asked).await;
            lost.approve("second", "bela", &asked).await;
            let point = CrashPoint::new(at, when_done);
            let mortal = takeover::Context::new(
                mortal_client(&lost.server.operator, &point).await,
                "a1".to_owned(),
                Arc::new(mortal_core(&point)),
                Metrics::new().unwrap(),
            );
            for _ in 0..8 {
                lost.run_by(&mortal, 1).await;
                if point.has_struck() {
                    break;
                }
            }
            let status = lost.run().await;
            let when = format!("dead at write {at}, done: {when_done}");
            assert_eq!(
                status.phase,
                Some(TakeoverPhase::Succeeded),
                "{when}: {status:?}"
            );
            assert_eq!(lost.disk_generation.load(Ordering::Relaxed), 2, "{when}");
            assert_eq!(
                (lost.jobs().await, lost.held_by().await),
                (1, None),
                "{when}"
            );
            if !point.has_struck() {
                assert!(at >= 9, "a takeover has more writes than {at}");
                break;
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Coming back

#[tokio::test]
async fn a_returned_replica_is_kept_aside_learns_and_votes() {
    let lost = Lost::new("returns").await;
    // b1 leads generation 2 alone; a1's process ends as soon as it meets it.
    lost.world.group(|group| {
        group[0].replica = 0;
        group[2].replica = 3;
        lead(&mut group[2..], 3, 1_000_001);
        let known = group[2].group.as_mut().unwrap();
        (known.generation, known.members) = (2, vec![voter(3)]);
        group[2].peers = vec![PeerProgress {
            replica: 1,
            recently_active: true,
            ..PeerProgress::default()
        }];
    });
    lost.asked(|spec| {
        spec["action"] = json!("Rejoin");
        spec["lost"] = json!([]);
    })
    .await;
    let status = lost.run().await;
    assert_eq!(status.phase, Some(TakeoverPhase::Succeeded), "{status:?}");
    assert_eq!(
        status.message.as_deref(),
        Some("the replica of a1 follows and votes")
    );
    let result = status.result.unwrap();
    assert_eq!(
        (result.requests_salvaged, result.requests_answered),
        (Some(7), Some(5))
    );
    let kept_in = result.kept_in.as_deref();
    assert_eq!(kept_in, Some("/data/salvage-before-generation-2"));
    let members = lost.world.group.lock().unwrap()[2]
        .group
        .clone()
        .unwrap()
        .members;
    assert_eq!(members.len(), 2);
    assert_eq!(members[1].role(), MemberRole::Voter);
    assert_eq!(members[1].center, "a1");
    // Failing back is a move like any other from here on; this one can never run again.
    assert_eq!(lost.held_by().await, None);
}
