//! A connection to a binary door: frames in and out, as the messages that the session knows.
//!
//! ```text
//!   send ─► out ──────────────► socket ─► received ─► binary::Joined ─► next
//!           (written while the owner awaits next; nothing runs in the background)
//! ```

use crate::connection::CONNECT_MS_MAX;
use protocol::binary::{self, Joined};
use protocol::order::{ClientMessage, ServerMessage};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

const READ_BYTES: usize = 64 << 10;

pub(crate) struct BinaryConnection {
    stream: TcpStream,
    out: Vec<u8>,
    received: Vec<u8>,
    taken: usize,
    joined: Joined,
}

impl BinaryConnection {
    /// Connects to `host:port`; the logon goes out with the first [`BinaryConnection::next`].
    pub(crate) async fn connect(address: &str, logon: &ClientMessage) -> Result<Self, String> {
        let limit = Duration::from_millis(CONNECT_MS_MAX);
        let stream = tokio::time::timeout(limit, TcpStream::connect(address))
            .await
            .map_err(|_| format!("no connection within {CONNECT_MS_MAX} ms"))?
            .map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let mut connection = Self {
            stream,
            out: Vec::new(),
            received: Vec::new(),
            taken: 0,
            joined: Joined::default(),
        };
        connection.send(logon)?;
        Ok(connection)
    }

    /// Puts a message behind what waits. No more waits than the session may have open.
    pub(crate) fn send(&mut self, message: &ClientMessage) -> Result<(), String> {
        binary::write_message(message, &mut self.out).map_err(|error| error.to_string())
    }

    /// The next message. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<ServerMessage, String> {
        loop {
            if let Some(message) = self.joined()? {
                return Ok(message);
            }
            let interest = if self.out.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = self.stream.ready(interest).await;
            let ready = ready.map_err(|error| error.to_string())?;
            if ready.is_writable() {
                self.write()?;
            }
            if ready.is_readable() {
                self.read()?;
            }
        }
    }

    /// The next message of what came, if it is whole.
    fn joined(&mut self) -> Result<Option<ServerMessage>, String> {
        loop {
            let rest = &self.received[self.taken..];
            let split = binary::split(rest).map_err(|error| error.to_string())?;
            let Some((frame, taken)) = split else {
                self.received.drain(..self.taken);
                self.taken = 0;
                return Ok(None);
            };
            self.taken += taken;
            let message = self.joined.take(frame);
            if let Some(message) = message.map_err(|error| error.to_string())? {
                return Ok(Some(message));
            }
        }
    }

    fn write(&mut self) -> Result<(), String> {
        if self.out.is_empty() {
            return Ok(());
        }
        match self.stream.try_write(&self.out) {
            Ok(count) => {
                self.out.drain(..count);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn read(&mut self) -> Result<(), String> {
        let before = self.received.len();
        self.received.resize(before + READ_BYTES, 0);
        let read = self.stream.try_read(&mut self.received[before..]);
        let count = *read.as_ref().unwrap_or(&0);
        self.received.truncate(before + count);
        match read {
            Ok(0) => Err("the entry ended the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
