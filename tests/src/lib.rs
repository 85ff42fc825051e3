//! What the test programs share: reading the files of the repository, and finding the binary.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around this package")
}

/// The text of a file, by its path in the workspace.
pub fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of all files below a folder whose name ends like this, in order. `""` is the workspace.
pub fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let entries = fs::read_dir(workspace().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    for entry in entries {
        let entry = entry.expect("an entry of the folder");
        let name = entry.file_name().into_string().expect("its name is Unicode");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type().expect("its type").is_dir() {
            // Hidden folders, and those that a build or a server makes, are not part of the repository.
            let foreign = name.starts_with('.') || ["target", "data"].contains(&path.as_str());
            if !foreign {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A metric as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    pub labels: BTreeSet<String>,
}

/// The table of metrics in `docs/ARCHITECTURE.md`.
pub fn documented_metrics() -> BTreeMap<String, Metric> {
    let architecture = read("docs/ARCHITECTURE.md");
    let (_, section) = architecture.split_once("\n## Metrics\n").expect("a section about metrics");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let labels = cells[3].split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
        (cells[1].clone(), Metric { kind: cells[2].clone(), labels })
    })
    .collect()
}

/// Every word of a text that begins like one of these.
pub fn words_with<'t>(text: &'t str, prefixes: &[&str]) -> BTreeSet<&'t str> {
    let words = text.split(|character| !is_of_word(character));
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).collect()
}

/// The word at the beginning of a text, and the rest.
pub fn word_at(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character| !is_of_word(character)).unwrap_or(text.len()))
}

/// Whether a word can contain this character.
pub fn is_of_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The binary under test: the one that the environment names, or else the one of this workspace, built now with
/// `boxoffice-rush` beside it.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("BOXOFFICE_BIN").filter(|path| !path.is_empty()) {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(Path::parent).expect("it lies in the target folder").to_owned();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--package", "boxoffice", "--package", "boxoffice-rush", "--bins"]);
    command.arg("--manifest-path").arg(workspace().join("Cargo.toml"));
    command.arg("--target-dir").arg(profile.parent().expect("the target folder"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    assert!(command.status().expect("there is cargo").success(), "the binary cannot be built");
    profile.join("boxoffice")
}
