//! The command line, with the real binary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use boxoffice_peers::{
    Announcement, Peers, Topic,
    redis::{Link, RedisPeers, RedisSettings, RedisUrl},
};
use boxoffice_testkit::servers::RedisServer;
use tokio::time::{sleep, timeout};

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("boxoffice-cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The binary with its data in this folder, and none of the caller's settings.
fn boxoffice(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxoffice"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOXOFFICE_")) {
        command.env_remove(name);
    }
    command.current_dir(&folder.0).args(arguments).stdin(Stdio::null());
    command
}

fn run(folder: &Folder, arguments: &[&str]) -> (i32, String, String) {
    outcome(boxoffice(folder, arguments).output().unwrap())
}

fn outcome(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn names(path: &Path) -> Vec<String> {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn help_names_every_command_and_the_settings_everybody_needs() {
    let (code, help, _) = run(&Folder::new(), &["-h"]);
    assert_eq!(code, 0);
    for word in ["serve", "migrate", "import", "account", "audit", "openapi"] {
        assert!(help.contains(&format!("\n  {word} ")), "{word}: {help}");
    }
    for word in ["--config", "--listen", "--database", "--waiting-room", "--data-dir", "--demo", "--log-format"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert!(help.contains("BOXOFFICE_LISTEN") && help.contains("127.0.0.1:8080"), "{help}");
    assert!(!help.contains("--sweep-seconds"), "{help}");
}

#[test]
fn the_long_help_names_every_setting_with_its_variable() {
    let (code, help, _) = run(&Folder::new(), &["serve", "--help"]);
    assert_eq!(code, 0);
    for word in ["--hold-seconds", "BOXOFFICE_HOLD_SECONDS", "--sweep-seconds", "BOXOFFICE_MAX_ACTIVE"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[test]
fn openapi_prints_the_document_and_needs_no_settings() {
    let folder = Folder::new();
    let (code, document, _) = run(&folder, &["openapi"]);
    assert_eq!(code, 0);
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(names(&folder.0), Vec::<String>::new());
}

#[test]
fn wrong_settings_are_refused_by_name_before_anything_is_done() {
    let folder = Folder::new();
    let file = folder.file("boxoffice.toml", "hold_secs = 3\nmax_active = 0\n");
    let mut command = boxoffice(&folder, &["serve", "--config", file.to_str().unwrap(), "--listen", "nowhere"]);
    command.env("BOXOFFICE_WRITE_LANES", "many").env("BOXOFFICE_PASSWORD", "not a setting");
    let (code, printed, error) = outcome(command.output().unwrap());
    assert_eq!((code, printed.as_str()), (2, ""));
    for told in [
        "`hold_secs` is not a setting",
        "`max_active` must be a whole number from 1 to 1000000, not `0`",
        "boxoffice.toml",
        "`write_lanes` must be a whole number from 1 to 64, not `many` (set by the variable BOXOFFICE_WRITE_LANES)",
        "`listen` must be an address",
        "(set by the flag --listen)",
    ] {
        assert!(error.contains(told), "{told}: {error}");
    }
    assert_eq!(names(&folder.0), ["boxoffice.toml"]);
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let folder = Folder::new();
    let file = folder.file("settings.toml", "colour = 'red'\n");
    let (code, _, error) = outcome(boxoffice(&folder, &["audit"]).env("BOXOFFICE_CONFIG", &file).output().unwrap());
    assert!(code == 2 && error.contains("`colour` is not a setting"), "{error}");
    let (code, _, error) = run(&folder, &["audit", "--config", "missing.toml"]);
    assert!(code == 2 && error.contains("cannot read missing.toml"), "{error}");
}

#[test]
fn a_wrong_url_of_redis_is_refused_without_its_password() {
    let (code, _, error) = run(&Folder::new(), &["--waiting-room", "redis://:hunter2@localhost/lines"]);
    assert!(code == 2 && error.contains("`waiting_room` is not a URL") && !error.contains("hunter2"), "{error}");
}

#[test]
fn an_audit_that_cannot_run_exits_with_2_and_makes_nothing() {
    let folder = Folder::new();
    let (code, printed, error) = run(&folder, &["audit"]);
    assert_eq!((code, printed.as_str()), (2, ""));
    assert!(error.contains("there is no database at sqlite://./data/boxoffice.db"), "{error}");
    assert_eq!(names(&folder.0), Vec::<String>::new());
}

#[test]
fn a_file_that_is_no_database_cannot_be_audited() {
    let folder = Folder::new();
    folder.file("not.db", &"this is no database ".repeat(1_000));
    let (code, printed, error) = run(&folder, &["audit", "--database", "sqlite://not.db"]);
    assert!(code == 2 && printed.is_empty() && error.starts_with("boxoffice: "), "{code} {printed} {error}");
}

#[test]
fn a_wrong_catalog_is_refused_with_every_place_and_1() {
    let folder = Folder::new();
    let catalog = r#"{"venues": [{"key": "", "name": "Hall", "location": "Seoul", "sections": []}], "concerts": []}"#;
    folder.file("wrong.json", catalog);
    let (code, printed, error) = run(&folder, &["import", "wrong.json"]);
    assert_eq!((code, printed.as_str()), (1, ""), "{error}");
    assert!(error.contains("/venues/0/key: must not be empty"), "{error}");
    assert!(error.contains("/venues/0/sections: a venue has at least one section"), "{error}");
    assert!(error.contains("wrong.json: 2 wrong; nothing was imported"), "{error}");
    assert_eq!(names(&folder.0), ["wrong.json"]);
}

#[test]
fn a_catalog_is_imported_again_without_harm_and_the_audit_is_clean() {
    let folder = Folder::new();
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/catalog/club.json");
    let (code, printed, error) = run(&folder, &["import", catalog]);
    assert_eq!(code, 0, "{error}");
    assert!(printed.contains("venues 1 new and 0 known") && printed.contains("100 new seats"), "{printed}");
    let (code, printed, error) = run(&folder, &["import", catalog]);
    assert_eq!(code, 0, "{error}");
    assert!(printed.contains("venues 0 new and 1 known") && printed.contains(" 0 new seats"), "{printed}");
    assert_eq!(run(&folder, &["audit"]).1, "no breach found\n");
    let (code, _, error) = run(&folder, &["import", "missing.json"]);
    assert!(code == 2 && error.contains("cannot read missing.json"), "{error}");
    let (code, _, error) = run(&folder, &["import", catalog, "--promoter", "nobody"]);
    assert!(code == 2 && error.contains("there is no account `nobody`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_published_to_the_servers_over_the_same_redis() {
    let server = RedisServer::start().await.unwrap();
    let second = Duration::from_secs(1);
    let settings = RedisSettings { prefix: "boxoffice".to_owned(), connect_timeout: second, command_timeout: second };
    let link = Link::open(RedisUrl::parse(&server.url()).unwrap(), settings);
    let peers = RedisPeers::new(link);
    let mut subscription = peers.subscribe();
    while !peers.all_received() {
        sleep(Duration::from_millis(10)).await;
    }
    while subscription.try_next().is_some() {}
    let folder = Folder::new();
    let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/catalog/club.json");
    let mut import = boxoffice(&folder, &["import", catalog]);
    import.env("BOXOFFICE_WAITING_ROOM", server.url());
    let (code, _, error) = tokio::task::spawn_blocking(move || outcome(import.output().unwrap())).await.unwrap();
    assert_eq!(code, 0, "{error}");
    let mut received = async || timeout(Duration::from_secs(30), subscription.next()).await.expect("it is received");
    assert_eq!(received().await, Announcement::Missed, "the import is a peer that was not known before");
    assert_eq!(received().await, Announcement::Published { topic: Topic::Catalog, text: "".into() });
}

#[test]
fn an_account_is_made_once_and_its_role_changed_afterwards() {
    let folder = Folder::new();
    let account = |role: &str, password: Option<&str>| {
        let mut command = boxoffice(&folder, &["account", "haneul", "--role", role]);
        if let Some(password) = password {
            command.env("BOXOFFICE_PASSWORD", password);
        }
        outcome(command.output().unwrap())
    };
    let (code, _, error) = account("promoter", None);
    assert!(code == 2 && error.contains("set BOXOFFICE_PASSWORD"), "{error}");
    let (code, _, error) = account("promoter", Some("short"));
    assert!(code == 1 && error.contains("a password has 8 to 128 characters"), "{error}");
    let (code, printed, error) = account("promoter", Some("long enough"));
    assert_eq!((code, printed.as_str()), (0, "made the account `haneul` with the role promoter\n"), "{error}");
    let (code, printed, error) = account("admin", None);
    assert!(code == 0 && printed.starts_with("the account `haneul` has the role admin"), "{printed} {error}");
}

#[test]
fn migrations_are_applied_and_taken_back() {
    let folder = Folder::new();
    let (code, applied, error) = run(&folder, &["migrate"]);
    assert!(code == 0 && applied.lines().all(|line| line.starts_with("applied ")), "{applied} {error}");
    assert_eq!(run(&folder, &["migrate"]).1, "the schema is up to date\n");
    let count = applied.lines().count().to_string();
    let (code, taken_back, error) = run(&folder, &["migrate", "--down", &count]);
    assert!(code == 0 && taken_back.lines().count() == applied.lines().count(), "{taken_back} {error}");
    let (code, _, error) = run(&folder, &["audit"]);
    assert_eq!(code, 2, "{error}");
}

/// A server that is killed where its test fails.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        Self::start_logging_to(folder, arguments, Stdio::piped())
    }

    fn start_logging_to(folder: &Folder, arguments: &[&str], log: Stdio) -> Self {
        let mut command = boxoffice(folder, &[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("boxoffice listens on http://").map(str::to_owned);
        Self { process, address: address.unwrap_or_else(|| panic!("it printed `{line}`")) }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Tells it to stop, and gives its exit code and its log.
    fn stop(mut self) -> (i32, String) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut log = String::new();
        if let Some(mut written) = self.process.stderr.take() {
            written.read_to_string(&mut log).unwrap();
        }
        (self.process.wait().unwrap().code().unwrap(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn a_server_prints_where_it_listens_and_ends_with_0_when_told_to_stop() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--log-format", "json"]);
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200 OK"));
    assert!(server.get("/metrics").contains("# TYPE http_requests_total counter"));
    // A connection without a request does not hold it up.
    let _idle = TcpStream::connect(&server.address).unwrap();
    let (code, log) = server.stop();
    assert_eq!(code, 0, "{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert!(log.contains(r#""message":"stopped""#), "{log}");
    let mode = |path: &str| std::fs::metadata(folder.0.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/keys.json"), mode("data/boxoffice.db")), (0o700, 0o600, 0o600));
    assert_eq!(run(&folder, &["audit"]).1, "no breach found\n");
}

#[test]
fn a_server_whose_log_cannot_be_written_serves_all_the_same() {
    let folder = Folder::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let server = Server::start_logging_to(&folder, &["--log", "debug"], full.into());
    assert!(server.get("/v1/concerts").starts_with("HTTP/1.1 200 OK"));
    assert_eq!(server.stop().0, 0);
}

#[test]
fn two_servers_never_work_with_one_embedded_database() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let (code, _, error) = run(&folder, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(code == 2 && error.contains("another server is working with sqlite://./data/boxoffice.db"), "{error}");
    assert_eq!(server.stop().0, 0);
    assert_eq!(Server::start(&folder, &[]).stop().0, 0);
}

#[test]
fn the_demonstration_is_the_same_after_a_second_start() {
    let folder = Folder::new();
    let (code, log) = Server::start(&folder, &["--demo"]).stop();
    assert!(
        code == 0 && log.contains("54814 new seats") && log.contains("passwords of its accounts are public"),
        "{log}"
    );
    let server = Server::start(&folder, &["--demo"]);
    let concerts = server.get("/v1/concerts?bookable=true");
    assert_eq!(concerts.matches(r#""title""#).count(), 3, "{concerts}");
    let (code, log) = server.stop();
    assert!(code == 0 && log.matches(" 0 new seats").count() == 2, "{log}");
    assert!(!log.contains("demo-password"), "{log}");
}

#[test]
fn operators_have_a_port_of_their_own_where_they_want_one() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--metrics-listen", "127.0.0.1:0"]);
    assert!(server.get("/metrics").starts_with("HTTP/1.1 404 "));
    let (code, log) = server.stop();
    assert!(code == 0 && log.contains("serving metrics and health"), "{log}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, error) = run(&Folder::new(), &["serve", "--listen", &address]);
    assert!(code == 2 && error.contains(&format!("cannot listen on {address}")), "{error}");
}
