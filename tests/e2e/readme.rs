//! The purchase in the README, run as printed.

use std::process::Stdio;

use boxoffice_tests::read;
use tokio::{process::Command, time::timeout};

use crate::support::{PATIENCE, server::Server};

const START: &str = "<!-- purchase:start -->";
const END: &str = "<!-- purchase:end -->";

/// The commands between the two comments.
fn purchase() -> String {
    let readme = read("README.md");
    let block = readme.split_once(START).and_then(|(_, rest)| rest.split_once(END));
    let (block, _) = block.unwrap_or_else(|| panic!("README.md has no block between `{START}` and `{END}`"));
    let mut script = String::new();
    let mut inside = false;
    for line in block.lines() {
        match line.trim() {
            "```bash" | "```sh" | "```shell" => inside = true,
            "```" => inside = false,
            _ if inside => script.extend([line, "\n"]),
            _ => {}
        }
    }
    assert!(!script.is_empty(), "README.md has no bash between `{START}` and `{END}`");
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn the_purchase_of_the_readme_works_as_printed() {
    let script = purchase();
    let server = Server::start(&[("DEMO", "true")]).await;
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("BOXOFFICE_URL", server.url());
    command.current_dir(server.folder()).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("it ends").expect("there is bash");
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{printed}\n{errors}", output.status);
    assert!(printed.contains("confirmed"), "nothing was bought:\n{printed}\n{errors}");
    server.finish().await;
}
