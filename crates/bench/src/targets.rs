//! The targets, beside what was measured.

use std::fmt::Write as _;

use boxoffice_rush::plot::grouped;

use crate::report::Section;

const LINE: &str = "1,000,000 in line, 256 connections";
const LOOKING: &str = "cached, 64 connections";

/// One target.
struct Target {
    what: &'static str,
    /// The key of the part in which it is measured.
    part: &'static str,
    measured: fn(&Section) -> Option<f64>,
    limit: Limit,
    unit: &'static str,
}

#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Limit {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(limit) => format!("at least {}", grouped(limit)),
            Self::AtMost(limit) => format!("at most {}", grouped(limit)),
            Self::Below(limit) => format!("below {}", grouped(limit)),
        }
    }
}

fn rate(section: &Section, name: &str, load: &str) -> Option<f64> {
    section.row(name, load).map(|row| row.per_second.median)
}

fn figure(section: &Section, name: &str) -> Option<f64> {
    section.figure_of(name).map(|value| value.median)
}

fn holds(section: &Section) -> Option<f64> {
    rate(section, "hold, grouped", "256 connections")
}

const HOLDS: [Target; 5] = [
    Target {
        what: "holds over HTTP, 256 connections, MariaDB",
        part: "holds-mariadb",
        measured: holds,
        limit: Limit::AtLeast(20_000.0),
        unit: "a second",
    },
    Target {
        what: "the same, p99",
        part: "holds-mariadb",
        measured: |section| section.row("hold, grouped", "256 connections").map(|row| row.p99_ms.median),
        limit: Limit::Below(50.0),
        unit: "ms",
    },
    Target {
        what: "the same, against batches of 1",
        part: "holds-mariadb",
        measured: |section| figure(section, "grouped ÷ batches of 1, 256 connections"),
        limit: Limit::AtLeast(6.0),
        unit: "times",
    },
    Target {
        what: "holds over HTTP, 256 connections, SQLite",
        part: "holds-sqlite",
        measured: holds,
        limit: Limit::AtLeast(15_000.0),
        unit: "a second",
    },
    Target {
        what: "holds over HTTP, 256 connections, MySQL",
        part: "holds-mysql",
        measured: holds,
        limit: Limit::AtLeast(10_000.0),
        unit: "a second",
    },
];

const WRITES: [Target; 5] = [
    Target {
        what: "payments over HTTP, 256 connections, MariaDB",
        part: "money-mariadb",
        measured: |section| rate(section, "payment", "256 connections"),
        limit: Limit::AtLeast(12_000.0),
        unit: "a second",
    },
    Target {
        what: "whole purchases with p99 within 1 s, MariaDB",
        part: "purchase-mariadb",
        measured: |section| figure(section, "highest sustained rate"),
        limit: Limit::AtLeast(2_000.0),
        unit: "a second",
    },
    Target {
        what: "CPU for each purchase with three instances, against one, MariaDB",
        part: "instances-mariadb",
        measured: |section| figure(section, "CPU for each purchase, 3 instances ÷ one"),
        limit: Limit::AtMost(1.3),
        unit: "times",
    },
    Target {
        what: "a lone hold over HTTP, p50, against one plain transaction, MariaDB",
        part: "lone-mariadb",
        measured: |section| {
            let http = section.row("hold over HTTP", "1 connection")?.p50_ms.median;
            Some(http / section.row("plain transaction", "1 connection")?.p50_ms.median)
        },
        limit: Limit::AtMost(1.3),
        unit: "times",
    },
    Target {
        what: "holds with 5,000,000 seats stored, against 10,000",
        part: "growth",
        measured: |section| {
            let mut rows = section.rows.iter().filter(|row| row.name.ends_with("seats stored"));
            let fewest = rows.next()?.per_second.median;
            Some(rows.next_back()?.per_second.median / fewest)
        },
        limit: Limit::AtLeast(0.8),
        unit: "times",
    },
];

