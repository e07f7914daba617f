//! The HTTP listener: the one file that owns TCP.
//!
//! HTTP/1.1 and HTTP/2 without TLS; a proxy in front adds it. Slow and many clients are bounded here:
//! connections, header time, HTTP/2 streams and resets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::proxies::Proxies;
use crate::routes::request::Peer;

/// Connections at the same time; more wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 8192;
/// A request's headers must be there within this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests at the same time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 64;
/// HTTP/2 streams that were reset and not yet cleaned up; beyond it the connection ends (rapid reset).
const RESETS_MAX: usize = 20;
/// Wait after a failed accept: it fails when file descriptors run out, and then it fails at once.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long open requests may take when control stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves until cancelled. Whose request it is, these proxies say.
pub(crate) async fn serve(listener: TcpListener, router: Router, proxies: Proxies, stop: CancellationToken) {
    let proxies = Arc::new(proxies);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, router.clone(), proxies.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
    drop(listener);
    let all_gone = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, all_gone).await.is_err() {
        tracing::info!(connections = connections.len(), "requests were cut short");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    proxies: Arc<Proxies>,
    stop: CancellationToken,
) {
    // Small answers should leave at once; what is written is whole messages.
    let _ = stream.set_nodelay(true);
    let service = tower::service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        let person = Peer(proxies.person(peer, request.headers()));
        request.extensions_mut().insert(person);
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}
