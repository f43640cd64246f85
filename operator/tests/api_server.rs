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

use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::stream::BoxStream;
use hyper::http;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config, ResourceExt};
use lab_parts::apiserver::ApiServer;
use lab_parts::{Built, CacheDir, Part, Parts, Quiet, Stop};
use protocol::admin::admin_server::{Admin, AdminServer};
use protocol::admin::{
    ChangeMembershipRequest, ChangeMembershipResponse, ControlRequest, ControlResponse,
    ElectionRecord, HashPoint, LogChunk, MaintenanceLease, PeerProgress, ReadLogRequest,
    ReplicaStatus, Role, StatusRequest, TransferLeaderRequest, TransferLeaderResponse,
    WatchStatusRequest, control_request,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crds::conditions::{self, reasons};
use crds::{Condition, ConditionStatus, TradingCore};
use operator::build::Kind;
use operator::core::GrpcCore;
use operator::metrics::Metrics;
use operator::reconcile::{Context, round};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/helm/tricenter");
const LAB_CORE: &str = include_str!("../../lab/trading-core.yaml");
const OPERATOR_USER: &str = "system:serviceaccount:tricenter-system:tricenter-operator";
const TEST: &str = "operator-test";

// ---------------------------------------------------------------------------------------------
// The API server

struct Server {
    server: ApiServer,
    operator: String,
}

fn client_of(kubeconfig: &str) -> impl Future<Output = Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    async move {
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }
}

/// Runs on a runtime of its own, since the tests' runtimes come and go.
fn block_on(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(future))
        .join()
        .unwrap();
}

fn objects(text: &str) -> Vec<Value> {
    crds::yaml::read_all(text).unwrap()
}

async fn apply_all(client: Client, objects: Vec<Value>) {
    for object in objects {
        let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), "v1".to_owned()),
        };
        let kind = object["kind"].as_str().unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(&group, &version, kind));
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        api.patch(
            name,
            &PatchParams::apply(TEST).force(),
            &Patch::Apply(&object),
        )
        .await
        .unwrap_or_else(|error| panic!("failed to apply {kind} {name}: {error}"));
    }
}

async fn until_served(client: &Client, group_version: &str, plural: &str) {
    let served = async {
        loop {
            if let Ok(list) = client.list_api_group_resources(group_version).await
                && list
                    .resources
                    .iter()
                    .any(|resource| resource.name == plural)
            {
                return;
            }
            // Discovery cannot be watched.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), served)
        .await
        .unwrap_or_else(|_| panic!("{plural} of {group_version} never came"));
}

fn built() -> Built {
    Parts::open(CacheDir::from_environment().unwrap())
        .unwrap()
        .build(
            &[Part::Etcd, Part::KubeApiserver, Part::Helm],
            &Quiet,
            &Stop::default(),
        )
        .unwrap()
}

/// The chart's objects with these settings, or what Helm says against them.
fn render(built: &Built, settings: &[&str]) -> Result<Vec<Value>, String> {
    let mut helm = Command::new(built.path(Part::Helm).unwrap());
    helm.args(["template", "tricenter", CHART, "--include-crds"])
        .args(["--namespace", "tricenter-system"]);
    for setting in settings {
        helm.args(["--set", setting]);
    }
    let rendered = helm.output().unwrap();
    if rendered.status.success() {
        Ok(objects(&String::from_utf8(rendered.stdout).unwrap()))
    } else {
        Err(String::from_utf8(rendered.stderr).unwrap())
    }
}

fn start(with_gateway_api: bool) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = built();
    let server = ApiServer::start_from(&built).unwrap();
    let operator = server.kubeconfig_of(OPERATOR_USER, None).unwrap();
    let mut wanted = render(&built, &["center=a1", "createNamespace=true"]).unwrap();
    // Namespaces first, as Helm itself does it.
    wanted.sort_by_key(|object| object["kind"] != "Namespace");
    let mut kinds = vec![("tricenter.dev/v1alpha1", "tradingcores")];
    if with_gateway_api {
        let manifests = built.envoy_gateway_manifests(&Stop::default()).unwrap();
        let text = std::fs::read_to_string(manifests.crds).unwrap();
        for kind in [
            Kind::Gateway,
            Kind::GrpcRoute,
            Kind::BackendTrafficPolicy,
            Kind::ClientTrafficPolicy,
        ] {
            let (group, _, _, plural) = kind.parts();
            let name = format!("\n  name: {plural}.{group}\n");
            let document = text
                .split("\n---")
                .find(|document| document.contains(&name))
                .unwrap();
            wanted.extend(objects(document));
        }
        kinds.push(("gateway.networking.k8s.io/v1", "gateways"));
        kinds.push(("gateway.networking.k8s.io/v1", "grpcroutes"));
        kinds.push(("gateway.envoyproxy.io/v1alpha1", "backendtrafficpolicies"));
        kinds.push(("gateway.envoyproxy.io/v1alpha1", "clienttrafficpolicies"));
    }
    let admin = server.kubeconfig().to_owned();
    block_on(async move {
        let client = client_of(&admin).await;
        apply_all(client.clone(), wanted).await;
        for (group_version, plural) in kinds {
            until_served(&client, group_version, plural).await;
        }
    });
    Server { server, operator }
}

fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start(true))
}

