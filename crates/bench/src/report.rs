//! Measurements as a table, as JSON and as pictures.

use std::{collections::BTreeMap, fmt::Write as _};

use boxoffice_rush::plot::{self, Bar, Lines, grouped};
use serde::{Deserialize, Serialize};

use crate::drive::Measured;

/// A figure of several rounds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Zero if there was no round.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&[least, ..], &[.., most]) = (&values[..], &values[..]) else { return Self::default() };
        // Both are the one in the middle if the count is odd.
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Self { median, least, most }
    }

    pub(crate) fn text(self) -> String {
        if (self.least - self.most).abs() < f64::EPSILON {
            return grouped(self.median);
        }
        format!("{} ({}–{})", grouped(self.median), grouped(self.least), grouped(self.most))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// The load under which it was measured.
    pub(crate) load: String,
    /// Wanted responses a second.
    pub(crate) per_second: Spread,
    /// Milliseconds that this share of the responses did not exceed.
    pub(crate) p50_ms: Spread,
    pub(crate) p95_ms: Spread,
    pub(crate) p99_ms: Spread,
    pub(crate) max_ms: Spread,
    /// Unwanted responses of all rounds.
    pub(crate) errors_by_code: BTreeMap<String, u64>,
    /// Microseconds of one core for each wanted response, by process.
    pub(crate) cpu_us_each: Vec<(String, f64)>,
    /// The most resident memory of each process since its start, in MiB.
    pub(crate) memory_mib_max: Vec<(String, f64)>,
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
            errors_by_code,
            cpu_us_each: cpu_each(rounds),
            memory_mib_max: memory(rounds),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
fn cpu_each(rounds: &[Measured]) -> Vec<(String, f64)> {
    let count: u64 = rounds.iter().map(|measured| measured.latencies.count()).sum();
    let mut microseconds = Vec::<(String, f64)>::new();
    for (name, cost) in rounds.iter().flat_map(|measured| &measured.costs) {
        let each = cost.cpu_seconds * 1e6 / count.max(1) as f64;
        match microseconds.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += each,
            None => microseconds.push(((*name).to_owned(), each)),
        }
    }
    microseconds
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
fn memory(rounds: &[Measured]) -> Vec<(String, f64)> {
    let last = rounds.last().map_or(&[][..], |measured| &measured.costs);
    last.iter().map(|(name, cost)| ((*name).to_owned(), cost.resident_bytes_max as f64 / 1_048_576.0)).collect()
}

/// A number that is not a rate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: Spread,
    pub(crate) unit: String,
}

/// A picture of lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) x_unit: String,
    pub(crate) y_unit: String,
    pub(crate) lines: Lines,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Section {
    /// The key of the part, which is the name of its picture.
    pub(crate) key: String,
    pub(crate) title: String,
    /// The versions, the settings and the load.
    pub(crate) setting: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
    /// Drawn instead of a bar for each row.
    pub(crate) curve: Option<Curve>,
}

impl Section {
    /// A section without a key.
    pub(crate) fn new(title: impl Into<String>, setting: impl Into<String>) -> Self {
        Self { title: title.into(), setting: setting.into(), ..Self::default() }
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: Spread, unit: impl Into<String>) {
        self.figures.push(Figure { name: name.into(), value, unit: unit.into() });
    }

    /// The picture; `None` if there is nothing to draw.
    pub(crate) fn picture(&self) -> anyhow::Result<Option<String>> {
        if let Some(curve) = &self.curve {
            return plot::lines(&self.title, (&curve.x_unit, &curve.y_unit), &curve.lines).map(Some);
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        let bar = |Row { name, load, per_second, .. }: &Row| Bar {
            label: format!("{name}, {load}"),
            value: per_second.median,
            range: (per_second.least, per_second.most),
        };
        let bars: Vec<_> = self.rows.iter().map(bar).collect();
        plot::bars(&self.title, "a second, from the lowest to the highest round", &bars).map(Some)
    }

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
            let errors: Vec<_> = row.errors_by_code.iter().map(|(code, count)| format!("{count} × {code}")).collect();
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
                if errors.is_empty() { "0".to_owned() } else { errors.join(", ") },
                each(&row.cpu_us_each),
                each(&row.memory_mib_max),
            );
        }
        if !self.figures.is_empty() {
            text.push_str(if self.rows.is_empty() { "" } else { "\n" });
            text.push_str("| what | measured |\n| --- | --- |\n");
        }
        for Figure { name, value, unit } in &self.figures {
            let _ = writeln!(text, "| {name} | {} {unit} |", value.text());
        }
        text
    }
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
