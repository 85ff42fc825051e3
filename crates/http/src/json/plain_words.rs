//! What is wrong with a value, in words for clients: the types of this program do not concern them.

use std::borrow::Cow;

pub(crate) const WHOLE_NUMBER: &str = "must be a whole number";
pub(crate) const TRUE_OR_FALSE: &str = "must be `true` or `false`";
pub(crate) const OBJECT: &str = "must be an object";
pub(crate) const UUID: &str = "must be a UUID, such as `01890a5d-ac96-774b-bcce-b302099a8057`";
pub(crate) const TIME: &str = "must be a time with its zone, such as `2026-05-01T11:00:00Z`";
pub(crate) const TIME_WITHOUT_ZONE: &str = "has no zone: end it with `Z` for UTC, or with an offset such as `+09:00`";
pub(crate) const TIME_TOO_FINE: &str = "must have at most six digits after the second";
pub(crate) const DAY: &str = "is a day: add the time and its zone, as in `2026-05-01T11:00:00Z`";
pub(crate) const YEARS: &str = "must lie in the years 1970 to 9999";
/// The message for an error that has no other.
pub(crate) const OTHER: &str = "does not have the right form";

/// The rule of a type, given what its deserializer says that it expects.
pub(crate) fn of_expected(expected: &str) -> Cow<'static, str> {
    let words = match expected {
        "a string" | "a borrowed string" | "a character" => "must be a text",
        "a boolean" => TRUE_OR_FALSE,
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => {
            WHOLE_NUMBER
        }
        "f32" | "f64" => "must be a number",
        "a sequence" => "must be a list",
        "a map" => OBJECT,
        _ if expected.starts_with("struct ") => OBJECT,
        _ if expected.contains("UUID") => UUID,
        _ if expected.contains("date and time") => TIME,
        // The names of the values of an enumeration.
        _ if expected.starts_with('`') || expected.starts_with("one of `") => {
            return format!("must be {expected}").into();
        }
        _ => OTHER,
    };
    words.into()
}

/// The rule of a text, given the message of the type that refused it.
pub(crate) fn of_format(message: &str) -> &'static str {
    if message.starts_with("UUID") {
        return UUID;
    }
    let own = [TIME, TIME_WITHOUT_ZONE, TIME_TOO_FINE, DAY, YEARS];
    own.into_iter().find(|words| *words == message).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_of_the_program_has_its_own_name() {
        for (expected, words) in [
            ("i64", WHOLE_NUMBER),
            ("u32", WHOLE_NUMBER),
            ("a string", "must be a text"),
            ("struct PublishVenueRequest", OBJECT),
            ("struct Row with 2 elements", OBJECT),
            ("a formatted UUID string", UUID),
            ("an RFC 3339 formatted date and time string", TIME),
            ("one of `held`, `sold`", "must be one of `held`, `sold`"),
            ("unit variant Choice::Held", OTHER),
        ] {
            assert_eq!(of_expected(expected), words);
        }
    }
}
