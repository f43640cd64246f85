//! Tells the kubelet of the cards, so that pods can ask for one and the scheduler knows where one is.
//!
//! ```text
//!   kubelet.sock ◄── Register(tricenter-fpga.sock, tricenter.dev/fpga-decoder) ── agent
//!   kubelet ── ListAndWatch, Allocate ──► tricenter-fpga.sock ── agent ◄── Cards
//! ```
//!
//! A kubelet that starts anew has forgotten its plugins and removed their sockets: then all is done
//! again. Source: the Kubernetes documentation, "Device Plugins".

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

use crate::kubelet::device_plugin_server::{DevicePlugin, DevicePluginServer};
use crate::kubelet::registration_client::RegistrationClient;
use crate::kubelet::{
    AllocateRequest, AllocateResponse, ContainerAllocateResponse, Device, DevicePluginOptions,
    DeviceSpec, Empty, ListAndWatchResponse, Mount, NumaNode, PreStartContainerRequest,
    PreStartContainerResponse, PreferredAllocationRequest, PreferredAllocationResponse,
    RegisterRequest, TopologyInfo,
};
use crate::watch::Cards;

/// The version of the interface.
pub const VERSION: &str = "v1beta1";
/// What pods ask for.
pub const RESOURCE: &str = "tricenter.dev/fpga-decoder";
/// The socket's name in the kubelet's folder.
pub const ENDPOINT: &str = "tricenter-fpga.sock";
/// The kubelet's own socket there.
pub const KUBELET: &str = "kubelet.sock";
/// The cards of a container, by address, apart by commas.
pub const CARDS_VARIABLE: &str = "TRICENTER_CARDS";
/// Where a container finds its cards.
const CONTAINER_FOLDER: &str = "/dev/tricenter";
/// How long a kubelet may take to answer.
const REGISTER_WAIT: Duration = Duration::from_secs(5);
/// Time between two looks at whether the sockets are still the same, and two tries to register.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Lists that wait for a kubelet that does not read.
const LISTS_MAX: usize = 4;

/// Where the cards' device nodes are.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// The root as the agent sees it.
    pub root: PathBuf,
    /// The same root as the kubelet sees it.
    pub host_root: PathBuf,
}

/// The cards as the kubelet wants them.
fn devices(cards: &Cards) -> Vec<Device> {
    let listed = cards.iter().map(|(address, snapshot)| Device {
        id: address.dashed(),
        health: if snapshot
            .judgement
            .as_ref()
            .is_some_and(|it| it.state.is_usable())
        {
            "Healthy".to_owned()
        } else {
            "Unhealthy".to_owned()
        },
        topology: snapshot
            .reading
            .as_ref()
            .and_then(|reading| reading.numa_node)
            .map(|node| TopologyInfo {
                nodes: vec![NumaNode {
                    id: i64::from(node),
                }],
            }),
    });
    listed.collect()
}

/// The service that the kubelet calls.
#[derive(Debug, Clone)]
struct Plugin {
    cards: watch::Receiver<Cards>,
    nodes: Nodes,
}

impl Plugin {
    fn container(&self, ids: &[String]) -> Result<ContainerAllocateResponse, Status> {
        let cards = self.cards.borrow();
        let (mut response, mut addresses) = (ContainerAllocateResponse::default(), Vec::new());
        for id in ids {
            let known = || cards.keys().map(|it| it.dashed()).collect::<Vec<_>>();
            let (address, snapshot) = cards
                .iter()
                .find(|(address, _)| address.dashed() == *id)
                .ok_or_else(|| {
                    Status::not_found(format!("device {id} is not known; known are {:?}", known()))
                })?;
            let judgement = snapshot.judgement.as_ref();
            if let Some(it) = judgement.filter(|it| !it.state.is_usable()) {
                let text = format!(
                    "device {id} may not be used: it is {}, {}",
                    it.state, it.text
                );
                return Err(Status::failed_precondition(text));
            }
            let name = format!("decoder-{id}");
            let (container_path, host_path) = (
                format!("{CONTAINER_FOLDER}/{name}"),
                self.nodes
                    .host_root
                    .join("dev")
                    .join(&name)
                    .display()
                    .to_string(),
            );
            // A simulated card has a socket where a real one has a device.
            let is_device = std::fs::metadata(self.nodes.root.join("dev").join(&name))
                .is_ok_and(|it| it.file_type().is_char_device());
            if is_device {
                response.devices.push(DeviceSpec {
                    container_path,
                    host_path,
                    permissions: "rw".to_owned(),
                });
            } else {
                response.mounts.push(Mount {
                    container_path,
                    host_path,
                    read_only: false,
                });
            }
            addresses.push(address.to_string());
        }
        response
            .envs
            .insert(CARDS_VARIABLE.to_owned(), addresses.join(","));
        Ok(response)
    }
}

