//! JSON as people and their programs write it: the bodies of requests, and the files of the command line.
//!
//! A whole number may be written in every form of JSON, and an object is not written as a list. What is wrong is named by
//! its place, and in words that know nothing of this program.

mod object;
pub(crate) mod plain_words;
pub(crate) mod pointer;
mod time;
mod whole_numbers;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::error::Category;

pub use object::Object;
pub(crate) use object::{object, objects};
pub use time::{Time, in_years, time};
pub use whole_numbers::whole_number;

/// What is wrong with a member that an object does not have.
pub(crate) const UNKNOWN_FIELD: &str = "is not a field of this request";

/// Why a text is not the JSON that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It has nothing but white space.
    Empty,
    /// It ends, in this line and column, before it is complete.
    CutOff { line: usize, column: usize },
    /// It is not JSON from this line and column on.
    Syntax { line: usize, column: usize },
    /// A part of it is not what it should be.
    Shape(Fault),
}

/// What is wrong with a part of a JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The part, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong, by a name that stays the same between versions.
    pub code: &'static str,
    /// What is wrong, in words that go on after the name of the part.
    pub message: Cow<'static, str>,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "is empty"),
            Self::CutOff { line, column } => {
                write!(f, "is not JSON: it ends at line {line}, column {column}, before it is complete")
            }
            Self::Syntax { line, column } => {
                write!(f, "is not JSON: line {line}, column {column}; check the commas, quotes and brackets there")
            }
            Self::Shape(Fault { pointer, message, .. }) => write!(f, "{pointer} {message}"),
        }
    }
}

impl JsonError {
    pub(crate) fn of_syntax(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        if error.is_eof() { Self::CutOff { line, column } } else { Self::Syntax { line, column } }
    }
}

/// Reads a value, which is an object.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    match serde_json::from_slice(text) {
        Ok(Object(value)) => Ok(value),
        Err(_) => read_with_care(text),
    }
}

/// Reads whole numbers in every form, and finds out what is wrong with a text. It may take its time, since most texts are
/// plain and right.
fn read_with_care<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    if text.trim_ascii().is_empty() {
        return Err(JsonError::Empty);
    }
    // A syntax error goes before an error of the shape.
    serde_json::from_slice::<IgnoredAny>(text).map_err(|error| JsonError::of_syntax(&error))?;
    let text = whole_numbers::as_digits(text);
    let mut deserializer = serde_json::Deserializer::from_slice(&text);
    serde_path_to_error::deserialize(&mut deserializer).map(|Object(value)| value).map_err(of_shape)
}

fn of_shape(error: serde_path_to_error::Error<serde_json::Error>) -> JsonError {
    let mut pointer = pointer::of_path(error.path());
    let error = error.into_inner();
    if error.classify() != Category::Data {
        return JsonError::of_syntax(&error);
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
        ("wrong_format", plain_words::of_format(text).into())
    };
    JsonError::Shape(Fault { pointer, code, message })
}

/// For a field that may be absent but not `null`; give it `default` too.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
