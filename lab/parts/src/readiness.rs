//! Asking an API server whether it is ready, by the one HTTPS request that takes.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long one request may take.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// An answer is a few bytes; more than this is not read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What one look said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe {
    /// It serves, and every check of its own has passed.
    Ready,
    /// Why not.
    NotYet(String),
}

/// Asks `https://127.0.0.1:<port>/readyz`, trusting only `authority` (PEM).
pub(crate) fn probe(port: u16, authority: &str) -> Probe {
    match ask(port, authority) {
        Ok(answer) => judge(&answer),
        Err(error) => Probe::NotYet(error.to_string()),
    }
}

fn judge(answer: &str) -> Probe {
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Probe::Ready
    } else {
        Probe::NotYet(format!("/readyz answered {status:?}"))
    }
}

fn ask(port: u16, authority: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, REQUEST_WAIT)?;
    stream.set_read_timeout(Some(REQUEST_WAIT))?;
    stream.set_write_timeout(Some(REQUEST_WAIT))?;
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let connection =
        ClientConnection::new(Arc::new(config(authority)?), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        // A peer that closes without saying so in TLS has still answered.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn config(authority: &str) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_slice(authority.as_bytes()).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_is_ready() {
        assert_eq!(judge("HTTP/1.1 200 OK\r\n\r\nok"), Probe::Ready);
        for answer in [
            "",
            "HTTP/1.1 500 Internal Server Error\r\n",
            "HTTP/1.1 403 200\r\n",
        ] {
            assert!(matches!(judge(answer), Probe::NotYet(_)), "{answer:?}");
        }
    }

    #[test]
    fn a_closed_port_is_not_ready() {
        let port = {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            listener.local_addr().expect("its number").port()
        };
        let authority = crate::certificates::Authority::new("test")
            .expect("made")
            .certificate();
        assert!(matches!(probe(port, &authority), Probe::NotYet(_)));
    }
}
