//! The operator against a real API server, with the rights that the chart gives it, speaking real
//! gRPC to three scripted replicas.
//!
//! ```text
//!  chart ─helm─► ClusterRole ─┐
//!                             ▼
//!  test ─► round() as the chart's ServiceAccount ─► etcd + kube-apiserver
//!             └──gRPC──► three replicas on loopback, whose answers the test writes
//! ```
//!
//! There are no controllers and no kubelet behind this API server, so the tests write what those
//! would: see [`World::settle`].
#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use world::*;

// ---------------------------------------------------------------------------------------------
// Admission

#[tokio::test]
async fn bad_objects_are_refused_with_text_that_helps() {
    let world = World::new("refusals").await;
    let good = serde_json::to_value(world.core().await).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let create = |pointer: &str, value: Value| {
        let mut object = good.clone();
        object["metadata"] = json!({"name": "other", "namespace": world.namespace});
        object.as_object_mut().unwrap().remove("status");
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value;
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let kind = GroupVersionKind::gvk("tricenter.dev", "v1alpha1", "TradingCore");
        let api: Api<DynamicObject> = Api::namespaced_with(
            world.admin.clone(),
            &world.namespace,
            &ApiResource::from_gvk(&kind),
        );
        let dry_run = dry_run.clone();
        async move { api.create(&dry_run, &object).await }
    };
    create("/spec/paused", json!(true)).await.unwrap();
    let center = |name: &str, replica: u64, site: &str| {
        json!({"name": name, "replica": replica, "site": site,
               "addresses": {"replication": "h:1", "orders": "h:2"}})
    };
    let cases = [
        (
            "/spec/primaryCenter",
            json!("c1"),
            "c1 is not in spec.centers; accepted are [\"a1\", \"a2\", \"b1\"]",
        ),
        (
            "/spec/centers",
            json!([
                center("a1", 1, "A"),
                center("a1", 2, "A"),
                center("b1", 3, "B")
            ]),
            "two centers have the same name",
        ),
        (
            "/spec/centers",
            json!([
                center("a1", 1, "A"),
                center("a2", 1, "A"),
                center("b1", 3, "B")
            ]),
            "two centers have the same replica number",
        ),
        (
            "/spec/centers",
            json!([
                center("a1", 1, "A"),
                center("a2", 2, "A"),
                center("b1", 3, "C")
            ]),
            "the sites of [\"a1 (A)\", \"a2 (A)\", \"b1 (C)\"] are not all in spec.sites; accepted are [\"A\", \"B\"]",
        ),
        (
            "/spec/centers",
            json!([center("a1", 1, "A"), center("a2", 2, "A")]),
            "should have at least 3 items",
        ),
        (
            "/spec/routes",
            json!([{"from": "a1", "to": "c1", "replication": "h:1", "orders": "h:2"}]),
            "a route names a center that is not in spec.centers",
        ),
        (
            "/spec/timing/electionTimeoutMsMax",
            json!(15_000),
            "detect 15000 ms + elect (one split vote) 15000 ms + replay and re-route 1000 ms = 31000 ms, more than 30000 ms",
        ),
        (
            "/spec/timing/electionTimeoutMsMin",
            json!(200),
            "accepted are at least three heartbeats, 300",
        ),
        (
            "/spec/timing/electionTimeoutMsMax",
            json!(500),
            "accepted are more than electionTimeoutMsMin, 500",
        ),
        (
            "/spec/exposure/type",
            json!("NodePort"),
            "needs replicationNodePort and ordersNodePort",
        ),
        (
            "/spec/objective/rpoOrders",
            json!(1),
            "spec.objective.rpoOrders",
        ),
        (
            "/spec/commitPolicy",
            json!("Hope"),
            "supported values: \"Metro\"",
        ),
        ("/spec/storage/size", json!("much"), "spec.storage.size"),
        (
            "/metadata/name",
            json!("a-name-that-is-far-too-long-for-what-is-made-of-it"),
            "at most 40 characters",
        ),
    ];
    for (pointer, value, text) in cases {
        let error = create(pointer, value.clone())
            .await
            .expect_err(&format!("{pointer} = {value} was accepted"))
            .to_string();
        assert!(error.contains(text), "{pointer} = {value}: {error}");
    }
}

