//! What some tests do with the group's processes and places beside starting and killing them.

#![allow(dead_code, reason = "not every test does all of it")]

use super::{Group, PATIENCE};
use protocol::admin::TransferLeaderRequest;
use protocol::admin::admin_client::AdminClient;
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::server_message::Body as Answered;
use protocol::order::{ClientMessage, Logon, NewOrder, Side, client_message, report};
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

/// One try to order takes no longer: the next replica is asked then.
const TRY_TIMEOUT: Duration = Duration::from_millis(200);

impl Group {
    /// A place for one more replica, which joins; gives back its ports.
    pub fn add_place(&mut self) -> [u16; 4] {
        let held = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = [0, 1, 2, 3].map(|n: usize| held[n].local_addr().unwrap().port());
        self.ports.push(ports);
        self.children.push(None);
        ports
    }

    /// Waits until a replica's process ends by itself.
    pub async fn wait_for_end(&mut self, replica: usize) -> ExitStatus {
        let mut child = self.children[replica - 1].take().unwrap();
        let ended = timeout(PATIENCE, tokio::task::spawn_blocking(move || child.wait()));
        ended.await.unwrap().unwrap().unwrap()
    }

    /// Makes a replica the leader.
    pub async fn transfer(&self, to: usize) {
        let leader = self.leader().await;
        let mut admin = AdminClient::new(self.channel(leader).await.unwrap());
        let request = TransferLeaderRequest {
            to: to as u64,
            timeout_ms: 0,
        };
        let moved = admin.transfer_leader(request).await.unwrap().into_inner();
        assert_eq!(moved.leader, to as u64);
        assert_eq!(self.leader().await, to);
    }

    fn signal(&self, replica: usize, signal: Signal) {
        let child = self.children[replica - 1].as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Stops a process without ending it: its connections stay open and silent.
    pub fn pause(&self, replica: usize) {
        self.signal(replica, Signal::STOP);
    }

    /// Lets a stopped process go on.
    pub fn resume(&self, replica: usize) {
        self.signal(replica, Signal::CONT);
    }

    /// Logs on and has an order accepted.
    pub async fn log_on_and_order(&self, replica: usize, account: u64, cl_ord_id: &str) {
        let ordered = timeout(PATIENCE, self.order(replica, account, cl_ord_id));
        assert_eq!(ordered.await, Ok(Some(())));
    }

    /// Whether this replica accepts an order now.
    pub async fn try_order(&self, replica: usize, account: u64, cl_ord_id: &str) -> bool {
        let tried = timeout(TRY_TIMEOUT, self.order(replica, account, cl_ord_id));
        matches!(tried.await, Ok(Some(())))
    }

    async fn order(&self, replica: usize, account: u64, cl_ord_id: &str) -> Option<()> {
        let mut client = OrderEntryClient::new(self.channel(replica).await?);
        let (sender, receiver) = mpsc::channel(4);
        let send = async |client_seq, body| {
            let body = Some(body);
            let sent = sender.send(ClientMessage { client_seq, body }).await;
            sent.ok()
        };
        let logon = Logon {
            session: account,
            account,
            ..Logon::default()
        };
        send(0, client_message::Body::Logon(logon)).await?;
        let answers = client.trade(ReceiverStream::new(receiver)).await.ok()?;
        let mut answers = answers.into_inner();
        loop {
            match answers.message().await.ok()??.body? {
                Answered::LogonAck(ack) => {
                    let order = NewOrder {
                        cl_ord_id: cl_ord_id.into(),
                        symbol: 600_000,
                        side: Side::Buy.into(),
                        quantity: 100,
                        price: Some(100_000),
                        ..NewOrder::default()
                    };
                    let body = client_message::Body::NewOrder(order);
                    send(ack.next_client_seq, body).await?;
                }
                Answered::Report(told) => {
                    if matches!(told.body?, report::Body::Accepted(a) if a.cl_ord_id == cl_ord_id) {
                        return Some(());
                    }
                }
                _ => {}
            }
        }
    }
}
