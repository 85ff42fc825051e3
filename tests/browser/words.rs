//! The texts of the pages, from the same files that the pages read: a test looks for what a visitor reads.

use std::collections::BTreeMap;

use boxoffice_tests::read;
use serde_json::Value;

pub(super) struct Words {
    texts: BTreeMap<String, String>,
}

impl Words {
    /// Those of a language: `en` or `ko`.
    pub(super) fn of(language: &str) -> Self {
        let mut texts = BTreeMap::new();
        for part in ["", "organiser."] {
            let file = read(&format!("crates/pages/static/{part}{language}.json"));
            texts.extend(serde_json::from_str::<BTreeMap<_, _>>(&file).expect("texts by their names"));
        }
        Self { texts }
    }

    /// A text without values.
    pub(super) fn say(&self, name: &str) -> String {
        self.say_with(name, &[])
    }

    /// A text with values in the places of `{names}`; `count` decides between one and many.
    pub(super) fn say_with(&self, name: &str, values: &[(&str, Value)]) -> String {
        let is_one = values.iter().any(|(name, value)| *name == "count" && value == 1);
        let plural = if is_one { "one" } else { "other" };
        let names = [format!("{name}.{plural}"), format!("{name}.other"), name.to_owned()];
        let text = names.iter().find_map(|name| self.texts.get(name)).unwrap_or_else(|| panic!("no text for {name}"));
        values.iter().fold(text.clone(), |text, (name, value)| {
            let value = value.as_str().map_or_else(|| grouped(value.as_u64().expect("a number")), str::to_owned);
            text.replace(&format!("{{{name}}}"), &value)
        })
    }

    /// The beginning of a text, before its first value.
    pub(super) fn beginning(&self, name: &str) -> String {
        let text = self.say(name);
        text.split('{').next().unwrap_or_default().trim().to_owned()
    }
}

/// A number as both languages write it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
