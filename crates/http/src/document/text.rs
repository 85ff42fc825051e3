//! The document as a text for people.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use utoipa::openapi::OpenApi;

/// The most characters of a line, unless it has only one value.
const LINE_CHARACTERS_MAX: usize = 120;
/// What a line begins with for each list and object around it: nothing, since most lines are deep, and the document is
/// looked at in other ways.
const INDENT: &str = "";

/// The document, a value on each line. A list or an object that fits is on one line.
pub(super) fn text(document: &OpenApi) -> serde_json::Result<String> {
    let mut text = joined(&pretty(document)?);
    text.push('\n');
    Ok(text)
}

/// JSON with one value on each line.
fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(INDENT.as_bytes());
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Joins lines of which each has one value.
fn joined(pretty: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut opened = Vec::new();
    for line in pretty.lines() {
        lines.push(line.to_owned());
        // A line with a text ends and begins with a quote or a comma.
        if line.ends_with(['{', '[']) {
            opened.push(lines.len() - 1);
        } else if line.trim_start().starts_with(['}', ']'])
            && let Some(first) = opened.pop()
        {
            let group = lines.split_off(first);
            lines.extend(shortest(group));
        }
    }
    lines.join("\n")
}

/// A list or an object in as few lines as possible. The first of its lines opens it, the last one closes it.
fn shortest(group: Vec<String>) -> Vec<String> {
    let [first, values @ .., last] = &group[..] else { return group };
    let (closing, is_object) = (last.trim_start(), first.ends_with('{'));
    let values: Vec<_> = values.iter().map(|line| line.trim_start()).collect();
    let space = if is_object { " " } else { "" };
    let one_line = format!("{first}{space}{}{space}{closing}", values.join(" "));
    if one_line.chars().count() <= LINE_CHARACTERS_MAX {
        return vec![one_line];
    }
    let is_nested = |value: &&str| value.trim_end_matches(',').ends_with(['}', ']', '{', '[']);
    if is_object || values.iter().any(is_nested) {
        return group;
    }
    // A list of texts or numbers, as many on a line as fit.
    let indent = format!("{}{INDENT}", &last[..last.len() - closing.len()]);
    let mut filled = vec![first.clone()];
    let mut line = indent.clone();
    for value in values {
        let begins = line.len() == indent.len();
        if !begins && line.chars().count() + 1 + value.chars().count() > LINE_CHARACTERS_MAX {
            filled.push(std::mem::replace(&mut line, indent.clone()));
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(value);
    }
    filled.extend([line, last.clone()]);
    filled
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lines(value: &Value) -> Vec<String> {
        let text = joined(&pretty(value).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), *value);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_fits_is_on_one_line() {
        assert_eq!(lines(&json!({"a": [1, {"b": "}"}], "c": {}})), [r#"{ "a": [1, { "b": "}" }], "c": {} }"#]);
    }

    #[test]
    fn what_does_not_fit_is_divided_and_a_list_of_texts_is_filled() {
        let word = "x".repeat(40);
        let value = json!({"list": [word, word, word], "object": {"one": word, "three": word, "two": [word]}});
        let word = format!("\"{word}\"");
        assert_eq!(
            lines(&value),
            [
                "{".to_owned(),
                "\"list\": [".to_owned(),
                format!("{word}, {word},"),
                word.clone(),
                "],".to_owned(),
                "\"object\": {".to_owned(),
                format!("\"one\": {word},"),
                format!("\"three\": {word},"),
                format!("\"two\": [{word}]"),
                "}".to_owned(),
                "}".to_owned(),
            ]
        );
    }
}
