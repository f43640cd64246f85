//! A real API server with the chart in it, three scripted replicas that speak real gRPC, and one
//! center's operator with the rights that the chart gives it.
#![allow(clippy::unwrap_used, clippy::panic)]
// Each test binary uses its own part, and speaks with the same words.
#![allow(dead_code, unused_imports)]

pub use std::process::Command;
pub use std::sync::{Arc, Mutex, OnceLock};
pub use std::time::Duration;

pub use engine::Operations;
pub use futures::stream::BoxStream;
pub use hyper::http;
pub use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
pub use k8s_openapi::api::core::v1::Pod;
pub use k8s_openapi::api::events::v1::Event;
pub use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
pub use kube::config::{KubeConfigOptions, Kubeconfig};
pub use kube::core::GroupVersionKind;
pub use kube::{Client, Config, ResourceExt};
pub use lab_parts::apiserver::ApiServer;
pub use lab_parts::{Built, CacheDir, Part, Parts, Quiet, Stop};
pub use protocol::admin::admin_server::{Admin, AdminServer};
pub use protocol::admin::change_membership_request::Change;
pub use protocol::admin::{
    self, BoardPhase, ChangeMembershipRequest, ChangeMembershipResponse, ControlRequest,
    ControlResponse, ElectionRecord, Group, Handover, HashPoint, LogChunk, MaintenanceLease,
    PeerProgress, ProtectionState, ReadLogRequest, ReplicaStatus, Role, StatusRequest,
    TransferLeaderRequest, TransferLeaderResponse, WatchStatusRequest, control_request,
};
pub use protocol::admin::{CommitPolicy, Member, MemberRole, PolicyName};
pub use protocol::administration::read_control;
pub use serde_json::{Value, json};
pub use tokio::net::TcpListener;
pub use tonic::{Request, Response, Status};
pub use types::{Control, UnixMicros};

pub use crds::conditions::{self, reasons};
pub use crds::{Condition, ConditionStatus, TradingCore};
pub use operator::build::Kind;
pub use operator::core::GrpcCore;
pub use operator::metrics::Metrics;
pub use operator::reconcile::{Context, round};

pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/helm/tricenter");
pub const LAB_CORE: &str = include_str!("../../../lab/trading-core.yaml");
pub const OPERATOR_USER: &str = "system:serviceaccount:tricenter-system:tricenter-operator";
pub const TEST: &str = "operator-test";

// ---------------------------------------------------------------------------------------------
// The API server

pub struct Server {
    pub server: ApiServer,
    pub operator: String,
}

pub mod crash;

pub fn client_of(kubeconfig: &str) -> impl Future<Output = Client> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    async move {
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }
}

/// Runs on a runtime of its own, since the tests' runtimes come and go.
pub fn block_on(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(future))
        .join()
        .unwrap();
}

pub fn objects(text: &str) -> Vec<Value> {
    crds::yaml::read_all(text).unwrap()
}

