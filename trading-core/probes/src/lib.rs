//! Metrics and health over HTTP: `/metrics`, `/healthz`, `/readyz`.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// A request's head must be there by then.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the process says of itself.
pub trait Probes: Send + Sync + 'static {
    /// Prometheus' text form, or why there is none.
    fn metrics(&self) -> Result<Vec<u8>, String>;
    /// Whether the process works; else why not.
    fn healthy(&self) -> Result<(), String>;
    /// Whether it should be used; else why not.
    fn ready(&self) -> Result<(), String>;
}

/// Serves `/metrics`, `/healthz` and `/readyz` until the process ends.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(address: SocketAddr, probes: Arc<impl Probes>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::spawn(async move {
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file handles, most likely: others must end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let probes = probes.clone();
            tokio::spawn(async move {
                let service = service_fn(|request: Request<Incoming>| {
                    let answer = answer(request.uri().path(), &*probes);
                    async { Ok::<_, Infallible>(answer) }
                });
                // A scraper that hangs up is no error of ours.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(place);
            });
        }
    });
    Ok(bound)
}

fn answer(path: &str, probes: &impl Probes) -> Response<Full<Bytes>> {
    let said = match path {
        "/metrics" => probes.metrics(),
        "/healthz" => probes.healthy().map(|()| b"ok\n".to_vec()),
        "/readyz" => probes.ready().map(|()| b"ok\n".to_vec()),
        _ => {
            let text = "there is /metrics, /healthz and /readyz\n";
            return response(StatusCode::NOT_FOUND, text.as_bytes().to_vec());
        }
    };
    match said {
        Ok(body) => response(StatusCode::OK, body),
        Err(reason) => response(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{reason}\n").into(),
        ),
    }
}

fn response(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    struct Halfway;

    impl Probes for Halfway {
        fn metrics(&self) -> Result<Vec<u8>, String> {
            Ok(b"one 1\n".to_vec())
        }
        fn healthy(&self) -> Result<(), String> {
            Ok(())
        }
        fn ready(&self) -> Result<(), String> {
            Err("no leader is known".into())
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn each_probe_says_what_is_so_and_why_not() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(any, Arc::new(Halfway)).await.unwrap();
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").await.ends_with("one 1\n"));
        let unready = get(address, "/readyz").await;
        assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
        assert!(unready.ends_with("no leader is known\n"), "{unready}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
    }
}