// ---------------------------------------------------------------------------------------------
// The replicas

#[derive(Clone)]
struct Replica(Arc<Mutex<Vec<ReplicaStatus>>>, usize);

#[tonic::async_trait]
impl Admin for Replica {
    type WatchStatusStream = BoxStream<'static, Result<ReplicaStatus, Status>>;
    type ReadLogStream = BoxStream<'static, Result<LogChunk, Status>>;

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<ReplicaStatus>, Status> {
        let status = self.0.lock().unwrap()[self.1].clone();
        if status.replica == 0 {
            return Err(Status::unavailable("powered off"));
        }
        Ok(Response::new(status))
    }

    async fn watch_status(
        &self,
        _: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        Err(Status::unimplemented("not asked by the operator"))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let to = request.into_inner().to;
        let mut group = self.0.lock().unwrap();
        let epoch = group[self.1].epoch + 1;
        let from = group[self.1].replica;
        lead(&mut group, to, epoch);
        if let Some(leader) = group.iter_mut().find(|status| status.replica == to) {
            leader.elections = vec![record(epoch, from, true)];
        }
        Ok(Response::new(TransferLeaderResponse {
            leader: to,
            epoch,
            took_us: 1,
            gap_us: 1,
        }))
    }

    async fn change_membership(
        &self,
        _: Request<ChangeMembershipRequest>,
    ) -> Result<Response<ChangeMembershipResponse>, Status> {
        Err(Status::unimplemented("change_membership"))
    }

    async fn control(
        &self,
        request: Request<ControlRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        let mut group = self.0.lock().unwrap();
        let stands = group[self.1].maintenance.clone();
        let (done, lease) = match request.into_inner().body.unwrap() {
            control_request::Body::AcquireMaintenance(asked) => match stands {
                Some(lease) if lease.holder != asked.holder => (false, Some(lease)),
                _ => (
                    true,
                    Some(MaintenanceLease {
                        replica: asked.replica,
                        holder: asked.holder,
                        until_us: u64::MAX,
                    }),
                ),
            },
            control_request::Body::ReleaseMaintenance(_) => (true, None),
            _ => return Err(Status::unimplemented("not asked by the operator")),
        };
        for status in group.iter_mut() {
            status.maintenance.clone_from(&lease);
        }
        Ok(Response::new(ControlResponse {
            done,
            maintenance: lease,
            text: "another holds the lease".to_owned(),
            ..ControlResponse::default()
        }))
    }

    async fn read_log(
        &self,
        _: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        Err(Status::unimplemented("not asked by the operator"))
    }
}

fn record(epoch: u64, previous_leader: u64, planned: bool) -> ElectionRecord {
    ElectionRecord {
        epoch,
        suspected_at_us: 1_000_000,
        campaigned_at_us: 1_700_000,
        elected_at_us: 1_720_000,
        serving_at_us: 1_724_000,
        first_order_at_us: 0,
        previous_leader,
        planned,
    }
}

