//! Completions and manual pages.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use boxoffice_testkit::TestFolder;

use crate::{Outcome, run};

/// What bash offers for the last word.
fn bash_offers(script: &Path, words: &[&str]) -> BTreeSet<String> {
    let presses_tab = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _boxoffice boxoffice "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", presses_tab, "bash"]).arg(script).arg("boxoffice").args(words);
    let outcome = Outcome::of(&mut bash);
    outcome.prints(&[]);
    assert_eq!(outcome.error, "", "{words:?}");
    outcome.printed.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = TestFolder::create();
    let script = folder.write("completions", &run(&folder, &["completions", "bash"]).printed);
    for (words, offered) in [
        (&["mig"][..], &["migrate"][..]),
        (&["keys", "ro"], &["rotate"]),
        (&["migrate", "--do"], &["--down"]),
        (&["serve", "--hold-s"], &["--hold-seconds"]),
        (&["--hold-s"], &["--hold-seconds"]),
        // Each command has the settings that it uses.
        (&["migrate", "--write-w"], &["--write-waiting-max"]),
        (&["migrate", "--hold"], &[""]),
        (&["keys", "rotate", "--da"], &["--data-dir"]),
        (&["openapi", "--"], &["--help"]),
        (&["completions", "f"], &["fish"]),
    ] {
        assert_eq!(bash_offers(&script, words), offered.iter().map(|&word| word.to_owned()).collect(), "{words:?}");
    }
}

#[test]
fn there_are_completions_for_other_shells_and_nothing_is_made() {
    let folder = TestFolder::create();
    run(&folder, &["completions", "zsh"]).prints(&["#compdef boxoffice", "verify-draw"]);
    run(&folder, &["completions", "fish"]).prints(&["complete -c boxoffice", "verify-draw"]);
    run(&folder, &["completions", "dash"]).fails(2, &["invalid value 'dash'", "bash", "zsh"]);
    run(&folder, &["completions", "zsh", "--demo"]).fails(2, &["`boxoffice completions` has no use for --demo"]);
    run(&folder, &["man", "--listen", "x"]).fails(2, &["`boxoffice man` has no use for --listen"]);
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn the_manual_has_a_page_for_each_command_and_explains_each_setting() {
    let folder = TestFolder::create();
    let page = run(&folder, &["man"]);
    run(&folder, &["man", "--dir", "pages/man1"]).prints(&[]);
    let mut names: Vec<_> = fs::read_dir(folder.join("pages/man1")).unwrap().map(|file| file.unwrap().path()).collect();
    names.sort();
    let written = |name: &str| fs::read_to_string(folder.join("pages/man1").join(name)).unwrap();
    assert_eq!(written("boxoffice.1").trim_end(), page.printed.trim_end());
    for command in ["serve", "migrate", "keys", "keys-rotate", "verify-draw", "completions"] {
        let page = written(&format!("boxoffice-{command}.1"));
        assert!(page.contains("boxoffice(1)") && !page.contains("hold\\-seconds"), "{command}: {page}");
    }
    // Its own flag, and a setting that the short help does not show.
    assert!(written("boxoffice-migrate.1").contains("\\-\\-down"));
    page.prints(&["\\-\\-sweep\\-seconds", "How often lapsed holds are marked as expired", "boxoffice\\-import(1)"]);
    // Where there is groff, it has no complaint.
    let groff = Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8", "-Kutf8"]).args(&names).output();
    if let Ok(output) = groff {
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}
