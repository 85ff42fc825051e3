//! Links between documents lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_tests::{files, read, workspace};

use crate::{assert_none, numbered};

#[test]
fn relative_links_and_their_anchors_resolve() {
    let documents: BTreeMap<_, _> = files("", ".md").into_iter().map(|path| (path.clone(), read(&path))).collect();
    let anchors: BTreeMap<_, _> = documents.iter().map(|(path, text)| (path.as_str(), anchors(text))).collect();
    let (mut breaches, mut links) = (Vec::new(), 0);
    for (path, text) in &documents {
        for (line, target) in targets(text) {
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { resolved(path, file) };
            if !workspace().join(&file).exists() {
                breaches.push(format!("{path}:{line}: {target} leads to {file}, which does not exist"));
            } else if !anchor.is_empty() && !anchors.get(file.as_str()).is_some_and(|known| known.contains(anchor)) {
                breaches.push(format!("{path}:{line}: {file} has no heading #{anchor}"));
            }
        }
    }
    assert_none("broken links", &breaches);
    assert!(links > 100, "only {links} links were found");
}

/// The lines of a text outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    numbered(text).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The relative targets of the links and pictures in a text, with the numbers of their lines.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let links = prose(text).flat_map(|(number, line)| {
        line.split("](").skip(1).filter_map(move |rest| Some((number, rest.split_once(')')?.0)))
    });
    links.filter(|(_, target)| !target.contains("://") && !target.starts_with("mailto:"))
}

/// The path that a link in this document leads to.
fn resolved(document: &str, target: &str) -> String {
    let mut parts: Vec<_> = document.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The anchors of the headings of a text, made as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        // A heading that is repeated gets a number.
        let numbers = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(numbers).find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}