pub async fn apply_all(client: Client, objects: Vec<Value>) {
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

pub async fn until_served(client: &Client, group_version: &str, plural: &str) {
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

/// A policy is enforced a while after it was applied; until then everybody is let in.
pub async fn until_enforced(client: &Client) {
    let forged = [
        json!({
            "apiVersion": "tricenter.dev/v1alpha1", "kind": "Approval",
            "metadata": {"name": "forged", "namespace": "default"},
            "spec": {
                "request": {"kind": "Takeover", "name": "none", "uid": "none"},
                "digest": "0".repeat(64), "approver": "nobody", "reason": "a probe",
            },
        }),
        json!({
            "apiVersion": "tricenter.dev/v1alpha1", "kind": "Takeover",
            "metadata": {"name": "forged", "namespace": "default"},
            "spec": {
                "core": "core", "center": "b1", "lost": ["a1"], "requestedBy": "nobody",
                "reason": "a probe",
            },
        }),
    ];
    let probe = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for object in forged {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let of = GroupVersionKind::gvk("tricenter.dev", "v1alpha1", &kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), "default", &ApiResource::from_gvk(&of));
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let enforced = async {
            while api.create(&probe, &object).await.is_ok() {
                // Enforcement cannot be watched.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enforced)
            .await
            .unwrap_or_else(|_| panic!("the policy for {kind} is not enforced"));
    }
}

pub fn built() -> Built {
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
pub fn render(built: &Built, settings: &[&str]) -> Result<Vec<Value>, String> {
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

pub fn start(with_gateway_api: bool) -> Server {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = built();
    let server = ApiServer::start_from(&built).unwrap();
    let operator = server.kubeconfig_of(OPERATOR_USER, None).unwrap();
    let mut wanted = render(&built, &["center=a1", "createNamespace=true"]).unwrap();
    // Namespaces first, as Helm itself does it.
    wanted.sort_by_key(|object| object["kind"] != "Namespace");
    let mut kinds = vec![
        ("tricenter.dev/v1alpha1", "tradingcores"),
        ("tricenter.dev/v1alpha1", "switchovers"),
        ("tricenter.dev/v1alpha1", "takeovers"),
        ("tricenter.dev/v1alpha1", "approvals"),
    ];
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
        until_enforced(&client).await;
    });
    Server { server, operator }
}

pub fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start(true))
}

// ---------------------------------------------------------------------------------------------
// The replicas

#[derive(Clone)]
pub struct Replica {
    group: Arc<Mutex<Vec<ReplicaStatus>>>,
    operations: Arc<Mutex<Operations>>,
    log: Arc<Mutex<Vec<(u64, Operations)>>>,
    position: usize,
}

/// So old may a replica's status be.
const PUBLISH_US: u64 = 100_000;

#[tonic::async_trait]
impl Admin for Replica {
    type WatchStatusStream = BoxStream<'static, Result<ReplicaStatus, Status>>;
    type ReadLogStream = BoxStream<'static, Result<LogChunk, Status>>;

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<ReplicaStatus>, Status> {
        let status = self.group.lock().unwrap()[self.position].clone();
        if status.replica == 0 {
            return Err(Status::unavailable("powered off"));
        }
        // Published a while ago, as a replica does it.
        let (applied, operations) = {
            let log = self.log.lock().unwrap();
            let known = log.partition_point(|(at_us, _)| at_us + PUBLISH_US <= now_us());
            let newest = log.len() == known;
            match log[..known].last() {
                Some((_, operations)) if !newest => (known, operations.clone()),
                None if !newest => (0, Operations::default()),
                _ => (known, self.operations.lock().unwrap().clone()),
            }
        };
        Ok(Response::new(ReplicaStatus {
            applied_index: status.applied_index + applied as u64,
            now_us: now_us(),
            operations: Some(admin::Operations {
                running: operations
                    .running
                    .as_ref()
                    .map(protocol::operations::operation),
                ended: (operations.ended.iter())
                    .map(protocol::operations::operation)
                    .collect(),
                preferred: (operations.preferred.as_ref())
                    .map(protocol::operations::write_preferred),
            }),
            ..status
        }))
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
        let mut group = self.group.lock().unwrap();
        let epoch = group[self.position].epoch + 1;
        let from = group[self.position].replica;
        lead(&mut group, to, epoch);
        group[self.position].handover = Some(Handover {
            to,
            epoch,
            began_at_us: now_us(),
            gap_us: 4_200,
        });
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
        request: Request<ChangeMembershipRequest>,
    ) -> Result<Response<ChangeMembershipResponse>, Status> {
        let mut statuses = self.group.lock().unwrap();
        let group = statuses[self.position].group.as_mut().unwrap();
        match request.into_inner().change {
            Some(Change::AddLearner(member)) => {
                if group.members.iter().any(|it| it.replica == member.replica) {
                    return Err(Status::failed_precondition("it is a member"));
                }
                group.members.push(Member {
                    role: MemberRole::Learner.into(),
                    ..member
                });
            }
            Some(Change::Promote(replica)) => {
                let members = &mut group.members;
                let member = members.iter_mut().find(|it| it.replica == replica);
                member.unwrap().set_role(MemberRole::Voter);
            }
            _ => return Err(Status::unimplemented("not asked by the operator")),
        }
        Ok(Response::new(ChangeMembershipResponse::default()))
    }

    async fn control(
        &self,
        request: Request<ControlRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        let request = request.into_inner();
        let mut group = self.group.lock().unwrap();
        if let Ok(Control::Operation(record)) = read_control(&request) {
            let mut operations = self.operations.lock().unwrap();
            let done = operations.apply(&record, UnixMicros(now_us()));
            let mut log = self.log.lock().unwrap();
            log.push((now_us(), operations.clone()));
            return Ok(Response::new(ControlResponse {
                done: done.is_ok(),
                log_index: 5_000 + log.len() as u64,
                text: done
                    .err()
                    .map_or_else(String::new, |refused| refused.to_string()),
                ..ControlResponse::default()
            }));
        }
        let stands = group[self.position].maintenance.clone();
        let (done, lease) = match request.body.unwrap() {
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

    async fn look_up_transfers(
        &self,
        _: Request<admin::LookUpTransfersRequest>,
    ) -> Result<Response<admin::LookUpTransfersResponse>, Status> {
        Err(Status::unimplemented("no operator asks"))
    }

    async fn read_log(
        &self,
        _: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        Err(Status::unimplemented("not asked by the operator"))
    }
}

/// The clock of the scripted leader.
pub fn now_us() -> u64 {
    jiff::Timestamp::now().as_microsecond() as u64
}

pub fn record(epoch: u64, previous_leader: u64, planned: bool) -> ElectionRecord {
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
pub fn lead(group: &mut [ReplicaStatus], leader: u64, epoch: u64) {
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

pub struct World {
    pub admin: Client,
    pub context: Context,
    pub namespace: String,
    pub group: Arc<Mutex<Vec<ReplicaStatus>>>,
    /// What the log of the scripted group knows of operations; the engine's own code keeps it.
    pub operations: Arc<Mutex<Operations>>,
    pub name: String,
}

impl World {
    pub async fn new(namespace: &str) -> Self {
        Self::on(shared(), namespace).await
    }

    pub async fn on(server: &Server, namespace: &str) -> Self {
        let admin = client_of(server.server.kubeconfig()).await;
        let mut group: Vec<ReplicaStatus> = ["a1", "a2", "b1"]
            .into_iter()
            .zip(1..)
            .map(|(center, replica)| ReplicaStatus {
                replica,
                center: center.to_owned(),
                version: "0.1.0".to_owned(),
                disk_free_bytes: 8 << 30,
                group: Some(Group {
                    protection: Some(ProtectionState::default()),
                    ..Group::default()
                }),
                phases: vec![BoardPhase {
                    board: admin::Board::ShanghaiMain.into(),
                    phase: admin::Phase::Continuous.into(),
                }],
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
        let operations = Arc::default();
        // What was recorded when.
        let log = Arc::default();
        let mut ports = Vec::new();
        for position in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ports.push(listener.local_addr().unwrap().port());
            let service = AdminServer::new(Replica {
                group: Arc::clone(&group),
                operations: Arc::clone(&operations),
                log: Arc::clone(&log),
                position,
            });
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
            operations,
            name: "core".to_owned(),
        }
    }

    /// An operator that has just started and remembers nothing.
    pub async fn restarted_operator(&mut self, server: &Server) {
        self.context = Context::new(
            client_of(&server.operator).await,
            "a1".to_owned(),
            Arc::new(GrpcCore::new()),
            Metrics::new().unwrap(),
        );
    }

    pub fn cores(&self) -> Api<TradingCore> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    pub async fn core(&self) -> TradingCore {
        self.cores().get(&self.name).await.unwrap()
    }

    /// One round on the object as it is now.
    pub async fn round(&self) -> TradingCore {
        round(&self.core().await, &self.context).await.unwrap();
        self.core().await
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.admin.clone(), &self.namespace, &kind.api_resource())
    }

    pub async fn status_of(&self, kind: Kind, name: &str, status: Value) {
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
    pub async fn settle(&self, revision: &str) {
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

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// The pod that the StatefulSet's controller would make, from the template there is. The
    /// namespace enforces the restricted level, so a pod that breaks it is refused here.
    pub async fn start_pod(&self, revision: &str) {
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
    pub async fn all_well(&self) -> TradingCore {
        self.round().await;
        self.settle("one").await;
        self.start_pod("one").await;
        self.round().await
    }

    pub async fn events(&self) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        events.list(&ListParams::default()).await.unwrap().items
    }

    pub async fn event(&self, reason: &str) -> Event {
        let events = self.events().await;
        let reasons: Vec<_> = events.iter().map(|event| event.reason.clone()).collect();
        events
            .into_iter()
            .find(|event| event.reason.as_deref() == Some(reason))
            .unwrap_or_else(|| panic!("no event {reason} among {reasons:?}"))
    }

    pub async fn change(&self, patch: Value) {
        self.cores()
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub fn group(&self, change: impl FnOnce(&mut Vec<ReplicaStatus>)) {
        change(&mut self.group.lock().unwrap());
    }
}

pub fn condition(core: &TradingCore, type_: &str) -> Option<Condition> {
    core.status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .cloned()
}

pub fn is(core: &TradingCore, type_: &str, status: ConditionStatus) -> bool {
    condition(core, type_).is_some_and(|condition| condition.status == status)
}
