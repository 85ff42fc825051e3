//! What the documents and files for operators name exists: settings, routes, figures, tables.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_tests::{files, read, word_at, words_with};
use serde_json::Value;

use crate::{assert_none, numbered};

/// Variables that are no settings: the file and a password, and those that only scripts and tests read.
const OTHER_VARIABLES: [&str; 7] = [
    "BOXOFFICE_BIN",
    "BOXOFFICE_CONFIG",
    "BOXOFFICE_PASSWORD",
    "BOXOFFICE_PASSWORD_FILE",
    "BOXOFFICE_TEST_CACHE",
    "BOXOFFICE_UPDATE_OPENAPI",
    "BOXOFFICE_URL",
];

/// The configuration page lists exactly the settings of the program, as a test beside their list asserts.
#[test]
fn every_variable_that_a_document_names_is_a_setting() {
    let configuration = read("docs/configuration.md");
    let rows = configuration.lines().filter_map(|line| line.strip_prefix("| `"));
    let settings: BTreeSet<_> = rows.map(|row| word_at(row).0).filter(|name| name.starts_with("BOXOFFICE_")).collect();
    assert!(settings.len() > 50, "only {settings:?} were found");
    let mut breaches = Vec::new();
    for document in [files("", ".md"), files("docs/operations", ""), files("crates/app/packaging", "")].concat() {
        for (line, text) in numbered(&read(&document)) {
            let names = words_with(text, &["BOXOFFICE_"]).into_iter().filter(|name| *name != "BOXOFFICE_");
            let unknown = names.filter(|name| !settings.contains(name) && !OTHER_VARIABLES.contains(name));
            breaches.extend(unknown.map(|name| format!("{document}:{line}: there is no setting {name}")));
        }
    }
    assert_none("unknown settings", &breaches);
}

#[test]
fn every_route_that_a_document_names_is_in_the_api() {
    let api: Value = serde_json::from_str(&read("docs/openapi.json")).expect("it is JSON");
    let (mut breaches, mut routes) = (Vec::new(), 0);
    for document in files("", ".md") {
        for (line, text) in numbered(&read(&document)) {
            let words: Vec<_> = text.split([' ', '`', ',']).collect();
            for pair in words.windows(2) {
                let (method, path) = (pair[0], pair[1].split(['?', '"']).next().unwrap_or_default());
                // A path with a variable of the shell is that of a script, which a test runs.
                let is_route = path.starts_with("/v1/") && !path.contains('$');
                if is_route && ["GET", "POST", "PATCH", "DELETE"].contains(&method) {
                    routes += 1;
                    if !api["paths"][path][method.to_lowercase()].is_object() {
                        breaches.push(format!("{document}:{line}: there is no {method} {path}"));
                    }
                }
            }
        }
    }
    assert_none("unknown routes", &breaches);
    assert!(routes > 40, "only {routes} routes were found");
}

#[test]
fn the_unit_waits_for_as_long_as_a_stop_takes() {
    let (unit, environment) = (read("docs/operations/boxoffice.service"), read("docs/operations/boxoffice.env"));
    let number = |text: &str, name: &str| -> u64 {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no number {name}"))
    };
    let in_process =
        number(&environment, "BOXOFFICE_DRAIN_SECONDS") + number(&environment, "BOXOFFICE_SHUTDOWN_SECONDS");
    // The workers and the write lanes have 10 s each.
    assert!(number(&unit, "TimeoutStopSec") >= in_process + 20);
    assert!(number(&unit, "LimitNOFILE") > 10_000);
}

#[test]
fn the_connections_to_the_database_are_counted_with_the_defaults() {
    let (configuration, operations) = (read("docs/configuration.md"), read("docs/operations.md"));
    let default = |name: &str| -> u32 {
        let row = configuration.lines().find_map(|line| line.strip_prefix(&format!("| `BOXOFFICE_{name}` | `")));
        row.and_then(|row| row.split('`').next()?.parse().ok()).unwrap_or_else(|| panic!("{name} has no default"))
    };
    let program = read("crates/persistence/src/mysql.rs");
    let writers = program.lines().find_map(|line| line.strip_prefix("pub(crate) const WRITERS_MAX: u32 = "));
    let writers: u32 = writers.and_then(|number| number.trim_end_matches(';').parse().ok()).expect("a constant");
    let (readers, lanes) = (default("DATABASE_CONNECTIONS"), default("WRITE_LANES"));
    // One more asks whether the database serves.
    let all = readers + lanes + writers + 1;
    // An upgrade and a command beside three instances, and 20 for operators.
    let of_three = (3 + 2) * all + 20;
    let text = operations.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        format!("`BOXOFFICE_DATABASE_CONNECTIONS` ({readers}) for reading"),
        format!(
            "`BOXOFFICE_WRITE_LANES` ({lanes}), {writers} for rare writes, and one that asks whether the database serves: {all}."
        ),
        format!("(N + 2) × (`BOXOFFICE_DATABASE_CONNECTIONS` + `BOXOFFICE_WRITE_LANES` + {}) + 20", writers + 1),
        format!("{of_three} for three instances"),
    ] {
        assert!(text.contains(&said), "docs/operations.md does not say: {said}");
    }
}

#[test]
fn the_figures_of_the_limits_are_those_that_were_measured() {
    let (scaling, measured) = (read("docs/scaling.md"), read("docs/performance/README.md"));
    let figures: Vec<_> = numbered(&scaling)
        .skip_while(|(_, line)| !line.starts_with("| What | A second |"))
        .take_while(|(_, line)| line.starts_with('|'))
        .filter_map(|(number, line)| Some((number, line.split('|').nth(2)?.trim())))
        .filter(|(_, figure)| figure.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert!(figures.len() > 5, "{figures:?}");
    let unknown = figures.iter().filter(|(_, figure)| !measured.contains(&format!("| {figure} ")));
    let breaches: Vec<_> = unknown
        .map(|(line, figure)| format!("docs/scaling.md:{line}: {figure} is no result of the benchmark"))
        .collect();
    assert_none("figures that were not measured", &breaches);
}

#[test]
fn every_table_is_described_and_has_a_place_in_a_database_that_is_split() {
    let mut tables = BTreeMap::new();
    for path in files("migrations/mysql", "up.sql") {
        for (line, text) in numbered(&read(&path)) {
            if let Some(name) = text.strip_prefix("CREATE TABLE ") {
                let name = word_at(name.trim_start_matches("IF NOT EXISTS ")).0;
                tables.insert(name.to_owned(), format!("{path}:{line}"));
            } else if let Some(name) = text.strip_prefix("DROP TABLE ") {
                tables.remove(word_at(name).0);
            }
        }
    }
    assert!(tables.len() > 10, "only {tables:?} were found");
    let (scaling, model) = (read("docs/scaling.md"), read("docs/data-model.md"));
    let mut breaches = Vec::new();
    for (table, place) in &tables {
        if !scaling.contains(&format!("`{table}`")) {
            breaches.push(format!("{place}: docs/scaling.md does not say where {table} goes"));
        }
        if !model.contains(&format!("\n    {table} {{")) {
            breaches.push(format!("{place}: docs/data-model.md does not draw {table}"));
        }
    }
    assert_none("tables that are not documented", &breaches);
}
