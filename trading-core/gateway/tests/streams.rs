//! A gateway between a client and two replicas that do as they are told.

#![allow(clippy::unwrap_used, clippy::panic)]

use gateway::{Config, Gateway, Probe};
use probes::Probes;
use protocol::admin::admin_server::{Admin, AdminServer};
use protocol::admin::{
    ChangeMembershipRequest, ChangeMembershipResponse, ControlRequest, ControlResponse, LogChunk,
    LookUpTransfersRequest, LookUpTransfersResponse, ReadLogRequest, ReplicaStatus, StatusRequest,
    TransferLeaderRequest, TransferLeaderResponse, WatchStatusRequest,
};
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::order_entry_server::{OrderEntry, OrderEntryServer};
use protocol::order::{ClientMessage, ServerMessage};
use protocol::order_entry::{heartbeat, request_message};
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};
use types::{ClOrdId, ClientSeq, Epoch, UnixMicros};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a replica says of itself, and whether it speaks to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Says {
    epoch: u64,
    serving: bool,
    speaks: bool,
}

const FOLLOWS: Says = Says {
    epoch: 1,
    serving: false,
    speaks: true,
};

const LEADS: Says = Says {
    epoch: 1,
    serving: true,
    speaks: true,
};

#[derive(Clone)]
struct Replica {
    id: u64,
    says: watch::Receiver<Says>,
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Admin for Replica {
    type WatchStatusStream = Stream<ReplicaStatus>;
    type ReadLogStream = Stream<LogChunk>;

    async fn watch_status(
        &self,
        _: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let (id, mut says) = (self.id, self.says.clone());
        let (told, statuses) = mpsc::channel(4);
        tokio::spawn(async move {
            loop {
                let now = *says.borrow_and_update();
                let status = ReplicaStatus {
                    cluster: "test".to_owned(),
                    replica: id,
                    epoch: now.epoch,
                    serving: now.serving,
                    ..ReplicaStatus::default()
                };
                if told.send(Ok(status)).await.is_err() {
                    return;
                }
                let _ = timeout(Duration::from_millis(100), says.changed()).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(statuses)))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<ReplicaStatus>, Status> {
        Err(Status::unimplemented("status"))
    }

    async fn transfer_leader(
        &self,
        _: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        Err(Status::unimplemented("transfer_leader"))
    }

    async fn change_membership(
        &self,
        _: Request<ChangeMembershipRequest>,
    ) -> Result<Response<ChangeMembershipResponse>, Status> {
        Err(Status::unimplemented("change_membership"))
    }

    async fn control(
        &self,
        _: Request<ControlRequest>,
    ) -> Result<Response<ControlResponse>, Status> {
        Err(Status::unimplemented("control"))
    }

    async fn look_up_transfers(
        &self,
        _: Request<LookUpTransfersRequest>,
    ) -> Result<Response<LookUpTransfersResponse>, Status> {
        Err(Status::unimplemented("look_up_transfers"))
    }

    async fn read_log(
        &self,
        _: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        Err(Status::unimplemented("read_log"))
    }
}

#[tonic::async_trait]
impl OrderEntry for Replica {
    type TradeStream = Stream<ServerMessage>;

    /// Takes all requests, answers none, and says by its heartbeats which replica it is.
    async fn trade(
        &self,
        call: Request<Streaming<ClientMessage>>,
    ) -> Result<Response<Self::TradeStream>, Status> {
        let (id, says) = (self.id, self.says.clone());
        let mut requests = call.into_inner();
        let (told, messages) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(100));
            loop {
                tokio::select! {
                    message = requests.message() => if !matches!(message, Ok(Some(_))) {
                        return;
                    },
                    _ = beat.tick() => {
                        let speaks = says.borrow().speaks;
                        let said = heartbeat(Epoch(id), UnixMicros(1));
                        if speaks && told.send(Ok(said)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

/// Two replicas and a gateway in front of them.
struct Shop {
    replicas: [watch::Sender<Says>; 2],
    address: String,
    probe: Probe,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

async fn open(first: Says, second: Says) -> Shop {
    let mut replicas = Vec::new();
    let mut senders = Vec::new();
    for (id, says) in [(1_u64, first), (2, second)] {
        let (sender, says) = watch::channel(says);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let orders = listener.local_addr().unwrap().to_string();
        replicas.push(json!({"replica": id, "center": "a1", "orders": orders}));
        let replica = Replica { id, says };
        let server = tonic::transport::Server::builder()
            .add_service(AdminServer::new(replica.clone()))
            .add_service(OrderEntryServer::new(replica))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        senders.push(sender);
    }
    let config: Config = serde_json::from_value(json!({
        "cluster": "test", "shard": 0, "center": "a1",
        "listen": {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0"},
        "replicas": replicas,
        "limits": {"sessions_max": 2, "in_flight_per_session_max": 3}
    }))
    .unwrap();
    let gateway = Gateway::start(config).await.unwrap();
    let stop = CancellationToken::new();
    Shop {
        replicas: senders.try_into().unwrap(),
        address: gateway.address().to_string(),
        probe: gateway.probe(),
        stop: stop.clone(),
        served: tokio::spawn(async move { gateway.serve(stop).await.unwrap() }),
    }
}

struct Client {
    requests: mpsc::Sender<ClientMessage>,
    messages: Streaming<ServerMessage>,
}

impl Client {
    async fn connect(shop: &Shop) -> Result<Self, Status> {
        let address = format!("http://{}", shop.address);
        let mut client = OrderEntryClient::connect(address).await.unwrap();
        let (requests, receiver) = mpsc::channel(16);
        let stream = client.trade(ReceiverStream::new(receiver)).await?;
        Ok(Self {
            requests,
            messages: stream.into_inner(),
        })
    }

    /// The replica that speaks, or how the stream ended.
    async fn hear(&mut self) -> Result<u64, Status> {
        let said = timeout(PATIENCE, self.messages.message());
        let said = said.await.expect("a message or an end comes")?;
        said.map(|said| said.epoch).ok_or_else(|| Status::ok(""))
    }

    async fn end(&mut self) -> Code {
        loop {
            if let Err(status) = self.hear().await {
                return status.code();
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_is_ready_once_a_leader_serves_and_stays_so_in_a_failover() {
    let shop = open(FOLLOWS, FOLLOWS).await;
    let refused = shop.probe.ready().unwrap_err();
    assert!(refused.contains("no leader"), "{refused}");
    shop.replicas[0].send_replace(LEADS);
    // A stream that is carried shows that the leader is known.
    let mut client = Client::connect(&shop).await.unwrap();
    assert_eq!(client.hear().await.unwrap(), 1);
    shop.probe.ready().unwrap();
    let metrics = String::from_utf8(shop.probe.metrics().unwrap()).unwrap();
    assert!(
        metrics.contains("gateway_leader{shard=\"0\"} 1\n"),
        "{metrics}"
    );
    shop.replicas[0].send_replace(FOLLOWS);
    assert_eq!(client.end().await, Code::Unavailable);
    shop.probe.ready().unwrap();
    let metrics = String::from_utf8(shop.probe.metrics().unwrap()).unwrap();
    assert!(
        metrics.contains("gateway_leader{shard=\"0\"} 0\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_stream_ends_when_a_higher_epoch_serves_and_the_next_goes_there() {
    let shop = open(LEADS, FOLLOWS).await;
    let mut client = Client::connect(&shop).await.unwrap();
    assert_eq!(client.hear().await.unwrap(), 1);
    // The old leader does not know yet.
    shop.replicas[1].send_replace(Says { epoch: 2, ..LEADS });
    assert_eq!(client.end().await, Code::Unavailable);
    let mut client = Client::connect(&shop).await.unwrap();
    assert_eq!(client.hear().await.unwrap(), 2);
}

#[tokio::test]
async fn a_leader_that_says_nothing_to_a_client_is_given_up() {
    let shop = open(LEADS, FOLLOWS).await;
    let mut client = Client::connect(&shop).await.unwrap();
    assert_eq!(client.hear().await.unwrap(), 1);
    let speaks = false;
    shop.replicas[0].send_replace(Says { speaks, ..LEADS });
    assert_eq!(client.end().await, Code::Unavailable);
    let metrics = String::from_utf8(shop.probe.metrics().unwrap()).unwrap();
    let counted = "gateway_sessions_ended_total{reason=\"leader_silent\"} 1\n";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_client_without_a_leader_is_told_so_within_its_patience() {
    let shop = open(FOLLOWS, FOLLOWS).await;
    let mut client = Client::connect(&shop).await.unwrap();
    assert_eq!(client.end().await, Code::Unavailable);
}

#[tokio::test]
async fn one_stream_more_than_allowed_is_refused_until_another_ends() {
    let shop = open(LEADS, FOLLOWS).await;
    let mut first = Client::connect(&shop).await.unwrap();
    let _second = Client::connect(&shop).await.unwrap();
    let refused = Client::connect(&shop).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(first.hear().await.unwrap(), 1);
    drop(first);
    let room = async {
        while Client::connect(&shop).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, room).await.unwrap();
}

#[tokio::test]
async fn one_request_more_than_allowed_in_flight_ends_the_stream() {
    let shop = open(LEADS, FOLLOWS).await;
    let mut client = Client::connect(&shop).await.unwrap();
    let original = ClOrdId::new("A").unwrap();
    let request = types::Request::Status { original };
    for number in 1..=3 {
        let message = request_message(ClientSeq(number), &request);
        client.requests.send(message).await.unwrap();
    }
    assert_eq!(client.hear().await.unwrap(), 1);
    let message = request_message(ClientSeq(4), &request);
    client.requests.send(message).await.unwrap();
    assert_eq!(client.end().await, Code::ResourceExhausted);
}

#[tokio::test]
async fn a_stopping_gateway_ends_its_streams_and_itself() {
    let shop = open(LEADS, FOLLOWS).await;
    let mut client = Client::connect(&shop).await.unwrap();
    assert_eq!(client.hear().await.unwrap(), 1);
    shop.stop.cancel();
    assert_eq!(client.end().await, Code::Unavailable);
    timeout(PATIENCE, shop.served).await.unwrap().unwrap();
}
