//! The image of an instance. It takes a container engine to build it; here is what holds without one.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use boxoffice_testkit::TestFolder;
use boxoffice_tests::{binary, files, read, workspace};

use crate::{installed, printed_by};

const DOCKERFILE: &str = "crates/app/packaging/Dockerfile";
const HEALTHY: &str = "crates/app/packaging/healthy";

#[test]
fn the_linters_find_nothing_in_the_image_and_in_the_scripts() {
    printed_by(installed("hadolint").arg("--no-color").arg(workspace().join(DOCKERFILE)));
    let scripts = files("crates/app/packaging", "").into_iter().filter(|path| read(path).starts_with("#!"));
    let mut linter = installed("shellcheck");
    printed_by(linter.args(scripts).arg("tests/package/install").args(["-x", "-P", "."]).current_dir(workspace()));
}

#[test]
fn the_image_is_built_with_the_compiler_of_the_workspace_and_runs_as_nobody_else() {
    let (image, toolchain) = (read(DOCKERFILE), read("rust-toolchain.toml"));
    let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")).unwrap().trim_end_matches('"');
    let stages: Vec<_> = image.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(stages, [&format!("rust:{version}-slim-bookworm AS build"), "debian:bookworm-slim"]);
    let user = image.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    let (account, group) = user.split_once(':').unwrap();
    assert!(account.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0);
    // What the build needs of the repository is what the image is built from.
    let kept = read(".dockerignore");
    for path in ["Cargo.lock", "Cargo.toml", "crates", "migrations", "tests"] {
        assert!(kept.contains(&format!("\n!{path}\n")), "{path} is not sent to the build");
    }
}

/// A server that is killed when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn the_image_asks_the_server_in_it_whether_it_responds() {
    let folder = TestFolder::create();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    // As the image has it: on all addresses.
    let metrics = format!("0.0.0.0:{port}");
    let is_healthy = || {
        let mut healthy = Command::new(workspace().join(HEALTHY));
        healthy.env("BOXOFFICE_METRICS_LISTEN", &metrics).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(!is_healthy(), "nothing serves yet");
    let mut serve = Command::new(binary());
    serve.current_dir(folder.path()).env("BOXOFFICE_LISTEN", "127.0.0.1:0").env("BOXOFFICE_METRICS_LISTEN", &metrics);
    let server = Server(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let responds = async {
        while !is_healthy() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), responds).await.expect("the server responds");
    drop(server);
    assert!(!is_healthy(), "nothing serves any more");
}