/// Makes `leader` lead `epoch`, with all in step.
fn lead(group: &mut [ReplicaStatus], leader: u64, epoch: u64) {
    let numbers: Vec<u64> = group.iter().map(|status| status.replica).collect();
    for status in group {
        let leads = status.replica == leader;
        status.role = if leads { Role::Leader } else { Role::Follower }.into();
        status.epoch = epoch;
        status.leader = leader;
        status.serving = leads;
        status.all_voters_in_step = leads;
        status.peers = if leads {
            numbers
                .iter()
                .filter(|number| **number != leader)
                .map(|number| PeerProgress {
                    replica: *number,
                    recently_active: true,
                    lag_entries: 2,
                    ..PeerProgress::default()
                })
                .collect()
        } else {
            Vec::new()
        };
    }
}

// ---------------------------------------------------------------------------------------------
// One namespace, one core, three replicas, the operator of a1

struct World {
    admin: Client,
    context: Context,
    namespace: String,
    group: Arc<Mutex<Vec<ReplicaStatus>>>,
    name: String,
}

impl World {
    async fn new(namespace: &str) -> Self {
        Self::on(shared(), namespace).await
    }

    async fn on(server: &Server, namespace: &str) -> Self {
        let admin = client_of(server.server.kubeconfig()).await;
        let mut group: Vec<ReplicaStatus> = ["a1", "a2", "b1"]
            .into_iter()
            .zip(1..)
            .map(|(center, replica)| ReplicaStatus {
                replica,
                center: center.to_owned(),
                version: "0.1.0".to_owned(),
                applied_index: 5_000,
                history_hash: vec![1],
                hash_points: vec![HashPoint {
                    index: 4_096,
                    hash: vec![2],
                }],
                ..ReplicaStatus::default()
            })
            .collect();
        lead(&mut group, 1, 1);
        let group = Arc::new(Mutex::new(group));
        let mut ports = Vec::new();
        for position in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ports.push(listener.local_addr().unwrap().port());
            let service = AdminServer::new(Replica(Arc::clone(&group), position));
            let incoming = futures::stream::unfold(listener, |listener| async {
                Some((listener.accept().await.map(|(stream, _)| stream), listener))
            });
            tokio::spawn(
                tonic::transport::Server::builder()
                    .add_service(service)
                    .serve_with_incoming(incoming),
            );
        }
        let mut wanted = objects(LAB_CORE);
        for object in &mut wanted {
            if object["kind"] == "Namespace" {
                object["metadata"]["name"] = json!(namespace);
            } else {
                object["metadata"]["namespace"] = json!(namespace);
                // Node ports are the cluster's, and the tests share one.
                object["spec"]["exposure"] = json!({"type": "ClusterIP"});
                object["spec"]["routes"] = ["a1", "a2", "b1"]
                    .into_iter()
                    .zip(&ports)
                    .map(|(to, port)| {
                        let address = format!("127.0.0.1:{port}");
                        json!({"from": "a1", "to": to, "replication": address, "orders": address})
                    })
                    .collect();
            }
        }
        apply_all(admin.clone(), wanted).await;
        let metrics = Metrics::new().unwrap();
        let context = Context::new(
            client_of(&server.operator).await,
            "a1".to_owned(),
            Arc::new(GrpcCore::new()),
            metrics,
        );
        Self {
            admin,
            context,
            namespace: namespace.to_owned(),
            group,
            name: "core".to_owned(),
        }
    }

    /// An operator that has just started and remembers nothing.
    async fn restarted_operator(&mut self, server: &Server) {
        self.context = Context::new(
            client_of(&server.operator).await,
            "a1".to_owned(),
            Arc::new(GrpcCore::new()),
            Metrics::new().unwrap(),
        );
    }

    fn cores(&self) -> Api<TradingCore> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    async fn core(&self) -> TradingCore {
        self.cores().get(&self.name).await.unwrap()
    }

    /// One round on the object as it is now.
    async fn round(&self) -> TradingCore {
        round(&self.core().await, &self.context).await.unwrap();
        self.core().await
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.admin.clone(), &self.namespace, &kind.api_resource())
    }

    async fn status_of(&self, kind: Kind, name: &str, status: Value) {
        self.api(kind)
            .patch_status(
                name,
                &PatchParams::default(),
                &Patch::Merge(json!({"status": status})),
            )
            .await
            .unwrap();
    }

    /// What the controllers and the kubelet would do: the StatefulSet's newest template becomes
    /// `revision`, gateways run, the entry is programmed.
    async fn settle(&self, revision: &str) {
        let set = self
            .api(Kind::StatefulSet)
            .get("core-replica")
            .await
            .unwrap();
        self.status_of(
            Kind::StatefulSet,
            "core-replica",
            json!({
                "observedGeneration": set.metadata.generation, "replicas": 1, "readyReplicas": 1,
                "updateRevision": revision, "currentRevision": revision,
            }),
        )
        .await;
        let deployment = self
            .api(Kind::Deployment)
            .get("core-gateway")
            .await
            .unwrap();
        self.status_of(
            Kind::Deployment,
            "core-gateway",
            json!({
                "observedGeneration": deployment.metadata.generation, "replicas": 1,
                "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1,
            }),
        )
        .await;
        let condition = |type_: &str| {
            json!([{
                "type": type_, "status": "True", "reason": type_, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
            }])
        };
        self.status_of(
            Kind::Gateway,
            "core",
            json!({"conditions": condition("Programmed")}),
        )
        .await;
        self.status_of(
            Kind::GrpcRoute,
            "core",
            json!({"parents": [{
                "controllerName": "example.com/test", "parentRef": {"name": "core"},
                "conditions": condition("Accepted"),
            }]}),
        )
        .await;
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// The pod that the StatefulSet's controller would make, from the template there is. The
    /// namespace enforces the restricted level, so a pod that breaks it is refused here.
    async fn start_pod(&self, revision: &str) {
        let set = self
            .api(Kind::StatefulSet)
            .get("core-replica")
            .await
            .unwrap();
        let template = &set.data["spec"]["template"];
        let mut pod = json!({
            "metadata": {
                "name": "core-replica-0", "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"],
            },
            "spec": template["spec"],
        });
        pod["metadata"]["labels"]["controller-revision-hash"] = json!(revision);
        pod["spec"]["volumes"].as_array_mut().unwrap().push(json!({
            "name": "data", "persistentVolumeClaim": {"claimName": "data-core-replica-0"},
        }));
        let pod: Pod = serde_json::from_value(pod).unwrap();
        self.pods()
            .create(&PostParams::default(), &pod)
            .await
            .unwrap();
        self.pods()
            .patch_status(
                "core-replica-0",
                &PatchParams::default(),
                &Patch::Merge(json!({"status": {"conditions": [
                    {"type": "Ready", "status": "True"},
                ]}})),
            )
            .await
            .unwrap();
    }

    /// Brings the object to where all is well.
    async fn all_well(&self) -> TradingCore {
        self.round().await;
        self.settle("one").await;
        self.start_pod("one").await;
        self.round().await
    }

    async fn events(&self) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        events.list(&ListParams::default()).await.unwrap().items
    }

    async fn event(&self, reason: &str) -> Event {
        let events = self.events().await;
        let reasons: Vec<_> = events.iter().map(|event| event.reason.clone()).collect();
        events
            .into_iter()
            .find(|event| event.reason.as_deref() == Some(reason))
            .unwrap_or_else(|| panic!("no event {reason} among {reasons:?}"))
    }

    async fn change(&self, patch: Value) {
        self.cores()
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    fn group(&self, change: impl FnOnce(&mut Vec<ReplicaStatus>)) {
        change(&mut self.group.lock().unwrap());
    }
}

fn condition(core: &TradingCore, type_: &str) -> Option<Condition> {
    core.status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .cloned()
}

fn is(core: &TradingCore, type_: &str, status: ConditionStatus) -> bool {
    condition(core, type_).is_some_and(|condition| condition.status == status)
}

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
