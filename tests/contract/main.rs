//! The contract of the API, by tools that others wrote: linters, a fuzzer, and generators of clients. `install` gets them.

mod server;

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use boxoffice_testkit::TestFolder;
use boxoffice_tests::workspace;

use server::Server;

/// The most classes that a generated client may have: one for each thing that people think of.
const CLASSES_MAX: usize = 120;

/// How many requests schemathesis makes for each operation, unless the environment says another number.
const EXAMPLES: &str = "20";

/// What Python up to 3.11 says now and then when two threads parse at once (python/cpython, issue 106905).
const PYTHON_RACE: &str = "AST constructor recursion depth mismatch";

/// Where the files of these tests are.
fn folder() -> PathBuf {
    workspace().join("tests/contract")
}

fn document() -> PathBuf {
    workspace().join("docs/openapi.json")
}

/// A command of the tools, in a folder.
fn tool(name: &str, folder: &Path) -> Command {
    let path = Command::new(self::folder().join("install")).arg("--path").output().expect("there is bash");
    let path = String::from_utf8(path.stdout).expect("a path in Unicode");
    let program = Path::new(path.trim_end()).join(name);
    assert!(program.exists(), "there is no {name}: run tests/contract/install (make test does)");
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Runs a command, which has to succeed; gives what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{errors}", output.status);
    printed.into_owned()
}

/// Copies files of these tests.
fn copy(names: &[&str], to: &Path) {
    for name in names {
        fs::copy(folder().join(name), to.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn redocly_and_spectral_find_nothing() {
    run(tool("redocly", &folder()).args(["lint", "--config", "redocly.yaml"]).arg(document()));
    let mut spectral = tool("spectral", &folder());
    run(spectral.args(["lint", "--ruleset", "spectral.yaml", "--fail-severity", "hint"]).arg(document()));
}

#[test]
fn schemathesis_finds_nothing() {
    let server = Server::start();
    let mut schemathesis = tool("schemathesis", &folder());
    schemathesis.args(["--config-file", "schemathesis.toml", "run", "--no-color", "--workers", "2"]);
    for (option, variable, usual) in
        [("--max-examples", "CONTRACT_EXAMPLES", EXAMPLES), ("--seed", "CONTRACT_SEED", "")]
    {
        let value = env::var(variable).unwrap_or_else(|_| usual.to_owned());
        if !value.is_empty() {
            schemathesis.args([option, &value]);
        }
    }
    schemathesis.arg(format!("{}/openapi.json", server.url())).env("BOXOFFICE_URL", server.url());
    let mut run = || {
        let output = schemathesis.output().expect("it starts");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        // It names the seed, and is shown also if it finds nothing.
        println!("{printed}");
        (output.status, printed)
    };
    let (mut status, printed) = run();
    if !status.success() && printed.contains(PYTHON_RACE) {
        (status, _) = run();
    }
    assert!(status.success(), "schemathesis: {status}; its output is above");
    server.stop();
}

#[test]
fn a_seat_is_bought_with_a_generated_python_client() {
    let (server, work) = (Server::start(), TestFolder::create());
    let client = work.join("boxoffice_client");
    let mut generator = tool("openapi-python-client", work.path());
    generator.args(["generate", "--meta", "none", "--fail-on-warning", "--path"]).arg(document());
    run(generator.arg("--output-path").arg(&client));
    let models = fs::read_dir(client.join("models")).expect("a folder of models");
    let text = |entry: fs::DirEntry| fs::read_to_string(entry.path()).expect("a model");
    let classes: usize = models
        .map(|entry| text(entry.expect("an entry")).lines().filter(|line| line.starts_with("class ")).count())
        .sum();
    assert!((1..CLASSES_MAX).contains(&classes), "the client has {classes} classes");
    copy(&["buy.py"], work.path());
    // What the generator writes alike for every API is not checked.
    run(tool("mypy", work.path()).args(["--strict", "--follow-imports", "silent", "--no-incremental", "buy.py"]));
    let printed = run(tool("python", work.path()).arg("buy.py").env("BOXOFFICE_URL", server.url()));
    assert!(printed.starts_with("bought "), "{printed}");
    server.stop();
}

#[test]
fn a_seat_is_bought_with_a_generated_typescript_client() {
    let (server, work) = (Server::start(), TestFolder::create());
    copy(&["buy.ts", "package.json", "tsconfig.json"], work.path());
    let node = tool("node", work.path());
    let modules = Path::new(node.get_program()).ancestors().nth(2).expect("the folder of the tools").join("node");
    std::os::unix::fs::symlink(modules.join("node_modules"), work.join("node_modules")).expect("a link");
    run(tool("openapi-typescript", work.path())
        .arg(document())
        .args([OsStr::new("--output"), OsStr::new("schema.d.ts")]));
    run(&mut tool("tsc", work.path()));
    let printed = run(tool("node", work.path()).arg("buy.ts").env("BOXOFFICE_URL", server.url()));
    assert!(printed.starts_with("bought "), "{printed}");
    server.stop();
}
