//! The feature `mocks` has a mock of every port.

use std::{fs, path::Path};

/// What a caller passes as a closure is no port.
const CLOSURES: [&str; 1] = ["ImportProgress"];

/// Adds the traits of the sources in a folder, each with whether it has a mock.
fn add_traits(folder: &Path, traits: &mut Vec<(String, bool)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_traits(&path, traits);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for item in source.split("\n\n") {
            let name = item.lines().find_map(|line| line.strip_prefix("pub trait ")?.split(':').next());
            traits.extend(name.map(|name| (name.to_owned(), item.contains("mockall::automock"))));
        }
    }
}

#[test]
fn every_port_has_a_mock() {
    let mut traits = Vec::new();
    add_traits(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut traits);
    traits.retain(|(name, _)| !CLOSURES.contains(&name.as_str()));
    let unmocked: Vec<_> = traits.iter().filter(|(_, mocked)| !mocked).collect();
    assert!(unmocked.is_empty(), "{unmocked:?}");
    assert_eq!(traits.len(), 32, "of these: {traits:?}");
}
