//! Accepting connections, and passing each request to the router.
//!
//! Everything is bounded: the number of connections (further ones wait in the kernel, and further ones of one address are
//! closed), how long one may be idle, how large the head of a request may be, and how slowly a client may send it and take
//! the response.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use anyhow::Context;
use axum::{Router, body::Body, extract::ConnectInfo};
use boxoffice_http::{Share, Shares};
use hyper::{
    Request,
    body::{Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    paced_stream::{CUT, InRequest, PacedStream, RequestCount, SLOW_HEAD, SLOW_RESPONSE},
    secure_connection,
    settings::ListenAddress,
    tls::Tls,
};

/// The most bytes of a request's head.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How much the kernel takes of a response beyond what the network does. What it takes counts as taken by the client.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;
/// A response may be taken this much more slowly than a request is sent: the kernel tells in larger steps what was taken.
const RESPONSE_PATIENCE_FACTOR: u32 = 2;
/// How long to wait after the kernel failed to accept a connection, as it does when it runs out of a resource.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Why a connection was closed: its address had enough others.
const TOO_MANY: &str = "address";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) connections_max: usize,
    /// How many connections one address may have, an IPv6 network of 64 bits being one; 0 for any number.
    pub(crate) connections_per_address: u32,
    /// How long a connection may be idle.
    pub(crate) idle_timeout: Duration,
    /// How long a client may take to send the first KiB of a head.
    pub(crate) slow_client: Duration,
}

impl Bounds {
    /// How long a client may take for the first KiB of a response.
    pub(crate) fn response_patience(self) -> Duration {
        self.slow_client * RESPONSE_PATIENCE_FACTOR
    }
}

/// What an accepted connection holds.
type Places = (OwnedSemaphorePermit, Share<u128>);

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
        for reason in [TOO_MANY, SLOW_HEAD, SLOW_RESPONSE] {
            metrics::counter!(CUT, "reason" => reason).increment(0);
        }
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
        let of_addresses = Shares::new(self.bounds.connections_per_address);
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.accept(&places, &of_addresses) => accepted,
            };
            let Some((stream, client, places)) = accepted else { continue };
            let (router, tls) = (router.clone(), self.tls.clone());
            let connection = serve_connection(stream, client, router, tls, self.bounds, stop.clone());
            self.connections.spawn(async move {
                connection.await;
                drop(places);
            });
        }
        drop(self.socket);
        self.connections.close();
        self.connections.wait().await;
    }

    async fn accept(
        &self,
        places: &Arc<Semaphore>,
        of_addresses: &Shares<u128>,
    ) -> Option<(TcpStream, SocketAddr, Places)> {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, client)) => {
                let Some(share) = of_addresses.take(address_key(client.ip())) else {
                    // The client can use those that it has.
                    metrics::counter!(CUT, "reason" => TOO_MANY).increment(1);
                    return None;
                };
                Some((stream, client, (place, share)))
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// Whose connections are counted together: those of an IPv4 address, or of an IPv6 network of 64 bits, since each IPv6
/// customer has one at least.
fn address_key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
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
    let socket = socket2::SockRef::from(&stream);
    // What the kernel has of a response, or of an event, has to be taken too.
    socket.set_tcp_user_timeout(Some(2 * bounds.response_patience())).ok();
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX).ok();
    let service = |requests: Arc<RequestCount>| {
        tower::service_fn(move |mut request: Request<Incoming>| {
            let in_request = requests.begin();
            request.extensions_mut().insert(ConnectInfo(client));
            let answer = tower::ServiceExt::oneshot(router.clone(), request.map(Body::new));
            async move {
                let response = answer.await.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(response.map(|body| ResponseBody { body, _in_request: in_request }))
            }
        })
    };
    if let Some(tls) = tls {
        if let Err(error) = secure_connection::serve(stream, &tls, service, bounds, stop).await {
            tracing::debug!(error = &*error as &dyn std::error::Error, %client, "a connection broke");
        }
        return;
    }
    let stream = PacedStream::new(stream, bounds.slow_client, bounds.response_patience());
    let service = TowerToHyperService::new(service(stream.requests()));
    let connection = http1(bounds).serve_connection(TokioIo::new(stream), service);
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
    http.timer(TokioTimer::new()).header_read_timeout(bounds.idle_timeout);
    http.max_buf_size(HEAD_BYTES_MAX).max_header_size(HEAD_BYTES_MAX);
    http
}

/// The body of a response. The request ends with it.
pub(crate) struct ResponseBody {
    body: Body,
    _in_request: InRequest,
}

impl hyper::body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        hyper::body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        hyper::body::Body::size_hint(&self.body)
    }
}
