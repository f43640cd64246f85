//! An operator that dies at its n-th write: before it is sent, or when it is done and not answered.
//!
//! ```text
//!   operator ─► Mortal (core) ──► replicas      n-th write of both together: the end; whatever the
//!           └─► Mortal (client) ► API server    operator tries after it reaches nobody
//! ```

use super::*;
use async_trait::async_trait;
use futures::future::BoxFuture;
use kube::client::{Body, ClientBuilder};
use operator::core::{Core, CoreError};
use protocol::admin::change_membership_request::Change;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll};
use tower::{BoxError, Service};
use types::OperationRecord;

/// When it dies.
#[derive(Debug)]
pub struct CrashPoint {
    at: usize,
    when_done: bool,
    writes: AtomicUsize,
    is_dead: AtomicBool,
}

/// What becomes of one write.
enum Fate {
    Done,
    Lost,
    DoneAndUnanswered,
}

impl CrashPoint {
    pub fn new(at: usize, when_done: bool) -> Arc<Self> {
        Arc::new(Self {
            at,
            when_done,
            writes: AtomicUsize::new(0),
            is_dead: AtomicBool::new(false),
        })
    }

    /// Whether it came so far.
    pub fn has_struck(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    fn write(&self) -> Fate {
        if self.has_struck() {
            return Fate::Lost;
        }
        if self.writes.fetch_add(1, Ordering::Relaxed) < self.at {
            return Fate::Done;
        }
        self.is_dead.store(true, Ordering::Relaxed);
        if self.when_done {
            Fate::DoneAndUnanswered
        } else {
            Fate::Lost
        }
    }
}

/// A service or a core that ends with its operator.
pub struct Mortal<S> {
    inner: S,
    point: Arc<CrashPoint>,
}

/// A client of the API server that ends with its operator.
pub async fn mortal_client(kubeconfig: &str, point: &Arc<CrashPoint>) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let point = Arc::clone(point);
    ClientBuilder::try_from(config)
        .unwrap()
        .with_layer(&tower::layer::layer_fn(move |inner| Mortal {
            inner,
            point: Arc::clone(&point),
        }))
        .build()
}

/// A core that ends with its operator.
pub fn mortal_core(point: &Arc<CrashPoint>) -> Mortal<GrpcCore> {
    Mortal {
        inner: GrpcCore::new(),
        point: Arc::clone(point),
    }
}

impl<S> Service<http::Request<Body>> for Mortal<S>
where
    S: Service<http::Request<Body>, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_read = request.method() == http::Method::GET;
        let fate = match is_read {
            true if self.point.has_struck() => Fate::Lost,
            true => Fate::Done,
            false => self.point.write(),
        };
        match fate {
            Fate::Done => Box::pin(self.inner.call(request)),
            Fate::Lost => Box::pin(async { Err("the operator is dead".into()) }),
            Fate::DoneAndUnanswered => {
                let done = self.inner.call(request);
                Box::pin(async move {
                    done.await?;
                    Err("the operator is dead".into())
                })
            }
        }
    }
}

impl Mortal<GrpcCore> {
    fn dead(address: &str) -> CoreError {
        CoreError::Silent {
            address: address.to_owned(),
        }
    }

    async fn write<T: Send>(
        &self,
        address: &str,
        call: impl Future<Output = Result<T, CoreError>> + Send,
    ) -> Result<T, CoreError> {
        match self.point.write() {
            Fate::Done => call.await,
            Fate::Lost => Err(Self::dead(address)),
            Fate::DoneAndUnanswered => {
                call.await?;
                Err(Self::dead(address))
            }
        }
    }
}

#[async_trait]
impl Core for Mortal<GrpcCore> {
    async fn status(&self, address: &str) -> Result<ReplicaStatus, CoreError> {
        if self.point.has_struck() {
            return Err(Self::dead(address));
        }
        self.inner.status(address).await
    }

    async fn transfer_leader(&self, address: &str, to: u64) -> Result<u64, CoreError> {
        self.write(address, self.inner.transfer_leader(address, to))
            .await
    }

    async fn acquire_maintenance(
        &self,
        address: &str,
        replica: u64,
        holder: &str,
        ttl_ms: u32,
    ) -> Result<(), CoreError> {
        let call = self
            .inner
            .acquire_maintenance(address, replica, holder, ttl_ms);
        self.write(address, call).await
    }

    async fn release_maintenance(&self, address: &str, holder: &str) -> Result<(), CoreError> {
        self.write(address, self.inner.release_maintenance(address, holder))
            .await
    }

    async fn record_operation(
        &self,
        address: &str,
        record: OperationRecord,
    ) -> Result<u64, CoreError> {
        self.write(address, self.inner.record_operation(address, record))
            .await
    }

    async fn change_membership(&self, address: &str, change: Change) -> Result<(), CoreError> {
        self.write(address, self.inner.change_membership(address, change))
            .await
    }
}
