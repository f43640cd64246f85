//! A client that trades, and what a log says of the market.

#![allow(dead_code, reason = "not every test does all of it")]

use crate::group::{Group, PATIENCE};
use marketdata_from_log::CoreMarket;
use protocol::admin::admin_client::AdminClient;
use protocol::admin::{OpenAccount, Position, ReadLogRequest, control_request, log_chunk};
use protocol::order::order_entry_client::OrderEntryClient;
use protocol::order::server_message::Body as Answered;
use protocol::order::{
    ClientMessage, Logon, NewOrder, ServerMessage, Side, client_message, report,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use types::{Command, Control, Epoch, LogIndex, decode_batch};

/// Opens another account, with cash and shares.
pub async fn open_account(group: &Group, account: u64) {
    let leader = group.leader().await;
    let body = control_request::Body::OpenAccount(OpenAccount {
        account,
        cash: 1_000_000_000_000,
        positions: vec![Position {
            symbol: 600_000,
            quantity: 1_000_000,
        }],
    });
    group.control(leader, body).await;
}

/// One account's session with the leader.
pub struct Trader {
    sender: mpsc::Sender<ClientMessage>,
    answers: Streaming<ServerMessage>,
    next_client_seq: u64,
}

impl Trader {
    pub async fn log_on(group: &Group, account: u64) -> Self {
        let leader = group.leader().await;
        let mut client = OrderEntryClient::new(group.channel(leader).await.unwrap());
        let (sender, receiver) = mpsc::channel(64);
        let logon = client_message::Body::Logon(Logon {
            session: account,
            account,
            ..Logon::default()
        });
        let message = ClientMessage {
            client_seq: 0,
            body: Some(logon),
        };
        sender.send(message).await.unwrap();
        let answers = client.trade(ReceiverStream::new(receiver)).await.unwrap();
        let mut trader = Self {
            sender,
            answers: answers.into_inner(),
            next_client_seq: 0,
        };
        while trader.next_client_seq == 0 {
            if let Answered::LogonAck(ack) = trader.next().await {
                trader.next_client_seq = ack.next_client_seq;
            }
        }
        trader
    }

    async fn next(&mut self) -> Answered {
        let message = timeout(PATIENCE, self.answers.message()).await.unwrap();
        message.unwrap().unwrap().body.unwrap()
    }

    /// Enters an order of 100 shares and waits until it is accepted.
    pub async fn order(&mut self, cl_ord_id: &str, side: Side, price: i64) {
        let order = client_message::Body::NewOrder(NewOrder {
            cl_ord_id: cl_ord_id.into(),
            symbol: 600_000,
            side: side.into(),
            quantity: 100,
            price: Some(price),
            ..NewOrder::default()
        });
        let message = ClientMessage {
            client_seq: self.next_client_seq,
            body: Some(order),
        };
        self.next_client_seq += 1;
        self.sender.send(message).await.unwrap();
        loop {
            if let Answered::Report(report) = self.next().await {
                match report.body.unwrap() {
                    report::Body::Accepted(told) if told.cl_ord_id == cl_ord_id => return,
                    report::Body::Rejected(told) => panic!("{told:?}"),
                    _ => {}
                }
            }
        }
    }
}

/// The leader's log, read as a market, and the commands in it.
pub async fn logged(group: &Group) -> (CoreMarket, Vec<Control>) {
    let leader = group.leader().await;
    let mut admin =
        AdminClient::new(group.channel(leader).await.unwrap()).max_decoding_message_size(1 << 28);
    let request = ReadLogRequest {
        from_index: 1,
        follow: false,
    };
    let mut log = admin.read_log(request).await.unwrap().into_inner();
    let (mut market, mut controls) = (CoreMarket::new(10), Vec::new());
    while let Some(chunk) = log.message().await.unwrap() {
        match chunk.body.unwrap() {
            log_chunk::Body::Snapshot(_) => panic!("the journal was to keep every entry"),
            log_chunk::Body::Entry(entry) => {
                let (index, epoch) = (LogIndex(entry.index), Epoch(entry.epoch));
                market.entry(index, epoch, &entry.batch).unwrap();
                let commands = decode_batch(&entry.batch).map(|batch| batch.commands);
                for command in commands.unwrap_or_default() {
                    if let Command::Control(control) = command {
                        controls.push(control);
                    }
                }
            }
            log_chunk::Body::End(_) => return (market, controls),
        }
    }
    panic!("the log breaks off");
}
