//! Measurements as a table, as JSON, and as pictures.

use std::{collections::BTreeMap, fmt::Write as _};

use boxoffice_rush::plot::{self, Bar, Line, PlotError, grouped};
use serde::{Deserialize, Serialize};

use crate::drive::Measured;

/// A figure of several rounds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Zero where there was no round, as a rate of which nothing came.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => 0.0,
            count if count % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        let edge = |value: Option<&f64>| value.copied().unwrap_or(0.0);
        Self { median, least: edge(values.first()), most: edge(values.last()) }
    }

    pub(crate) fn text(self) -> String {
        if (self.least - self.most).abs() < f64::EPSILON {
            return grouped(self.median);
        }
        format!("{} ({}–{})", grouped(self.median), grouped(self.least), grouped(self.most))
    }
}

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// How the load came.
    pub(crate) load: String,
    /// Wanted answers a second.
    pub(crate) per_second: Spread,
    /// Milliseconds that this share of the answers did not exceed.
    pub(crate) p50_ms: Spread,
    pub(crate) p95_ms: Spread,
    pub(crate) p99_ms: Spread,
    pub(crate) max_ms: Spread,
    /// Unwanted answers, of all rounds.
    pub(crate) errors: u64,
    pub(crate) errors_by_code: BTreeMap<String, u64>,
    /// Microseconds of one core for each wanted answer, by process.
    pub(crate) cpu_us_each: Vec<(String, f64)>,
    /// The most resident memory of each process so far, in MiB.
    pub(crate) memory_mib_max: Vec<(String, f64)>,
    /// Bytes of the body of each wanted answer.
    pub(crate) body_bytes_each: f64,
    pub(crate) rounds: usize,
}

impl Row {
    pub(crate) fn of(name: impl Into<String>, load: impl Into<String>, rounds: &[Measured]) -> Self {
        let spread = |figure: &dyn Fn(&Measured) -> f64| Spread::of(rounds.iter().map(figure));
        let quantile =
            |share: f64| spread(&|measured: &Measured| measured.latencies.quantile(share).as_secs_f64() * 1e3);
        let mut errors_by_code = BTreeMap::new();
        for (code, count) in rounds.iter().flat_map(|measured| &measured.errors) {
            *errors_by_code.entry(code.clone()).or_default() += count;
        }
        Self {
            name: name.into(),
            load: load.into(),
            per_second: spread(&Measured::per_second),
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: spread(&|measured: &Measured| measured.latencies.max().as_secs_f64() * 1e3),
            errors: rounds.iter().map(Measured::errors_count).sum(),
            errors_by_code,
            cpu_us_each: cpu_each(rounds),
            memory_mib_max: memory(rounds),
            body_bytes_each: body_each(rounds),
            rounds: rounds.len(),
        }
    }

