//! How a gRPC connection to a gateway or replica is made: the same settings everywhere.

use std::time::Duration;
use tonic::transport::Endpoint;

/// Longest time to connect, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 1_000;

/// A connection that has been silent is asked after this time, and gone after twice that.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// An address that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read address {address:?}: {detail}: use host:port, such as 10.99.0.11:30702")]
pub struct AddressError {
    /// What was given.
    pub address: String,
    /// Why it cannot be.
    pub detail: String,
}

/// The endpoint at `host:port`: small messages leave at once, silence is noticed.
///
/// # Errors
/// [`AddressError`] when the address is not of the form `host:port`.
pub fn endpoint(address: &str) -> Result<Endpoint, AddressError> {
    let refused = |detail: String| AddressError {
        address: address.to_owned(),
        detail,
    };
    let port = address.rsplit_once(':').map(|(_, port)| port);
    if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0)) {
        return Err(refused("it does not end with a port".to_owned()));
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| refused(error.to_string()))?;
    Ok(endpoint
        .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
        .tcp_nodelay(true)
        // Many sessions may share it: none may fill the window of the others.
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_host_or_port_is_refused_with_its_value() {
        for bad in ["", "host", "host:", "host:x", "host:0", ":70000", "a b:1"] {
            let error = endpoint(bad).unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
        assert!(endpoint("127.0.0.1:7002").is_ok());
        assert!(endpoint("core-0.core:7002").is_ok());
    }
}
