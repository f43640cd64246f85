//! What runs in a center: each component's command line, configuration and readiness, as values.
//!
//! Paths here are as the center sees them. A center has its own `/var` (its disk, which outlives a
//! power-off) and its own `/run` (memory, which does not), so components sit where they sit on any
//! machine and no two centers meet in a well-known path.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::address_plan::{API_SERVER_PORT, Center, UnknownName};
use super::certificates::Identity;
use super::cgroup::Group;

/// Where a center finds the built parts.
pub const PARTS: &str = "/run/tricenter/parts";
/// containerd's socket in a center.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
const PKI: &str = "/var/lib/kubernetes/pki";
const CONFIGURATION: &str = "/var/lib/kubernetes";
/// Which images a center must have, for the job that imports them.
pub const IMAGE_LIST: &str = "/var/lib/kubernetes/images.json";

/// A process of a center's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The store of the API server.
    Etcd,
    /// kube-apiserver.
    Apiserver,
    /// The container runtime.
    Containerd,
    /// Imports the images that are not there yet, and ends.
    Images,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The node's agent.
    Kubelet,
    /// Service addresses and node ports.
    KubeProxy,
}

impl Component {
    /// All of them, in the order of their starting.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::Apiserver,
        Self::Containerd,
        Self::Images,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::KubeProxy,
    ];

    /// The name on the command line and of its log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "apiserver",
            Self::Containerd => "containerd",
            Self::Images => "images",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
        }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for Component {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|component| component.name() == name)
            .ok_or_else(|| UnknownName {
                field: "component",
                value: name.to_owned(),
                accepted: Self::ALL.map(Self::name).join(", "),
            })
    }
}

/// How to see that a component serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// An HTTP path on loopback answers 200.
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: String,
    },
    /// The API server's `/readyz`, asked with this kubeconfig.
    Apiserver {
        /// The kubeconfig.
        kubeconfig: PathBuf,
    },
    /// A Unix socket takes connections.
    UnixSocket {
        /// The socket.
        path: PathBuf,
    },
    /// A TCP port on loopback takes connections.
    Tcp {
        /// The port.
        port: u16,
    },
    /// Not a server: it is done when it ended with success.
    Ended,
}

/// How one component is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentSpec {
    /// Which.
    pub component: Component,
    /// The program, as the center sees it.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Started once these are ready.
    pub after: Vec<Component>,
    /// When it counts as ready.
    pub probe: Probe,
}

/// The programs that a center runs, as the host sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder of built parts; programs in it are bound into every center.
    pub parts_folder: PathBuf,
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager.
    pub controller_manager: PathBuf,
    /// kube-scheduler.
    pub scheduler: PathBuf,
    /// kubelet.
    pub kubelet: PathBuf,
    /// kube-proxy.
    pub kube_proxy: PathBuf,
    /// containerd.
    pub containerd: PathBuf,
    /// The folder of the CNI plugins.
    pub cni_folder: PathBuf,
    /// The full name of the pause image.
    pub pause_image: String,
}

impl Programs {
    /// The path by which the host knows a file that a center knows by this one.
    #[must_use]
    pub fn outside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(PARTS) {
            Ok(below) => self.parts_folder.join(below),
            Err(_) => path.to_owned(),
        }
    }

    /// The path by which a center knows a file of the host.
    #[must_use]
    pub fn inside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.parts_folder) {
            Ok(below) => Path::new(PARTS).join(below),
            Err(_) => path.to_owned(),
        }
    }
}

/// What differs between machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Without `CAP_SYS_RESOURCE` runc cannot lower a process' out-of-memory score, and every
    /// sandbox dies with "can't get final child's PID from pipe: EOF".
    pub may_lower_oom_score: bool,
}

/// The components of a center, in the order of their starting.
#[must_use]
pub fn plan(center: Center, programs: &Programs) -> Vec<ComponentSpec> {
    vec![
        etcd(programs),
        apiserver(center, programs),
        containerd(programs),
        images(),
        controller_manager(center, programs),
        scheduler(programs),
        kubelet(center, programs),
        kube_proxy(center, programs),
    ]
}

/// Configuration files of a center: path below its `/var`, and content.
#[must_use]
pub fn plan_files(
    center: Center,
    programs: &Programs,
    machine: Machine,
) -> Vec<(&'static str, String)> {
    vec![
        (
            "lib/kubernetes/containerd.toml",
            containerd_configuration(programs, machine),
        ),
        (
            "lib/kubernetes/cni/10-tricenter.conflist",
            network_configuration(center),
        ),
        ("lib/kubernetes/kubelet.yaml", kubelet_configuration(center)),
        (
            "lib/kubernetes/kube-proxy.yaml",
            kube_proxy_configuration(center),
        ),
        // Nothing outside a center answers its pods' DNS.
        ("lib/kubernetes/resolv.conf", String::new()),
    ]
}

fn kubeconfig(identity: Identity) -> String {
    format!("{CONFIGURATION}/{}.conf", identity.file_stem())
}

fn arguments<const N: usize>(list: [String; N]) -> Vec<String> {
    list.into()
}

