//! The targets, beside what was measured.

use std::fmt::Write as _;

use boxoffice_rush::plot::grouped;

use crate::report::Section;

/// What is compared with a target.
#[derive(Clone, Copy)]
enum Measure {
    /// Wanted responses a second, of the row of this name and load.
    Rate(&'static str, &'static str),
    /// Milliseconds that 99 of 100 responses did not exceed, of such a row.
    P99(&'static str, &'static str),
    /// The figure of this name.
    Figure(&'static str),
}

/// A limit with its unit.
#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64, &'static str),
    AtMost(f64, &'static str),
    Below(f64, &'static str),
}

use Limit::{AtLeast, AtMost, Below};
use Measure::{Figure, P99, Rate};

const HOLD: Measure = Rate("hold, grouped", "256 connections");
const WAITING: &str = "1,000,000 waiting, 256 connections";

/// The targets, each with the key of the part in which it is measured.
const TARGETS: [(&str, Measure, Limit); 23] = [
    ("holds-mariadb", HOLD, AtLeast(20_000.0, "a second")),
    ("holds-mariadb", P99("hold, grouped", "256 connections"), Below(50.0, "ms")),
    ("holds-mariadb", Figure("grouped ÷ batches of 1, 256 connections"), AtLeast(6.0, "times")),
    ("holds-sqlite", HOLD, AtLeast(15_000.0, "a second")),
    ("holds-mysql", HOLD, AtLeast(10_000.0, "a second")),
    ("lone-mariadb", Figure("median over HTTP ÷ median of the plain transaction"), AtMost(1.3, "times")),
    ("money-mariadb", Rate("payment", "256 connections"), AtLeast(12_000.0, "a second")),
    ("purchase-mariadb", Figure("highest sustained rate"), AtLeast(2_000.0, "a second")),
    ("instances-mariadb", Figure("CPU for each purchase, 3 instances ÷ one"), AtMost(1.3, "times")),
    ("events-mariadb", Figure("events delivered while 2,000 a second are held"), AtLeast(5_000.0, "a second")),
    ("webhooks-mariadb", Figure("webhooks delivered while 1,000 a second are held"), AtLeast(1_000.0, "a second")),
    ("reads", Rate("concert list", "64 connections"), AtLeast(35_000.0, "a second")),
    // One of these two is enough.
    ("reads", Rate("selling: seats, all", "64 connections"), AtLeast(2_000.0, "a second")),
    ("reads", Rate("selling: by tag, 304", "64 connections"), AtLeast(25_000.0, "a second")),
    ("reads", Figure("from the 201 until another client is shown it, longest"), AtMost(500.0, "ms")),
    ("reads", Figure("own seat not shown as held after its 201"), AtMost(0.0, "times")),
    ("search", Rate("different searches", "64 connections"), AtLeast(2_000.0, "a second")),
    ("queue", Rate("join", WAITING), AtLeast(25_000.0, "a second")),
    ("queue", Rate("status poll", WAITING), AtLeast(35_000.0, "a second")),
    ("queue", Figure("resident memory for each waiting buyer, with the access token"), Below(300.0, "bytes")),
    ("growth", Figure("holds a second with the most seats ÷ with the fewest"), AtLeast(0.8, "times")),
    ("start", Figure("resident memory, idle"), Below(40.0, "MB")),
    ("start", Figure("ready after the first start"), AtMost(200.0, "ms")),
];

impl Measure {
    fn text(self) -> String {
        match self {
            Self::Rate(name, load) => format!("{name}, {load}"),
            Self::P99(name, load) => format!("{name}, {load}, p99"),
            Self::Figure(name) => name.to_owned(),
        }
    }

    /// The median of all rounds.
    fn of(self, section: &Section) -> Option<f64> {
        let row = |name: &str, load: &str| section.rows.iter().find(|row| row.name == name && row.load == load);
        let value = match self {
            Self::Rate(name, load) => row(name, load)?.per_second,
            Self::P99(name, load) => row(name, load)?.p99_ms,
            Self::Figure(name) => section.figures.iter().find(|figure| figure.name == name)?.value,
        };
        Some(value.median)
    }
}

impl Limit {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit, _) => value >= limit,
            Self::AtMost(limit, _) => value <= limit,
            Self::Below(limit, _) => value < limit,
        }
    }

    fn text(self) -> String {
        let (words, limit, unit) = match self {
            Self::AtLeast(limit, unit) => ("at least", limit, unit),
            Self::AtMost(limit, unit) => ("at most", limit, unit),
            Self::Below(limit, unit) => ("below", limit, unit),
        };
        format!("{words} {} {unit}", grouped(limit))
    }
}

/// The table of targets, as Markdown.
pub(crate) fn markdown(sections: &[&Section]) -> String {
    let mut text = "| part | what | wanted | measured | |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (part, measure, limit) in TARGETS {
        let section = sections.iter().find(|section| section.key == part);
        let (value, verdict) = match section.and_then(|section| measure.of(section)) {
            Some(value) if limit.is_met(value) => (grouped(value), "met"),
            Some(value) => (grouped(value), "**missed**"),
            None => ("not measured".to_owned(), ""),
        };
        let _ = writeln!(text, "| `{part}` | {} | {} | {value} | {verdict} |", measure.text(), limit.text());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Spread;

    #[test]
    fn measurements_are_compared_with_their_targets() {
        let mut start = Section::new("", "");
        start.key = "start".to_owned();
        start.figure("resident memory, idle", Spread::of([39.9]), "MB");
        start.figure("ready after the first start", Spread::of([200.1]), "ms");
        let text = markdown(&[&start]);
        assert!(text.contains("| below 40 MB | 40 | met |"), "{text}");
        assert!(text.contains("| at most 200 ms | 200 | **missed** |"), "{text}");
        assert!(text.contains("| at least 25,000 a second | not measured |  |"), "{text}");
    }
}