    pub(crate) fn bar(&self) -> Bar {
        let label = format!("{}, {}", self.name, self.load);
        Bar { label, value: self.per_second.median, range: (self.per_second.least, self.per_second.most) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn body_each(rounds: &[Measured]) -> f64 {
    let bytes: u64 = rounds.iter().map(|measured| measured.body_bytes).sum();
    bytes as f64 / count_of(rounds).max(1) as f64
}

fn count_of(rounds: &[Measured]) -> u64 {
    rounds.iter().map(|measured| measured.latencies.count()).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn cpu_each(rounds: &[Measured]) -> Vec<(String, f64)> {
    let names = rounds.first().map(|measured| measured.cpu_seconds.clone()).unwrap_or_default();
    let count = count_of(rounds);
    let spent = |index: usize| rounds.iter().map(|measured| measured.cpu_seconds[index].1).sum::<f64>();
    names
        .iter()
        .enumerate()
        .map(|(index, (name, _))| ((*name).to_owned(), spent(index) * 1e6 / count.max(1) as f64))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
fn memory(rounds: &[Measured]) -> Vec<(String, f64)> {
    let last = rounds.last().map(|measured| measured.memory_bytes_max.clone()).unwrap_or_default();
    last.into_iter().map(|(name, bytes)| (name.to_owned(), bytes as f64 / 1_048_576.0)).collect()
}

/// A number that is not of a load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: Spread,
    pub(crate) unit: String,
}

/// What is drawn as lines because it depends on something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) x_unit: String,
    pub(crate) y_unit: String,
    /// The points of each line, by its name.
    pub(crate) lines: BTreeMap<String, Vec<(f64, f64)>>,
}

/// A part of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Section {
    /// The name of its files.
    pub(crate) key: String,
    pub(crate) title: String,
    /// What the load was, and on what it was put.
    pub(crate) setting: String,
    pub(crate) rows: Vec<Row>,
    /// Numbers that are not of a load.
    pub(crate) figures: Vec<Figure>,
    /// What is no number, and comparisons.
    pub(crate) facts: Vec<(String, String)>,
    /// What its picture shows instead of a bar for each row.
    pub(crate) curve: Option<Curve>,
}

impl Section {
    pub(crate) fn new(key: impl Into<String>, title: impl Into<String>, setting: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            title: title.into(),
            setting: setting.into(),
            rows: Vec::new(),
            figures: Vec::new(),
            facts: Vec::new(),
            curve: None,
        }
    }

    pub(crate) fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.facts.push((name.into(), value.into()));
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: Spread, unit: impl Into<String>) {
        self.figures.push(Figure { name: name.into(), value, unit: unit.into() });
    }

    /// The row of this name and load.
    pub(crate) fn row(&self, name: &str, load: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name && row.load == load)
    }

    /// The median of the figure of this name.
    pub(crate) fn figure_of(&self, name: &str) -> Option<Spread> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }

    /// Its picture; a part of which nothing can be drawn has none.
    pub(crate) fn picture(&self) -> Result<Option<String>, PlotError> {
        if let Some(curve) = &self.curve {
            let line = |(label, points): (&String, &Vec<_>)| Line { label: label.clone(), points: points.clone() };
            let lines: Vec<_> = curve.lines.iter().map(line).collect();
            return plot::lines(&self.title, (&curve.x_unit, &curve.y_unit), &lines).map(Some);
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        let bars: Vec<_> = self.rows.iter().map(Row::bar).collect();
        plot::bars(&self.title, "a second, from the lowest to the highest round", &bars).map(Some)
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n{}\n\n", self.title, self.setting);
        if !self.rows.is_empty() {
            text.push_str(
                "| what | load | a second | p50 ms | p95 ms | p99 ms | max ms | errors | CPU µs each | peak MiB |\n\
                 | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            );
        }
        for row in &self.rows {
            let each = |figures: &[(String, f64)]| {
                figures.iter().map(|(name, value)| format!("{name} {}", grouped(*value))).collect::<Vec<_>>().join(", ")
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.name,
                row.load,
                row.per_second.text(),
                grouped(row.p50_ms.median),
                grouped(row.p95_ms.median),
                row.p99_ms.text(),
                grouped(row.max_ms.most),
                errors_text(row),
                each(&row.cpu_us_each),
                each(&row.memory_mib_max),
            );
        }
        if !(self.figures.is_empty() && self.facts.is_empty()) {
            text.push_str(if self.rows.is_empty() { "" } else { "\n" });
            text.push_str("| what | measured |\n| --- | --- |\n");
        }
        for Figure { name, value, unit } in &self.figures {
            let _ = writeln!(text, "| {name} | {} {unit} |", value.text());
        }
        for (name, value) in &self.facts {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        text
    }
}

/// How many answers were not wanted, and which.
fn errors_text(row: &Row) -> String {
    let codes: Vec<_> = row.errors_by_code.iter().map(|(code, count)| format!("{count} × {code}")).collect();
    if codes.is_empty() { "0".to_owned() } else { codes.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert!((odd.median - 2.0).abs() < 1e-9 && (odd.least - 1.0).abs() < 1e-9 && (odd.most - 3.0).abs() < 1e-9);
        assert!((Spread::of([1.0, 2.0]).median - 1.5).abs() < 1e-9);
        assert!(Spread::of([]).median.abs() < 1e-9);
    }
}
