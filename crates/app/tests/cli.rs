//! The command line, with the real binary.

#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/files.rs"]
mod files;
#[path = "cli/operator.rs"]
mod operator;
#[path = "cli/options.rs"]
mod options;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/shell_files.rs"]
mod shell_files;
#[path = "cli/tls.rs"]
mod tls;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use boxoffice_domain::fixtures::TestClock;
use boxoffice_peers::{
    Announcement, Peers, Topic,
    redis::{Link, RedisPeers, RedisSettings, RedisUrl},
};
use boxoffice_testkit::{TestFolder, servers::RedisServer};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const CLUB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/catalog/club.json");

/// The binary with its data in this folder, and none of the caller's settings.
fn boxoffice(folder: &TestFolder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boxoffice"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOXOFFICE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder.path()).args(arguments).stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
struct Outcome {
    code: i32,
    printed: String,
    error: String,
}

impl Outcome {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), printed: text(output.stdout), error: text(output.stderr) }
    }

    /// Asserts that the command succeeded and printed these texts.
    #[track_caller]
    fn prints(&self, texts: &[&str]) {
        assert!(self.code == 0 && texts.iter().all(|text| self.printed.contains(text)), "{texts:?}: {self:?}");
    }

    /// Asserts that the command ended with this code, printed nothing, and named these errors.
    #[track_caller]
    fn fails(&self, code: i32, texts: &[&str]) {
        let failed = self.code == code && self.printed.is_empty();
        assert!(failed && texts.iter().all(|text| self.error.contains(text)), "{texts:?}: {self:?}");
    }
}

fn run(folder: &TestFolder, arguments: &[&str]) -> Outcome {
    Outcome::of(&mut boxoffice(folder, arguments))
}

/// A folder with an empty database whose schema is up to date.
fn folder_with_database() -> TestFolder {
    let folder = TestFolder::create();
    run(&folder, &["migrate", "--create"]).prints(&["applied "]);
    folder
}

#[test]
fn the_short_help_names_what_every_installation_needs_and_the_long_help_names_all() {
    let folder = TestFolder::create();
    let short = run(&folder, &["-h"]);
    let commands = ["serve", "migrate", "import", "account", "check", "show", "maintenance", "audit", "openapi"]
        .map(|word| format!("\n  {word} "));
    short.prints(&commands.each_ref().map(String::as_str));
    short.prints(&["--config", "--listen", "--database", "--waiting-room", "--data-dir", "--demo", "--log-format"]);
    short.prints(&["BOXOFFICE_LISTEN", "127.0.0.1:8080"]);
    assert!(!short.printed.contains("--sweep-seconds"), "{short:?}");
    let long = run(&folder, &["serve", "--help"]);
    long.prints(&["--hold-seconds", "BOXOFFICE_HOLD_SECONDS", "--sweep-seconds", "BOXOFFICE_MAX_ACTIVE"]);
}

#[test]
fn openapi_prints_the_document_and_needs_no_settings() {
    let folder = TestFolder::create();
    let document: serde_json::Value = serde_json::from_str(&run(&folder, &["openapi"]).printed).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert!(folder.names().is_empty());
}

#[test]
fn wrong_settings_are_refused_by_name_before_anything_is_done() {
    let folder = TestFolder::create();
    let file = folder.write("boxoffice.toml", "hold_secs = 3\nmax_active = 0\n");
    let mut command = boxoffice(&folder, &["serve", "--config", file.to_str().unwrap(), "--listen", "nowhere"]);
    command.env("BOXOFFICE_WRITE_LANES", "many").env("BOXOFFICE_PASSWORD", "not a setting");
    Outcome::of(&mut command).fails(
        2,
        &[
            "`hold_secs` is not a setting",
            "`max_active` must be a whole number from 1 to 1000000, not `0`",
            "boxoffice.toml",
            "`write_lanes` must be a whole number from 1 to 64, not `many` (set by the variable BOXOFFICE_WRITE_LANES)",
            "`listen` must be a host and a port",
            "(set by the flag --listen)",
        ],
    );
    assert_eq!(folder.names(), ["boxoffice.toml"]);
    Outcome::of(boxoffice(&folder, &["audit"]).env("BOXOFFICE_CONFIG", &file))
        .fails(2, &["`hold_secs` is not a setting"]);
    run(&folder, &["audit", "--config", "missing.toml"]).fails(2, &["cannot read missing.toml"]);
    let redis = run(&folder, &["--waiting-room", "redis://:hunter2@localhost/lines"]);
    redis.fails(2, &["`waiting_room` is not a URL"]);
    assert!(!redis.error.contains("hunter2"), "{redis:?}");
}

