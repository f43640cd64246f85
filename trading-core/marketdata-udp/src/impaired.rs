//! A sender with a bad network behind it, for tests and faults. Loopback only.

use crate::clock::Clock;
use marketdata::{Damage, DamageError, Impairment, ImpairmentCounts};
use std::io;
use tokio::net::UdpSocket;

/// Packets held at once.
const WAITING_MAX: usize = 65_536;

/// Why a sender cannot be impaired.
#[derive(Debug, thiserror::Error)]
pub enum ImpairedError {
    /// The socket is not on loopback.
    #[error("local address {address} is not accepted: faults go to loopback only, 127.0.0.0/8")]
    NotLoopback {
        /// Where it is.
        address: std::net::SocketAddr,
    },
    /// A damage that cannot be.
    #[error(transparent)]
    Damage(#[from] DamageError),
    /// The socket is of no use.
    #[error("failed to ask the socket for its address: {0}")]
    Socket(#[from] io::Error),
}

/// Sends through a bad network.
#[derive(Debug)]
pub struct ImpairedSender {
    socket: UdpSocket,
    network: Impairment<Vec<u8>>,
    clock: Clock,
}

impl ImpairedSender {
    /// Puts a bad network, decided by `seed`, behind a connected socket on loopback.
    ///
    /// # Errors
    /// [`ImpairedError`].
    pub fn new(
        socket: UdpSocket,
        seed: u64,
        damage: Damage,
        clock: Clock,
    ) -> Result<Self, ImpairedError> {
        let address = socket.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(ImpairedError::NotLoopback { address });
        }
        let network = Impairment::new(seed, damage, WAITING_MAX)?;
        Ok(Self {
            socket,
            network,
            clock,
        })
    }

    /// Does other damage from now on.
    ///
    /// # Errors
    /// [`DamageError`].
    pub fn set(&mut self, damage: Damage) -> Result<(), DamageError> {
        self.network.set(damage)
    }

    /// What became of packets.
    #[must_use]
    pub fn counts(&self) -> ImpairmentCounts {
        self.network.counts()
    }

    /// When [`ImpairedSender::send_due`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<marketdata::Monotonic> {
        self.network.next_due()
    }

    /// Takes a packet and sends what is due.
    ///
    /// # Errors
    /// When the socket refuses.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.network.offer(bytes.to_vec(), self.clock.now());
        self.send_due().await
    }

    /// Sends what is due by now.
    ///
    /// # Errors
    /// When the socket refuses.
    pub async fn send_due(&mut self) -> io::Result<()> {
        while let Some(packet) = self.network.due(self.clock.now()) {
            self.socket.send(&packet).await?;
        }
        Ok(())
    }
}
