//! Whole seat maps, rendered once for all callers.
//!
//! A map of a large hall is more than a megabyte of JSON, of which only the statuses ever change. So the rest is written
//! once for each performance, and the compressed form when the first client asks for it, by threads that may take long.

use std::{io::Write, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_TYPE, VARY},
    },
    response::{IntoResponse, Response},
};
use boxoffice_application::catalog::Admitted;
use boxoffice_domain::{PerformanceId, Timestamp, catalog::SeatMap, seats::SeatStatus};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use tokio::{sync::OnceCell, time::Instant};

use super::read_cache::{PAUSE_PART, ReadCache};
use crate::{
    Services,
    reply::{
        Problem,
        encoding::{self, Accepted},
        etag::{self, CacheScope},
    },
};

/// How long a rendering is shown at most. The seats behind it are at most as old when they are rendered.
const SHOWN_MAX: Duration = Duration::from_millis(250);
/// The most bytes of all renderings together. A map of 200,000 seats takes about 40 million.
const BYTES_MAX: u64 = 256 << 20;
/// A smaller map is not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 1_024;

/// The renderings that are kept.
pub(crate) struct SeatMaps(ReadCache<PerformanceId, Rendering>);

/// A rendered map, and until when it is right if no hold or sale changes it.
#[derive(Clone)]
struct Rendering {
    rendered: Arc<Rendered>,
    lapses_at: Option<Timestamp>,
}

/// A map as it is sent.
pub(crate) struct Rendered {
    map: SeatMap,
    template: Arc<Template>,
    body: Bytes,
    plain_tag: HeaderValue,
    gzip_tag: HeaderValue,
    gzip: OnceCell<Bytes>,
}

/// All of a map that does not change with the statuses of its seats.
struct Template {
    /// What comes before the first seat.
    head: Vec<u8>,
    /// What comes before the status of each seat, one after the other.
    pieces: Vec<u8>,
    /// Where each piece ends.
    ends: Vec<usize>,
    digest: [u8; 32],
}

impl SeatMaps {
    pub(crate) fn new(kept_for: Duration) -> Self {
        let shown_for = kept_for.min(SHOWN_MAX);
        Self(ReadCache::new("seat_maps", shown_for, shown_for / PAUSE_PART, BYTES_MAX, bytes_of))
    }

    /// The map of a performance, for an account that was admitted to it and has this freshness mark.
    pub(crate) async fn map(
        &self,
        services: &Services,
        to: Admitted<PerformanceId>,
        mark: Option<Instant>,
    ) -> Result<Arc<Rendered>, Problem> {
        let good = |rendering: &Rendering| rendering.lapses_at.is_none_or(|at| services.clock.now() < at);
        let render = |former: Option<Rendering>| async move {
            let map = services.catalog.seats(to).await?;
            let lapses_at = map.lapses_at();
            let rendered = Rendered::of(map, former.map(|former| former.rendered)).await?;
            Ok(Rendering { rendered, lapses_at })
        };
        Ok(self.0.get(to.id(), mark, good, render).await?.rendered)
    }
}

fn bytes_of(rendering: &Rendering) -> usize {
    let Rendered { body, template, .. } = rendering.rendered.as_ref();
    // The compressed form may be made later; it takes less than an eighth.
    body.len() + body.len() / 8 + template.pieces.len() + template.ends.len() * 16
}

impl Rendered {
    /// Renders a map, or takes the former rendering where nothing has changed.
    async fn of(map: SeatMap, former: Option<Arc<Self>>) -> Result<Arc<Self>, Problem> {
        let former = match former {
            Some(former) if former.map.has_seats_of(&map) => {
                if former.map.statuses() == map.statuses() {
                    return Ok(former);
                }
                Some(Arc::clone(&former.template))
            }
            _ => None,
        };
        let rendering = move || {
            let template = former.unwrap_or_else(|| Arc::new(Template::of(&map)));
            Arc::new(Self::with(template, map))
        };
        run_blocking(rendering).await
    }

    fn with(template: Arc<Template>, map: SeatMap) -> Self {
        let body = template.filled(&map).into();
        let digest = template.digest_with(map.statuses());
        // Two forms of one map are two representations, each with its own tag.
        let (plain_tag, gzip_tag) = (etag::tag_of(&digest, ""), etag::tag_of(&digest, "-gzip"));
        Self { map, template, body, plain_tag, gzip_tag, gzip: OnceCell::new() }
    }