const READS: [Target; 5] = [
    Target {
        what: "concert list, cached",
        part: "reads",
        measured: |section| rate(section, "concert list", LOOKING),
        limit: Limit::AtLeast(35_000.0),
        unit: "a second",
    },
    Target {
        what: "15,002 seats while they are sold: whole maps, or else the next line",
        part: "reads",
        measured: |section| rate(section, "selling: seats, all", LOOKING),
        limit: Limit::AtLeast(2_000.0),
        unit: "a second",
    },
    Target {
        what: "15,002 seats while they are sold: answers 304",
        part: "reads",
        measured: |section| rate(section, "selling: by tag, 304", LOOKING),
        limit: Limit::AtLeast(25_000.0),
        unit: "a second",
    },
    Target {
        what: "the longest until another client is shown that a seat is held",
        part: "reads",
        measured: |section| figure(section, "cached: from the 201 until another client is shown it, longest"),
        limit: Limit::AtMost(500.0),
        unit: "ms",
    },
    Target {
        what: "times that the own seat was not shown as held after its 201",
        part: "reads",
        measured: |section| figure(section, "cached: of these, it was not shown as held"),
        limit: Limit::AtMost(0.0),
        unit: "",
    },
];

const REST: [Target; 5] = [
    Target {
        what: "joins with 1,000,000 in line",
        part: "line",
        measured: |section| rate(section, "join, seen before", LINE),
        limit: Limit::AtLeast(25_000.0),
        unit: "a second",
    },
    Target {
        what: "status polls with 1,000,000 in line",
        part: "line",
        measured: |section| rate(section, "status poll", LINE),
        limit: Limit::AtLeast(35_000.0),
        unit: "a second",
    },
    Target {
        what: "memory for each who waits",
        part: "line",
        measured: |section| figure(section, "resident memory for each who waits, its access token with it"),
        limit: Limit::Below(300.0),
        unit: "bytes",
    },
    Target {
        what: "memory of an idle server over SQLite",
        part: "start",
        measured: |section| figure(section, "resident memory, idle"),
        limit: Limit::Below(40.0),
        unit: "MB",
    },
    Target {
        what: "from nothing to ready over SQLite",
        part: "start",
        measured: |section| figure(section, "ready after the first start"),
        limit: Limit::AtMost(200.0),
        unit: "ms",
    },
];

/// The table of targets, as Markdown.
pub(crate) fn markdown(sections: &[&Section]) -> String {
    let mut text = "| what | wanted | measured | |\n| --- | --- | --- | --- |\n".to_owned();
    for Target { what, part, measured, limit, unit } in HOLDS.iter().chain(&WRITES).chain(&READS).chain(&REST) {
        let section = sections.iter().find(|section| section.key == *part);
        let (value, verdict) = match section.and_then(|section| measured(section)) {
            Some(value) if limit.is_met(value) => (grouped(value), "met"),
            Some(value) => (grouped(value), "**missed**"),
            None => ("not measured".to_owned(), ""),
        };
        let wanted = format!("{} {unit}", limit.text());
        let _ = writeln!(text, "| {what} | {} | {value} | {verdict} |", wanted.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drive::Measured,
        report::{Row, Spread},
    };

    #[test]
    fn measurements_are_compared_with_their_targets() {
        let mut start = Section::new("start", "", "");
        start.figure("resident memory, idle", Spread::of([39.9]), "MB");
        start.figure("ready after the first start", Spread::of([200.1]), "ms");
        let mut growth = Section::new("growth", "", "");
        growth.rows = ["10,000", "5,000,000"]
            .map(|seats| Row::of(format!("hold, {seats} seats stored"), "", &[Measured::default()]))
            .into();
        growth.rows[0].per_second = Spread::of([100.0]);
        growth.rows[1].per_second = Spread::of([80.0]);
        let text = markdown(&[&start, &growth]);
        assert!(text.contains("| below 40 MB | 40 | met |"), "{text}");
        assert!(text.contains("| at most 200 ms | 200 | **missed** |"), "{text}");
        assert!(text.contains("| at least 0.8 times | 0.8 | met |"), "{text}");
        assert!(text.contains("| at least 25,000 a second | not measured |  |"), "{text}");
    }
}
