//! Paths that documents name exist.

use std::fs;

use boxoffice_tests::{files, read, workspace};

use crate::{assert_none, numbered};

/// The folders of the repository whose paths are checked wherever they are named.
const FOLDERS: [&str; 4] = ["crates/", "docs/", "migrations/", "tests/"];
/// The folders of a crate: `domain/tests/properties.rs` stands for the path below `crates`.
const FOLDERS_OF_CRATES: [&str; 2] = ["src/", "tests/"];

#[test]
fn the_paths_that_documents_name_exist() {
    let crates = fs::read_dir(workspace().join("crates")).expect("the crates");
    let crates: Vec<_> = crates.map(|entry| entry.expect("a crate").file_name().into_string().expect("text")).collect();
    let (mut breaches, mut paths) = (Vec::new(), 0);
    for document in files("", ".md").into_iter().chain(files("docs/operations", "")) {
        for (line, text) in numbered(&read(&document)) {
            for word in words(text) {
                let Some(path) = path_in_repository(word, &crates) else { continue };
                paths += 1;
                if !workspace().join(&path).exists() {
                    breaches.push(format!("{document}:{line}: {path} does not exist"));
                }
            }
        }
    }
    assert_none("paths that do not exist", &breaches);
    assert!(paths > 100, "only {paths} paths were found");
}

/// The words that may be paths. A link that climbs (`../tests`) and a URL do not begin with a folder.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || "_.-/:".contains(c)))
        .map(|word| word.trim_end_matches(['.', ':']))
}

/// The path that a word names, if it names one. Of a pattern such as `crates/<name>/src`, the words before and after
/// the placeholder are separate, so only its beginning is checked.
fn path_in_repository(word: &str, crates: &[String]) -> Option<String> {
    if FOLDERS.iter().any(|folder| word.starts_with(folder)) {
        return Some(word.to_owned());
    }
    let (name, rest) = word.split_once('/')?;
    let is_in_crate = FOLDERS_OF_CRATES.iter().any(|folder| rest.starts_with(folder));
    (is_in_crate && crates.iter().any(|known| known == name)).then(|| format!("crates/{word}"))
}