#[test]
fn an_audit_that_cannot_run_exits_with_2_and_makes_nothing() {
    let folder = TestFolder::create();
    run(&folder, &["audit"]).fails(2, &["there is no database at sqlite://./data/boxoffice.db"]);
    assert!(folder.names().is_empty());
    folder.write("not.db", &"this is no database ".repeat(1_000));
    run(&folder, &["audit", "--database", "sqlite://not.db"]).fails(2, &["boxoffice: "]);
}

#[test]
fn a_wrong_catalog_is_refused_with_every_place_and_1() {
    let folder = TestFolder::create();
    let catalog = r#"{"venues": [{"key": "", "name": "Hall", "location": "Seoul", "sections": []}], "concerts": []}"#;
    folder.write("wrong.json", catalog);
    run(&folder, &["import", "wrong.json"]).fails(
        1,
        &[
            "/venues/0/key: must not be empty",
            "/venues/0/sections: a venue has at least one section",
            "wrong.json: 2 mistakes; nothing was imported",
        ],
    );
    assert_eq!(folder.names(), ["wrong.json"]);
}

#[test]
fn a_catalog_is_imported_again_without_harm_and_the_audit_is_clean() {
    let folder = folder_with_database();
    run(&folder, &["import", CLUB]).prints(&["venues 1 new and 0 known", "100 new seats"]);
    run(&folder, &["import", CLUB]).prints(&["venues 0 new and 1 known", " 0 new seats"]);
    run(&folder, &["audit"]).prints(&["no breach found\n"]);
    run(&folder, &["import", "missing.json"]).fails(2, &["cannot read missing.json"]);
    run(&folder, &["import", CLUB, "--promoter", "nobody"]).fails(2, &["there is no account `nobody`"]);
}

/// A catalog of one concert with a performance of each key, which start a day apart.
fn catalog_of(performances: &[&str]) -> Value {
    let performance = |(day, key): (usize, &&str)| {
        json!({"key": key, "venue": "hall", "starts_at": format!("2030-01-{:02}T10:00:00Z", day + 1),
               "prices": [{"section": "A", "price": 1_000}]})
    };
    let performances: Vec<_> = performances.iter().enumerate().map(performance).collect();
    json!({
        "venues": [{"key": "hall", "name": "Hall", "location": "Seoul",
            "sections": [{"name": "A", "rows": [{"name": "1", "seats": 2}]}]}],
        "concerts": [{"key": "night", "title": "Night", "artist": "Band", "sales_open_at": "2026-01-05T11:00:00Z",
            "sales_close_at": "2030-12-31T15:00:00Z", "performances": performances}],
    })
}

