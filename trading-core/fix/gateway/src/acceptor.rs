//! Who is it? The first message's `CompID`s name the desk that a connection belongs to.

use crate::metrics::{Metrics, Refused};
use fix::dictionary::Field;
use fix::frame::{self, Frame, MESSAGE_BYTES_MAX};
use fix::message::Message;
use fix::session::LOGON_MS_MAX;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A connection whose counterparty is known.
pub(crate) struct Arrival {
    pub stream: TcpStream,
    /// What has been read of it.
    pub received: Vec<u8>,
    /// Its place among the connections that may be open.
    pub _place: OwnedSemaphorePermit,
}

pub(crate) struct Acceptor {
    pub comp_id: String,
    pub connections_max: usize,
    pub desks: BTreeMap<String, mpsc::Sender<Arrival>>,
    pub metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Accepts until stopped.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.connections_max));
        let acceptor = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file handles, most likely: others must end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                acceptor.metrics.refuse(Refused::Full);
                continue;
            };
            tokio::spawn(acceptor.clone().introduce(stream, place));
        }
    }

    /// Reads the first message and hands the connection to its desk. Who is not known gets no
    /// answer: it would tell who is.
    async fn introduce(self: Arc<Self>, mut stream: TcpStream, place: OwnedSemaphorePermit) {
        // Small messages leave at once; without it they only leave later.
        let _ = stream.set_nodelay(true);
        let limit = Duration::from_millis(LOGON_MS_MAX);
        let first = timeout(limit, first_message(&mut stream)).await;
        let received = match first {
            Ok(Ok(received)) => received,
            Ok(Err(reason)) => return self.metrics.refuse(reason),
            Err(_) => return self.metrics.refuse(Refused::Silent),
        };
        let Some(desk) = self.desk_of(&received) else {
            return self.metrics.refuse(Refused::Stranger);
        };
        let arrival = Arrival {
            stream,
            received,
            _place: place,
        };
        if desk.try_send(arrival).is_err() {
            self.metrics.refuse(Refused::Connected);
        }
    }

    fn desk_of(&self, received: &[u8]) -> Option<&mpsc::Sender<Arrival>> {
        let Frame::Whole { bytes } = frame::next(received) else {
            return None;
        };
        let message = Message::read(&received[..bytes]).ok()?;
        if message.text(Field::TargetCompID)? != self.comp_id {
            return None;
        }
        self.desks.get(message.text(Field::SenderCompID)?)
    }
}

async fn first_message(stream: &mut TcpStream) -> Result<Vec<u8>, Refused> {
    let mut received = Vec::with_capacity(1_024);
    loop {
        match frame::next(&received) {
            Frame::Whole { .. } => return Ok(received),
            Frame::Partial if received.len() <= 2 * MESSAGE_BYTES_MAX => {}
            Frame::Partial | Frame::Garbled { .. } => return Err(Refused::Garbled),
        }
        match stream.read_buf(&mut received).await {
            Ok(0) | Err(_) => return Err(Refused::Silent),
            Ok(_) => {}
        }
    }
}
