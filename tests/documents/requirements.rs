//! The tests that `docs/requirements.md` names exist, in the files that it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use boxoffice_tests::{files, is_of_word, read};

use crate::{assert_none, numbered};

const DOCUMENT: &str = "docs/requirements.md";
/// How a requirement says that nothing proves it.
const WITHOUT_TEST: [&str; 2] = ["**no test yet**", "No test asserts"];

#[test]
fn every_requirement_names_its_tests_and_each_of_them_exists() {
    let sources: BTreeMap<_, _> = ["crates", "tests"]
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .map(|path| (path.clone(), read(&path)))
        .collect();
    let mut occurrences = BTreeMap::<&str, usize>::new();
    for word in sources.values().flat_map(|source| source.split(|character| !is_of_word(character))) {
        *occurrences.entry(word).or_default() += 1;
    }
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
        for code in line.split('`').skip(1).step_by(2) {
            if Path::new(code).extension().is_some_and(|extension| extension == "rs") {
                file = Some(code);
                continue;
            }
            let Some(path) = file.filter(|_| code.chars().all(is_of_word)) else { continue };
            (tests, unproven) = (tests + 1, None);
            let breach = match sources.get(path) {
                None => "does not exist",
                Some(source) => match test_in(source, code) {
                    Found::Test => continue,
                    // A contract is a function that a macro calls by its name.
                    Found::Function if occurrences[code] > 1 => continue,
                    Found::Function => "has a function of that name that no test calls",
                    Found::Nothing => "has no test of that name",
                },
            };
            breaches.push(format!("{DOCUMENT}:{number}: `{code}`: {path} {breach}"));
        }
    }
    breaches.extend(unproven.map(without_test));
    assert_none("tests of requirements that are missing", &breaches);
    assert!(ids.len() > 70 && tests > 200, "only {} requirements and {tests} tests were found", ids.len());
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
