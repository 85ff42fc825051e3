//! What every file of the pages keeps to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::{PARTS, files, texts, texts_of};

/// The forms of a text that counts something.
const PLURALS: [&str; 2] = [".one", ".other"];

fn scripts() -> impl Iterator<Item = (String, String)> {
    let is_script = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "js");
    files().into_iter().filter(move |(name, _)| is_script(name))
}

/// A script without its comments.
fn code(script: &str) -> String {
    let mut rest = script;
    let mut code = String::new();
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    code += rest;
    let uncommented = code.lines().map(|line| line.split_once("// ").map_or(line, |(before, _)| before));
    uncommented.collect::<Vec<_>>().join("\n")
}

/// The literals of a script: what stands between quotes of any kind.
fn literals(code: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut open: Option<(char, String)> = None;
    let mut escaped = false;
    for character in code.chars() {
        match &mut open {
            Some((quote, _)) if character == *quote && !escaped => {
                literals.extend(open.take().map(|(_, text)| text));
            }
            Some((_, text)) => text.push(character),
            None if matches!(character, '"' | '`') => open = Some((character, String::new())),
            None => {}
        }
        escaped = character == '\\' && !escaped;
    }
    literals
}

/// The key of a text, without the form.
fn stem(key: &str) -> &str {
    PLURALS.iter().find_map(|plural| key.strip_suffix(plural)).unwrap_or(key)
}

/// The names in `{braces}`.
fn names(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

#[test]
fn both_languages_say_the_same_things() {
    for part in PARTS {
        assert_same_things(&texts_of(part, "en"), &texts_of(part, "ko"));
    }
}

fn assert_same_things(english: &BTreeMap<String, String>, korean: &BTreeMap<String, String>) {
    let stems = |texts: &BTreeMap<String, String>| -> BTreeSet<String> {
        texts.keys().map(|key| stem(key).to_owned()).collect()
    };
    assert_eq!(stems(english), stems(korean));
    for (key, text) in english {
        assert!(!text.trim().is_empty(), "{key} is empty");
        let other = korean.get(key).or_else(|| korean.get(&format!("{}.other", stem(key)))).unwrap();
        assert_eq!(names(text), names(other), "{key}");
        if let Some(stem) = key.strip_suffix(".one") {
            assert!(english.contains_key(&format!("{stem}.other")), "{key} has no plural");
        }
    }
    let is_hangul = |character: char| ('가'..='힣').contains(&character);
    // A name, a format, or a word that is the same.
    let bare = [
        "concert.venue",
        "home.dates",
        "time.both",
        "hall.seat_said",
        "language.en",
        "price.span",
        "organiser.set",
        "organiser.changed_from",
        "organiser.file.counts",
    ];
    for (key, text) in korean {
        assert!(text.contains(is_hangul) || bare.contains(&stem(key)), "{key} is not translated: {text}");
    }
}

/// Where its texts are not loaded, a text of the organiser is not there.
#[test]
fn only_the_views_of_the_organiser_use_its_texts() {
    let [shop, organiser] = PARTS.map(|part| texts_of(part, "en"));
    for key in organiser.keys() {
        assert!(!shop.contains_key(key), "{key} is in both files");
        assert!(key.starts_with("organiser.") || key.starts_with("violation."), "{key}");
    }
    for (name, script) in scripts().filter(|(name, _)| !name.contains("organiser/")) {
        let used = literals(&code(&script)).into_iter().find(|literal| literal.starts_with("organiser."));
        assert_eq!(used, None, "{name}");
    }
}

#[test]
fn every_text_is_used_and_every_text_that_is_used_is_there() {
    let keys: BTreeSet<_> = texts("en").into_keys().map(|key| stem(&key).to_owned()).collect();
    let mut used = BTreeSet::new();
    for (name, script) in scripts() {
        for literal in literals(&code(&script)) {
            if keys.contains(&literal) {
                used.insert(literal);
            } else if let Some((prefix, _)) = literal.split_once("${").filter(|(prefix, _)| prefix.ends_with('.')) {
                let begun: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
                assert!(!begun.is_empty(), "{name}: no text begins with `{prefix}`");
                used.extend(begun);
            }
        }
        for call in code(&script).split(" t(\"").skip(1) {
            let key = call.split('"').next().unwrap();
            assert!(keys.contains(key), "{name}: there is no text `{key}`");
        }
    }
    // The parts of forms are named by their fields.
    let unused: Vec<_> = keys.difference(&used).filter(|key| !key.starts_with("account.")).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn no_text_is_outside_of_the_texts() {
    for (name, script) in scripts() {
        let code = code(&script);
        assert!(!code.contains(|character| ('가'..='힣').contains(&character)), "{name} has Korean in it");
        for literal in literals(&code) {
            let is_sentence = literal.starts_with(|first: char| first.is_ascii_uppercase())
                && literal.contains(' ')
                && literal.split(' ').all(|word| word.chars().all(|c| c.is_ascii_alphabetic() || ".,:!?'".contains(c)));
            assert!(!is_sentence, "{name} says `{literal}`");
        }
    }
}

/// A problem that has no sentence would be shown by its code, or as a defect.
#[test]
fn every_problem_has_a_sentence_in_both_languages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let codes = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    assert!(codes.len() > 40);
    for language in ["en", "ko"] {
        let texts = texts(language);
        for code in codes {
            let key = format!("problem.{}", code.as_str().unwrap());
            assert!(texts.contains_key(&key), "{language}: {key}");
        }
    }
}

#[test]
fn no_file_asks_another_host_or_makes_markup() {
    for (name, text) in files() {
        let others = text.matches("://").count() - text.matches("http://www.w3.org/2000/svg").count();
        let in_comments = text.matches("https://www.w3.org/TR/").count();
        assert_eq!(others, in_comments, "{name} names another host");
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!text.contains(markup), "{name} uses {markup}");
        }
    }
}

#[test]
fn every_script_is_checked_for_its_types() {
    for (name, script) in scripts() {
        assert!(script.starts_with("// @ts-check\n/**"), "{name} begins with @ts-check and says what it is");
    }
}
