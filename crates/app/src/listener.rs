//! Accepting connections, and passing each request to the router.
//!
//! Everything is bounded: the number of connections (further ones wait in the kernel), how long one may be idle or take to
//! send the head of a request, and how large that head may be.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{secure_connection, settings::ListenAddress, tls::Tls};

/// The most bytes of a request's head.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long to wait after the kernel failed to accept a connection, as it does when it runs out of a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) connections_max: usize,
    /// How long a connection may take to send the head of its next request.
    pub(crate) head_timeout: Duration,
}

/// An open port.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    bounds: Bounds,
    /// With a certificate, connections use TLS.
    tls: Option<Arc<Tls>>,
    connections: TaskTracker,
}

impl Listener {
    pub(crate) async fn open(address: &ListenAddress, bounds: Bounds) -> anyhow::Result<Self> {
        let addresses = address.resolve().await.with_context(|| format!("cannot find the host of {address}"))?;
        let socket = bind(&addresses).await.with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self { socket, bounds, tls: None, connections: TaskTracker::new() })
    }

    /// The same port, for connections over TLS if there is a certificate.
    pub(crate) fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// The address, with the port that the kernel chose for port 0.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// Accepts connections until `stop`; then waits for the requests in flight, and closes.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.bounds.connections_max));
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.accept(&places) => accepted,
            };
            let Some((stream, client, place)) = accepted else { continue };
            let (router, tls) = (router.clone(), self.tls.clone());
            let connection = serve_connection(stream, client, router, tls, self.bounds, stop.clone());
            self.connections.spawn(async move {
                connection.await;
                drop(place);
            });
        }
        drop(self.socket);
        self.connections.close();
        self.connections.wait().await;
    }

    async fn accept(
        &self,
        places: &Arc<Semaphore>,
    ) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, client)) => Some((stream, client, place)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// Opens the port at the first address that this machine has.
async fn bind(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut refused = io::Error::new(ErrorKind::AddrNotAvailable, "the host has no address");
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(socket) => return Ok(socket),
            // The next address would hide that another program has the port.
            Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
                return Err(error);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

async fn serve_connection(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    tls: Option<Arc<Tls>>,
    bounds: Bounds,
    stop: CancellationToken,
) {
    // Responses are small: holding one back to fill a packet would only delay it.
    stream.set_nodelay(true).ok();
    // A client that does not read its response must not keep its connection for ever.
    socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(bounds.head_timeout)).ok();
    let service = tower::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(client));
        let answer = tower::ServiceExt::oneshot(router.clone(), request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    if let Some(tls) = tls {
        let service = TowerToHyperService::new(service);
        if let Err(error) = secure_connection::serve(stream, &tls, service, bounds, stop).await {
            tracing::debug!(error = &*error as &dyn std::error::Error, %client, "a connection broke");
        }
        return;
    }
    let connection = http1(bounds).serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients abort, stall and send garbage; an operator can do nothing about it.
        tracing::debug!(error = &error as &dyn std::error::Error, %client, "a connection broke");
    }
}

/// How HTTP/1.1 is spoken.
pub(crate) fn http1(bounds: Bounds) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head_timeout).max_buf_size(HEAD_BYTES_MAX);
    http
}