fn etcd(programs: &Programs) -> ComponentSpec {
    ComponentSpec {
        component: Component::Etcd,
        program: programs.inside(&programs.etcd),
        arguments: [
            "--data-dir=/var/lib/etcd",
            // What the lab measures is trading, whose journal does sync.
            "--unsafe-no-fsync",
            "--snapshot-count=5000",
            "--auto-compaction-mode=revision",
            "--auto-compaction-retention=1000",
            "--log-level=warn",
        ]
        .map(ToOwned::to_owned)
        .to_vec(),
        after: Vec::new(),
        probe: Probe::Http {
            port: 2379,
            path: "/health".to_owned(),
        },
    }
}

fn apiserver(center: Center, programs: &Programs) -> ComponentSpec {
    let address = center.node_address();
    ComponentSpec {
        component: Component::Apiserver,
        program: programs.inside(&programs.apiserver),
        arguments: arguments([
            "--etcd-servers=http://127.0.0.1:2379".to_owned(),
            format!("--secure-port={API_SERVER_PORT}"),
            format!("--advertise-address={address}"),
            format!("--service-cluster-ip-range={}", center.service_network()),
            format!("--tls-cert-file={PKI}/apiserver.crt"),
            format!("--tls-private-key-file={PKI}/apiserver.key"),
            format!("--client-ca-file={PKI}/ca.crt"),
            format!("--service-account-key-file={PKI}/service-account.pub"),
            format!("--service-account-signing-key-file={PKI}/service-account.key"),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            format!("--kubelet-certificate-authority={PKI}/ca.crt"),
            format!("--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt"),
            format!("--kubelet-client-key={PKI}/apiserver-kubelet-client.key"),
            // Node names do not resolve here.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--profiling=false".to_owned(),
        ]),
        after: vec![Component::Etcd],
        probe: Probe::Apiserver {
            kubeconfig: kubeconfig(Identity::Admin).into(),
        },
    }
}

fn containerd(programs: &Programs) -> ComponentSpec {
    ComponentSpec {
        component: Component::Containerd,
        program: programs.inside(&programs.containerd),
        arguments: arguments([
            "--config".to_owned(),
            format!("{CONFIGURATION}/containerd.toml"),
        ]),
        after: Vec::new(),
        probe: Probe::UnixSocket {
            path: CONTAINERD_SOCKET.into(),
        },
    }
}

fn images() -> ComponentSpec {
    ComponentSpec {
        component: Component::Images,
        // This program itself, wherever the host keeps it.
        program: "/proc/self/exe".into(),
        arguments: arguments(["center-images".to_owned(), IMAGE_LIST.to_owned()]),
        after: vec![Component::Containerd],
        probe: Probe::Ended,
    }
}

/// The controllers that our workloads need; the others only cost start-up time and memory.
const CONTROLLERS: [&str; 24] = [
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
];

fn controller_manager(center: Center, programs: &Programs) -> ComponentSpec {
    ComponentSpec {
        component: Component::ControllerManager,
        program: programs.inside(&programs.controller_manager),
        arguments: arguments([
            format!("--kubeconfig={}", kubeconfig(Identity::ControllerManager)),
            format!("--service-account-private-key-file={PKI}/service-account.key"),
            format!("--root-ca-file={PKI}/ca.crt"),
            "--use-service-account-credentials".to_owned(),
            "--leader-elect=false".to_owned(),
            format!("--cluster-name={center}"),
            format!("--controllers={}", CONTROLLERS.join(",")),
            "--node-monitor-period=1s".to_owned(),
            "--profiling=false".to_owned(),
        ]),
        after: vec![Component::Apiserver],
        probe: Probe::Tcp { port: 10257 },
    }
}

fn scheduler(programs: &Programs) -> ComponentSpec {
    ComponentSpec {
        component: Component::Scheduler,
        program: programs.inside(&programs.scheduler),
        arguments: arguments([
            format!("--kubeconfig={}", kubeconfig(Identity::Scheduler)),
            "--leader-elect=false".to_owned(),
            "--profiling=false".to_owned(),
        ]),
        after: vec![Component::Apiserver],
        probe: Probe::Tcp { port: 10259 },
    }
}

fn kubelet(center: Center, programs: &Programs) -> ComponentSpec {
    ComponentSpec {
        component: Component::Kubelet,
        program: programs.inside(&programs.kubelet),
        arguments: arguments([
            format!("--config={CONFIGURATION}/kubelet.yaml"),
            format!("--kubeconfig={}", kubeconfig(Identity::Kubelet)),
            format!("--hostname-override={}", center.node_name()),
            format!("--node-ip={}", center.node_address()),
            format!(
                "--node-labels=topology.kubernetes.io/zone={center},\
                 topology.kubernetes.io/region={}",
                center.site().name()
            ),
        ]),
        after: vec![Component::Apiserver, Component::Images],
        probe: Probe::Http {
            port: 10248,
            path: "/healthz".to_owned(),
        },
    }
}

