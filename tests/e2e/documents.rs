//! What the documents print can be run: the purchase of the README, commands, demo accounts.

use std::{collections::BTreeSet, process::Stdio};

use boxoffice_tests::read;
use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::support::{
    PATIENCE,
    server::{Server, run_binary},
    text,
};

const START: &str = "<!-- purchase:start -->";
const END: &str = "<!-- purchase:end -->";

/// The commands between the two comments.
fn purchase() -> String {
    let readme = read("README.md");
    let block = readme.split_once(START).and_then(|(_, rest)| rest.split_once(END));
    let (block, _) = block.unwrap_or_else(|| panic!("README.md has no block between `{START}` and `{END}`"));
    let script = block.split_once("```bash\n").and_then(|(_, rest)| rest.split_once("```"));
    script.unwrap_or_else(|| panic!("README.md has no bash between `{START}` and `{END}`")).0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_purchase_of_the_readme_works_as_printed() {
    let server = Server::start(&[("DEMO", "true")]).await;
    let mut command = Command::new("bash");
    command.args(["-c", &purchase()]).env("BOXOFFICE_URL", server.url());
    command.current_dir(server.folder()).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("it ends").expect("there is bash");
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{printed}\n{errors}", output.status);
    assert!(printed.contains("confirmed"), "nothing was bought:\n{printed}\n{errors}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_accounts_of_the_documents_can_sign_in() {
    let server = Server::start(&[("DEMO", "true")]).await;
    let configuration = read("docs/configuration.md");
    let rows = configuration.lines().filter(|line| line.contains("-password` |") && !line.contains(" to "));
    let mut roles = BTreeSet::new();
    for row in rows {
        let words: Vec<_> = row.split(['|', '`', ' ']).filter(|word| !word.is_empty()).collect();
        let [login_id, password, role, ..] = words[..] else { panic!("{row} has three columns") };
        let body = json!({"login_id": login_id, "password": password});
        let session = server.api().post("/v1/sessions", &body).send().await;
        let me = server.api().get("/v1/me").bearer(text(session.is(201), "access_token")).send().await;
        assert_eq!(me.is(200)["role"], role, "{login_id}");
        roles.insert(role.to_owned());
    }
    assert!(roles.contains("customer") && roles.contains("promoter"), "{roles:?}");
    server.finish().await;
}

/// The code in a document: between backticks, or in lines between fences of three. Continued lines are joined.
fn code_in(document: &str) -> Vec<String> {
    let mut code = Vec::new();
    for (index, block) in document.split("```").enumerate() {
        if index % 2 == 1 {
            code.extend(block.replace("\\\n", " ").lines().skip(1).map(str::to_owned));
        } else {
            code.extend(block.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    code
}

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let (mut breaches, mut commands) = (Vec::new(), 0);
    for document in ["docs/operations.md", "docs/runbook.md", "docs/configuration.md", "docs/api-guide.md"] {
        for code in code_in(&read(document)) {
            let mut words = code.split_whitespace().skip_while(|word| *word != "boxoffice").skip(1).peekable();
            let is_command = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
            let Some(command) = words.next_if(is_command) else { continue };
            commands += 1;
            let has_subcommands = matches!(command, "keys" | "maintenance");
            let subcommand = words.next_if(|word| has_subcommands && is_command(word));
            let help = run_binary(&[command].into_iter().chain(subcommand).chain(["--help"]).collect::<Vec<_>>());
            let flags = words.map(|word| word.trim_matches(['[', ']'])).filter(|word| word.starts_with("--"));
            let flags = flags.map(|flag| flag.split('=').next().unwrap_or(flag));
            let unknown = flags.filter(|flag| !help.contains(flag));
            breaches.extend(unknown.map(|flag| format!("{document}: `{code}`: there is no {flag}")));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    assert!(commands > 15, "only {commands} commands were found");
}
