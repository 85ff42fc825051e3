//! The form that the description gives to a query parameter.

use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

use crate::json::{self, plain_words};

/// The form of a query parameter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParameterForm {
    /// A whole number within these bounds, both included.
    Integer {
        min: i64,
        max: i64,
    },
    Boolean,
    /// One of these texts.
    Choice(Vec<String>),
    Time,
    /// A text of at most so many characters.
    Text {
        characters_max: usize,
    },
}

impl ParameterForm {
    /// The form that a schema describes. What it says beyond the variants of this type is left to the handler.
    pub(crate) fn of(schema: Option<&RefOr<Schema>>) -> Self {
        let schema = schema.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or_default();
        let number = |name: &str, default: i64| schema[name].as_i64().unwrap_or(default);
        let is = |name: &str, value: &str| match &schema[name] {
            Value::Array(values) => values.iter().any(|one| one == value),
            one => one == value,
        };
        if let Some(choices) = schema["enum"].as_array() {
            return Self::Choice(choices.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        }
        if is("type", "integer") {
            Self::Integer { min: number("minimum", i64::MIN), max: number("maximum", i64::MAX) }
        } else if is("type", "boolean") {
            Self::Boolean
        } else if is("format", "date-time") {
            Self::Time
        } else {
            let characters_max = schema["maxLength"].as_u64().and_then(|max| usize::try_from(max).ok());
            Self::Text { characters_max: characters_max.unwrap_or(usize::MAX) }
        }
    }

    /// The rule that a value breaks, by its code and in words.
    pub(crate) fn check(&self, value: &str) -> Result<(), (&'static str, String)> {
        let refuse = |code, message: &str| Err((code, message.to_owned()));
        // What is not UTF-8 was replaced by this character when the query was decoded.
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return refuse("wrong_format", "must be text in UTF-8");
        }
        match self {
            Self::Integer { min, max } => match whole_number(value) {
                None => refuse("wrong_type", plain_words::WHOLE_NUMBER),
                Some(number) if (*min..=*max).contains(&number) => Ok(()),
                Some(_) => Err(("range", format!("must be {min} to {max}"))),
            },
            Self::Boolean if !matches!(value, "true" | "false") => refuse("wrong_type", plain_words::TRUE_OR_FALSE),
            Self::Choice(choices) if !choices.iter().any(|choice| choice == value) => {
                let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
                Err(("wrong_type", format!("must be one of {}", choices.join(", "))))
            }
            Self::Time => json::time(value).map(drop).map_err(|wrong| ("wrong_format", wrong_time(value, wrong))),
            Self::Text { characters_max } if value.chars().count() > *characters_max => {
                Err(("text_too_long", format!("must have at most {characters_max} characters")))
            }
            Self::Boolean | Self::Choice(_) | Self::Text { .. } => Ok(()),
        }
    }
}

/// A whole number; one beyond the bounds of the type is the last one on its side.
fn whole_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

/// What is wrong with a text that is not a time.
fn wrong_time(text: &str, wrong: &'static str) -> String {
    let words = match text.rsplit_once(' ') {
        // In a query a plus sign stands for a blank.
        Some((time, offset)) if json::time(&format!("{time}+{offset}")).is_ok() => {
            "has a blank where its offset begins: write `+` as `%2B` in a query"
        }
        _ => wrong,
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::{ObjectBuilder, Type, schema::SchemaType};

    use super::*;

    fn form(schema: ObjectBuilder) -> ParameterForm {
        ParameterForm::of(Some(&RefOr::T(Schema::Object(schema.build()))))
    }

    fn refused(form: &ParameterForm, value: &str) -> &'static str {
        form.check(value).unwrap_err().0
    }

    #[test]
    fn an_integer_has_its_bounds() {
        let limit = form(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(100)));
        assert_eq!(limit, ParameterForm::Integer { min: 1, max: 100 });
        for good in ["1", "100", "007"] {
            assert_eq!(limit.check(good), Ok(()), "{good}");
        }
        for bad in ["", "x", "1.5", "1e1", "+1", "-", "--1", " 1", "1 ", "٣", "0x1"] {
            assert_eq!(limit.check(bad), Err(("wrong_type", "must be a whole number".to_owned())), "{bad}");
        }
        for bad in ["0", "101", "-1", "99999999999999999999999", "-99999999999999999999999"] {
            assert_eq!(limit.check(bad), Err(("range", "must be 1 to 100".to_owned())), "{bad}");
        }
        let nullable = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Integer, Type::Null]));
        assert_eq!(form(nullable), ParameterForm::Integer { min: i64::MIN, max: i64::MAX });
    }

    #[test]
    fn every_other_form_says_what_it_takes() {
        let boolean = form(ObjectBuilder::new().schema_type(Type::Boolean));
        assert_eq!((boolean.check("true"), boolean.check("false")), (Ok(()), Ok(())));
        assert_eq!((refused(&boolean, "1"), refused(&boolean, "True")), ("wrong_type", "wrong_type"));
        let choice = form(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["held", "sold"])));
        assert_eq!(choice.check("sold"), Ok(()));
        assert_eq!(choice.check("Sold"), Err(("wrong_type", "must be one of `held`, `sold`".to_owned())));
        let text = form(ObjectBuilder::new().schema_type(Type::String).max_length(Some(3)));
        assert_eq!((text.check("한여름"), refused(&text, "한여름 ")), (Ok(()), "text_too_long"));
        assert_eq!(refused(&text, "\u{fffd}"), "wrong_format");
        assert_eq!(ParameterForm::of(None), ParameterForm::Text { characters_max: usize::MAX });
    }

    #[test]
    fn a_time_in_a_query_has_a_zone() {
        use utoipa::openapi::{KnownFormat, SchemaFormat};
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        let time = form(ObjectBuilder::new().schema_type(Type::String).format(Some(format)));
        assert_eq!((time.check("2026-05-01T11:00:00Z"), time.check("2026-05-01T20:00:00+09:00")), (Ok(()), Ok(())));
        let words = |value: &str| time.check(value).unwrap_err().1;
        assert!(words("2026-05-01T11:00:00").starts_with("has no zone"));
        assert!(words("2026-05-01T20:00:00 09:00").contains("%2B"));
        assert_eq!(words("2026-05-01T20:00:00.1234567Z"), "must have at most six digits after the second");
    }
}
