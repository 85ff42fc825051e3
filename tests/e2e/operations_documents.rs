//! What the documents for operators name is there: metrics with their labels, settings, commands, routes, tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use boxoffice_testkit::servers::RedisServer;
use serde_json::Value;

use crate::support::{
    client::{Api, Buyer},
    eventually,
    server::{MARIADB, Server, binary, workspace},
    show::{PRICE, Show, Terms},
};

/// What every scrape adds, and what a histogram's buckets have.
const LABELS_OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];
/// What expressions are made of beside metrics.
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

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of metrics with the names of their labels.
type Series = BTreeMap<String, BTreeSet<String>>;

/// What an expression of Prometheus asks for: metrics with the labels that are matched, and labels to group by.
#[derive(Debug, Default)]
struct Asked {
    series: Vec<(String, BTreeSet<String>)>,
    grouped_by: BTreeSet<String>,
}

impl Asked {
    fn of(expression: &str) -> Self {
        let mut asked = Self::default();
        let mut rest = expression;
        while let Some(first) = rest.chars().next() {
            if first == '[' {
                rest = rest.split_once(']').expect("a range ends").1;
            } else if first == '"' {
                rest = rest[1..].split_once('"').expect("a text ends").1;
            } else if is_of_word(first) {
                let (word, after) = word_at(rest);
                rest = if first.is_ascii_digit() { after } else { asked.take(word, after) };
            } else {
                rest = &rest[first.len_utf8()..];
            }
        }
        asked
    }

    /// Notes a word, and gives what is left after all that belongs to it.
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

    /// What is asked for and is not there.
    fn lacks(&self, exported: &Series) -> Vec<String> {
        let mut lacking = Vec::new();
        let mut groupable: BTreeSet<_> = LABELS_OF_PROMETHEUS.map(str::to_owned).into();
        for (name, labels) in &self.series {
            match exported.get(name) {
                Some(known) => {
                    let unknown = labels.iter().filter(|label| !known.contains(*label));
                    let unknown = unknown.filter(|label| !LABELS_OF_PROMETHEUS.contains(&label.as_str()));
                    lacking.extend(unknown.map(|label| format!("{name} has no label {label}")));
                    groupable.extend(known.iter().cloned());
                }
                None => lacking.push(format!("there is no {name}")),
            }
        }
        let unknown = self.grouped_by.iter().filter(|label| !groupable.contains(*label));
        lacking.extend(unknown.map(|label| format!("no metric of the expression has a label {label}")));
        lacking
    }
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The word at the beginning of a text, and what comes after it.
fn word_at(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character| !is_of_word(character)).unwrap_or(text.len()))
}

/// Every word of a text that begins so.
fn words_with<'t>(text: &'t str, prefixes: &[&str]) -> BTreeSet<&'t str> {
    let words = text.split(|character| !is_of_word(character));
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect()
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

