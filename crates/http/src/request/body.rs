//! Bodies, refused with a pointer to what is wrong.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body as AnyBody, Bytes, HttpBody},
    extract::{FromRequest, Request},
    http::{HeaderMap, header::CONTENT_TYPE},
};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};

use super::Passage;
use crate::{
    Pace,
    json::{self, Fault, JsonError},
    reply::{Code, Problem},
};

/// What each body may have without a share of the memory for all. It is far more than a purchase needs, so buyers are
/// served however many long bodies there are; connections bound it in sum.
const SMALL_BYTES: usize = 8 * 1_024;
/// What the memory for all is counted in.
const UNIT_BYTES: usize = 1_024;
/// A JSON body of the right shape.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        let passage = request.extensions().get::<Arc<Passage>>().cloned();
        let passage = passage.ok_or_else(|| {
            tracing::error!("a route that takes a body is not guarded");
            Problem::internal()
        })?;
        Ok(Self(json::read(&passage.read(request.into_body()).await?)?))
    }
}

/// Reads bodies: none of them slowly, and all of them together in a bounded memory.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    patience: Duration,
    memory: Arc<Semaphore>,
}

/// The share of a body in the memory for all, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

impl BodyReader {
    /// A reader that has a patience with the first KiB of a body, and a memory for what is longer than [`SMALL_BYTES`].
    pub(crate) fn new(patience: Duration, bytes_max: usize) -> Self {
        let units = (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { patience, memory: Arc::new(Semaphore::new(units)) }
    }

    /// The whole body, with its room.
    pub(crate) async fn read(&self, body: AnyBody, bytes_max: usize) -> Result<(Bytes, Room), Problem> {
        let too_large = || Problem::new(Code::PayloadTooLarge);
        let announced = body.size_hint().lower();
        if announced > bytes_max as u64 {
            return Err(too_large());
        }
        let (mut stream, mut pace, mut room) = (body.into_data_stream(), Pace::begin(self.patience), Room::default());
        let mut first = Bytes::new();
        let mut whole = Vec::new();
        loop {
            let next = timeout_at(pace.deadline(), stream.next()).await;
            let Some(chunk) = next.map_err(|_| Problem::new(Code::BodyTooSlow))? else { break };
            let chunk = chunk.map_err(|_| Problem::malformed("The body did not arrive whole."))?;
            pace.advance(chunk.len());
            if chunk.len() > bytes_max - first.len().max(whole.len()) {
                return Err(too_large());
            }
            // Most bodies come in one piece.
            if first.is_empty() && whole.is_empty() {
                first = chunk;
                self.grow(&mut room, first.len())?;
                continue;
            }
            if whole.is_empty() {
                whole.reserve_exact(SMALL_BYTES.max(first.len()));
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            if whole.capacity() - whole.len() < chunk.len() {
                // As a vector grows, so that no piece is copied often; but not beyond what is to come.
                let to_come = usize::try_from(announced).unwrap_or(usize::MAX).saturating_sub(whole.len());
                let twice = if to_come >= chunk.len() { to_come.min(whole.capacity()) } else { whole.capacity() };
                whole.reserve_exact(twice.max(chunk.len()));
            }
            self.grow(&mut room, whole.capacity())?;
            whole.extend_from_slice(&chunk);
        }
        Ok((if whole.is_empty() { first } else { whole.into() }, room))
    }

    /// Makes the room of a body large enough, or refuses the body.
    fn grow(&self, room: &mut Room, bytes: usize) -> Result<(), Problem> {
        let has = room.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let needed = bytes.saturating_sub(SMALL_BYTES).div_ceil(UNIT_BYTES).saturating_sub(has);
        if needed == 0 {
            return Ok(());
        }
        let full = || Problem::unavailable("Too many long bodies are being received at the moment.");
        let needed = u32::try_from(needed).map_err(|_| full())?;
        let more = Arc::clone(&self.memory).try_acquire_many_owned(needed).map_err(|_| full())?;
        match &mut room.0 {
            Some(permit) => permit.merge(more),
            None => room.0 = Some(more),
        }
        Ok(())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Shape(Fault { pointer, code, message }) => Self::violation(pointer, code, message),
            error => Self::malformed(format!("The body {error}.")),
        }
    }
}
