//! The real binary as a process, with a data folder and a database for each test.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use boxoffice_testkit::servers::{ServerKind, TestDatabase, free_port, fresh_database};
use boxoffice_tests::binary;
use tokio::time::timeout;

use super::{
    PATIENCE,
    client::{Api, Buyer},
    eventually,
};

const LISTENS: &str = "boxoffice listens on ";
/// How much of the log is shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;
/// The password of every account in the tests.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Where the server stores its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Shared(ServerKind),
}

pub(crate) const MARIADB: Backend = Backend::Shared(ServerKind::MariaDb);
pub(crate) const MYSQL: Backend = Backend::Shared(ServerKind::MySql);

pub(crate) struct Server {
    /// What is started; another one than the binary under test only where versions meet.
    pub(crate) program: PathBuf,
    folder: PathBuf,
    settings: BTreeMap<String, String>,
    /// Removed at the end of a test that succeeds.
    database: Option<TestDatabase>,
    process: Option<(Child, BufReader<ChildStdout>)>,
    address: String,
    api: Api,
    /// Whether the log may hold errors, because the test breaks something on purpose.
    pub(crate) breaks_things: bool,
}

impl Server {
    /// Starts over `SQLite`, with these settings beside those of all tests.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_on(Backend::Sqlite, settings).await
    }

    pub(crate) async fn start_on(backend: Backend, settings: &[(&str, &str)]) -> Self {
        match backend {
            Backend::Sqlite => Self::prepare(settings).started().await,
            Backend::Shared(kind) => {
                // Boxed, because the compiler limits how deep the types of futures are nested.
                let database = Box::pin(fresh_database(kind)).await.expect("a database for the test");
                let mut server = Self::prepare(settings);
                server.set("DATABASE", database.url());
                server.database = Some(database);
                server.started().await
            }
        }
    }

    pub(crate) fn prepare(settings: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("boxoffice-e2e-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder for the test");
        let mut server = Self {
            program: binary().to_owned(),
            folder,
            settings: BTreeMap::new(),
            database: None,
            process: None,
            address: format!("127.0.0.1:{}", free_port().expect("a port")),
            api: Api::new(""),
            breaks_things: false,
        };
        // Hashing is cheap, points cost nothing, holds and what one client asks for are not limited, and no queue waits
        // after a start.
        let of_all = [
            ("UNPAID_HOLDS_FREE", "1000000000"),
            ("GATEWAY", "simulator"),
            ("PASSWORD_MEMORY_KIB", "8"),
            ("PASSWORD_ITERATIONS", "1"),
            ("ACCOUNT_REQUESTS_PER_MINUTE", "0"),
            ("SESSION_REFRESHES_PER_MINUTE", "0"),
            ("ACCOUNT_ACTS_PER_SECOND", "0"),
            ("ACCOUNT_REQUESTS_IN_FLIGHT", "0"),
            ("CONNECTIONS_PER_ADDRESS", "0"),
            ("EVENT_STREAMS_PER_NETWORK", "0"),
            ("REFORM_SECONDS", "0"),
        ];
        for (name, value) in of_all.iter().chain(settings) {
            server.set(name, value);
        }
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.parse().expect("an address")
    }

    /// Whether it was started and has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(format!("BOXOFFICE_{name}"), value.to_owned());
    }

    /// Sets another variable of its environment.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) async fn started(mut self) -> Self {
        self.start_again().await;
        self
    }

    /// Starts over the same data and on the same port.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.process.is_none(), "it is running");
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a file for the log");
        let mut command = self.command(&self.program, &["serve", "--listen", &self.address]);
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the binary starts");
        let mut output = BufReader::new(process.stdout.take().expect("its output is a pipe"));
        let first_line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            output.read_line(&mut line).map(|_| (line, output))
        });
        let listening = timeout(PATIENCE, first_line).await.map(|read| read.expect("it is read").expect("it is text"));
        let Ok((line, output)) = listening else {
            process.kill().ok();
            process.wait().ok();
            panic!("the server did not say that it listens");
        };
        self.process = Some((process, output));
        let url = line.trim_end().strip_prefix(LISTENS).unwrap_or_else(|| panic!("the server said `{line}`"));
        assert_eq!(url, self.url());
        self.api = Api::new(url);
    }

    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A connection to the database, which is not embedded.
    pub(crate) async fn database_connection(&self) -> mysql_async::Conn {
        let url = self.database.as_ref().expect("a separate database").url();
        mysql_async::Conn::from_url(url).await.expect("a connection")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the keys of several instances are, if this one makes them.
    pub(crate) fn keys_file(&self) -> String {
        self.folder.join("shared-keys.json").to_str().expect("a path").to_owned()
    }

    pub(crate) fn kill(&mut self) {
        let (mut process, _) = self.process.take().expect("it is running");
        process.kill().expect("it can be killed");
        process.wait().expect("it has ended");
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Lets it stand still, as a machine does that is paused.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let (process, _) = self.process.as_ref().expect("it is running");
        let sent = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let (mut process, output) = self.process.take().expect("it is running");
        let ended = eventually("the server ends", || {
            let ended = process.try_wait().expect("it can be waited for");
            async move { ended }
        });
        let status = ended.await;
        drop(output);
        status
    }

    /// Stops it, which must come to a clean end.
    pub(crate) async fn stop(&mut self) {
        self.terminate();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "the server did not end well");
    }

    /// Stops it and starts it again over the same data.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// The end of every test: a clean stop, a clean audit, and no error in the log.
    pub(crate) async fn finish(mut self) {
        self.stop().await;
        self.audit().await;
        let log = self.log();
        let bad: Vec<_> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        assert!(self.breaks_things || bad.is_empty(), "the server logged errors: {bad:#?}");
        self.remove_database().await;
    }

    /// Removes the database: a server that the environment names outlives the tests.
    pub(crate) async fn remove_database(mut self) {
        if let Some(database) = self.database.take() {
            Box::pin(database.remove()).await.expect("the database is removed");
        }
    }

    /// Checks every invariant of the database.
    pub(crate) async fn audit(&self) {
        let (status, output, error) = self.run(&["audit"], &[]).await;
        assert_eq!(status, 0, "the audit found: {output}{error}");
        assert_eq!(output, "no breach found\n");
    }

    /// Runs another command with the settings of this server: its exit code, output and errors.
    pub(crate) async fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        self.run_program(&self.program, arguments, variables).await
    }

    /// Runs `boxoffice-rush` with the settings of this server for its audit.
    pub(crate) async fn run_rush(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        let rush = env::var_os("BOXOFFICE_RUSH_BIN").filter(|path| !path.is_empty());
        let rush = rush.map_or_else(|| binary().with_file_name("boxoffice-rush"), PathBuf::from);
        let boxoffice = binary().to_str().expect("a path in Unicode");
        self.run_program(&rush, &[&["--boxoffice", boxoffice], arguments].concat(), variables).await
    }

    pub(crate) async fn run_program(
        &self,
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> (i32, String, String) {
        let mut command = self.command(program, arguments);
        command.envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it is run");
        let output = output.expect("the binary starts");
        let text = |bytes| String::from_utf8(bytes).expect("its output is text");
        (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
    }

    /// Makes an account that may publish, and signs it in.
    pub(crate) async fn promoter(&self, login_id: &str) -> Buyer {
        let password = [("BOXOFFICE_PASSWORD", PASSWORD)];
        let (status, _, error) = self.run(&["account", login_id, "--role", "promoter"], &password).await;
        assert_eq!(status, 0, "{error}");
        Buyer::sign_in(&self.api, login_id).await
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOXOFFICE_")) {
            command.env_remove(name);
        }
        command.env("BOXOFFICE_DATA_DIR", self.folder.join("data")).envs(&self.settings);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((mut process, _)) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("the last lines of the log of the server at {}:\n{}", self.address, shown.join("\n"));
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// The output of a command that needs no settings.
pub(crate) fn run_binary(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).env_clear().output().expect("the binary starts");
    assert!(output.status.success(), "boxoffice {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("its output is text")
}
