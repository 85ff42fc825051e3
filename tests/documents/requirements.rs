//! The tests that `docs/requirements.md` and `docs/security.md` name exist, in the files that they name.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use boxoffice_tests::{files, is_of_word, read};

use crate::{assert_none, numbered};

const DOCUMENT: &str = "docs/requirements.md";
/// How a requirement says that nothing proves it.
const WITHOUT_TEST: [&str; 2] = ["**no test yet**", "No test asserts"];
const SECURITY: &str = "docs/security.md";
/// How a row about security says that something else than a test shows it, or nothing.
const SHOWN_OTHERWISE: [&str; 6] =
    ["**Operator:**", "**Not met", "**No test yet**", "Does not apply", "The compiler", "`Cargo.lock`"];

/// The sources of the program and its tests.
struct Sources {
    texts: BTreeMap<String, String>,
    /// How often each word is in them.
    occurrences: BTreeMap<String, usize>,
}

impl Sources {
    fn read() -> Self {
        let paths = ["crates", "tests"].iter().flat_map(|folder| files(folder, ".rs"));
        let texts: BTreeMap<_, _> = paths.map(|path| (path.clone(), read(&path))).collect();
        let mut occurrences = BTreeMap::<String, usize>::new();
        for word in texts.values().flat_map(|text| text.split(|character| !is_of_word(character))) {
            *occurrences.entry(word.to_owned()).or_default() += 1;
        }
        Self { texts, occurrences }
    }

    /// What is wrong with a test that a document names.
    fn fault(&self, path: &str, name: &str) -> Option<&'static str> {
        let Some(text) = self.texts.get(path) else { return Some("does not exist") };
        match test_in(text, name) {
            Found::Test => None,
            // A contract is a function that a macro calls by its name.
            Found::Function if self.occurrences[name] > 1 => None,
            Found::Function => Some("has a function of that name that no test calls"),
            Found::Nothing => Some("has no test of that name"),
        }
    }
}

/// The tests that a text names after their file, each with the file; `file` is the one that was named last.
fn named_tests<'t>(text: &'t str, file: &mut Option<&'t str>) -> Vec<(&'t str, &'t str)> {
    let mut named = Vec::new();
    for code in text.split('`').skip(1).step_by(2) {
        if Path::new(code).extension().is_some_and(|extension| extension == "rs") {
            *file = Some(code);
        } else if let Some(path) = file.filter(|_| code.chars().all(is_of_word)) {
            named.push((path, code));
        }
    }
    named
}

#[test]
fn every_requirement_names_its_tests_and_each_of_them_exists() {
    let sources = Sources::read();
    let text = read(DOCUMENT);
    let (mut breaches, mut ids, mut tests, mut unproven) = (Vec::new(), BTreeSet::new(), 0, None);
    let mut file = None;
    for (number, line) in numbered(&text) {
        if let Some((id, _)) = line.strip_prefix("- **").and_then(|rest| rest.split_once("**")) {
            breaches.extend(unproven.replace((number, id)).map(without_test));
            if !ids.insert(id) {
                breaches.push(format!("{DOCUMENT}:{number}: {id} is there twice"));
            }
        }
        if WITHOUT_TEST.iter().any(|words| line.contains(words)) {
            unproven = None;
        }
        if line.trim_start().starts_with("- ") {
            file = None;
        }
        for (path, test) in named_tests(line, &mut file) {
            (tests, unproven) = (tests + 1, None);
            let fault = sources.fault(path, test);
            breaches.extend(fault.map(|fault| format!("{DOCUMENT}:{number}: `{test}`: {path} {fault}")));
        }
    }
    breaches.extend(unproven.map(without_test));
    assert_none("tests of requirements that are missing", &breaches);
    assert!(ids.len() > 70 && tests > 200, "only {} requirements and {tests} tests were found", ids.len());
}

#[test]
fn every_row_about_security_names_tests_that_exist_or_says_what_else_shows_it() {
    let sources = Sources::read();
    let (mut breaches, mut rows, mut tests) = (Vec::new(), 0, 0);
    for (number, line) in numbered(&read(SECURITY)) {
        // The rows of the tables along ASVS begin with the number of a requirement.
        let row = line.strip_prefix("| ").filter(|row| row.starts_with(|first: char| first.is_ascii_digit()));
        let Some(shown) = row.and_then(|row| row.strip_suffix(" |")?.rsplit(" | ").next()) else { continue };
        let named = named_tests(shown, &mut None);
        (rows, tests) = (rows + 1, tests + named.len());
        for (path, test) in &named {
            let fault = sources.fault(path, test);
            breaches.extend(fault.map(|fault| format!("{SECURITY}:{number}: `{test}`: {path} {fault}")));
        }
        let is_open = named.is_empty() && !SHOWN_OTHERWISE.iter().any(|words| shown.contains(words));
        if is_open || shown.contains("TODO") {
            breaches.push(format!("{SECURITY}:{number}: nothing shows this row: {shown}"));
        }
    }
    assert_none("rows about security that nothing shows", &breaches);
    assert!(rows > 80 && tests > 100, "only {rows} rows and {tests} tests were found");
}

fn without_test((line, id): (usize, &str)) -> String {
    format!("{DOCUMENT}:{line}: {id} names no test, and does not say that there is none")
}

enum Found {
    Test,
    Function,
    Nothing,
}

/// What a source has under this name: a function whose attributes make it a test, or a plain one.
fn test_in(source: &str, name: &str) -> Found {
    let declares = |line: &str| {
        let after = line.split_once("fn ").and_then(|(_, rest)| rest.strip_prefix(name));
        after.is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let lines: Vec<_> = source.lines().collect();
    let Some(index) = lines.iter().position(|line| declares(line)) else { return Found::Nothing };
    let attributes =
        lines[..index].iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with(['#', '/']));
    let mut tests = attributes.filter(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    if tests.next().is_some() { Found::Test } else { Found::Function }
}
