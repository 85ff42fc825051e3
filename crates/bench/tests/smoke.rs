//! The benchmark works from end to end, so that it is there when something has to be measured.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The server that is measured: the one that the environment names, or else the one that was built beside the
/// benchmark.
fn server() -> PathBuf {
    let named = env::var_os("BOXOFFICE_BIN").filter(|path| !path.is_empty());
    let server = named
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_boxoffice-bench")).with_file_name("boxoffice"), PathBuf::from);
    assert!(server.exists(), "{} is missing; build it, or name another one in BOXOFFICE_BIN", server.display());
    server
}

/// What the benchmark prints.
fn smoke(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxoffice-bench"));
    let output = command.arg("--smoke").arg("--binary").arg(server()).args(arguments).output();
    let output = output.expect("the benchmark starts");
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{errors}");
    printed.into_owned()
}

#[test]
fn parts_are_measured_and_reported() {
    let printed = smoke(&["--only", "start,holds-sqlite"]);
    for text in ["Holds over HTTP, SQLite", "| hold, grouped | 256 connections |", "ready after the first start"] {
        assert!(printed.contains(text), "`{text}` is missing in: {printed}");
    }
}

#[test]
fn a_large_catalog_is_searched() {
    let printed = smoke(&["--only", "search"]);
    for text in ["Searching concerts", "| different searches | 64 connections |", "first search after the start"] {
        assert!(printed.contains(text), "`{text}` is missing in: {printed}");
    }
}

#[test]
fn two_binaries_and_numbers_of_live_holds_are_measured_in_turns() {
    let server = server();
    let against = server.to_str().expect("the path is text");
    let parts = "holds-sqlite,money-sqlite,purchase-sqlite";
    let printed = smoke(&["--against", against, "--live-holds", "1,3", "--only", parts]);
    for act in ["hold", "payment", "purchase"] {
        for side in ["this, 3 live holds", "against, 1 live holds", "against, 3 live holds"] {
            let difference = format!("| {act}: {side} compared with this, 1 live holds |");
            assert!(printed.contains(&difference), "`{difference}` is missing in: {printed}");
        }
    }
}
