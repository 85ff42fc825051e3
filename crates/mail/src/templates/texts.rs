//! The texts of the mails, one file for each language.

use std::{collections::HashMap, sync::LazyLock};

use boxoffice_domain::{Points, TimeZone, Timestamp, mail::MailLanguage, rfc3339};

/// The texts of a language, by their keys. `{name}` stands for a value.
pub(super) struct Texts(HashMap<String, String>);

static ENGLISH: LazyLock<Texts> = LazyLock::new(|| Texts::read(include_str!("../../texts/en.json")));
static KOREAN: LazyLock<Texts> = LazyLock::new(|| Texts::read(include_str!("../../texts/ko.json")));

impl Texts {
    pub(super) fn of(language: MailLanguage) -> &'static Self {
        match language {
            MailLanguage::English => &ENGLISH,
            MailLanguage::Korean => &KOREAN,
        }
    }

    /// The files are part of the program, and a test reads them.
    fn read(json: &str) -> Self {
        Self(serde_json::from_str(json).expect("texts by their keys"))
    }

    /// The text with this key, with values in place of their names. What a value has in braces stays.
    pub(super) fn get(&self, key: &str, values: &[(&str, &str)]) -> String {
        let mut rest = self.0.get(key).map_or(key, String::as_str);
        let mut text = String::with_capacity(rest.len());
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(before);
            text.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = after;
        }
        text.push_str(rest);
        text
    }

    /// The text about so many things.
    fn counted(&self, key: &str, count: i64) -> String {
        let form = if count == 1 { "one" } else { "other" };
        self.get(&format!("{key}.{form}"), &[("count", &grouped(count))])
    }

    pub(super) fn points(&self, points: Points) -> String {
        self.counted("points", points.get())
    }

    pub(super) fn minutes(&self, minutes: u32) -> String {
        self.counted("minutes", i64::from(minutes))
    }

    /// The instant as the clocks of the zone show it, with the name of the zone.
    pub(super) fn time(&self, at: Timestamp, zone: TimeZone) -> String {
        // The domain has its zones from the same database. Years beyond 9999 have no other form.
        let Ok(shown) = jiff::Timestamp::from_second(at.timestamp()).and_then(|at| at.in_tz(zone.as_str())) else {
            return rfc3339(at);
        };
        let values = [
            ("year", shown.year().to_string()),
            ("month", self.get(&format!("month.{}", shown.month()), &[])),
            ("day", shown.day().to_string()),
            ("weekday", self.get(&format!("weekday.{}", shown.weekday().to_monday_one_offset()), &[])),
            ("clock", format!("{:02}:{:02}", shown.hour(), shown.minute())),
            ("zone", zone.as_str().to_owned()),
        ];
        self.get("time", &values.each_ref().map(|(name, value)| (*name, value.as_str())))
    }
}

/// A number with commas between its thousands, as both languages write it.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|rest| rest.split_once('}').expect("a closed brace").0).collect()
    }

    #[test]
    fn both_languages_have_the_same_keys_and_placeholders() {
        let shape = |language| -> std::collections::BTreeMap<_, _> {
            Texts::of(language).0.iter().map(|(key, text)| (key.as_str(), placeholders(text))).collect()
        };
        let (english, korean) = (shape(MailLanguage::English), shape(MailLanguage::Korean));
        assert_eq!(english, korean);
        assert!(english.len() > 50);
        let texts = MailLanguage::ALL.into_iter().flat_map(|language| Texts::of(language).0.values());
        assert!(texts.clone().all(|text| !text.is_empty() && text.trim() == text && !text.contains(['<', '&'])));
    }

    #[test]
    fn a_value_is_not_read_for_placeholders() {
        let text = Texts::of(MailLanguage::English).get("venue", &[("name", "{location}"), ("location", "{x")]);
        assert_eq!(text, "{location}, {x");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown = [0, 7, 999, 1_000, 1_234_567, i64::MAX].map(grouped);
        assert_eq!(shown, ["0", "7", "999", "1,000", "1,234,567", "9,223,372,036,854,775,807"]);
        let points = |language, count| Texts::of(language).points(Points::new(count).unwrap());
        assert_eq!(points(MailLanguage::English, 1), "1 point");
        assert_eq!(points(MailLanguage::English, 110_000), "110,000 points");
        assert_eq!(points(MailLanguage::Korean, 110_000), "110,000포인트");
    }

    #[test]
    fn a_time_is_that_of_the_venue() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let shown = |language, text: &str, zone| Texts::of(language).time(at(text), TimeZone::new(zone).unwrap());
        let english = |text, zone| shown(MailLanguage::English, text, zone);
        assert_eq!(english("2026-12-05T10:30:00Z", "Asia/Seoul"), "Saturday, 5 December 2026, 19:30 (Asia/Seoul)");
        assert_eq!(english("2026-12-31T15:00:00Z", "Asia/Seoul"), "Friday, 1 January 2027, 00:00 (Asia/Seoul)");
        assert_eq!(english("2026-07-01T18:00:00Z", "Europe/Berlin"), "Wednesday, 1 July 2026, 20:00 (Europe/Berlin)");
        assert_eq!(english("2026-11-01T18:00:00Z", "Europe/Berlin"), "Sunday, 1 November 2026, 19:00 (Europe/Berlin)");
        let korean = shown(MailLanguage::Korean, "2026-12-05T10:30:00Z", "Asia/Seoul");
        assert_eq!(korean, "2026년 12월 5일 토요일 19:30 (Asia/Seoul)");
        let late = Timestamp::MAX_UTC;
        assert_eq!(Texts::of(MailLanguage::Korean).time(late, TimeZone::default()), rfc3339(late));
    }
}
