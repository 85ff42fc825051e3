//! The rules of fields. Those for `#[validate(custom(…))]` ask the domain type that the field becomes.

use boxoffice_domain::{
    Timestamp,
    accounts::{LoginId, Password},
    seats::PartName,
    text::{Description, Name, TextError},
};
use chrono::Datelike;
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::pointer::push;
use crate::reply::{Problem, Violation};

fn broken(code: &'static str, rule: &impl std::fmt::Display) -> ValidationError {
    ValidationError::new(code).with_message(rule.to_string().into())
}

fn of_text(error: TextError) -> ValidationError {
    let code = match error {
        TextError::Empty => "text_empty",
        TextError::TooLong { .. } => "text_too_long",
        TextError::ControlCharacter => "text_control_character",
        TextError::Forbidden(_) => "text_forbidden_character",
    };
    broken(code, &error)
}

pub(crate) fn login_id(text: &str) -> Result<(), ValidationError> {
    LoginId::new(text).map(drop).map_err(|error| broken("login_id", &error))
}

pub(crate) fn password(text: &str) -> Result<(), ValidationError> {
    Password::new(text).map(drop).map_err(|error| broken("password_length", &error))
}

pub(crate) fn name(text: &str) -> Result<(), ValidationError> {
    Name::new(text).map(drop).map_err(of_text)
}

pub(crate) fn description(text: &str) -> Result<(), ValidationError> {
    Description::new(text).map(drop).map_err(of_text)
}

pub(crate) fn part_name(text: &str) -> Result<(), ValidationError> {
    PartName::new(text).map(drop).map_err(of_text)
}

/// Every storage keeps the years 1970 to 9999.
pub(crate) fn instant(at: &Timestamp) -> Result<(), ValidationError> {
    if (1970..=9999).contains(&at.year()) {
        Ok(())
    } else {
        Err(broken("timestamp_range", &"must lie in the years 1970 to 9999"))
    }
}

/// The instant in whole microseconds, the precision of every storage.
pub(crate) fn in_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// Parses a field, or refuses with a violation at this pointer.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    pointer: &str,
    code: &'static str,
    value: Result<T, E>,
) -> Result<T, Problem> {
    value.map_err(|error| Problem::violation(pointer, code, error.to_string()))
}

/// A number of which the validator has checked that it is in a range far inside that of its type.
pub(crate) fn count(pointer: &str, number: Option<i64>) -> Result<Option<u32>, Problem> {
    number.map(|number| parsed(pointer, "range", u32::try_from(number))).transpose()
}

/// Lists all that is wrong, each with its JSON pointer, in a stable order.
pub(crate) fn violations_of(errors: &ValidationErrors) -> Vec<Violation> {
    let mut violations = Vec::new();
    collect("", errors, &mut violations);
    violations
}

fn collect(parent: &str, errors: &ValidationErrors, violations: &mut Vec<Violation>) {
    let mut fields: Vec<_> = errors.errors().iter().collect();
    fields.sort_by_key(|(field, _)| *field);
    for (field, kind) in fields {
        let mut pointer = parent.to_owned();
        push(&mut pointer, field);
        match kind {
            ValidationErrorsKind::Field(broken) => violations.extend(broken.iter().map(|error| Violation {
                pointer: pointer.clone(),
                code: error.code.clone(),
                message: error.message.clone().unwrap_or_else(|| "breaks a rule".into()),
            })),
            ValidationErrorsKind::Struct(inner) => collect(&pointer, inner, violations),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    collect(&format!("{pointer}/{index}"), inner, violations);
                }
            }
        }
    }
}