#[tokio::test]
async fn what_journals_carry_cannot_change() {
    let world = World::new("immutable").await;
    let mut centers = serde_json::to_value(&world.core().await.spec.centers).unwrap();
    centers[0]["replica"] = json!(7);
    let mut renamed = serde_json::to_value(&world.core().await.spec.centers).unwrap();
    renamed[2]["name"] = json!("b2");
    let cases = [
        (
            json!({"spec": {"cluster": "other"}}),
            "spec.cluster cannot change",
        ),
        (
            json!({"spec": {"centers": centers}}),
            "the replica number and the site of a center cannot change",
        ),
        (
            json!({"spec": {"routes": null, "centers": renamed}}),
            "a center cannot be replaced",
        ),
        (
            json!({"spec": {"storage": {"size": "2Gi"}}}),
            "spec.storage cannot change",
        ),
    ];
    for (patch, text) in cases {
        let error = world
            .cores()
            .patch("core", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect_err(&format!("{patch} was accepted"))
            .to_string();
        assert!(error.contains(text), "{patch}: {error}");
    }
    world
        .change(json!({"spec": {"image": "docker.io/tricenter/trading-core:2"}}))
        .await;
}

#[tokio::test]
async fn one_line_tells_who_leads() {
    let world = World::new("columns").await;
    world.all_well().await;
    let request = http::Request::get(format!(
        "/apis/tricenter.dev/v1alpha1/namespaces/{}/tradingcores",
        world.namespace
    ))
    .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
    .body(Vec::new())
    .unwrap();
    let table: Value =
        serde_json::from_str(&world.admin.request_text(request).await.unwrap()).unwrap();
    let columns: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|column| column["priority"] == 0)
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        columns,
        ["Name", "Leader", "Epoch", "Lag", "RPO0", "Ready", "Age"]
    );
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(
        cells[..6],
        json!(["core", "a1", 1, 2, "True", "True"])
            .as_array()
            .unwrap()[..]
    );
}

// ---------------------------------------------------------------------------------------------
// Objects and status

async fn versions(world: &World) -> Vec<(Kind, String, String)> {
    let mut versions = Vec::new();
    for kind in Kind::ALL {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=tricenter-operator");
        for object in world.api(kind).list(&ours).await.unwrap() {
            versions.push((
                kind,
                object.name_any(),
                object.resource_version().unwrap_or_default(),
            ));
        }
    }
    versions
}

#[tokio::test]
async fn a_second_round_changes_nothing() {
    let mut world = World::new("idempotent").await;
    let core = world.round().await;
    // A Gateway that nobody has judged has a status by default only, which the API server stores
    // with whatever is written next.
    world.settle("one").await;
    let first = versions(&world).await;
    assert_eq!(first.len(), 17, "{first:?}");
    assert!(is(&core, conditions::READY, ConditionStatus::False));
    assert!(is(&core, conditions::RECONCILING, ConditionStatus::True));

    // One that remembers nothing applies everything again.
    world.restarted_operator(shared()).await;
    world.round().await;
    assert_eq!(versions(&world).await, first);
}

#[tokio::test]
async fn objects_belong_to_their_core_and_pods_keep_the_restricted_level() {
    let world = World::new("owners").await;
    let core = world.all_well().await;
    for kind in Kind::ALL {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=tricenter-operator");
        for object in world.api(kind).list(&ours).await.unwrap() {
            let owners = object.owner_references();
            assert_eq!(owners.len(), 1, "{kind:?} {}", object.name_any());
            assert_eq!(Some(owners[0].uid.clone()), core.uid());
            assert_eq!(owners[0].controller, Some(true));
            let managers: Vec<_> = object
                .managed_fields()
                .iter()
                .filter(|entry| entry.subresource.is_none())
                .filter_map(|entry| entry.manager.clone())
                .collect();
            assert_eq!(managers, ["tricenter-operator"]);
        }
    }
    // The replica's pod was accepted by all_well; the gateways' is here.
    let deployment = world
        .api(Kind::Deployment)
        .get("core-gateway")
        .await
        .unwrap();
    let template = &deployment.data["spec"]["template"];
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "gateway", "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    }))
    .unwrap();
    world
        .pods()
        .create(&PostParams::default(), &pod)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_status_follows_the_object_and_the_core() {
    let world = World::new("status").await;
    let core = world.all_well().await;
    let status = core.status.clone().unwrap();
    let all: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| (condition.type_.as_str(), condition.status))
        .collect();
    assert_eq!(
        all,
        conditions::TYPES.map(|type_| (type_, ConditionStatus::True)),
        "{:?}",
        status.conditions
    );
    assert_eq!(status.observed_generation, core.metadata.generation);

    // A new wish: not ready until the workloads are asked for it and run it.
    world
        .change(json!({"spec": {"entry": {"gatewayReplicas": 2}}}))
        .await;
    let core = world.round().await;
    let status = core.status.clone().unwrap();
    assert_eq!(status.observed_generation, core.metadata.generation);
    assert_eq!(core.metadata.generation, Some(2));
    assert!(is(&core, conditions::READY, ConditionStatus::False));
    assert!(is(&core, conditions::RECONCILING, ConditionStatus::True));
    let core = world.round().await;
    assert!(is(&core, conditions::READY, ConditionStatus::False));
}

