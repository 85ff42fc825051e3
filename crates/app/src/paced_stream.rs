//! A connection that is cut off if its client is slow.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use boxoffice_http::Pace;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

/// Counts the connections that the server closed, by reason.
pub(crate) const CUT: &str = "boxoffice_connections_cut_total";
/// Why a connection was closed: its client sent a head slowly, or took a response slowly.
pub(crate) const SLOW_HEAD: &str = "head";
pub(crate) const SLOW_RESPONSE: &str = "response";

/// Cuts off clients that send the head of a request slowly, or take responses slowly. Bodies are read by the routes,
/// which answer those that come slowly.
///
/// The head begins with its first byte: before that, a connection is idle. A response is being taken while something of it
/// waits for the client; between the events of a stream nothing does, however long they are apart.
#[derive(Debug)]
pub(crate) struct PacedStream<S> {
    stream: S,
    requests: Arc<RequestCount>,
    /// The request that the bytes of `head_bytes` belong to.
    reading: usize,
    /// How many bytes of the next head have come.
    head_bytes: usize,
    heads: Clocked,
    responses: Clocked,
}

/// How many requests of a connection have begun, and how many of them have ended.
#[derive(Debug, Default)]
pub(crate) struct RequestCount {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A request that is worked on, until it is dropped with the end of its response.
#[derive(Debug)]
pub(crate) struct InRequest(Arc<RequestCount>);

impl RequestCount {
    /// Begins a request, whose head has come.
    pub(crate) fn begin(self: &Arc<Self>) -> InRequest {
        self.begun.fetch_add(1, Ordering::Relaxed);
        InRequest(Arc::clone(self))
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A pace with its alarm, which there is only while a client is waited for.
#[derive(Debug)]
struct Clocked {
    what: &'static str,
    patience: Duration,
    pace: Option<Pace>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Clocked {
    fn new(what: &'static str, patience: Duration) -> Self {
        Self { what, patience, pace: None, alarm: None }
    }

    fn stop(&mut self) {
        self.pace = None;
    }

    fn advance(&mut self, bytes: usize) {
        if let Some(pace) = &mut self.pace {
            pace.advance(bytes);
        }
    }

    /// Waits for the client, unless it has been too slow.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let pace = self.pace.get_or_insert_with(|| Pace::begin(self.patience));
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(pace.deadline())));
        if alarm.deadline() != pace.deadline() {
            alarm.as_mut().reset(pace.deadline());
        }
        ready!(alarm.as_mut().poll(context));
        metrics::counter!(CUT, "reason" => self.what).increment(1);
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, format!("the client was slow ({})", self.what))))
    }
}

impl<S> PacedStream<S> {
    /// A connection with a patience for the first KiB of a head, and one for the first KiB of a response.
    pub(crate) fn new(stream: S, heads: Duration, responses: Duration) -> Self {
        Self {
            stream,
            requests: Arc::default(),
            reading: 0,
            head_bytes: 0,
            heads: Clocked::new(SLOW_HEAD, heads),
            responses: Clocked::new(SLOW_RESPONSE, responses),
        }
    }

    /// What the server tells of its requests.
    pub(crate) fn requests(&self) -> Arc<RequestCount> {
        Arc::clone(&self.requests)
    }

    /// Whether the next bytes belong to a head.
    fn expects_head(&mut self) -> bool {
        let begun = self.requests.begun.load(Ordering::Relaxed);
        if self.reading != begun {
            self.reading = begun;
            self.head_bytes = 0;
            self.heads.stop();
        }
        begun == self.requests.ended.load(Ordering::Relaxed)
    }

    fn written(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.responses.wait(context),
            Poll::Ready(Ok(bytes)) => {
                self.responses.advance(bytes);
                Poll::Ready(Ok(bytes))
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buf);
        if !self.expects_head() {
            return read;
        }
        match read {
            Poll::Pending if self.head_bytes > 0 => self.heads.wait(context),
            Poll::Ready(Ok(())) => {
                let bytes = buf.filled().len() - before;
                self.head_bytes += bytes;
                self.heads.advance(bytes);
                Poll::Ready(Ok(()))
            }
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buf);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bufs);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The server flushes when it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        match flushed {
            Poll::Pending => self.responses.wait(context),
            Poll::Ready(flushed) => {
                self.responses.stop();
                Poll::Ready(flushed)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{Instant, advance, sleep},
    };

    use super::*;

    const HEADS: Duration = Duration::from_secs(5);
    const RESPONSES: Duration = Duration::from_secs(10);

    fn connection(room: usize) -> (DuplexStream, PacedStream<DuplexStream>) {
        let (client, server) = duplex(room);
        (client, PacedStream::new(server, HEADS, RESPONSES))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_its_first_byte_on_and_an_idle_connection_has_more() {
        let (mut client, mut server) = connection(1_024);
        let requests = server.requests();
        let mut buf = [0; 64];
        for _ in 0..2 {
            // Idle.
            tokio::time::timeout(HEADS * 3, server.read(&mut buf)).await.unwrap_err();
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert_eq!(server.read(&mut buf).await.unwrap(), 18);
            let in_request = requests.begin();
            // Other limits apply to bodies, and to what a client sends while the server works on a request.
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read(&mut buf).await.unwrap(), 1);
            tokio::time::timeout(HEADS * 3, server.read(&mut buf)).await.unwrap_err();
            drop(in_request);
        }
        let began = Instant::now();
        let slow = tokio::spawn(async move {
            loop {
                client.write_all(b"G").await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
        });
        let error = async {
            loop {
                if let Err(error) = server.read(&mut buf).await {
                    break error;
                }
            }
        }
        .await;
        assert_eq!((error.kind(), began.elapsed()), (ErrorKind::TimedOut, HEADS));
        slow.abort();
    }

    /// Takes `bytes` every `seconds`; gives how many bytes were written, and whether the client was cut off.
    async fn written_to(bytes: usize, seconds: u64) -> (usize, bool) {
        let (mut client, mut server) = connection(64);
        let slow = tokio::spawn(async move {
            let mut buf = vec![0; bytes];
            while client.read_exact(&mut buf).await.is_ok() {
                sleep(Duration::from_secs(seconds)).await;
            }
        });
        let mut written = 0;
        let cut = loop {
            match server.write(&[0; 32]).await {
                Ok(_) if written == 64 * 1_024 => break false,
                Ok(bytes) => written += bytes,
                Err(error) => break error.kind() == ErrorKind::TimedOut,
            }
        };
        slow.abort();
        (written, cut)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_response_slowly_is_cut_off() {
        let began = Instant::now();
        let (written, cut) = written_to(64, 4).await;
        assert!(cut && written < 1_024, "{written} bytes");
        assert_eq!(began.elapsed(), RESPONSES);
        assert_eq!(written_to(2_048, 2).await, (64 * 1_024, false), "a KiB each second");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_from_time_to_time_is_not_slow_but_each_piece_has_to_be_taken() {
        let (mut client, mut server) = connection(64);
        for _ in 0..10 {
            server.write_all(&[0; 32]).await.unwrap();
            server.flush().await.unwrap();
            advance(RESPONSES * 2).await;
            client.read_exact(&mut [0; 32]).await.unwrap();
        }
        // The client takes nothing more.
        let began = Instant::now();
        let error = server.write_all(&[0; 128]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (ErrorKind::TimedOut, RESPONSES));
    }
}
