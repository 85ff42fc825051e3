//! The alerts, the dashboard and the documents for operators read metrics that the program exports: those of the table
//! in `docs/ARCHITECTURE.md`, which an end-to-end test compares with the running program.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_testkit::{load_balancer::LoadBalancer, servers::free_port};
use boxoffice_tests::{Metric, documented_metrics, is_of_word, read, word_at, words_with};
use serde_json::Value;

use crate::assert_none;

/// Labels that a scrape adds, and that of the buckets of a histogram.
const LABELS_OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];
/// The parts of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// Words of expressions that are no metrics.
const FUNCTIONS: [&str; 21] = [
    "abs",
    "absent",
    "and",
    "changes",
    "count",
    "group_left",
    "histogram_quantile",
    "increase",
    "instance",
    "label_values",
    "max",
    "max_over_time",
    "min",
    "min_over_time",
    "offset",
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
            let labels = labels.split(',').map(str::trim).filter(|label| !label.is_empty());
            self.grouped_by.extend(labels.map(str::to_owned));
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

/// What `HAProxy` exports of what the alerts and the dashboard read, as a test here asserts.
const METRICS_OF_HAPROXY: [(&str, &str, &[&str]); 3] = [
    ("haproxy_backend_active_servers", "gauge", &["proxy"]),
    ("haproxy_frontend_http_responses_total", "counter", &["proxy", "code"]),
    ("haproxy_server_status", "gauge", &["proxy", "server", "state"]),
];

/// The expressions of the rules: after `expr:`, or in the lines below it that are further in.
pub(crate) fn expressions_of_rules(rules: &str) -> Vec<String> {
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
    metrics.extend(METRICS_OF_HAPROXY.map(|(name, kind, labels)| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        (name.to_owned(), Metric { kind: kind.to_owned(), labels })
    }));
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
    for document in ["docs/operations.md", "docs/runbook.md", "docs/scaling.md"] {
        let text = read(document);
        let names = words_with(&text, &["boxoffice_", "http_", "haproxy_"]).into_iter();
        let unknown = names.filter(|name| find(&metrics, name).is_none());
        breaches.extend(unknown.map(|name| format!("{document}: there is no metric {name}")));
    }
    assert_none("metrics that are not exported", &breaches);
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_exports_what_operators_read_on_a_port_that_has_nothing_else() {
    let instances = [1, 2, 3].map(|_| ([127, 0, 0, 1], free_port().expect("a port")).into());
    let balancer = LoadBalancer::start(&instances).await.expect("HAProxy starts");
    let ask = async |path: &str| {
        let url = format!("http://{}{path}", balancer.metrics());
        let answer = reqwest::get(url).await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let (status, text) = ask("/metrics?scope=frontend&scope=backend&scope=server").await;
    assert_eq!(status, 200, "{text}");
    for (name, kind, labels) in METRICS_OF_HAPROXY {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "there is no {name}");
        let series = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        let has_all = |series: &str| labels.iter().all(|label| series.contains(&format!("{label}=\"")));
        assert!(series.clone().next().is_some() && series.clone().all(has_all), "{name} has not the labels {labels:?}");
    }
    for series in [
        r#"haproxy_backend_active_servers{proxy="boxoffice"}"#,
        r#"haproxy_frontend_http_responses_total{proxy="public",code="5xx"}"#,
        r#"haproxy_server_status{proxy="boxoffice",server="one",state="DOWN"}"#,
    ] {
        assert!(text.contains(series), "there is no {series}");
    }
    assert_eq!(ask("/v1/concerts").await.0, 404);
}
