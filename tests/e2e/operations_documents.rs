//! The metrics and commands that the documents for operators name exist in the running program. What needs no program
//! is in `tests/documents`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use boxoffice_testkit::servers::RedisServer;
use boxoffice_tests::{is_of_word, read, word_at, words_with};
use serde_json::Value;

use crate::support::{
    client::{Api, Buyer},
    eventually,
    server::{MARIADB, Server, binary},
    show::{PRICE, Show, Terms},
};

/// Labels that a scrape adds, and that of the buckets of a histogram.
const LABELS_OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];
/// Words of expressions that are no metrics.
const FUNCTIONS: [&str; 18] = [
    "and",
    "by",
    "changes",
    "count",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "min",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "topk",
    "unless",
    "without",
    "instance",
];

/// The names of metrics with the names of their labels.
type Series = BTreeMap<String, BTreeSet<String>>;

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

    /// What the expression reads and the server does not export.
    fn missing(&self, exported: &Series) -> Vec<String> {
        let mut missing = Vec::new();
        let mut groupable: BTreeSet<_> = LABELS_OF_PROMETHEUS.map(str::to_owned).into();
        for (name, labels) in &self.series {
            match exported.get(name) {
                Some(known) => {
                    let unknown = labels.iter().filter(|label| !known.contains(*label));
                    let unknown = unknown.filter(|label| !LABELS_OF_PROMETHEUS.contains(&label.as_str()));
                    missing.extend(unknown.map(|label| format!("{name} has no label {label}")));
                    groupable.extend(known.iter().cloned());
                }
                None => missing.push(format!("there is no {name}")),
            }
        }
        let unknown = self.grouped_by.iter().filter(|label| !groupable.contains(*label));
        missing.extend(unknown.map(|label| format!("no metric of the expression has a label {label}")));
        missing
    }
}

/// The expressions of the rules: after `expr:`, or in the lines below it that are further in.
fn expressions_of_rules(rules: &str) -> Vec<String> {
    let mut expressions = Vec::new();
    let mut lines = rules.lines().peekable();
    let indentation = |line: &str| line.len() - line.trim_start().len();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim_start().strip_prefix("expr:") else { continue };
        let mut expression = expression.trim().to_owned();
        if expression == "|" {
            expression.clear();
            while let Some(more) = lines.next_if(|more| indentation(more) > indentation(line)) {
                expression.push_str(more.trim_start());
                expression.push('\n');
            }
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

/// The series in the text format of Prometheus.
fn exported(text: &str) -> Series {
    let mut series = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, rest) = word_at(line);
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once("\"}")).map_or("", |(labels, _)| labels);
        let labels = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        series.entry(name.to_owned()).or_default().extend(labels);
    }
    series
}

/// What a command prints.
fn output_of(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).env_clear().output().expect("the binary starts");
    let text = String::from_utf8(output.stdout).expect("its output is text");
    assert!(output.status.success(), "boxoffice {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The variables in a file of variables.
fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect()
}

