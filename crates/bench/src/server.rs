//! The release binary as a process, over an empty database.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use boxoffice_testkit::servers::{DatabaseServer, ServerKind};
use mysql_async::{Conn, Opts, prelude::Queryable};
use tokio::time::Instant;

use crate::{
    options::{self, Bench},
    process::Watched,
};

/// The kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    MariaDb,
    MySql,
    Sqlite,
}

impl Backend {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
            Self::Sqlite => "SQLite",
        }
    }
}

/// A running database server, or a folder for files.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) backend: Backend,
    server: Option<DatabaseServer>,
    /// The database server's process; an embedded database has none.
    pub(crate) process: Option<Watched>,
    /// The version, and the settings of durability.
    pub(crate) described: String,
    folder: PathBuf,
}

impl Store {
    /// Starts a private server with an empty data folder.
    pub(crate) async fn start(backend: Backend, bench: &Bench) -> anyhow::Result<Self> {
        let folder = options::folder().join(backend.name());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        private_folder(&folder)?;
        // As large as the tables that grow; a server in production has most of the memory of its machine.
        let mut options = vec!["--innodb-buffer-pool-size=3G"];
        let kind = match backend {
            Backend::MariaDb => {
                options.push("--innodb-log-file-size=1G");
                ServerKind::MariaDb
            }
            Backend::MySql => ServerKind::MySql,
            Backend::Sqlite => {
                let described = "SQLite (built in), journal_mode = WAL, synchronous = FULL".to_owned();
                return Ok(Self { backend, server: None, process: None, described, folder });
            }
        };
        options.extend(bench.database_option.iter().map(String::as_str));
        let server = DatabaseServer::start_with(kind, &options).await?;
        let mut connection = connect(&server.url("")).await?;
        let variables: Option<(String, String, String, String)> = connection
            .query_first(
                "SELECT CAST(@@version AS CHAR), CAST(@@innodb_flush_log_at_trx_commit AS CHAR), \
                 IF(@@log_bin, 'on', 'off'), CAST(@@sync_binlog AS CHAR)",
            )
            .await?;
        let (version, flush, log, sync) = variables.context("the database has no variables")?;
        ensure!(flush == "1", "the database does not flush at each commit");
        ensure!(log == "off" || sync == "1", "the database does not flush its binary log at each commit");
        let log =
            if log == "off" { "no binary log".to_owned() } else { format!("binary log on, sync_binlog = {sync}") };
        let described = format!("{} {version}, innodb_flush_log_at_trx_commit = {flush}, {log}", backend.name());
        let process_file: Option<String> = connection.query_first("SELECT @@pid_file").await?;
        let process_id = fs::read_to_string(process_file.context("no process id")?)?.trim().parse()?;
        connection.disconnect().await?;
        let process = Some(Watched::new(process_id)?);
        Ok(Self { backend, server: Some(server), process, described, folder })
    }

    /// The URL of a new, empty database, whose name no other has.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<String> {
        if let Some(server) = &self.server {
            server.create_database(name).await?;
            return Ok(server.url(name));
        }
        Ok(format!("sqlite://{}", self.folder.join(format!("{name}.db")).display()))
    }
}

/// Makes a folder that no other user may read: a server refuses others for its data.
fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A connection of the benchmark to a MariaDB or MySQL.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Conn> {
    let mut connection = Conn::new(Opts::from_url(url)?).await?;
    connection.query_drop("SET SESSION sql_mode = 'STRICT_TRANS_TABLES'").await?;
    connection.query_drop("SET SESSION time_zone = '+00:00'").await?;
    connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
    Ok(connection)
}

#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// Kept open, or the server could not write to it.
    _output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    pub(crate) folder: PathBuf,
    pub(crate) database_url: String,
    settings: Vec<(String, String)>,
    /// From the start of the process until `/readyz` answered 200.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts the binary with these settings, by the names of their keys.
    pub(crate) async fn start(
        binary: &Path,
        folder: &Path,
        database_url: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        private_folder(folder)?;
        let of_all = [
            ("data_dir", folder.to_string_lossy().into_owned()),
            ("database", database_url.to_owned()),
            ("listen", "127.0.0.1:0".to_owned()),
            // Thousands of accounts sign up from one address, and no password has to be safe.
            ("account_requests_per_minute", "0".to_owned()),
            // A few accounts and one address make all the load.
            ("account_acts_per_second", "0".to_owned()),
            ("account_requests_in_flight", "0".to_owned()),
            ("connections_per_address", "0".to_owned()),
            ("event_streams_per_network", "0".to_owned()),
            ("gateway", "simulator".to_owned()),
            // Holds are cancelled, or lapse, all the time.
            ("unpaid_holds_free", "1000000000".to_owned()),
            ("password_memory_kib", "8".to_owned()),
            ("password_iterations", "1".to_owned()),
            ("access_token_seconds", "86400".to_owned()),
            ("reform_seconds", "0".to_owned()),
        ];
        let given = settings.iter().map(|(key, value)| (*key, (*value).to_owned()));
        let settings: Vec<_> = of_all.into_iter().chain(given).map(|(key, value)| (key.to_owned(), value)).collect();
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let began = Instant::now();
        let mut process = command(binary, &settings)
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut output = BufReader::new(process.stdout.take().context("its output is no pipe")?);
        let (line, output) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            output.read_line(&mut line).map(|_| (line, output))
        })
        .await??;
        let Some(address) = line.trim_end().strip_prefix("boxoffice listens on http://") else {
            process.kill().ok();
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            bail!("the server did not start:\n{log}");
        };
        let address = address.parse()?;
        let mut connection = boxoffice_rush::Connection::open(address).await?;
        let ready = connection.send(&boxoffice_rush::Request::get("/readyz").prepare()).await?;
        ensure!(ready.status == 200, "the server is not ready");
        let (folder, database_url) = (folder.to_owned(), database_url.to_owned());
        Ok(Self { process, _output: output, address, folder, database_url, settings, ready_after: began.elapsed() })
    }

    pub(crate) fn watched(&self) -> anyhow::Result<Watched> {
        Watched::new(self.process.id())
    }

    /// Runs another command of the binary with the settings of this server.
    pub(crate) async fn run(&self, binary: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        self.run_with(binary, arguments, &[]).await
    }

    /// As [`Self::run`], with further variables of the environment.
    pub(crate) async fn run_with(
        &self,
        binary: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let mut command = command(binary, &self.settings);
        command.args(arguments).envs(variables.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`boxoffice {}` failed: {error}", arguments.join(" "));
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let sent = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        ensure!(sent.success(), "the server cannot be asked to stop");
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait()? {
                ensure!(status.success(), "the server did not end well: {status}");
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the server does not stop")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a clean stop there is nothing left to kill.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn command(binary: &Path, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOXOFFICE_")) {
        command.env_remove(name);
    }
    let variables = settings.iter().map(|(key, value)| (format!("BOXOFFICE_{}", key.to_uppercase()), value));
    command.envs(variables).stdin(Stdio::null());
    command
}