#[tokio::test]
async fn a_core_that_cannot_be_asked_is_unknown_and_no_error() {
    let world = World::new("silent").await;
    world.all_well().await;
    world.group(|group| {
        for status in group {
            status.replica = 0;
        }
    });
    let core = world.round().await;
    for type_ in [
        conditions::READY,
        conditions::AVAILABLE,
        conditions::LEADER_KNOWN,
        conditions::REPLICAS_IN_STEP,
        conditions::RPO_ZERO,
    ] {
        assert!(is(&core, type_, ConditionStatus::Unknown), "{type_}");
    }
    let status = core.status.unwrap();
    assert_eq!((status.leader, status.rpo_zero), (None, None));
}

#[tokio::test]
async fn a_failover_becomes_an_event_with_its_legs() {
    let world = World::new("failover").await;
    world.all_well().await;
    world.group(|group| {
        lead(group, 2, 5);
        group[1].elections = vec![record(5, 1, false)];
    });
    let core = world.round().await;
    let status = core.status.clone().unwrap();
    assert_eq!(status.leader_center.as_deref(), Some("a2"));
    assert_eq!(status.epoch, Some(5));
    let last = status.last_failover.unwrap();
    assert_eq!(
        (last.detect_ms, last.elect_ms, last.replay_ms),
        (700, 20, 4)
    );
    let event = world.event("Failover").await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert!(
        event
            .note
            .unwrap()
            .contains("a2 leads since epoch 5 (a1 before)")
    );
    assert_eq!(event.regarding.unwrap().uid, core.uid());
}

#[tokio::test]
async fn a_center_that_is_not_listed_makes_nothing_and_says_so() {
    let mut world = World::new("unlisted").await;
    world.context = Context::new(
        client_of(&shared().operator).await,
        "c1".to_owned(),
        Arc::new(GrpcCore::new()),
        Metrics::new().unwrap(),
    );
    let core = world.round().await;
    let ready = condition(&core, conditions::READY).unwrap();
    assert_eq!(ready.reason, reasons::CENTER_NOT_LISTED);
    assert!(ready.message.contains("a1, a2, b1"), "{}", ready.message);
    assert!(versions(&world).await.is_empty());
    world.event("Refused").await;
}

#[tokio::test]
async fn a_paused_core_is_reported_and_left_alone() {
    let world = World::new("paused").await;
    world.change(json!({"spec": {"paused": true}})).await;
    let core = world.round().await;
    assert_eq!(
        condition(&core, conditions::READY).unwrap().reason,
        reasons::PAUSED
    );
    assert!(is(&core, conditions::AVAILABLE, ConditionStatus::True));
    assert!(versions(&world).await.is_empty());
}

#[tokio::test]
async fn without_gateway_api_the_rest_is_made_and_the_entry_says_why() {
    let server = tokio::task::spawn_blocking(|| start(false)).await.unwrap();
    let world = World::on(&server, "bare").await;
    let core = world.round().await;
    let entry = condition(&core, conditions::ENTRY_READY).unwrap();
    assert_eq!(entry.reason, reasons::GATEWAY_API_MISSING);
    assert_eq!(entry.status, ConditionStatus::False);
    world
        .api(Kind::StatefulSet)
        .get("core-replica")
        .await
        .unwrap();
}

// ---------------------------------------------------------------------------------------------
// Steps on the running core

