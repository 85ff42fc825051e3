//! Whole numbers as JSON Schema has them: `1000.0` and `1e3` are integers, too.

use serde::de::IgnoredAny;

/// The JSON text with each whole number as digits alone, which is how integers are read. One beyond the bounds of `i64`
/// becomes the last one on its side, so that the bounds of its field refuse it. Everything else stays as it is.
pub(crate) fn as_digits(json: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(first) = rest.first() {
        let length = match first {
            b'"' => text_length(rest),
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| is_of_number(**byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        let number = if is_of_number(*first) { std::str::from_utf8(token).ok().and_then(whole) } else { None };
        match number {
            Some(number) => written.extend(number.to_string().into_bytes()),
            None => written.extend_from_slice(token),
        }
        rest = after;
    }
    written
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// How many bytes the text at the beginning has, with its quotes.
fn text_length(json: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = json.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(json.len(), |inner| inner + 2)
}

/// The whole number that a text is, in any form of JSON; `None` if it is none. One beyond the bounds of `i64` is the last
/// one on its side.
pub fn whole_number(text: &str) -> Option<i64> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    serde_json::from_slice(&as_digits(text.as_bytes())).ok()
}

/// The value of a number of JSON; `None` if it is a fraction.
fn whole(number: &str) -> Option<i64> {
    let (is_negative, magnitude) = number.strip_prefix('-').map_or((false, number), |magnitude| (true, magnitude));
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integer}{fraction}");
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return digits.starts_with('0').then_some(0);
    }
    let zeros_behind = digits.len() - digits.trim_end_matches('0').len();
    // An exponent that is too long to be read is farther than any number of digits.
    let farthest = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    let places = |count: usize| i64::try_from(count).unwrap_or(i64::MAX / 4);
    let exponent = exponent.parse::<i64>().unwrap_or(farthest).clamp(i64::MIN / 2, i64::MAX / 2);
    let zeros = exponent + places(zeros_behind) - places(fraction.len());
    if zeros < 0 {
        return None;
    }
    let beyond = if is_negative { i64::MIN } else { i64::MAX };
    let fits = places(significant.len()).saturating_add(zeros) <= 19;
    let zeros = usize::try_from(zeros).ok().filter(|_| fits);
    let sign = if is_negative { "-" } else { "" };
    Some(zeros.and_then(|zeros| format!("{sign}{significant}{}", "0".repeat(zeros)).parse().ok()).unwrap_or(beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_digits_and_fractions_stay() {
        for (number, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0e5", Some(0)),
            ("0e-99999999999999999999", Some(0)),
            ("1000.0", Some(1_000)),
            ("1e3", Some(1_000)),
            ("1E+3", Some(1_000)),
            ("-1.5e1", Some(-15)),
            ("100e-2", Some(1)),
            ("0.001e3", Some(1)),
            ("1.20", None),
            ("1e-1", None),
            ("1e-99999999999999999999", None),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808.0", Some(i64::MIN)),
            ("9223372036854775808", Some(i64::MAX)),
            ("-9223372036854775809", Some(i64::MIN)),
            ("1e400", Some(i64::MAX)),
            ("-1e99999999999999999999", Some(i64::MIN)),
        ] {
            assert_eq!(whole(number), value, "{number}");
        }
        assert_eq!(whole(&"9".repeat(400)), Some(i64::MAX));
        assert_eq!(whole(&format!("0.{}1e401", "0".repeat(400))), Some(1));
    }

    #[test]
    fn a_text_that_is_no_whole_number_is_none() {
        for (text, number) in [("7", 7), ("1000.0", 1_000), ("1e3", 1_000), ("-2", -2), ("1e400", i64::MAX)] {
            assert_eq!(whole_number(text), Some(number), "{text}");
        }
        for text in ["", "-", "1.5", "1.2.3", "01", "+7", "0x7", "7 8", "many", "\"7\"", "[7]", "1e", "null"] {
            assert_eq!(whole_number(text), None, "{text}");
        }
    }

    #[test]
    fn texts_stay_as_they_are() {
        let json = r#"{"a1e3": ["1e3", "\"1e3", "\\", 1e3, -2.0, 0.5, true], "b": {"c": 10}}"#;
        let expected = r#"{"a1e3": ["1e3", "\"1e3", "\\", 1000, -2, 0.5, true], "b": {"c": 10}}"#;
        assert_eq!(String::from_utf8(as_digits(json.as_bytes())).unwrap(), expected);
        assert_eq!(as_digits(b"\"open"), b"\"open");
    }
}
