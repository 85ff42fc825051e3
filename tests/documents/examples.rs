//! The examples are built from outside of the workspace, as other products build on its crates.

use std::{env, fs, path::PathBuf, process::Command};

use boxoffice_tests::workspace;

#[test]
fn the_examples_pass_their_tests_outside_of_the_workspace() {
    let folder = workspace().join("examples");
    // With the versions of the workspace, whatever has been downloaded for it is enough.
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).expect("the examples get the lock file");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    for arguments in [&["test", "--offline", "--quiet"][..], &["run", "--offline", "--quiet", "--bin", "cinema"]] {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(&folder)
            // Most of what they need has been compiled for the workspace.
            .env("CARGO_TARGET_DIR", &target)
            .args(arguments)
            .output()
            .expect("cargo runs");
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "cargo {arguments:?}:\n{printed}\n{errors}");
    }
}
