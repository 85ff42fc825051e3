//! The real binary with its demo, over SQLite.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use boxoffice_testkit::{TestFolder, servers::free_port};
use boxoffice_tests::binary;

const LISTENS: &str = "boxoffice listens on ";

pub(crate) struct Server {
    folder: TestFolder,
    url: String,
    process: Child,
    _output: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = TestFolder::create();
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOXOFFICE_")) {
            command.env_remove(name);
        }
        // Hashing is cheap, no limit stands in the way of many requests, and charges are as large as the document allows.
        for (name, value) in [
            ("DEMO", "true"),
            ("DEMO_BUYERS", "0"),
            ("PASSWORD_MEMORY_KIB", "8"),
            ("PASSWORD_ITERATIONS", "1"),
            ("ACCOUNT_REQUESTS_PER_MINUTE", "0"),
            ("REFORM_SECONDS", "0"),
            ("ACCOUNT_ACTS_PER_SECOND", "0"),
            ("ACCOUNT_REQUESTS_IN_FLIGHT", "0"),
            ("SESSIONS_PER_ACCOUNT", "10000"),
            ("UNPAID_HOLDS_FREE", "1000000000"),
            ("CHARGE_POINTS_MAX", "1000000000000"),
        ] {
            command.env(format!("BOXOFFICE_{name}"), value);
        }
        let log = File::create(folder.join("log")).expect("a file for the log");
        let address = format!("127.0.0.1:{}", free_port().expect("a port"));
        command.args(["serve", "--listen", &address]).env("BOXOFFICE_DATA_DIR", folder.join("data"));
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().expect("the binary starts");
        let mut output = BufReader::new(process.stdout.take().expect("its output is a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("its output is text");
        let url = line.trim_end().strip_prefix(LISTENS).unwrap_or_else(|| panic!("the server said `{line}`"));
        Self { url: url.to_owned(), folder, process, _output: output }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The end of every test: a clean stop, and no error in the log.
    pub(crate) fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0), "the server did not end well");
        let log = self.log();
        let bad: Vec<_> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        assert!(bad.is_empty(), "the server logged errors: {bad:#?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the last lines of the log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