    /// The response to a request: the form that the client prefers, or 304 if it has one that it accepts.
    pub(crate) async fn respond(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        let Accepted { gzip, plain } = encoding::accepted(headers);
        let gzip = gzip && self.body.len() >= COMPRESSED_BYTES_MIN;
        let forms = [(gzip, true), (plain || !gzip, false)];
        let mut acceptable = forms.into_iter().filter(|(accepted, _)| *accepted).map(|(_, gzip)| gzip);
        let has = acceptable.clone().find(|gzip| !etag::none_matches(headers, self.tag(*gzip)));
        if let Some(gzip) = has {
            return Ok((StatusCode::NOT_MODIFIED, self.fields(gzip)).into_response());
        }
        if acceptable.next() == Some(true) {
            let body = self.gzip.get_or_try_init(|| compressed(self.body.clone())).await?.clone();
            let coding = [(CONTENT_ENCODING, HeaderValue::from_static("gzip")), json()];
            return Ok((StatusCode::OK, self.fields(true), coding, Body::from(body)).into_response());
        }
        Ok((StatusCode::OK, self.fields(false), [json()], Body::from(self.body.clone())).into_response())
    }

    fn tag(&self, gzip: bool) -> &HeaderValue {
        if gzip { &self.gzip_tag } else { &self.plain_tag }
    }

    fn fields(&self, gzip: bool) -> [(axum::http::HeaderName, HeaderValue); 3] {
        let [tag, caching] = etag::fields(self.tag(gzip), CacheScope::Private);
        [tag, caching, (VARY, HeaderValue::from_static("accept-encoding"))]
    }
}

fn json() -> (axum::http::HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

/// Runs what may take milliseconds on a thread that may block.
async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a seat map was not rendered");
        Problem::internal()
    })
}

async fn compressed(body: Bytes) -> Result<Bytes, Problem> {
    let compress = move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
        let written = encoder.write_all(&body).and_then(|()| encoder.finish());
        written.expect("a vector takes everything").into()
    };
    run_blocking(compress).await
}

impl Template {
    fn of(map: &SeatMap) -> Self {
        let performance_id = map.performance_id();
        let head = format!("{{\"performance_id\":\"{performance_id}\",\"seats\":[").into_bytes();
        let (mut pieces, mut ends) = (Vec::new(), Vec::with_capacity(map.statuses().len()));
        for seat in map.seats() {
            if !ends.is_empty() {
                pieces.push(b',');
            }
            put(&mut pieces, "{\"label\":", seat.label.as_str());
            put(&mut pieces, ",\"section\":", seat.section);
            put(&mut pieces, ",\"row\":", seat.row);
            let numbers = format!(",\"number\":{},\"price\":{},\"status\":\"", seat.number, seat.price.get());
            pieces.extend_from_slice(numbers.as_bytes());
            ends.push(pieces.len());
        }
        let digest = Sha256::new().chain_update(&head).chain_update(&pieces).finalize().into();
        Self { head, pieces, ends, digest }
    }

    /// The JSON of a map of the same seats.
    fn filled(&self, map: &SeatMap) -> Vec<u8> {
        // `available` is the longest status.
        let bytes = self.head.len() + self.pieces.len() + self.ends.len() * "available\"}".len() + 100;
        let mut body = Vec::with_capacity(bytes);
        body.extend_from_slice(&self.head);
        let mut begin = 0;
        for (end, status) in self.ends.iter().zip(map.statuses()) {
            body.extend_from_slice(&self.pieces[begin..*end]);
            body.extend_from_slice(status.as_str().as_bytes());
            body.extend_from_slice(b"\"}");
            begin = *end;
        }
        let (total, available) = (map.statuses().len(), map.available());
        body.extend_from_slice(format!("],\"seats_total\":{total},\"seats_available\":{available}}}").as_bytes());
        body
    }

    /// A digest that is the same for the same map, whichever process makes it.
    fn digest_with(&self, statuses: &[SeatStatus]) -> [u8; 32] {
        let letters: Vec<u8> = statuses.iter().map(|status| *status as u8).collect();
        Sha256::new().chain_update(self.digest).chain_update(&letters).finalize().into()
    }
}

/// Writes the name of a field and its text.
fn put(into: &mut Vec<u8>, name: &str, text: &str) {
    into.extend_from_slice(name.as_bytes());
    serde_json::to_writer(into, text).expect("a text has a JSON form");
}

#[cfg(test)]
#[path = "seat_maps_tests.rs"]
mod tests;
