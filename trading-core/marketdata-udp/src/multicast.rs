//! Multicast sockets, and whether multicast works at all.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Kernel buffer of a receiving socket: a burst of snapshots of 8,192 symbols fits.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// How long a probe packet may take on its own host.
const PROBE_WAIT: Duration = Duration::from_millis(500);
const PROBES_MAX: usize = 3;

/// Where multicast leaves and enters this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The interface, by its address.
    pub address: Ipv4Addr,
    /// Time to live: 0 stays on this host, 1 on this network.
    pub ttl: u32,
}

impl Default for Interface {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST,
            ttl: 0,
        }
    }
}

/// The addresses of one channel: each group on two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Incremental packets on lines A and B.
    pub incremental: [SocketAddrV4; 2],
    /// Snapshots on lines A and B.
    pub snapshot: [SocketAddrV4; 2],
}

/// Why multicast cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MulticastError {
    /// Not a multicast group.
    #[error("group {group} is not accepted: use an address of 224.0.0.0 to 239.255.255.255")]
    Group {
        /// The address.
        group: SocketAddrV4,
    },
    /// A time to live that leaves the network.
    #[error("ttl {ttl} is not accepted: use 0 (this host) or 1 (this network)")]
    TimeToLive {
        /// The value.
        ttl: u32,
    },
    /// The system refused.
    #[error("failed to {action} for group {group} on interface {interface}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The group.
        group: SocketAddrV4,
        /// The interface's address.
        interface: Ipv4Addr,
        /// Why.
        source: io::Error,
    },
    /// What was sent did not come back.
    #[error(
        "group {group} on interface {interface}: nothing of what was sent came back: allow \
         multicast there, or name another interface"
    )]
    Silent {
        /// The group.
        group: SocketAddrV4,
        /// The interface's address.
        interface: Ipv4Addr,
    },
}

fn check(group: SocketAddrV4, interface: Interface) -> Result<(), MulticastError> {
    if !group.ip().is_multicast() {
        return Err(MulticastError::Group { group });
    }
    if interface.ttl > 1 {
        return Err(MulticastError::TimeToLive { ttl: interface.ttl });
    }
    Ok(())
}

/// A socket that sends to groups through `interface`.
///
/// # Errors
/// [`MulticastError`].
pub fn sender(group: SocketAddrV4, interface: Interface) -> Result<UdpSocket, MulticastError> {
    check(group, interface)?;
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_multicast_if_v4(&interface.address)?;
        socket.set_multicast_ttl_v4(interface.ttl)?;
        socket.set_multicast_loop_v4(true)?;
        socket.bind(&SocketAddrV4::new(interface.address, 0).into())?;
        socket.connect(&group.into())?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|source| MulticastError::System {
        action: "open a sender",
        group,
        interface: interface.address,
        source,
    })
}

/// A socket that hears a group on `interface`.
///
/// # Errors
/// [`MulticastError`].
pub fn receiver(group: SocketAddrV4, interface: Interface) -> Result<UdpSocket, MulticastError> {
    check(group, interface)?;
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // Several receivers of one host share a group.
        socket.set_reuse_address(true)?;
        // The kernel gives what it allows; overflow shows as gaps.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        // Bound to the group, so that nothing else that comes to the port is heard.
        socket.bind(&group.into())?;
        socket.join_multicast_v4(group.ip(), &interface.address)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|source| MulticastError::System {
        action: "open a receiver",
        group,
        interface: interface.address,
        source,
    })
}

/// Sends to a group and hears it: whether multicast works on this interface, by trying.
///
/// # Errors
/// [`MulticastError`] with what failed.
pub async fn check_multicast(
    group: SocketAddrV4,
    interface: Interface,
) -> Result<(), MulticastError> {
    let listening = receiver(group, interface)?;
    let sending = sender(group, interface)?;
    let system = |action| {
        move |source| MulticastError::System {
            action,
            group,
            interface: interface.address,
            source,
        }
    };
    let mut buffer = [0; 16];
    for _ in 0..PROBES_MAX {
        sending.send(b"probe").await.map_err(system("send"))?;
        let heard = tokio::time::timeout(PROBE_WAIT, listening.recv(&mut buffer)).await;
        if let Ok(length) = heard {
            length.map_err(system("receive"))?;
            return Ok(());
        }
    }
    Err(MulticastError::Silent {
        group,
        interface: interface.address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_no_group_and_a_far_reach_are_refused() {
        let unicast = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4000);
        let error = sender(unicast, Interface::default()).unwrap_err();
        assert!(error.to_string().starts_with("group 127.0.0.1:4000"));
        let group = SocketAddrV4::new(Ipv4Addr::new(239, 192, 0, 1), 4000);
        let far = Interface {
            ttl: 2,
            ..Interface::default()
        };
        let error = receiver(group, far).unwrap_err();
        assert!(error.to_string().starts_with("ttl 2 is not accepted"));
    }
}
