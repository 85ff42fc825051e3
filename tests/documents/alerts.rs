//! Each alert fires when it should, is over soon after, and stays silent while a sale goes well: promtool runs the rules over
//! the series of `tests/alerts`. Each has its section in the runbook.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use boxoffice_testkit::TestFolder;
use boxoffice_tests::{files, read, words_with, workspace};

use crate::{assert_none, metrics::expressions_of_rules, numbered};

const RULES: &str = "docs/operations/alerts.yml";
const SERIES: &str = "tests/alerts";
const CALM: &str = "tests/alerts/calm.yml";
/// The files about alerts that take hours, in larger steps.
const COARSE: [&str; 2] = ["tests/alerts/days.yml", "tests/alerts/hours.yml"];
const RUNBOOK: &str = "docs/runbook.md";
/// What each section of the runbook has, in this order.
const PARTS: [&str; 3] = ["\n**Look at**", "\n**Do**", "\n**It is over when**"];

/// Runs promtool in a folder that is like the repository. Returns whether it was content, and what it said.
fn promtool(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(workspace().join("tests/servers/monitor"))
        .arg("promtool")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the script runs");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), said)
}

/// Runs the rules over all series.
fn test_rules(folder: &Path) -> (bool, String) {
    let files = files(SERIES, ".yml");
    promtool(folder, &["test", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect::<Vec<_>>())
}

/// The names of the alerts, in their order.
fn alerts(rules: &str) -> Vec<&str> {
    rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert:").map(str::trim)).collect()
}

/// The value after each `name:` of a text.
fn values<'t>(text: &'t str, name: &str) -> BTreeSet<&'t str> {
    text.lines()
        .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
        .collect()
}

/// The rules with another expression for each alert, which is true or not at once.
fn with_expressions(rules: &str, expression: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let (mut changed, mut lines) = (String::new(), rules.lines().peekable());
    while let Some(line) = lines.next() {
        let begin = line.trim_start();
        if begin.starts_with("for:") {
            continue;
        }
        if begin.starts_with("expr:") {
            while lines.next_if(|more| indentation(more) > indentation(line)).is_some() {}
            changed.extend([&" ".repeat(indentation(line)), "expr: ", expression, "\n"]);
        } else {
            changed.extend([line, "\n"]);
        }
    }
    changed
}

/// The alerts that promtool has found to be otherwise than a test says, where this is empty: `exp:[]` or `got:[]`.
fn found_otherwise<'t>(said: &'t str, empty: &str) -> BTreeSet<&'t str> {
    let of_alerts = said.split("alertname: ").skip(1);
    of_alerts.filter(|text| text.contains(empty)).filter_map(|text| text.split(',').next()).collect()
}

#[test]
fn the_files_for_prometheus_are_valid() {
    let (valid, said) = promtool(workspace(), &["check", "config", "docs/operations/prometheus.yml"]);
    assert!(valid && said.contains(&format!("{} rules found", alerts(&read(RULES)).len())), "{said}");
}

#[test]
fn the_alerts_fire_on_their_series_and_on_no_others() {
    let (as_expected, said) = test_rules(workspace());
    assert!(as_expected, "{said}");
}

/// If no alert ever fired, a test of each would say so, and if each fired all the time, too.
#[test]
fn every_alert_has_series_on_which_it_fires_and_on_which_it_stays_silent() {
    let rules = read(RULES);
    let folder = TestFolder::create();
    for path in ["docs/operations", SERIES] {
        fs::create_dir_all(folder.join(path)).expect("the folder is made");
    }
    for path in files(SERIES, ".yml") {
        folder.write(&path, &read(&path));
    }
    let mut breaches = Vec::new();
    for (expression, empty, what) in [
        ("vector(0) > 1", "got:[]", "no test in which it fires"),
        ("vector(1)", "exp:[]", "no test in which it is silent"),
    ] {
        folder.write(RULES, &with_expressions(&rules, expression));
        let (as_expected, said) = test_rules(folder.path());
        assert!(!as_expected);
        let found = found_otherwise(&said, empty);
        let untested = alerts(&rules).into_iter().filter(|alert| !found.contains(alert));
        breaches.extend(untested.map(|alert| format!("{alert} has {what}")));
    }
    assert_none("alerts without tests", &breaches);
}

#[test]
fn a_calm_sale_has_a_series_of_each_metric_that_an_alert_reads() {
    let expressions = expressions_of_rules(&read(RULES)).concat();
    let prefixes = ["boxoffice_", "http_", "haproxy_"];
    let read_by_rules = words_with(&expressions, &prefixes);
    assert!(read_by_rules.len() > 30, "{read_by_rules:?}");
    let calm = read(CALM);
    let series: BTreeSet<_> = words_with(&calm, &prefixes);
    let missing: Vec<_> = read_by_rules.difference(&series).map(|name| format!("{CALM} has no {name}")).collect();
    assert_none("metrics without a calm series", &missing);
}

#[test]
fn the_alerts_are_tested_at_the_intervals_of_the_configuration() {
    let configuration = read("docs/operations/prometheus.yml");
    let interval = values(&configuration, "scrape_interval");
    assert!(interval.len() == 1 && interval == values(&configuration, "evaluation_interval"));
    for path in files(SERIES, ".yml").into_iter().filter(|path| !COARSE.contains(&path.as_str())) {
        let text = read(&path);
        assert_eq!(values(&text, "evaluation_interval"), interval, "{path}");
        assert_eq!(values(&text, "interval"), interval, "{path}");
    }
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let (rules, runbook) = (read(RULES), read(RUNBOOK));
    let mut breaches = Vec::new();
    let mut alert = "";
    let mut linked = BTreeSet::new();
    for (line, text) in numbered(&rules) {
        if let Some(name) = text.trim_start().strip_prefix("- alert:") {
            alert = name.trim();
        } else if let Some(place) = text.trim_start().strip_prefix("runbook:") {
            linked.insert(alert);
            if place.trim() != format!("{RUNBOOK}#{}", alert.to_lowercase()) {
                breaches.push(format!("{RULES}:{line}: {alert} has another section than its own"));
            }
        }
    }
    let alerts: BTreeSet<_> = alerts(&rules).into_iter().collect();
    breaches.extend(alerts.difference(&linked).map(|alert| format!("{RULES}: {alert} names no section")));
    let mut sections = BTreeSet::new();
    for section in runbook.split("\n## Boxoffice").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        let Some(name) = alerts.iter().find(|alert| alert.strip_prefix("Boxoffice") == Some(heading)) else {
            breaches.push(format!("{RUNBOOK}: there is no alert Boxoffice{heading}"));
            continue;
        };
        sections.insert(*name);
        let places = PARTS.map(|part| section.find(part));
        if places.contains(&None) || !places.is_sorted() {
            breaches.push(format!("{RUNBOOK}: {name} has not these parts in this order: {PARTS:?}"));
        }
    }
    breaches.extend(alerts.difference(&sections).map(|alert| format!("{RUNBOOK} has no section {alert}")));
    assert_none("alerts and sections that do not fit", &breaches);
}
