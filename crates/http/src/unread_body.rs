//! Bodies that a response leaves unread.
//!
//! HTTP/1.1 sends the next request of a connection after the body of the one before, so a body that nobody reads ends the
//! connection (RFC 9112, section 9.3). A client that was refused before its body was read would find that out when it sends
//! its next request. So what is small is read and thrown away, and otherwise the response says that the connection ends.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderMap, Version, header::EXPECT},
};
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use tokio::time::timeout;

/// How much is thrown away.
const THROWN_AWAY_BYTES_MAX: u64 = 64 * 1_024;
/// How long that may take: the rest of a body that is on its way.
const THROWN_AWAY_TIME_MAX: Duration = Duration::from_secs(1);

/// What is left of the body of a request.
pub(crate) struct UnreadBody {
    left: Arc<Left>,
    /// Whether the client waits for a response before it sends the body.
    is_awaited: bool,
}

#[derive(Default)]
struct Left(Mutex<State>);

#[derive(Default)]
enum State {
    /// Somebody may read it.
    #[default]
    Taken,
    Read,
    Unread(Body),
}

impl UnreadBody {
    /// Watches the body of a request; `None` if it has none, or if its connection does not end for it.
    pub(crate) fn watch(request: &mut Request) -> Option<Self> {
        if request.body().is_end_stream() || request.version() > Version::HTTP_11 {
            return None;
        }
        let left = Arc::new(Left::default());
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = Body::new(Watched { body: Some(body), left: Arc::clone(&left) });
        Some(Self { left, is_awaited: expects_continue(request.headers()) })
    }

    /// Reads what is left if it is small, and says whether a request can follow on the connection.
    pub(crate) async fn throw_away(self) -> bool {
        let state = std::mem::take(&mut *self.left.lock());
        match state {
            State::Read => true,
            State::Taken => false,
            State::Unread(body) => {
                let is_small = body.size_hint().upper().is_none_or(|bytes| bytes <= THROWN_AWAY_BYTES_MAX);
                is_small && !self.is_awaited && timeout(THROWN_AWAY_TIME_MAX, read(body)).await.unwrap_or(false)
            }
        }
    }
}

impl Left {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads a body to its end, and says whether it was small.
async fn read(body: Body) -> bool {
    let (mut chunks, mut bytes) = (body.into_data_stream(), 0);
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return false };
        bytes += chunk.len() as u64;
        if bytes > THROWN_AWAY_BYTES_MAX {
            return false;
        }
    }
    true
}

/// A body that says what is left of it when it is dropped.
struct Watched {
    body: Option<Body>,
    left: Arc<Left>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) {
            self.body = None;
            *self.left.lock() = State::Read;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            *self.left.lock() = if body.is_end_stream() { State::Read } else { State::Unread(body) };
        }
    }
}
