//! The alerts, the dashboard and the documents for operators read metrics that the program exports: those of the table
//! in `docs/ARCHITECTURE.md`, which an end-to-end test compares with the running program.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_tests::{Metric, documented_metrics, is_of_word, read, word_at, words_with};
use serde_json::Value;

use crate::assert_none;

/// Labels that a scrape adds, and that of the buckets of a histogram.
const LABELS_OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];
/// The parts of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// Words of expressions that are no metrics.
const FUNCTIONS: [&str; 15] = [
    "and",
    "changes",
    "count",
    "histogram_quantile",
    "increase",
    "instance",
    "label_values",
    "max",
    "min",
    "or",
    "rate",
    "sum",
    "time",
    "topk",
    "unless",
];

type Metrics = BTreeMap<String, Metric>;

/// What an expression of Prometheus reads: metrics with the labels that are matched, and labels to group by.
#[derive(Debug, Default)]
struct Expression {
    series: Vec<(String, BTreeSet<String>)>,
    grouped_by: BTreeSet<String>,
}

impl Expression {
    fn parse(text: &str) -> Self {
        let mut expression = Self::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == '[' {
                rest = rest.split_once(']').expect("a range ends").1;
            } else if first == '"' {
                rest = rest[1..].split_once('"').expect("a text ends").1;
            } else if is_of_word(first) {
                let (word, after) = word_at(rest);
                rest = if first.is_ascii_digit() { after } else { expression.take(word, after) };
            } else {
                rest = &rest[first.len_utf8()..];
            }
        }
        expression
    }

    /// Notes a word, and returns the text after all that belongs to it.
    fn take<'t>(&mut self, word: &str, after: &'t str) -> &'t str {
        if matches!(word, "by" | "on" | "without") {
            let (labels, after) = after.trim_start()[1..].split_once(')').expect("the labels end");
            self.grouped_by.extend(labels.split(',').map(|label| label.trim().to_owned()));
            return after;
        }
        if FUNCTIONS.contains(&word) {
            return after;
        }
        let (matchers, after) =
            after.strip_prefix('{').map_or(("", after), |within| within.split_once('}').expect("the matchers end"));
        let labels = matchers.split('"').step_by(2).filter_map(|matcher| {
            let name = matcher.trim_start_matches([',', ' ']).split(['=', '!']).next()?;
            (!name.is_empty()).then(|| name.to_owned())
        });
        self.series.push((word.to_owned(), labels.collect()));
        after
    }

    /// What the expression reads and the program does not export.
    fn missing(&self, metrics: &Metrics) -> Vec<String> {
        let mut missing = Vec::new();
        let mut known: BTreeSet<_> = LABELS_OF_PROMETHEUS.map(str::to_owned).into();
        for (name, labels) in &self.series {
            let Some(metric) = find(metrics, name) else {
                missing.push(format!("there is no {name}"));
                continue;
            };
            let unknown = labels.iter().filter(|label| !metric.labels.contains(*label));
            let unknown = unknown.filter(|label| !LABELS_OF_PROMETHEUS.contains(&label.as_str()));
            missing.extend(unknown.map(|label| format!("{name} has no label {label}")));
            known.extend(metric.labels.iter().cloned());
        }
        let unknown = self.grouped_by.difference(&known);
        missing.extend(unknown.map(|label| format!("no metric of the expression has a label {label}")));
        missing
    }
}

/// The metric of a series: a histogram has one for each of its parts.
fn find<'m>(metrics: &'m Metrics, series: &str) -> Option<&'m Metric> {
    let histogram = || PARTS.iter().find_map(|part| metrics.get(series.strip_suffix(part)?));
    metrics.get(series).or_else(|| histogram().filter(|metric| metric.kind == "histogram"))
}

/// The expressions of the rules: after `expr:`, or in the lines below it that are further in.
fn expressions_of_rules(rules: &str) -> Vec<String> {
    let mut expressions = Vec::new();
    let mut lines = rules.lines().peekable();
    let indentation = |line: &str| line.len() - line.trim_start().len();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim_start().strip_prefix("expr:") else { continue };
        let mut expression = expression.trim().trim_start_matches('|').to_owned();
        while let Some(more) = lines.next_if(|more| indentation(more) > indentation(line)) {
            expression.extend([more.trim_start(), "\n"]);
        }
        expressions.push(expression);
    }
    expressions
}

/// Every text under these names, however deep.
fn texts_under(value: &Value, names: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if names.contains(&name.as_str()) => found.push(text.clone()),
                    member => texts_under(member, names, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts_under(item, names, found)),
        _ => {}
    }
}

#[test]
fn every_metric_that_operators_read_is_exported_with_its_labels() {
    let mut metrics = documented_metrics();
    assert!(metrics.len() > 30, "only {metrics:?} were found");
    // Prometheus itself adds this series for each target.
    metrics.insert("up".to_owned(), Metric { kind: "gauge".to_owned(), labels: BTreeSet::new() });
    let mut expressions = expressions_of_rules(&read("docs/operations/alerts.yml"));
    assert!(expressions.len() > 10, "{expressions:?}");
    let dashboard: Value = serde_json::from_str(&read("docs/operations/dashboard.json")).expect("it is JSON");
    texts_under(&dashboard, &["expr", "definition"], &mut expressions);
    assert!(expressions.len() > 40, "{expressions:?}");
    let mut breaches = Vec::new();
    for text in &expressions {
        let expression = Expression::parse(text);
        assert!(!expression.series.is_empty(), "{text} reads no metric");
        breaches.extend(expression.missing(&metrics).into_iter().map(|missing| format!("{text}: {missing}")));
    }
    for document in ["docs/operations.md", "docs/scaling.md"] {
        let text = read(document);
        let names = words_with(&text, &["boxoffice_", "http_"]).into_iter();
        let unknown = names.filter(|name| find(&metrics, name).is_none());
        breaches.extend(unknown.map(|name| format!("{document}: there is no metric {name}")));
    }
    assert_none("metrics that are not exported", &breaches);
}
