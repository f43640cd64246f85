//! Sees whether a component serves: one look, performed inside the center.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::components::Probe;

const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks once. No answer in time is no.
pub async fn look(probe: &Probe) -> bool {
    tokio::time::timeout(LOOK_TIMEOUT, serves(probe))
        .await
        .unwrap_or(false)
}

async fn serves(probe: &Probe) -> bool {
    match probe {
        Probe::Http { port, path } => answers_ok(*port, path).await.unwrap_or(false),
        Probe::Apiserver { kubeconfig } => apiserver_is_ready(kubeconfig).await.unwrap_or(false),
        Probe::UnixSocket { path } => UnixStream::connect(path).await.is_ok(),
        Probe::Tcp { port } => TcpStream::connect(("127.0.0.1", *port)).await.is_ok(),
        Probe::Ended => false,
    }
}

async fn answers_ok(port: u16, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0_u8; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.ends_with(b" 200"))
}

async fn apiserver_is_ready(kubeconfig: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let client = kube::Client::try_from(config)?;
    let request = http::Request::get("/readyz").body(Vec::new())?;
    Ok(client.request_text(request).await? == "ok")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0_u8; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        port
    }

    #[tokio::test]
    async fn only_200_counts_as_serving() {
        for (answer, serves) in [
            ("HTTP/1.1 200 OK\r\n\r\nok", true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
            ("HTTP/1.1", false),
        ] {
            let port = answering(answer).await;
            assert_eq!(
                look(&Probe::Http {
                    port,
                    path: "/healthz".into()
                })
                .await,
                serves
            );
        }
    }

    #[tokio::test]
    async fn a_closed_port_does_not_serve() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(!look(&Probe::Tcp { port }).await);
    }
}
