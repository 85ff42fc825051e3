//! Bodies, refused with a pointer to what is wrong.

use std::borrow::Cow;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::error::Category;

use super::{plain_words, pointer, whole_numbers};
use crate::reply::{Code, Problem};

/// What is wrong with a member that a request does not have.
pub(crate) const UNKNOWN_FIELD: &str = "is not a field of this request";

/// A JSON body of the right shape.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        parse(&read(request, state).await?).map(Self)
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

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A derived `Deserialize` would accept a list of the fields in order.
    let is_list = bytes.trim_ascii_start().starts_with(b"[");
    match serde_json::from_slice(bytes) {
        Ok(value) if !is_list => Ok(value),
        _ => parse_with_care(bytes, is_list),
    }
}

/// Reads whole numbers in every form, and finds out what is wrong with a body. It may take its time, since most bodies
/// are plain and right.
fn parse_with_care<T: DeserializeOwned>(bytes: &[u8], is_list: bool) -> Result<T, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::malformed("The body is empty."));
    }
    // A syntax error goes before an error of the shape.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| not_json(&error))?;
    if is_list {
        return Err(Problem::violation("", "wrong_type", plain_words::OBJECT));
    }
    let bytes = whole_numbers::as_digits(bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| of_shape(error, &bytes))
}

/// The problem of a text that is not JSON.
pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    Problem::malformed(format!("The body is not JSON: line {}, column {}.", error.line(), error.column()))
}

fn of_shape(error: serde_path_to_error::Error<serde_json::Error>, body: &[u8]) -> Problem {
    let mut pointer = pointer::of_path(error.path());
    let error = error.into_inner();
    if error.classify() != Category::Data {
        return not_json(&error);
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let named = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    let (code, message): (_, Cow<'static, str>) = if let Some(field) = named("unknown field `") {
        // Depending on where the error was found, the path ends at the field or before it.
        pointer::push_if_missing(&mut pointer, field);
        ("unknown_field", UNKNOWN_FIELD.into())
    } else if let Some(field) = named("missing field `") {
        pointer::push(&mut pointer, field);
        ("missing_field", "is required".into())
    } else if let Some(field) = named("duplicate field `") {
        pointer::push_if_missing(&mut pointer, field);
        ("duplicate_field", "is given twice".into())
    } else if let Some((_, expected)) = text.split_once(", expected ") {
        // The message leaves out what was found: it may be a secret in the wrong place.
        ("wrong_type", plain_words::of_expected(expected))
    } else {
        ("wrong_format", wrong_format(text, body, &pointer).into())
    };
    Problem::violation(pointer, code, message)
}

/// What is wrong with a text that its type refused with these words.
fn wrong_format(words: &str, body: &[u8], pointer: &str) -> &'static str {
    if words.starts_with("UUID") {
        return plain_words::UUID;
    }
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let given = body.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    match given.parse::<DateTime<Utc>>() {
        Err(error) if error.to_string() == words => plain_words::of_time(given),
        _ => plain_words::OTHER,
    }
}

/// For a field that may be absent but not `null`; give it `default` too.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
