//! What is in the Debian package.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use boxoffice_tests::{binary, read, workspace};
use serde_json::Value;

use crate::{Package, build_package, has, installed, printed_by};

/// The mode, owner and group of each entry of the package, by its path.
fn entries(package: &Package) -> BTreeMap<String, String> {
    let list = printed_by(Command::new("dpkg-deb").arg("--contents").arg(&package.file));
    let entry = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words[5].trim_start_matches('.').to_owned(), format!("{} {}", words[0], words[1]))
    };
    list.lines().map(entry).collect()
}

fn field(package: &Package, name: &str) -> String {
    printed_by(Command::new("dpkg-deb").arg("--field").arg(&package.file).arg(name)).trim().to_owned()
}

/// What a unit says, without the prefixes of systemd.
fn of_unit<'u>(unit: &'u str, name: &str) -> &'u str {
    let value = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit has no {name}"))
}

#[test]
fn the_package_has_what_its_unit_names() {
    let Some(package) = Package::get() else { return };
    let entries = entries(package);
    let unit = read("docs/operations/boxoffice.service");
    let program = of_unit(&unit, "ExecStart").split(' ').next().unwrap();
    for (path, entry) in [
        (program, "-rwxr-xr-x root/root"),
        // The script that runs after the installation gives it to the group that may read it.
        (of_unit(&unit, "EnvironmentFile"), "-rw-r----- root/root"),
        ("/usr/lib/systemd/system/boxoffice.service", "-rw-r--r-- root/root"),
        ("/usr/share/bash-completion/completions/boxoffice", "-rw-r--r-- root/root"),
        ("/usr/share/zsh/vendor-completions/_boxoffice", "-rw-r--r-- root/root"),
        ("/usr/share/fish/vendor_completions.d/boxoffice.fish", "-rw-r--r-- root/root"),
        ("/usr/share/doc/boxoffice/boxoffice.cdx.json", "-rw-r--r-- root/root"),
        ("/usr/share/doc/boxoffice/copyright", "-rw-r--r-- root/root"),
        ("/usr/share/doc/boxoffice/licenses.txt.gz", "-rw-r--r-- root/root"),
        ("/usr/share/man/man1/boxoffice.1.gz", "-rw-r--r-- root/root"),
        ("/usr/share/man/man1/boxoffice-keys-rotate.1.gz", "-rw-r--r-- root/root"),
    ] {
        assert_eq!(entries.get(path).map(String::as_str), Some(entry), "{path} in {entries:#?}");
    }
    assert!(entries.iter().all(|(path, entry)| entry.ends_with(" root/root") && !path.contains("/usr/local")));
    let unpacked = package.root.join("usr/lib/systemd/system/boxoffice.service");
    assert_eq!(fs::read_to_string(unpacked).unwrap(), unit);

    // The account and the folder that the unit runs with are those that the package makes.
    let makes = read("crates/app/packaging/debian/postinst");
    let data = of_unit(&unit, "Environment").strip_prefix("BOXOFFICE_DATA_DIR=").unwrap();
    assert_eq!(data, format!("/var/lib/{}", of_unit(&unit, "StateDirectory")));
    let account = of_unit(&unit, "User");
    assert!(makes.contains(&format!("install -d -o {account} -g {account} -m 0700 {data}\n")), "{makes}");
    let conffiles = printed_by(Command::new("dpkg-deb").arg("--info").arg(&package.file).arg("conffiles"));
    assert_eq!(conffiles.trim(), of_unit(&unit, "EnvironmentFile"));
}

#[test]
fn systemd_accepts_the_unit_in_the_package() {
    let Some(package) = Package::get() else { return };
    if has("systemd-analyze", "the unit") {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(format!("--root={}", package.root.display()));
        let output = verify.arg("boxoffice.service").output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{}\n{complaints}", output.status);
    }
}

