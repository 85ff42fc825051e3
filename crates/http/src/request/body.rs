//! Bodies, refused with a pointer to what is wrong.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use serde::de::DeserializeOwned;

use crate::{
    json::{self, Fault, JsonError},
    reply::{Code, Problem},
};

/// A JSON body of the right shape.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        Ok(Self(json::read(&read(request, state).await?)?))
    }
}

/// The whole body, which is no longer than the limit of its route.
pub(crate) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::PayloadTooLarge),
        _ => Problem::malformed("The body did not arrive whole."),
    })
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
