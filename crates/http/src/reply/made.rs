//! Responses to acts that may be repeated under an idempotency key.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use boxoffice_domain::idempotency::Made;
use serde::Serialize;

pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The response to an act, which says whether an earlier request under the same key did it.
pub(crate) fn made<T, B: Serialize>(
    made: Made<T>,
    status: StatusCode,
    location: Option<&str>,
    body: impl FnOnce(T) -> B,
) -> Response {
    let mut headers = HeaderMap::new();
    if made.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    // A location is made of a path and a UUID, which a header field may hold.
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(location).ok()) {
        headers.insert(LOCATION, location);
    }
    (status, headers, Json(body(made.value))).into_response()
}