#[test]
fn the_program_in_the_package_is_the_one_it_was_made_of() {
    let Some(package) = Package::get() else { return };
    let version = |program: &Path| printed_by(Command::new(program).arg("--version"));
    assert_eq!(version(&package.root.join("usr/bin/boxoffice")), version(binary()));
    assert_eq!(format!("boxoffice {}", field(package, "Version")), format!("{}-1", version(binary()).trim()));
    assert_eq!(field(package, "Architecture"), printed_by(Command::new("dpkg").arg("--print-architecture")).trim());
    let depends = field(package, "Depends");
    assert!(depends.contains("libc6 (>= ") && depends.ends_with(", adduser"), "{depends}");
    let sums = printed_by(Command::new("dpkg-deb").arg("--info").arg(&package.file).arg("md5sums"));
    fs::write(package.root.join("md5sums"), sums).unwrap();
    printed_by(Command::new("md5sum").args(["--check", "--strict", "md5sums"]).current_dir(&package.root));
}

#[test]
fn the_same_program_makes_the_same_package() {
    let Some(package) = Package::get() else { return };
    let (again, components) = build_package(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("package/second"));
    assert!(fs::read(&package.file).unwrap() == fs::read(&again).unwrap(), "{} differs", again.display());
    assert!(fs::read(&package.components).unwrap() == fs::read(components).unwrap());
    fs::remove_file(again).unwrap();
}

#[test]
fn lintian_finds_nothing_in_the_package() {
    let Some(package) = Package::get() else { return };
    if has("lintian", "the Debian package by lintian") {
        let mut lintian = Command::new("lintian");
        // Words of other crates are in the program, too.
        lintian.args(["--allow-root", "--fail-on", "none", "--dont-check-part", "binaries/spelling"]);
        let found = printed_by(lintian.arg(&package.file));
        assert!(!found.lines().any(|line| line.starts_with("E:") || line.starts_with("W:")), "{found}");
    }
}

#[test]
fn the_components_are_those_of_the_program() {
    let Some(package) = Package::get() else { return };
    let list: Value = serde_json::from_slice(&fs::read(&package.components).unwrap()).expect("it is JSON");
    assert_eq!((&list["bomFormat"], &list["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    assert_eq!(list["metadata"]["component"]["name"], "boxoffice");
    let components = list["components"].as_array().unwrap();
    let named = |scope: &str| -> BTreeSet<&str> {
        let inside = components.iter().filter(|component| component["scope"] == scope);
        inside.map(|component| component["name"].as_str().unwrap()).collect()
    };
    let (linked, excluded) = (named("required"), named("excluded"));
    assert!(linked.len() > 200 && linked.is_superset(&["axum", "diesel", "libsqlite3-sys", "sqlite"].into()));
    assert!(excluded.is_superset(&["cc", "serde_derive"].into()), "{excluded:?}");
    // Only tests use it, through a feature of a crate that the program has too.
    assert!(!linked.contains("mockall") && !excluded.contains("mockall"));
    for component in components {
        let name = component["name"].as_str().unwrap();
        assert!(!component["licenses"][0].is_null(), "{name} has no licence");
        let is_ours = name.starts_with("boxoffice");
        assert_eq!(component["purl"].is_null(), is_ours, "{name}");
        assert!(is_ours || name == "sqlite" || component["hashes"][0]["content"].as_str().unwrap().len() == 64);
    }
    let references: BTreeSet<_> = components.iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
    for dependency in list["dependencies"].as_array().unwrap() {
        let needs = dependency["dependsOn"].as_array().unwrap();
        assert!(needs.iter().all(|needed| references.contains(needed.as_str().unwrap())), "{dependency}");
    }
    assert_eq!(printed_by(installed("validate").arg(&package.components)), "");
    let text = fs::read_to_string(&package.components).unwrap();
    assert!(!text.contains(workspace().to_str().unwrap()), "it names a folder of this machine");
}