#[test]
fn an_import_prints_what_it_changes_and_a_dry_run_changes_nothing() {
    let folder = folder_with_database();
    folder.write("night.json", &catalog_of(&["night-1", "night-2"]).to_string());
    let dry = run(&folder, &["import", "night.json", "--dry-run"]);
    dry.prints(&["dry run, nothing was written: imported: venues 1 new and 0 known"]);
    run(&folder, &["import", "night.json"]).prints(&["venues 1 new and 0 known", "4 new seats"]);
    let update = json!({"venues": [], "concerts": [{"key": "night", "max_active": 3, "title": "Day"}]});
    folder.write("update.json", &update.to_string());
    let changes = ["concert `night`: title: Night -> Day\n", "concert `night`: max_active: 500 -> 3\n"];
    run(&folder, &["import", "update.json", "--dry-run"]).prints(&changes);
    run(&folder, &["import", "update.json"]).prints(&changes);
    // What a file does not mention stays.
    let again = run(&folder, &["import", "night.json"]);
    again.prints(&["concert `night`: title: Day -> Night\n"]);
    assert!(!again.printed.contains("max_active"), "{again:?}");

    folder.write("less.json", &catalog_of(&["night-1"]).to_string());
    run(&folder, &["import", "less.json"])
        .prints(&["performance `night-2` is to come, and the file does not name it; --withdraw takes it from sale\n"]);
    run(&folder, &["import", "less.json", "--withdraw"]).prints(&["performance `night-2`: withdrawn: false -> true\n"]);
    run(&folder, &["import", "night.json"]).prints(&["performance `night-2`: withdrawn: true -> false\n"]);
    folder.write("none.json", r#"{"venues": [], "concerts": []}"#);
    let missing = "concert `night` has performances to come, and the file does not name it; with an entry that has no ";
    run(&folder, &["import", "none.json"]).prints(&[missing]);
    // Of what is withdrawn nothing is to come.
    folder.write("withdrawn.json", &catalog_of(&[]).to_string());
    run(&folder, &["import", "withdrawn.json", "--withdraw"]).prints(&["performance `night-1`: withdrawn"]);
    let again = run(&folder, &["import", "none.json"]);
    again.prints(&["imported: "]);
    assert!(!again.printed.contains("to come"), "{again:?}");
    run(&folder, &["audit"]).prints(&["no breach found\n"]);
}

#[test]
fn an_import_is_refused_at_the_place_of_the_rule_that_it_breaks() {
    let folder = folder_with_database();
    folder.write("night.json", &catalog_of(&["night-1", "night-2"]).to_string());
    let account = |login_id: &str| {
        let mut command = boxoffice(&folder, &["account", login_id, "--role", "promoter"]);
        Outcome::of(command.env("BOXOFFICE_PASSWORD", "long enough")).prints(&[]);
    };
    account("one");
    account("other");
    run(&folder, &["import", "night.json"]).prints(&["venues 1 new and 0 known"]);
    run(&folder, &["import", "night.json", "--promoter", "one"])
        .prints(&["concert `night`: owner: operator -> ", "concerts 0 new and 1 known"]);
    for owner in [&["--promoter", "other"][..], &[]] {
        run(&folder, &[&["import", "night.json"], owner].concat())
            .fails(1, &["/venues/0/key: the key belongs to another owner", "nothing was imported"]);
    }
    for (field, value, flag, place, what) in [
        ("starts_at", json!("2020-01-01T10:00:00Z"), "--allow-harm", "0/starts_at", "later than now; --allow-history"),
        ("starts_at", json!("2206-01-01T10:00:00Z"), "--allow-harm", "0/starts_at", "at most ten years ahead"),
        ("starts_at", json!("2030-01-02T09:00:00Z"), "--allow-harm", "0/starts_at", "another performance at that time"),
        ("prices", json!([]), "--dry-run", "0/prices", "the section `A` has no price"),
    ] {
        let mut wrong = catalog_of(&["night-1", "night-2"]);
        wrong["concerts"][0]["performances"][0][field] = value;
        folder.write("wrong.json", &wrong.to_string());
        run(&folder, &["import", "wrong.json", "--promoter", "one", flag])
            .fails(1, &[&format!("/concerts/0/performances/{place}: "), what]);
    }
    let mut past = catalog_of(&["past"]);
    past["concerts"][0]["key"] = json!("past");
    past["concerts"][0]["sales_open_at"] = json!("2019-01-05T11:00:00Z");
    past["concerts"][0]["performances"][0]["starts_at"] = json!("2020-01-01T10:00:00Z");
    folder.write("past.json", &past.to_string());
    run(&folder, &["import", "past.json", "--promoter", "one", "--allow-history"]).prints(&["performances 1 new"]);
    folder.write("new.json", r#"{"venues": [], "concerts": [{"key": "new"}]}"#);
    run(&folder, &["import", "new.json"]).fails(1, &["/concerts/0/sales_open_at: is required, because the key is new"]);
    run(&folder, &["audit"]).prints(&["no breach found\n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_published_to_the_servers_over_the_same_redis() {
    let server = RedisServer::start().await.unwrap();
    let second = Duration::from_secs(1);
    let settings = RedisSettings { prefix: "boxoffice".to_owned(), connect_timeout: second, command_timeout: second };
    let peers =
        RedisPeers::new(Link::open(RedisUrl::parse(&server.url()).unwrap(), settings), Arc::new(TestClock::new()));
    let mut subscription = peers.subscribe();
    while !peers.all_received() {
        sleep(Duration::from_millis(10)).await;
    }
    while subscription.try_next().is_some() {}
    let folder = folder_with_database();
    let mut import = boxoffice(&folder, &["import", CLUB]);
    import.env("BOXOFFICE_WAITING_ROOM", server.url());
    tokio::task::spawn_blocking(move || Outcome::of(&mut import).prints(&[])).await.unwrap();
    let mut received = async || timeout(Duration::from_secs(30), subscription.next()).await.expect("it is received");
    assert_eq!(received().await, Announcement::Missed, "the import is a new peer");
    assert_eq!(received().await, Announcement::Published { topic: Topic::Catalog, text: "".into() });
}

#[test]
fn an_account_is_made_once_and_its_role_changed_afterwards() {
    let folder = folder_with_database();
    let account = |role: &str, password: Option<&str>| {
        let mut command = boxoffice(&folder, &["account", "haneul", "--role", role]);
        Outcome::of(command.envs(password.map(|password| ("BOXOFFICE_PASSWORD", password))))
    };
    account("promoter", None).fails(2, &["set BOXOFFICE_PASSWORD"]);
    account("promoter", Some("short")).fails(1, &["a password has 8 to 128 characters"]);
    let made = account("promoter", Some("long enough"));
    assert_eq!(made.printed, "made the account `haneul` with the role promoter\n", "{made:?}");
    account("admin", None).prints(&["the account `haneul` has the role admin"]);
}

#[test]
fn migrations_are_applied_and_taken_back() {
    let folder = TestFolder::create();
    run(&folder, &["migrate"]).fails(2, &["there is no database at sqlite://./data/boxoffice.db: with --create"]);
    assert!(folder.names().is_empty());
    let applied = run(&folder, &["migrate", "--create"]);
    assert!(applied.error.starts_with("database: sqlite://./data/boxoffice.db\n"), "{applied:?}");
    applied.prints(&[]);
    let count = applied.printed.lines().filter(|line| line.starts_with("applied ")).count();
    assert_eq!(count, applied.printed.lines().count(), "{applied:?}");
    run(&folder, &["migrate"]).prints(&["the schema is up to date\n"]);
    let taken_back = run(&folder, &["migrate", "--down", &count.to_string()]);
    assert!(taken_back.code == 0 && taken_back.printed.lines().count() == count, "{taken_back:?}");
    for command in [&["audit"][..], &["migrate"], &["import", CLUB], &["account", "haneul", "--role", "admin"]] {
        run(&folder, command).fails(2, &["there is nothing in the database sqlite://./data/boxoffice.db"]);
    }
}

/// A server that is killed if its test fails.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &TestFolder, arguments: &[&str]) -> Self {
        Self::start_logging_to(folder, arguments, Stdio::piped())
    }

    fn start_logging_to(folder: &TestFolder, arguments: &[&str], log: Stdio) -> Self {
        let listen = if arguments.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let mut command = boxoffice(folder, &[&["serve"], listen, arguments].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("boxoffice listens on ").and_then(|url| url.split_once("://"));
        let address = address.map(|(_, address)| address.to_owned());
        Self { process, address: address.unwrap_or_else(|| panic!("it printed `{line}`")) }
    }

    fn get(&self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// The answer to a request, of which this is the head without its last fields.
    fn send(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{head}Host: {}\r\nConnection: close\r\n\r\n{body}", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Stops it, asserts that it ends with 0, and returns its log.
    fn stop(mut self) -> String {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut log = String::new();
        if let Some(mut written) = self.process.stderr.take() {
            written.read_to_string(&mut log).unwrap();
        }
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn a_server_prints_where_it_listens_and_ends_with_0_when_stopped() {
    let folder = TestFolder::create();
    let server = Server::start(&folder, &["--log-format", "json"]);
    assert!(server.get("/readyz").starts_with("HTTP/1.1 200 OK"));
    assert!(server.get("/metrics").contains("# TYPE http_requests_total counter"));
    // A connection without a request does not delay the stop.
    let _idle = TcpStream::connect(&server.address).unwrap();
    let log = server.stop();
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert!(log.contains(r#""message":"stopped""#), "{log}");
    let mode = |path: &str| fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/keys.json"), mode("data/boxoffice.db")), (0o700, 0o600, 0o600));
    run(&folder, &["audit"]).prints(&["no breach found\n"]);
}

#[test]
fn a_server_whose_log_cannot_be_written_serves_all_the_same() {
    let folder = TestFolder::create();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let server = Server::start_logging_to(&folder, &["--log", "debug"], full.into());
    assert!(server.get("/v1/concerts").starts_with("HTTP/1.1 200 OK"));
    server.stop();
}

#[test]
fn two_servers_never_use_one_embedded_database() {
    let folder = TestFolder::create();
    let server = Server::start(&folder, &[]);
    let second = run(&folder, &["serve", "--listen", "127.0.0.1:0"]);
    second.fails(2, &["another server is working with sqlite://./data/boxoffice.db"]);
    server.stop();
    Server::start(&folder, &[]).stop();
}

#[test]
fn the_demo_is_the_same_after_a_second_start() {
    let folder = TestFolder::create();
    let log = Server::start(&folder, &["--demo"]).stop();
    assert!(log.contains("54914 new seats") && log.contains("passwords of its accounts are public"), "{log}");
    let server = Server::start(&folder, &["--demo"]);
    let concerts = server.get("/v1/concerts?bookable=true");
    assert_eq!(concerts.matches(r#""title""#).count(), 3, "{concerts}");
    let log = server.stop();
    assert!(log.contains("the concerts of the demo exist") && !log.contains("demo-password"), "{log}");
}

#[test]
fn a_server_listens_on_a_host_that_has_a_name() {
    let folder = TestFolder::create();
    let server = Server::start(&folder, &["--listen", "localhost:0", "--metrics-listen", "localhost:0"]);
    assert!(server.address.starts_with("127.0.0.1:") || server.address.starts_with("[::1]:"), "{}", server.address);
    assert!(server.get("/healthz").starts_with("HTTP/1.1 200 OK"));
    assert!(server.get("/metrics").starts_with("HTTP/1.1 404"));
    let log = server.stop();
    assert!(log.contains("serving metrics and health"), "{log}");
    let unknown = run(&folder, &["serve", "--listen", "no-such-host.invalid:80"]);
    unknown.fails(2, &["cannot find the host of no-such-host.invalid:80"]);
    run(&folder, &["serve", "--listen", "localhost"]).fails(2, &["`listen` must be a host and a port"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = run(&TestFolder::create(), &["serve", "--listen", &address]);
    outcome.fails(2, &[&format!("cannot listen on {address}")]);
}
