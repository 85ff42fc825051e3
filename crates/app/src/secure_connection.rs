//! A connection over TLS: the handshake, and HTTP/1.1 or HTTP/2 after it, as the client prefers.

use std::{
    convert::Infallible,
    error::Error,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http2,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    listener::{Bounds, HEAD_BYTES_MAX, http1},
    paced_stream::{PacedStream, RequestCount},
    tls::{HTTP2, Tls},
};

/// How many requests of one connection are served at once.
const STREAMS_MAX: u32 = 64;
/// How much of a response is made before the client takes it.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of a head, as HTTP/2 counts them.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
const _: () = assert!(HEADER_LIST_BYTES_MAX as usize == HEAD_BYTES_MAX);

type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves a connection until its end, or until `stop` and the end of the requests in flight then. `service` makes the
/// service of a connection, which counts its requests.
///
/// The pace of heads and responses is that of what TLS carries. With HTTP/2, whose connections carry more than requests,
/// a client that is slow keeps at most its own streams, and the connection ends when nothing comes or goes.
pub(crate) async fn serve<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    tls: &Tls,
    service: impl FnOnce(Arc<RequestCount>) -> S,
    bounds: Bounds,
    stop: CancellationToken,
) -> Ended
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let activity = Arc::new(Activity::default());
    let stream = Watched { stream, activity: Arc::clone(&activity) };
    let handshake = timeout(bounds.slow_client, tls.acceptor().accept(stream));
    let Some(shaken) = stop.run_until_cancelled(handshake).await else { return Ok(()) };
    let stream = shaken??;
    if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_send_buf_size(SEND_BYTES_MAX);
        http.max_header_list_size(HEADER_LIST_BYTES_MAX);
        let service = TowerToHyperService::new(service(Arc::default()));
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = stop.cancelled() => {}
            () = activity.ceased_for(bounds.idle_timeout) => {
                // A client that takes nothing of a response any more does not keep it: no request lasts as long as that.
                connection.as_mut().graceful_shutdown();
                return Ok(timeout(bounds.response_patience(), connection).await.unwrap_or(Ok(()))?);
            }
        }
        connection.as_mut().graceful_shutdown();
        return Ok(connection.await?);
    }
    let stream = PacedStream::new(stream, bounds.slow_client, bounds.response_patience());
    let service = TowerToHyperService::new(service(stream.requests()));
    let mut connection = pin!(http1(bounds).serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// When something last came or went.
struct Activity(Mutex<Instant>);

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Activity {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing has come or gone for this time.
    async fn ceased_for(&self, time: Duration) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + time;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// A stream that notes its activity.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.activity.note();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.activity.note();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if written.is_ready() {
            self.activity.note();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