#[tonic::async_trait]
impl DevicePlugin for Plugin {
    type ListAndWatchStream = ReceiverStream<Result<ListAndWatchResponse, Status>>;

    async fn get_device_plugin_options(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<DevicePluginOptions>, Status> {
        Ok(Response::new(DevicePluginOptions::default()))
    }

    async fn list_and_watch(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::ListAndWatchStream>, Status> {
        let (sender, receiver) = mpsc::channel(LISTS_MAX);
        let mut cards = self.cards.clone();
        tokio::spawn(async move {
            let mut told: Option<Vec<Device>> = None;
            loop {
                let now = devices(&cards.borrow_and_update());
                // Readings come often, and most change nothing for the kubelet.
                if told.as_ref() != Some(&now) {
                    let list = ListAndWatchResponse {
                        devices: now.clone(),
                    };
                    if sender.send(Ok(list)).await.is_err() {
                        return;
                    }
                    told = Some(now);
                }
                tokio::select! {
                    changed = cards.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_preferred_allocation(
        &self,
        _: Request<PreferredAllocationRequest>,
    ) -> Result<Response<PreferredAllocationResponse>, Status> {
        Err(Status::unimplemented("not offered in the options"))
    }

    async fn allocate(
        &self,
        request: Request<AllocateRequest>,
    ) -> Result<Response<AllocateResponse>, Status> {
        let asked = request.into_inner().container_requests;
        let containers: Result<Vec<_>, Status> = asked
            .iter()
            .map(|it| self.container(&it.devices_ids))
            .collect();
        Ok(Response::new(AllocateResponse {
            container_responses: containers?,
        }))
    }

    async fn pre_start_container(
        &self,
        _: Request<PreStartContainerRequest>,
    ) -> Result<Response<PreStartContainerResponse>, Status> {
        Err(Status::unimplemented("not asked for in the options"))
    }
}

/// Serves and registers until the future is dropped; begins anew whenever the kubelet did, and tries
/// again every second while there is none.
pub async fn run(folder: PathBuf, cards: watch::Receiver<Cards>, nodes: Nodes) {
    loop {
        let plugin = Plugin {
            cards: cards.clone(),
            nodes: nodes.clone(),
        };
        match serve_once(&folder, plugin).await {
            Ok(()) => tracing::info!("the kubelet began anew: registering again"),
            Err(error) => tracing::warn!("the kubelet does not know of the cards: {error:#}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Which file a path is, so that another one at the same place is seen. The number of a removed file
/// may be used again at once, its time of change is not.
fn identity(path: &Path) -> io::Result<(u64, i64, i64)> {
    let it = std::fs::metadata(path)?;
    Ok((it.ino(), it.ctime(), it.ctime_nsec()))
}

async fn serve_once(folder: &Path, plugin: Plugin) -> Result<()> {
    let (ours, theirs) = (folder.join(ENDPOINT), folder.join(KUBELET));
    let kubelet = identity(&theirs)
        .with_context(|| format!("failed to find the kubelet at {}", theirs.display()))?;
    match std::fs::remove_file(&ours) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove {}", ours.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&ours)
        .with_context(|| format!("failed to listen on {}", ours.display()))?;
    let own = identity(&ours)?;
    let server = Server::builder()
        .add_service(DevicePluginServer::new(plugin))
        .serve_with_incoming(UnixListenerStream::new(listener));
    let begun_anew = async {
        tokio::time::timeout(REGISTER_WAIT, register(&theirs))
            .await
            .context("the kubelet did not answer")??;
        tracing::info!(resource = RESOURCE, "registered with the kubelet");
        // The kubelet says nothing when it forgets: its folder is looked at.
        while identity(&ours).ok() == Some(own) && identity(&theirs).ok() == Some(kubelet) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    tokio::select! {
        served = server => served.context("failed to serve the kubelet"),
        begun = begun_anew => begun,
    }
}

async fn register(kubelet: &Path) -> Result<()> {
    let channel = Endpoint::from_shared(format!("unix://{}", kubelet.display()))?
        .connect()
        .await
        .with_context(|| format!("failed to reach the kubelet at {}", kubelet.display()))?;
    let request = RegisterRequest {
        version: VERSION.to_owned(),
        endpoint: ENDPOINT.to_owned(),
        resource_name: RESOURCE.to_owned(),
        options: Some(DevicePluginOptions::default()),
    };
    RegistrationClient::new(channel)
        .register(request)
        .await
        .context("the kubelet refused the registration")?;
    Ok(())
}
