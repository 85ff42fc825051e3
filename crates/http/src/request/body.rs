//! Bodies, refused with a pointer to what is wrong.

use std::borrow::Cow;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::error::Category;

use super::pointer;
use crate::reply::{Code, Problem};

/// A JSON body of the right shape.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::PayloadTooLarge),
                _ => Problem::malformed("The body did not arrive whole."),
            }
        })?;
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A derived `Deserialize` would accept a list of the fields in order.
    let is_list = bytes.trim_ascii_start().starts_with(b"[");
    match serde_json::from_slice(bytes) {
        Ok(value) if !is_list => Ok(value),
        _ => Err(wrong::<T>(bytes, is_list)),
    }
}

/// Finds out what is wrong with a body. It may take its time, since most bodies are right.
fn wrong<T: DeserializeOwned>(bytes: &[u8], is_list: bool) -> Problem {
    // A syntax error goes before an error of the shape.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        return of_syntax(error);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) if !is_list => of_shape(error),
        _ => not_an_object(),
    }
}

fn not_an_object() -> Problem {
    Problem::violation("", "wrong_type", "expected an object")
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn of_syntax(error: serde_json::Error) -> Problem {
    Problem::malformed(format!("The body is not JSON: line {}, column {}.", error.line(), error.column()))
}

fn of_shape(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let mut pointer = pointer::of_path(error.path());
    let error = error.into_inner();
    if error.classify() != Category::Data {
        return of_syntax(error);
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let named = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    let (code, message): (_, Cow<'static, str>) = if let Some(field) = named("unknown field `") {
        // Depending on where the error was found, the path ends at the field or before it.
        pointer::push_if_missing(&mut pointer, field);
        ("unknown_field", "is not a field of this request".into())
    } else if let Some(field) = named("missing field `") {
        pointer::push(&mut pointer, field);
        ("missing_field", "is required".into())
    } else if let Some(field) = named("duplicate field `") {
        pointer::push_if_missing(&mut pointer, field);
        ("duplicate_field", "is given twice".into())
    } else if let Some((_, expected)) = text.split_once(", expected ") {
        // The message leaves out what was found: it may be a secret in the wrong place.
        ("wrong_type", format!("expected {expected}").into())
    } else {
        ("wrong_format", text.to_owned().into())
    };
    Problem::violation(pointer, code, message)
}

/// For a field that may be absent but not `null`; give it `default` too.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