fn kube_proxy(center: Center, programs: &Programs) -> ComponentSpec {
    ComponentSpec {
        component: Component::KubeProxy,
        program: programs.inside(&programs.kube_proxy),
        arguments: arguments([
            format!("--config={CONFIGURATION}/kube-proxy.yaml"),
            format!("--hostname-override={}", center.node_name()),
        ]),
        after: vec![Component::Apiserver],
        probe: Probe::Http {
            port: 10256,
            path: "/healthz".to_owned(),
        },
    }
}

fn containerd_configuration(programs: &Programs, machine: Machine) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = {restrict}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{CONFIGURATION}/cni"
"#,
        pause = programs.pause_image,
        restrict = !machine.may_lower_oom_score,
        cni = programs.cni_folder.display(),
    )
}

/// Pods hang on routed point-to-point legs. A bridge would need bridge netfilter for the answers
/// of services whose pod sits on the same bridge, and not every machine has that.
fn network_configuration(center: Center) -> String {
    let list = serde_json::json!({
        "cniVersion": "0.4.0",
        "name": format!("tricenter-{center}"),
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                // In memory, so that addresses of pods that a power-off killed are free again.
                "dataDir": "/run/cni/addresses",
                "ranges": [[{"subnet": center.pod_network().to_string()}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    format!("{list:#}\n")
}

fn kubelet_configuration(center: Center) -> String {
    let configuration = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": format!("{PKI}/ca.crt")},
        },
        // Only the API server's certificate gets past authentication.
        "authorization": {"mode": "AlwaysAllow"},
        "tlsCertFile": format!("{PKI}/kubelet.crt"),
        "tlsPrivateKeyFile": format!("{PKI}/kubelet.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": Group::center(center).absolute(),
        "failSwapOn": false,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "clusterDNS": [center.dns_service_address()],
        "clusterDomain": "cluster.local",
        "resolvConf": format!("{CONFIGURATION}/resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        // Three kubelets share one disk; its filling is the lab's business, not each one's.
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "makeIPTablesUtilChains": false,
        "nodeStatusUpdateFrequency": "5s",
        "nodeLeaseDurationSeconds": 20,
        // A replica that was killed often must not wait minutes for its next start.
        "featureGates": {"KubeletCrashLoopBackOffMax": true},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "5s"},
        "enableServer": true,
        "readOnlyPort": 0,
    });
    format!("{configuration:#}\n")
}

fn kube_proxy_configuration(center: Center) -> String {
    let configuration = serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig(Identity::KubeProxy)},
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "200ms"},
        "clusterCIDR": center.pod_network().to_string(),
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // These are the host's tables, shared by all namespaces, and not ours to change.
        "conntrack": {"maxPerCore": 0, "min": 0},
    });
    format!("{configuration:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs() -> Programs {
        let part = |name: &str| PathBuf::from("/cache/parts").join(name);
        Programs {
            parts_folder: "/cache".into(),
            etcd: part("etcd"),
            apiserver: part("kube-apiserver"),
            controller_manager: part("kube-controller-manager"),
            scheduler: part("kube-scheduler"),
            kubelet: part("kubelet"),
            kube_proxy: part("kube-proxy"),
            containerd: "/usr/bin/containerd".into(),
            cni_folder: "/usr/lib/cni".into(),
            pause_image: "docker.io/tricenter/pause:1".into(),
        }
    }

    #[test]
    fn programs_of_the_cache_are_found_inside_and_others_stay_where_they_are() {
        let specs = plan(Center::B1, &programs());
        assert_eq!(
            specs[0].program,
            Path::new("/run/tricenter/parts/parts/etcd")
        );
        assert_eq!(specs[2].program, Path::new("/usr/bin/containerd"));
    }

    #[test]
    fn components_only_wait_for_earlier_ones() {
        let specs = plan(Center::A1, &programs());
        for (place, spec) in specs.iter().enumerate() {
            for other in &spec.after {
                assert!(
                    specs[..place]
                        .iter()
                        .any(|earlier| earlier.component == *other)
                );
            }
        }
        assert_eq!(
            specs.iter().map(|spec| spec.component).collect::<Vec<_>>(),
            Component::ALL
        );
    }

    #[test]
    fn each_center_has_its_own_networks() {
        let of = |center: Center| plan(center, &programs())[1].arguments.join(" ");
        assert!(of(Center::A2).contains("--service-cluster-ip-range=10.92.0.0/24"));
        assert!(of(Center::B1).contains("--advertise-address=10.99.0.13"));
        assert!(network_configuration(Center::A1).contains("10.241.0.0/24"));
        assert!(kubelet_configuration(Center::B1).contains("/tricenter-lab/b1"));
    }

    #[test]
    fn oom_scores_are_only_restricted_where_they_must_be() {
        let with = |may_lower_oom_score| {
            containerd_configuration(
                &programs(),
                Machine {
                    may_lower_oom_score,
                },
            )
        };
        assert!(with(false).contains("restrict_oom_score_adj = true"));
        assert!(with(true).contains("restrict_oom_score_adj = false"));
    }

    #[test]
    fn an_unknown_component_is_told_which_there_are() {
        let error = "api".parse::<Component>().unwrap_err().to_string();
        assert!(
            error.contains("\"api\"") && error.contains("apiserver, containerd"),
            "{error}"
        );
    }
}