#[tokio::test]
async fn a_new_image_restarts_the_leaders_pod_only_after_handing_over_under_the_lease() {
    let world = World::new("restart").await;
    world.all_well().await;
    let uid = world.pods().get("core-replica-0").await.unwrap().uid();
    world
        .change(json!({"spec": {"image": "docker.io/tricenter/trading-core:2"}}))
        .await;
    world.round().await;
    world.settle("two").await;

    // The lease.
    world.round().await;
    let lease = world.group.lock().unwrap()[0].maintenance.clone().unwrap();
    assert_eq!((lease.holder.as_str(), lease.replica), ("operator/a1", 1));
    // Away from the replica that goes.
    world.round().await;
    assert_eq!(world.group.lock().unwrap()[0].leader, 2);
    assert_eq!(world.pods().get("core-replica-0").await.unwrap().uid(), uid);
    // The pod.
    let core = world.round().await;
    assert!(is(&core, conditions::READY, ConditionStatus::False));
    assert!(
        world
            .pods()
            .get_opt("core-replica-0")
            .await
            .unwrap()
            .is_none()
    );
    world.event("MovedAway").await;
    world.event("ReplicaRestarting").await;
    // Not given back before the replica is there again.
    world.round().await;
    assert!(world.group.lock().unwrap()[1].maintenance.is_some());
    world.start_pod("two").await;
    world.round().await;
    assert!(world.group.lock().unwrap()[1].maintenance.is_none());
    let core = world.round().await;
    assert!(is(&core, conditions::READY, ConditionStatus::True));
    world.event("ReplicaRestarted").await;
}

#[tokio::test]
async fn nothing_is_restarted_while_another_holds_the_lease() {
    let world = World::new("held").await;
    world.all_well().await;
    world.group(|group| {
        for status in group {
            status.maintenance = Some(MaintenanceLease {
                replica: 3,
                holder: "operator/b1".to_owned(),
                until_us: u64::MAX,
            });
        }
    });
    world.settle("two").await;
    for _ in 0..3 {
        let core = world.round().await;
        let ready = condition(&core, conditions::READY).unwrap();
        assert_eq!(ready.reason, reasons::RESTART_WAITING);
        assert!(ready.message.contains("operator/b1"), "{}", ready.message);
    }
    world.pods().get("core-replica-0").await.unwrap();
}

#[tokio::test]
async fn leadership_is_handed_back_once_all_has_been_well_long_enough() {
    let world = World::new("hand-back").await;
    world
        .change(json!({"spec": {"handBack": {"afterSeconds": 1}}}))
        .await;
    world.all_well().await;
    world.group(|group| lead(group, 2, 5));
    let core = world.round().await;
    assert!(core.status.unwrap().hand_back_ready_since.is_some());
    assert_eq!(world.group.lock().unwrap()[0].leader, 2);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    world.round().await;
    assert_eq!(world.group.lock().unwrap()[0].leader, 1);
    let core = world.round().await;
    assert_eq!(core.status.unwrap().leader_center.as_deref(), Some("a1"));
    world.event("HandedBack").await;
}

// ---------------------------------------------------------------------------------------------
// Rights

#[tokio::test]
async fn the_chart_gives_no_rights_that_are_not_used() {
    let client = client_of(&shared().operator).await;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client);
    let may = |verb: &str, group: &str, resource: &str| {
        let review: SelfSubjectAccessReview = serde_json::from_value(json!({"spec": {
            "resourceAttributes": {
                "namespace": "trading", "verb": verb, "group": group, "resource": resource,
            },
        }}))
        .unwrap();
        let reviews = reviews.clone();
        async move {
            let answer = reviews
                .create(&PostParams::default(), &review)
                .await
                .unwrap();
            answer.status.unwrap().allowed
        }
    };
    assert!(may("delete", "", "pods").await);
    for (verb, group, resource) in [
        ("get", "", "secrets"),
        ("list", "", "secrets"),
        ("create", "", "pods"),
        ("create", "", "pods/exec"),
        ("delete", "", "persistentvolumeclaims"),
        ("delete", "", "configmaps"),
        ("delete", "apps", "statefulsets"),
        ("update", "", "nodes"),
        ("create", "tricenter.dev", "tradingcores"),
        ("patch", "tricenter.dev", "tradingcores"),
        ("delete", "tricenter.dev", "tradingcores"),
        ("patch", "rbac.authorization.k8s.io", "clusterroles"),
        ("get", "", "namespaces"),
    ] {
        assert!(
            !may(verb, group, resource).await,
            "the operator may {verb} {resource}"
        );
    }
}

#[test]
fn the_chart_needs_a_center_and_keeps_to_one_namespace_if_asked() {
    let built = built();
    let error = render(&built, &[]).unwrap_err();
    assert!(error.contains("center"), "{error}");
    let kinds = |settings: &[&str]| -> Vec<String> {
        render(&built, settings)
            .unwrap()
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    let bound_to_one = kinds(&["center=b1", "watchNamespace=trading"]);
    assert!(bound_to_one.contains(&"RoleBinding".to_owned()));
    assert!(!bound_to_one.contains(&"ClusterRoleBinding".to_owned()));
    assert!(kinds(&["center=b1"]).contains(&"ClusterRoleBinding".to_owned()));
}
