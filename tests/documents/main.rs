//! The workspace follows its rules, and what the documents say about it is true. No test here needs a running server of
//! boxoffice, and each lists all breaches at once.

mod alerts;
mod architecture;
mod examples;
mod language;
mod links;
mod metrics;
mod operators;
mod paths;
mod pinned;
mod requirements;

use boxoffice_tests::read;

/// Fails with every breach, each on a line.
fn assert_none(what: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{} {what}:\n{}", breaches.len(), breaches.join("\n"));
}

/// The lines of a document with their numbers.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

#[test]
fn the_readme_has_at_most_6_kilobytes() {
    let size = read("README.md").len();
    assert!(size <= 6 * 1024, "README.md has {size} bytes");
}
