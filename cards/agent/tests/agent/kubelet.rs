//! The device plugin against a real gRPC server of the kubelet's registration service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use card_agent::device_plugin::{ENDPOINT, KUBELET, Nodes, RESOURCE, VERSION, run};
use card_agent::kubelet::device_plugin_client::DevicePluginClient;
use card_agent::kubelet::registration_server::{Registration, RegistrationServer};
use card_agent::kubelet::{
    AllocateRequest, ContainerAllocateRequest, Empty, ListAndWatchResponse, RegisterRequest,
};
use card_health::{Reason, State};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::world::{PATIENCE, cards};

/// A kubelet as far as plugins see it.
struct Kubelet(mpsc::Sender<RegisterRequest>);

#[tonic::async_trait]
impl Registration for Kubelet {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<Empty>, Status> {
        let _ = self.0.send(request.into_inner()).await;
        Ok(Response::new(Empty {}))
    }
}

fn start(folder: &Path) -> (mpsc::Receiver<RegisterRequest>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(4);
    let listener = UnixListener::bind(folder.join(KUBELET)).unwrap();
    let server = tokio::spawn(async move {
        Server::builder()
            .add_service(RegistrationServer::new(Kubelet(sender)))
            .serve_with_incoming(UnixListenerStream::new(listener))
            .await
            .unwrap();
    });
    (receiver, server)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("within the patience of a test")
}

async fn plugin(folder: &Path) -> DevicePluginClient<Channel> {
    let socket = format!("unix://{}", folder.join(ENDPOINT).display());
    DevicePluginClient::new(
        Endpoint::from_shared(socket)
            .unwrap()
            .connect()
            .await
            .unwrap(),
    )
}

async fn health(lists: &mut Streaming<ListAndWatchResponse>) -> Vec<(String, String)> {
    let list = soon(lists.message()).await.unwrap().unwrap();
    list.devices
        .into_iter()
        .map(|it| (it.id, it.health))
        .collect()
}

fn device(health: &str) -> Vec<(String, String)> {
    vec![("0000-81-00-0".to_owned(), health.to_owned())]
}

#[tokio::test]
async fn a_kubelet_hears_of_each_change_and_gets_only_cards_that_may_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let (mut registered, _server) = start(folder.path());
    let (sender, receiver) = watch::channel(cards(State::Healthy, Reason::AsItShouldBe));
    let nodes = Nodes {
        root: folder.path().to_owned(),
        host_root: PathBuf::from("/host"),
    };
    let agent = tokio::spawn(run(folder.path().to_owned(), receiver, nodes));
    let request = soon(registered.recv()).await.unwrap();
    assert_eq!(
        (request.version.as_str(), request.endpoint.as_str()),
        (VERSION, ENDPOINT)
    );
    assert_eq!(request.resource_name, RESOURCE);

    let mut client = plugin(folder.path()).await;
    let mut lists = client.list_and_watch(Empty {}).await.unwrap().into_inner();
    assert_eq!(health(&mut lists).await, device("Healthy"));
    let asked = |id: &str| AllocateRequest {
        container_requests: vec![ContainerAllocateRequest {
            devices_ids: vec![id.to_owned()],
        }],
    };
    let given = client
        .allocate(asked("0000-81-00-0"))
        .await
        .unwrap()
        .into_inner();
    let container = &given.container_responses[0];
    assert_eq!(container.envs["TRICENTER_CARDS"], "0000:81:00.0");
    assert_eq!(
        container.mounts[0].host_path,
        "/host/dev/decoder-0000-81-00-0"
    );
    let unknown = client.allocate(asked("gpu0")).await.unwrap_err();
    assert!(
        unknown.message().contains("known are [\"0000-81-00-0\"]"),
        "{unknown}"
    );

    sender.send_replace(cards(State::Failing, Reason::TooHot));
    assert_eq!(health(&mut lists).await, device("Unhealthy"));
    let refused = client.allocate(asked("0000-81-00-0")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    sender.send_replace(cards(State::Degraded, Reason::Slow));
    assert_eq!(health(&mut lists).await, device("Healthy"));
    agent.abort();
}

#[tokio::test]
async fn a_kubelet_that_begins_anew_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_sender, receiver) = watch::channel(cards(State::Healthy, Reason::AsItShouldBe));
    let nodes = Nodes {
        root: folder.path().to_owned(),
        host_root: PathBuf::from("/"),
    };
    // The agent is there before the kubelet is.
    let agent = tokio::spawn(run(folder.path().to_owned(), receiver, nodes));
    let (mut registered, server) = start(folder.path());
    soon(registered.recv()).await.unwrap();
    server.abort();
    // As a kubelet does when it starts: all sockets in its folder go.
    std::fs::remove_file(folder.path().join(KUBELET)).unwrap();
    std::fs::remove_file(folder.path().join(ENDPOINT)).unwrap();
    let (mut registered, _server) = start(folder.path());
    assert_eq!(
        soon(registered.recv()).await.unwrap().resource_name,
        RESOURCE
    );
    soon(async {
        let mut lists = plugin(folder.path())
            .await
            .list_and_watch(Empty {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(health(&mut lists).await, device("Healthy"));
    })
    .await;
    agent.abort();
    // Nothing more is under way in the folder when it goes.
    let _ = tokio::time::timeout(Duration::from_secs(5), agent).await;
}
