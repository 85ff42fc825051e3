//! The benchmark works from end to end, so that it is there when something has to be measured.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The server that is measured: the one that the environment names, or else the one that was built beside the benchmark.
fn server() -> PathBuf {
    let named = env::var_os("BOXOFFICE_BIN").filter(|path| !path.is_empty());
    named.map_or_else(|| Path::new(env!("CARGO_BIN_EXE_boxoffice-bench")).with_file_name("boxoffice"), PathBuf::from)
}

#[test]
fn parts_are_measured_and_told() {
    let server = server();
    assert!(server.exists(), "{} is missing; build it, or name another one in BOXOFFICE_BIN", server.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxoffice-bench"));
    command.arg("--binary").arg(server).args(["--smoke", "--only", "start,holds-sqlite"]);
    let output = command.output().expect("the benchmark starts");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{errors}");
    for text in ["Holds over HTTP, SQLite", "| hold, grouped | 256 connections |", "ready after the first start"] {
        assert!(told.contains(text), "`{text}` is missing in: {told}");
    }
}