/// Runs the program only to be told something.
fn told(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).env_clear().output().expect("the binary starts");
    let text = String::from_utf8(output.stdout).expect("its output is text");
    assert!(output.status.success(), "boxoffice {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The variables in a file of variables.
fn variables(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect()
}

/// The number that a line of the unit sets.
fn number_in_unit(unit: &str, name: &str) -> u64 {
    let value = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no number {name}"))
}

/// A server like those of the reference deployment, and where its metrics are.
async fn reference_server(redis: &RedisServer) -> (Server, Api) {
    let environment = read("docs/operations/boxoffice.env");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let (metrics, redis) = (port.to_string(), redis.url());
    // What is of the place; and nobody waits at the end of a test.
    let of_this_place = [
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
    for (name, value) in of_this_place {
        assert!(settings.remove(name).is_some(), "{name} is not in the file");
        settings.extend(value.map(|value| (name, value)));
    }
    let settings: Vec<_> = settings.into_iter().collect();
    let server = Server::start_on(MARIADB, &settings).await;
    (server, Api::new(&format!("http://{port}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_operators_are_told_of_is_exported_with_its_labels() {
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
    // What Prometheus itself knows of each target.
    exported.insert("up".to_owned(), BTreeSet::new());

    let rules = expressions_of_rules(&read("docs/operations/alerts.yml"));
    assert!(rules.len() > 10, "{rules:?}");
    let dashboard: Value = serde_json::from_str(&read("docs/operations/dashboard.json")).expect("it is JSON");
    let mut shown = Vec::new();
    texts_under(&dashboard, &["expr", "definition"], &mut shown);
    assert!(shown.len() > 10, "{shown:?}");
    for expression in rules.iter().chain(&shown) {
        let asked = Asked::of(expression);
        assert!(!asked.series.is_empty(), "{expression} asks for nothing");
        assert_eq!(asked.lacks(&exported), Vec::<String>::new(), "{expression}");
    }
    let plain: BTreeSet<_> = exported.keys().map(|name| plain_name(name)).collect();
    for document in ["docs/operations.md", "docs/scaling.md"] {
        for name in words_with(&read(document), &["boxoffice_", "http_"]) {
            assert!(plain.contains(plain_name(name)), "{document}: there is no metric {name}");
        }
    }
    let architecture = read("docs/ARCHITECTURE.md");
    for name in plain.into_iter().filter(|name| *name != "up") {
        assert!(architecture.contains(&format!("| `{name}` |")), "{name} is not in the table of the architecture");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alerts_are_about_is_counted() {
    let redis = RedisServer::start().await.expect("it starts");
    let mut server =
        Server::prepare(&[("WAITING_ROOM", &redis.url()), ("GATEWAY_MODE", "fail"), ("CHARGE_RETRY_SECONDS", "1")]);
    let keys_file = server.folder().join("shared-keys.json");
    let keys = keys_file.to_str().expect("a path").to_owned();
    told(&["keys", "rotate", "--keys-file", &keys]);
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
    told(&["keys", "rotate", "--keys-file", &keys, "--prepare"]);
    counted(r#"boxoffice_keys_accepted{tokens="access"}"#, 2.0, 2.0).await;
    fs::remove_file(&keys_file).expect("it is lost");
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

#[test]
fn every_setting_that_operators_are_told_of_is_one() {
    let help = told(&["serve", "--help"]);
    let mut known = words_with(&help, &["BOXOFFICE_"]);
    known.insert("BOXOFFICE_PASSWORD");
    let documents = ["docs/operations.md", "docs/scaling.md"];
    let files = ["boxoffice.service", "boxoffice.env", "alerts.yml", "dashboard.json", "haproxy.cfg"];
    let files = files.iter().map(|file| format!("docs/operations/{file}"));
    for document in documents.map(str::to_owned).into_iter().chain(files) {
        let text = read(&document);
        let unknown: Vec<_> = words_with(&text, &["BOXOFFICE_"]).difference(&known).copied().collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{document}");
    }
}

#[test]
fn the_unit_waits_for_as_long_as_a_stop_takes() {
    let (unit, environment) = (read("docs/operations/boxoffice.service"), read("docs/operations/boxoffice.env"));
    let seconds = |name: &str| variables(&environment)[name].parse::<u64>().expect("a number of seconds");
    let in_the_process = seconds("BOXOFFICE_DRAIN_SECONDS") + seconds("BOXOFFICE_SHUTDOWN_SECONDS");
    // The workers and the lanes have 10 s each.
    assert!(number_in_unit(&unit, "TimeoutStopSec") >= in_the_process + 20);
    assert!(number_in_unit(&unit, "LimitNOFILE") > 10_000);
}

/// What is code in a document: between backticks, or between lines of three of them.
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
fn every_command_that_operators_are_told_of_is_one() {
    let mut commands = 0;
    for code in code_in(&read("docs/operations.md")) {
        let mut words = code.split_whitespace().skip_while(|word| *word != "boxoffice").skip(1).peekable();
        let mut command = Vec::new();
        while let Some(word) = words.next_if(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')) {
            if word.starts_with('-') {
                break;
            }
            command.push(word);
            let ends = !matches!(word, "keys");
            if ends {
                break;
            }
        }
        if command.is_empty() {
            continue;
        }
        commands += 1;
        let help = told(&[command.as_slice(), &["--help"]].concat());
        for flag in code.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap_or(flag);
            assert!(help.contains(flag), "`{code}`: there is no {flag}");
        }
    }
    assert!(commands > 5, "only {commands} commands were found");
}

#[test]
fn every_route_that_operators_are_told_of_is_in_the_api() {
    let api: Value = serde_json::from_str(&read("docs/openapi.json")).expect("it is JSON");
    let mut routes = 0;
    for code in code_in(&read("docs/operations.md")) {
        let Some((method, path)) = code.split_once(' ') else { continue };
        if path.starts_with("/v1/") && ["GET", "POST", "PATCH", "DELETE"].contains(&method) {
            let path = path.split_whitespace().next().expect("a path");
            assert!(api["paths"][path][method.to_lowercase()].is_object(), "there is no {method} {path}");
            routes += 1;
        }
    }
    assert!(routes > 3, "only {routes} routes were found");
}

#[test]
fn what_to_do_after_an_alert_is_told_in_the_table() {
    let operations = read("docs/operations.md");
    let sections: BTreeSet<_> = read("docs/operations/alerts.yml")
        .lines()
        .filter_map(|line| Some(line.trim().strip_prefix("section:")?.trim().to_owned()))
        .collect();
    assert!(!sections.is_empty());
    for section in sections {
        assert!(operations.contains(&format!("\n| **{section}**")), "nothing is said of {section}");
    }
}

#[test]
fn the_figures_of_the_limits_are_those_that_were_measured() {
    let (scaling, measured) = (read("docs/scaling.md"), read("docs/performance/README.md"));
    let figures: Vec<_> = scaling
        .lines()
        .skip_while(|line| !line.starts_with("| What | A second |"))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(2).map(str::trim))
        .filter(|figure| figure.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert!(figures.len() > 5, "{figures:?}");
    for figure in figures {
        let is_there = measured.lines().any(|line| line.contains(&format!("| {figure} ")));
        assert!(is_there, "{figure} is not among the results of the benchmark");
    }
}

#[test]
fn every_table_has_a_place_in_a_database_that_is_split() {
    let scaling = read("docs/scaling.md");
    let folder = fs::read_dir(workspace().join("migrations/mysql")).expect("the migrations");
    let (mut made, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    for migration in folder {
        let path = migration.expect("a migration").path().join("up.sql");
        let statements = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (prefix, tables) in [("CREATE TABLE ", &mut made), ("DROP TABLE ", &mut dropped)] {
            let lines = statements.lines().filter_map(|line| line.strip_prefix(prefix));
            tables.extend(lines.map(|line| word_at(line.trim_start_matches("IF NOT EXISTS ")).0.to_owned()));
        }
    }
    let tables: Vec<_> = made.difference(&dropped).collect();
    for table in &tables {
        assert!(scaling.contains(&format!("`{table}`")), "scaling.md says nothing of {table}");
    }
    assert!(tables.len() > 10, "only {tables:?} were found");
}
