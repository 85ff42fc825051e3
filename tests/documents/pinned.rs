//! What is built and checked is what was looked at: dependencies of the lock file, and actions of one commit.

use boxoffice_tests::{files, read};

use crate::{assert_none, numbered};

/// The commands of cargo that resolve dependencies.
const RESOLVING: [&str; 11] =
    ["bench", "build", "clippy", "deny", "doc", "install", "metadata", "publish", "run", "test", "tree"];

#[test]
fn every_action_of_hosted_ci_is_that_of_a_commit() {
    let (mut breaches, mut actions) = (Vec::new(), 0);
    for file in files(".github/workflows", "") {
        for (line, text) in numbered(&read(&file)) {
            let Some((_, action)) = text.split_once("uses:") else { continue };
            actions += 1;
            let commit =
                action.split_whitespace().next().and_then(|name| name.split_once('@')).map(|(_, commit)| commit);
            let is_commit = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !commit.is_some_and(is_commit) {
                breaches.push(format!("{file}:{line}: {}", action.trim()));
            }
        }
    }
    assert_none("actions without a commit", &breaches);
    assert!(actions > 0);
}

#[test]
fn every_command_of_cargo_takes_the_lock_file_as_it_is() {
    let folders = [".ci", ".github/workflows", "crates/app/packaging"].map(|folder| files(folder, ""));
    let scripts = [folders.concat(), vec!["Makefile".into(), "tests/run".into()]];
    let (mut breaches, mut commands) = (Vec::new(), 0);
    for file in scripts.concat() {
        for (line, text) in numbered(&read(&file)) {
            if text.trim_start().starts_with('#') || text.contains("deny --version") {
                continue;
            }
            let words: Vec<_> = text.split_whitespace().collect();
            for pair in words.windows(2) {
                let is_cargo = pair[0].ends_with("cargo") || pair[0].ends_with("$(CARGO)");
                if is_cargo && RESOLVING.contains(&pair[1]) {
                    commands += 1;
                    if !text.contains("--locked") {
                        breaches.push(format!("{file}:{line}: {}", text.trim()));
                    }
                }
            }
        }
    }
    assert_none("commands without --locked", &breaches);
    assert!(commands > 10, "only {commands} commands were found");
}