/// A server with the settings of the reference deployment, and the address of its metrics.
async fn reference_server(redis: &RedisServer) -> (Server, Api) {
    let environment = read("docs/operations/boxoffice.env");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let (metrics, redis) = (port.to_string(), redis.url());
    // Addresses are those of the test, which does not wait for a load balancer at its end.
    let replaced = [
        ("LISTEN", None),
        ("DATABASE", None),
        ("KEYS_FILE", None),
        ("METRICS_LISTEN", Some(metrics.as_str())),
        ("WAITING_ROOM", Some(redis.as_str())),
        ("DRAIN_SECONDS", Some("0")),
    ];
    let mut settings: BTreeMap<_, _> = variables(&environment)
        .into_iter()
        .map(|(name, value)| (name.strip_prefix("BOXOFFICE_").expect("one of ours"), value))
        .collect();
    for (name, value) in replaced {
        assert!(settings.remove(name).is_some(), "{name} is not in the file");
        settings.extend(value.map(|value| (name, value)));
    }
    let settings: Vec<_> = settings.into_iter().collect();
    let server = Server::start_on(MARIADB, &settings).await;
    (server, Api::new(&format!("http://{port}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_in_the_documents_for_operators_is_exported_with_its_labels() {
    let redis = RedisServer::start().await.expect("it starts");
    let (server, operators) = reference_server(&redis).await;
    let show = Show::on(&server, Terms::default()).await;
    let mut buyer = Buyer::new(server.api()).await;
    buyer.be_admitted(&show.concert).await;
    buyer.charge(5 * PRICE).await;
    buyer.seats(&show.performance).await;
    let mut events = buyer.events().await;
    assert_eq!(events.next().await.expect("an event")["status"], "active");
    assert!((operators.metric("boxoffice_event_streams").await - 1.0).abs() < f64::EPSILON);
    drop(events);
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    buyer.pay(&reservation).await;
    buyer.ask_cancel("no-id").send().await.refuses(400, "malformed_request");
    eventually("the stream is closed, and the lines and the pending charges are measured", || async {
        let text = operators.get("/metrics").send().await.text;
        let has = |series: &str| text.lines().any(|line| line.starts_with(series));
        let measured = has("boxoffice_queue_admitted{") && has("boxoffice_charges_pending 0");
        (measured && has("boxoffice_event_streams 0") && has("boxoffice_redis_connected 1")).then_some(())
    })
    .await;
    let mut exported = exported(&operators.get("/metrics").send().await.text);
    // Prometheus itself adds this series for each target.
    exported.insert("up".to_owned(), BTreeSet::new());

    let rules = expressions_of_rules(&read("docs/operations/alerts.yml"));
    assert!(rules.len() > 10, "{rules:?}");
    let dashboard: Value = serde_json::from_str(&read("docs/operations/dashboard.json")).expect("it is JSON");
    let mut shown = Vec::new();
    texts_under(&dashboard, &["expr", "definition"], &mut shown);
    assert!(shown.len() > 10, "{shown:?}");
    let mut breaches = Vec::new();
    for text in rules.iter().chain(&shown) {
        let expression = Expression::parse(text);
        assert!(!expression.series.is_empty(), "{text} reads no metric");
        breaches.extend(expression.missing(&exported).into_iter().map(|missing| format!("{text}: {missing}")));
    }
    let plain: BTreeSet<_> = exported.keys().map(|name| plain_name(name)).collect();
    for document in ["docs/operations.md", "docs/scaling.md"] {
        let text = read(document);
        let unknown =
            words_with(&text, &["boxoffice_", "http_"]).into_iter().filter(|name| !plain.contains(plain_name(name)));
        breaches.extend(unknown.map(|name| format!("{document}: there is no metric {name}")));
    }
    let architecture = read("docs/ARCHITECTURE.md");
    let undocumented = plain.iter().filter(|name| **name != "up" && !architecture.contains(&format!("| `{name}` |")));
    breaches.extend(undocumented.map(|name| format!("docs/ARCHITECTURE.md: {name} is not in the table of metrics")));
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_behind_alerts_are_counted() {
    let redis = RedisServer::start().await.expect("it starts");
    let mut server =
        Server::prepare(&[("WAITING_ROOM", &redis.url()), ("GATEWAY_MODE", "fail"), ("CHARGE_RETRY_SECONDS", "1")]);
    let keys_file = server.folder().join("shared-keys.json");
    let keys = keys_file.to_str().expect("a path").to_owned();
    output_of(&["keys", "rotate", "--keys-file", &keys]);
    server.set("KEYS_FILE", &keys);
    let server = server.started().await;
    let api = server.api();
    let counted = async |series: &str, least: f64, most: f64| {
        eventually(series, || async {
            let text = api.get("/metrics").send().await.text;
            let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
            value.is_some_and(|value| (least..=most).contains(&value)).then_some(())
        })
        .await;
    };
    counted("boxoffice_redis_connected", 1.0, 1.0).await;
    counted("boxoffice_charges_pending", 0.0, 0.0).await;
    counted(r#"boxoffice_keys_accepted{tokens="access"}"#, 1.0, 1.0).await;
    counted(r#"boxoffice_worker_failures_total{worker="keys"}"#, 0.0, 0.0).await;
    counted(r#"boxoffice_write_retries_total{reason="connection_lost"}"#, 0.0, 0.0).await;
    counted(r#"boxoffice_redis_failures_total{reason="redis"}"#, 0.0, 0.0).await;

    let buyer = Buyer::new(api).await;
    buyer.ask_charge(10).send().await.refuses(502, "gateway_failed");
    counted("boxoffice_charges_pending", 1.0, 1.0).await;
    output_of(&["keys", "rotate", "--keys-file", &keys, "--prepare"]);
    counted(r#"boxoffice_keys_accepted{tokens="access"}"#, 2.0, 2.0).await;
    fs::remove_file(&keys_file).expect("the file is removed");
    counted(r#"boxoffice_worker_failures_total{worker="keys"}"#, 1.0, f64::MAX).await;
    redis.kill().await.expect("it is killed");
    counted("boxoffice_redis_connected", 0.0, 0.0).await;
    counted(r#"boxoffice_redis_failures_total{reason="away"}"#, 1.0, f64::MAX).await;
    server.finish().await;
}

/// The name of a histogram, for one of its parts.
fn plain_name(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

/// The code in a document: between backticks, or in lines between fences of three. Continued lines are joined.
fn code_in(document: &str) -> Vec<String> {
    let mut code = Vec::new();
    for (index, block) in document.split("```").enumerate() {
        if index % 2 == 1 {
            code.extend(block.replace("\\\n", " ").lines().skip(1).map(str::to_owned));
        } else {
            code.extend(block.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    code
}

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let (mut breaches, mut commands) = (Vec::new(), 0);
    for document in ["docs/operations.md", "docs/configuration.md", "docs/api-guide.md"] {
        for code in code_in(&read(document)) {
            let mut words = code.split_whitespace().skip_while(|word| *word != "boxoffice").skip(1).peekable();
            let Some(command) = words.next_if(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')) else {
                continue;
            };
            if command.starts_with('-') {
                continue;
            }
            commands += 1;
            let subcommand = words.next_if(|_| command == "keys");
            let help = output_of(&[command].into_iter().chain(subcommand).chain(["--help"]).collect::<Vec<_>>());
            let flags = words.map(|word| word.trim_matches(['[', ']'])).filter(|word| word.starts_with("--"));
            let flags = flags.map(|flag| flag.split('=').next().unwrap_or(flag));
            let unknown = flags.filter(|flag| !help.contains(flag));
            breaches.extend(unknown.map(|flag| format!("{document}: `{code}`: there is no {flag}")));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    assert!(commands > 15, "only {commands} commands were found");
}
