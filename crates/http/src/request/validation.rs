//! The rules of fields. Bounds of numbers are attributes of a request; every other field becomes a type of the domain, or a
//! violation of its rule.

use std::{fmt::Display, ops::RangeInclusive};

use boxoffice_domain::{Timestamp, text::TextError};
use validator::{Validate, ValidationError, ValidationErrors, ValidationErrorsKind};

use crate::{
    json::{self, Time, pointer::push},
    reply::{Problem, Violation},
};

/// Checks the fields of a request, and collects what is wrong with them.
#[derive(Default)]
pub(crate) struct Fields(Vec<Violation>);

/// What `check` makes of a request, unless an attribute of the request or `check` finds violations. A number that breaks an
/// attribute is already among them where `check` makes nothing of it.
pub(crate) fn validated<T>(
    request: &impl Validate,
    check: impl FnOnce(&mut Fields) -> Option<T>,
) -> Result<T, Problem> {
    parsed(|fields| {
        if let Err(errors) = request.validate() {
            fields.add("", &errors);
        }
        let value = check(fields);
        fields.0.sort_by(|one, other| one.pointer.cmp(&other.pointer));
        value
    })
}

/// As [`validated`], for a request without attributes.
pub(crate) fn parsed<T>(check: impl FnOnce(&mut Fields) -> Option<T>) -> Result<T, Problem> {
    let mut fields = Fields::default();
    match check(&mut fields) {
        Some(value) if fields.0.is_empty() => Ok(value),
        _ => Err(Problem::violations(fields.0)),
    }
}

impl Fields {
    fn add(&mut self, parent: &str, errors: &ValidationErrors) {
        for (field, kind) in errors.errors() {
            let mut pointer = parent.to_owned();
            push(&mut pointer, field);
            match kind {
                ValidationErrorsKind::Field(broken) => {
                    self.0.extend(broken.iter().map(|rule| violation(&pointer, rule)));
                }
                ValidationErrorsKind::Struct(inner) => self.add(&pointer, inner),
                ValidationErrorsKind::List(items) => {
                    for (index, inner) in items {
                        self.add(&format!("{pointer}/{index}"), inner);
                    }
                }
            }
        }
    }

    /// The value, or `None` and a violation of the rule with this code.
    pub(crate) fn check<T, E: Display>(&mut self, pointer: &str, code: &'static str, value: Result<T, E>) -> Option<T> {
        let violation =
            |error: E| Violation { pointer: pointer.to_owned(), code: code.into(), message: error.to_string().into() };
        value.map_err(|error| self.0.push(violation(error))).ok()
    }

    pub(crate) fn text<T>(&mut self, pointer: &str, text: Result<T, TextError>) -> Option<T> {
        let code = match &text {
            Err(TextError::TooLong { .. }) => "text_too_long",
            Err(TextError::ControlCharacter) => "text_control_character",
            Err(TextError::Forbidden(_)) => "text_forbidden_character",
            Err(TextError::Invisible(_)) => "text_invisible_character",
            Err(TextError::Undefined(_)) => "text_undefined_character",
            Err(TextError::NothingVisible) => "text_nothing_visible",
            Err(TextError::Empty) | Ok(_) => "text_empty",
        };
        self.check(pointer, code, text)
    }

    /// A number within bounds, which `N` holds.
    pub(crate) fn number<N: TryFrom<i64>>(
        &mut self,
        pointer: &str,
        number: i64,
        bounds: RangeInclusive<i64>,
    ) -> Option<N> {
        let within = N::try_from(number).ok().filter(|_| bounds.contains(&number));
        self.check(pointer, "range", within.ok_or_else(|| format!("must be {} to {}", bounds.start(), bounds.end())))
    }

    /// An instant in the years that every storage keeps.
    pub(crate) fn instant(&mut self, pointer: &str, at: Time) -> Option<Timestamp> {
        self.check(pointer, "timestamp_range", json::in_years(at.0))
    }

    /// What `check` makes of all items of a list, given their pointers.
    pub(crate) fn each<I, T>(
        &mut self,
        pointer: &str,
        items: &[I],
        check: impl Fn(&mut Self, &str, &I) -> Option<T>,
    ) -> Option<Vec<T>> {
        let check = |(index, item)| check(self, &format!("{pointer}/{index}"), item);
        let checked: Vec<_> = items.iter().enumerate().map(check).collect();
        checked.into_iter().collect()
    }
}

/// The only rule of attributes is a range.
fn violation(pointer: &str, rule: &ValidationError) -> Violation {
    let bound = |name: &str| rule.params.get(name).map(ToString::to_string).unwrap_or_default();
    let message = format!("must be {} to {}", bound("min"), bound("max"));
    Violation { pointer: pointer.to_owned(), code: rule.code.clone(), message: message.into() }
}
