//! One thing, one word: the code and the documents use the words of the glossary.

use boxoffice_tests::{files, read};

use crate::{assert_none, numbered};

const ENDINGS: [&str; 6] = [".bash", ".lua", ".md", ".rs", ".sh", ".sql"];
/// What the repository does not say, and what it says instead.
const AVOIDED: [(&str, &str); 15] = [
    ("anew", "again"),
    ("catalogue", "catalog"),
    ("in its turn", "in order"),
    ("is told", "an active verb"),
    ("neighbour", "peer"),
    ("of before", "previous"),
    ("once more", "again"),
    ("quotum", "quota"),
    ("rival", "other"),
    ("settle", "pay, advance or complete"),
    ("settled", "paid, advanced or completed"),
    ("takes leave", "stops"),
    ("tidied", "removed or marked"),
    ("tidies", "removes or marks"),
    ("whoever", "the actor"),
];

#[test]
fn the_words_of_the_glossary_are_used() {
    let mut breaches = Vec::new();
    for path in ENDINGS.iter().flat_map(|ending| files("", ending)).filter(|path| !path.ends_with("/language.rs")) {
        for (number, line) in numbered(&read(&path)) {
            // The words of a name in snake case count, too.
            let line = line.to_lowercase().replace('_', " ");
            for (avoided, meaning) in AVOIDED.iter().filter(|(avoided, _)| has_words(&line, avoided)) {
                breaches.push(format!("{path}:{number}: `{avoided}` stands for: {meaning}"));
            }
        }
    }
    assert_none("words that the glossary avoids", &breaches);
}

/// Whether a line has these words, or their plural.
fn has_words(line: &str, words: &str) -> bool {
    line.match_indices(words).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + words.len()..]);
        let after = after.strip_prefix('s').unwrap_or(after);
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
}
