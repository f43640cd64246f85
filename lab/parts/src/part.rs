//! The parts by name.

use std::fmt;
use std::str::FromStr;

/// One binary of the lab that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Kubernetes' API server.
    KubeApiserver,
    /// Kubernetes' controllers.
    KubeControllerManager,
    /// Kubernetes' scheduler.
    KubeScheduler,
    /// The node's agent.
    Kubelet,
    /// Services on the node.
    KubeProxy,
    /// Kubernetes' command line.
    Kubectl,
    /// The store behind the API server.
    Etcd,
    /// etcd's command line.
    Etcdctl,
    /// Cluster DNS.
    Coredns,
    /// The controller that turns Gateway API routes into Envoy's configuration.
    EnvoyGateway,
    /// The proxy itself; downloaded, not built.
    Envoy,
    /// The proxy of each link, which adds delay and cuts.
    Toxiproxy,
    /// Renders Envoy Gateway's chart.
    Helm,
    /// Holds a pod's namespaces open.
    Pause,
}

impl Part {
    /// Every part, in the order in which they are built: what tests need first.
    pub const ALL: [Self; 14] = [
        Self::Etcd,
        Self::Etcdctl,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Kubectl,
        Self::Toxiproxy,
        Self::Pause,
        Self::Envoy,
        Self::Coredns,
        Self::Helm,
        Self::EnvoyGateway,
    ];

    /// The name on the command line, in the cache and of the binary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Etcd => "etcd",
            Self::Etcdctl => "etcdctl",
            Self::Coredns => "coredns",
            Self::EnvoyGateway => "envoy-gateway",
            Self::Envoy => "envoy",
            Self::Toxiproxy => "toxiproxy-server",
            Self::Helm => "helm",
            Self::Pause => "pause",
        }
    }

    /// The version that is pinned.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::KubeApiserver
            | Self::KubeControllerManager
            | Self::KubeScheduler
            | Self::Kubelet
            | Self::KubeProxy
            | Self::Kubectl => "1.34.4",
            Self::Etcd | Self::Etcdctl => "3.6.16",
            Self::Coredns => "1.14.7",
            Self::EnvoyGateway => "1.9.1",
            Self::Envoy => "1.40.0",
            Self::Toxiproxy => "2.5.0",
            Self::Helm => "3.22.0",
            Self::Pause => "1",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that no part has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to find a part called {name:?}; accepted are: {}", accepted())]
pub struct UnknownPart {
    name: String,
}

fn accepted() -> String {
    Part::ALL.map(Part::name).join(", ")
}

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(name: &str) -> Result<Self, UnknownPart> {
        Self::ALL
            .into_iter()
            .find(|part| part.name() == name)
            .ok_or_else(|| UnknownPart {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_name() {
        for part in Part::ALL {
            assert_eq!(part.name().parse(), Ok(part));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_accepted_ones() {
        let text = "kubeadm"
            .parse::<Part>()
            .expect_err("no such part")
            .to_string();
        assert!(
            text.contains("\"kubeadm\"") && text.contains("kube-apiserver"),
            "{text}"
        );
    }
}
