//! What operators install: the Debian package, made of the program under test, and the image. Where this machine lacks a
//! tool, a test says what it did not check.

mod contents;
mod image;
mod installation;

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use boxoffice_tests::{binary, workspace};

/// Runs a command that has to succeed, and gives what it printed.
#[track_caller]
fn printed_by(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (printed, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{error}", output.status);
    printed
}

/// Whether there is such a command. If not, says what is not checked for it; the harness would keep that back.
fn has(tool: &str, for_what: &str) -> bool {
    let there = env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(tool).is_file());
    if !there {
        say_not_checked(for_what, &format!("there is no {tool}"));
    }
    there
}

fn say_not_checked(what: &str, reason: &str) {
    writeln!(io::stderr(), "NOT CHECKED: {what}, because {reason}").expect("the standard error is open");
}

/// A command that `tests/package/install` has installed.
fn installed(tool: &str) -> Command {
    let mut install = Command::new(workspace().join("tests/package/install"));
    Command::new(Path::new(printed_by(install.arg("--path")).trim()).join(tool))
}

/// The package of the program under test, and what is unpacked of it.
struct Package {
    file: PathBuf,
    components: PathBuf,
    root: PathBuf,
}

impl Package {
    /// Builds it once; `None` if this machine cannot.
    fn get() -> Option<&'static Self> {
        static PACKAGE: OnceLock<Option<Package>> = OnceLock::new();
        let package = PACKAGE.get_or_init(|| {
            let tools = ["dpkg-deb", "dpkg-shlibdeps", "strip"];
            let can_build = tools.iter().all(|tool| has(tool, "the Debian package"));
            can_build.then(|| {
                let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
                fs::remove_dir_all(&folder).ok();
                let (file, components) = build_package(&folder.join("first"));
                let root = folder.join("root");
                printed_by(Command::new("dpkg-deb").arg("--extract").args([&file, &root]));
                Package { file, components, root }
            })
        });
        package.as_ref()
    }
}

/// Makes the package as `make package` does, of the program under test and for one day. Gives its file, and the list of
/// components.
fn build_package(folder: &Path) -> (PathBuf, PathBuf) {
    let mut build = Command::new(workspace().join("crates/app/packaging/build"));
    build.env("BOXOFFICE_BIN", binary()).env("PACKAGE_DIR", folder).env("PACKAGE_COMPRESSION", "fast");
    build.env("SOURCE_DATE_EPOCH", "1767225600");
    let printed = printed_by(&mut build);
    let [package, components] = printed.lines().collect::<Vec<_>>()[..] else { panic!("two files: {printed}") };
    (package.into(), components.into())
}
