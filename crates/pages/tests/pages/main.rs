//! The pages as a browser gets them, and rules for what is in them.

mod rules;
mod served;

use std::{collections::BTreeMap, fs, path::Path};

/// The files of the pages, by their names.
fn files() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

/// What comes before the language in the names of the files with texts: nothing for those of every page, and the name of a part of
/// the pages for those that only its views load.
const PARTS: [&str; 2] = ["", "organiser."];

/// The texts of a part in a language.
fn texts_of(part: &str, language: &str) -> BTreeMap<String, String> {
    serde_json::from_str(&files()[&format!("{part}{language}.json")]).unwrap()
}

/// All texts in a language.
fn texts(language: &str) -> BTreeMap<String, String> {
    PARTS.iter().flat_map(|part| texts_of(part, language)).collect()
}
