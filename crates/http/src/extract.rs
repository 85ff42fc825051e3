//! Reading requests: bodies, ids in paths, and queries, with an error that says where something is wrong.

use std::{borrow::Cow, str::FromStr};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::IntoResponse,
};
use boxoffice_domain::page::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, PageRequest};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::error::Category;
use serde_path_to_error::Segment;
use validator::Validate;

use crate::{
    cursor,
    problem::{Code, Problem, Violation},
    validation::violations_of,
};

/// A JSON body that keeps every rule of its type.
pub(crate) struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Validate> FromRequest<S> for Json<T> {
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
        let value: T = parse(&bytes)?;
        value.validate().map_err(|errors| Problem::violations(violations_of(&errors)))?;
        Ok(Self(value))
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
    // A derived type would take a list for its fields in order.
    let is_list = bytes.trim_ascii_start().starts_with(b"[");
    match serde_json::from_slice(bytes) {
        Ok(value) if !is_list => Ok(value),
        _ => Err(wrong::<T>(bytes, is_list)),
    }
}

/// What is wrong with a body: found out with care, since most bodies are right.
fn wrong<T: DeserializeOwned>(bytes: &[u8], is_list: bool) -> Problem {
    // What is not JSON at all is told before what is wrong with its shape.
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
    let mut pointer = pointer_of(error.path());
    let error = error.into_inner();
    if error.classify() != Category::Data {
        return of_syntax(error);
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let named = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
    let (code, message): (_, Cow<'static, str>) = if let Some(field) = named("unknown field `") {
        add_if_missing(&mut pointer, field);
        ("unknown_field", "is not a field of this request".into())
    } else if let Some(field) = named("missing field `") {
        push(&mut pointer, field);
        ("missing_field", "is required".into())
    } else if let Some(field) = named("duplicate field `") {
        add_if_missing(&mut pointer, field);
        ("duplicate_field", "is given twice".into())
    } else if let Some((_, expected)) = text.split_once(", expected ") {
        // What was found instead is not repeated: it may be a secret in the wrong place.
        ("wrong_type", format!("expected {expected}").into())
    } else {
        ("wrong_format", text.to_owned().into())
    };
    Problem::violation(pointer, code, message)
}

/// A JSON pointer (RFC 6901).
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => push(&mut pointer, key),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Adds a step to a JSON pointer.
pub(crate) fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

/// The path of an error about a field ends, depending on where it was found, at the field or before it.
fn add_if_missing(pointer: &mut String, field: &str) {
    let mut step = String::new();
    push(&mut step, field);
    if !pointer.ends_with(&step) {
        pointer.push_str(&step);
    }
}

/// For a field that may be absent and must not be `null`; give it `default` too.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The id in a path.
pub(crate) struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let malformed = || Problem::malformed("The id in the path is not a UUID.");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| malformed())?;
        text.parse().map(Self).map_err(|_| malformed())
    }
}

/// The query of a request.
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::malformed(format!("{rejection}."))),
        }
    }
}

/// The page that a query asks for.
pub(crate) fn page<K: DeserializeOwned>(limit: Option<i64>, cursor: Option<&str>) -> Result<PageRequest<K>, Problem> {
    let limit = u32::try_from(limit.unwrap_or(i64::from(PAGE_ITEMS_DEFAULT))).unwrap_or_default();
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Problem::violation("/limit", "range", "must be 1 to 100"));
    }
    Ok(PageRequest { limit, after: cursor.map(cursor::decode).transpose()? })
}

/// What a value is parsed to, or the violation at this pointer.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    pointer: &str,
    code: &'static str,
    value: Result<T, E>,
) -> Result<T, Problem> {
    value.map_err(|error| {
        Problem::violations(vec![Violation {
            pointer: pointer.to_owned(),
            code: code.into(),
            message: error.to_string().into(),
        }])
    })
}
