//! Times as they are given: in JSON, in queries, and in lists.

use std::{borrow::Cow, fmt};

use boxoffice_domain::Timestamp;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use super::plain_words;

/// What every storage keeps of a second are six digits.
const FRACTION_DIGITS_MAX: usize = 6;

/// An instant in whole microseconds, read from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

/// The instant that a text names, or what is wrong with the text. An instant between two microseconds is refused: no
/// storage keeps it.
pub fn time(text: &str) -> Result<Timestamp, &'static str> {
    let at: DateTime<Utc> = text.parse().map_err(|_| what_is_wrong(text))?;
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    if digits.skip(FRACTION_DIGITS_MAX).any(|digit| digit != b'0') {
        return Err(plain_words::TIME_TOO_FINE);
    }
    // A leap second becomes the first second of the next minute.
    Timestamp::from_timestamp_micros(at.timestamp_micros()).ok_or(plain_words::YEARS)
}

/// The instant, if every storage keeps its year.
pub fn in_years(at: Timestamp) -> Result<Timestamp, &'static str> {
    if (1970..=9999).contains(&at.year()) { Ok(at) } else { Err(plain_words::YEARS) }
}

fn what_is_wrong(text: &str) -> &'static str {
    let text = text.trim().replace(['t', ' '], "T");
    let has_form = |form: &&str| NaiveDateTime::parse_from_str(&text, form).is_ok();
    if ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"].iter().any(has_form) {
        plain_words::TIME_WITHOUT_ZONE
    } else if NaiveDate::parse_from_str(&text, "%Y-%m-%d").is_ok() {
        plain_words::DAY
    } else {
        plain_words::TIME
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;

        impl Visitor<'_> for OfText {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date and time")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                time(text).map(Time).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(OfText)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let rule = "In the years 1970 to 9999, with its zone, and with at most six digits after the second: further \
                    ones have to be zeros.";
        let time = ObjectBuilder::new().schema_type(Type::String).description(Some(rule));
        time.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_says_so() {
        for text in ["2026-05-01T11:00:00", "2026-05-01 11:00:00.25", "2026-05-01T11:00", " 2026-05-01t11:00:00 "] {
            assert_eq!(time(text), Err(plain_words::TIME_WITHOUT_ZONE), "{text}");
        }
        assert_eq!(time("2026-05-01"), Err(plain_words::DAY));
        for text in ["", "soon", "2026-13-01T11:00:00Z", "2026", "1777633200", "2026-05-01T25:00:00"] {
            assert_eq!(time(text), Err(plain_words::TIME), "{text}");
        }
    }

    #[test]
    fn no_digit_of_a_second_is_dropped() {
        let whole = time("2026-05-01T11:00:00Z").unwrap();
        let micros = |text: &str| (time(text).unwrap() - whole).num_microseconds().unwrap();
        for (text, expected) in [
            ("2026-05-01T11:00:00.000001Z", 1),
            ("2026-05-01T20:00:00.123456+09:00", 123_456),
            ("2026-05-01T11:00:00.1234560Z", 123_456),
            ("2026-05-01 11:00:00.5000000000000000z", 500_000),
            ("2026-05-01T11:00:00.999999Z", 999_999),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
        for fraction in ["0000001", "1234567", "123456789", "0000000001", "9999999999999999"] {
            for zone in ["Z", "+09:00", "-01:30"] {
                let text = format!("2026-05-01T11:00:00.{fraction}{zone}");
                assert_eq!(time(&text), Err(plain_words::TIME_TOO_FINE), "{text}");
            }
        }
        let leap = time("2016-12-31T23:59:60.25Z").unwrap();
        assert_eq!(leap, time("2017-01-01T00:00:00.25Z").unwrap());
    }

    #[test]
    fn a_year_is_one_that_every_storage_keeps() {
        for text in ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z"]
        {
            assert_eq!(time(text).and_then(in_years), Err(plain_words::YEARS), "{text}");
        }
        assert!(time("9999-12-31T23:59:59.999999Z").and_then(in_years).is_ok());
    }
}
