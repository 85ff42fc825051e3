//! What an operator sees of an installation, and how work is refused for a while.

use std::{
    cell::Cell,
    fs::{self, File},
    thread::sleep,
    time::Duration,
};

use boxoffice_testkit::TestFolder;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Server, folder_with_database, run};

/// How long anything may take that happens by itself.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_check_says_how_it_stands_with_every_part_and_changes_nothing() {
    let folder = TestFolder::create();
    let before = run(&folder, &["check"]);
    before.prints(&[
        "ok       settings",
        "warning  database: there is no database at ./data/boxoffice.db",
        "warning  keys",
    ]);
    assert!(folder.names().is_empty(), "{:?}", folder.names());

    let folder = folder_with_database();
    run(&folder, &["keys", "rotate"]).prints(&["signs"]);
    let found = run(&folder, &["check"]);
    found.prints(&[
        "ok       database: sqlite://./data/boxoffice.db, SQLite 3.",
        "ok       clock: is that of the database",
        "ok       queues: are in the memory of the server",
        "ok       keys: access_tokens of ./data/keys.json: 1, the one that signs made ",
        "ok       data folder: ./data",
        "warning  gateway: none is set",
        "ok       mail: none is sent",
    ]);
    for (flags, line) in [
        (&["--mail", "folder:/tmp/mail"][..], "wrong    mail: with `mail`, set `mail_from`"),
        (
            &["--mail", "folder:/tmp/mail", "--mail-from", "a@example.org"],
            "warning  mail: into the folder /tmp/mail; without `public_url` it has no links",
        ),
        (
            &["--mail", "smtps://u:p@mail.example", "--mail-from", "a@b.example", "--public-url", "https://b.example"],
            "ok       mail: over mail.example:465",
        ),
    ] {
        let found = run(&folder, &[&["check"], flags].concat()).printed;
        assert!(found.contains(line), "{line}: {found}");
    }
    run(&folder, &["migrate", "--down", "1"]).prints(&["took back "]);
    fs::write(folder.join("data/keys.json"), "{").unwrap();
    let wrong = run(&folder, &["check", "--waiting-room", "redis://127.0.0.1:1", "--listen", "0.0.0.0:8080"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    for line in [
        "wrong    database: sqlite://./data/boxoffice.db, SQLite ",
        "is behind this program",
        "wrong    queues: redis://127.0.0.1:1 cannot be connected to",
        "wrong    keys: the keys in ./data/keys.json cannot be used",
        "warning  certificate: none",
    ] {
        assert!(wrong.printed.contains(line), "{line}: {wrong:?}");
    }
    let brand = folder.join("brand");
    fs::create_dir(&brand).unwrap();
    let brand = brand.to_str().unwrap();
    let check = || run(&folder, &["check", "--pages-brand-dir", brand]).printed;
    assert!(check().contains(&format!("ok       pages: have the face of {brand}")));
    fs::write(folder.join("brand/texts.json"), "{\"en\": {\"no_such_text\": \"\"}}").unwrap();
    assert!(check().contains("wrong    pages: `pages_brand_dir` cannot be used: "), "{}", check());
    let nowhere = run(&folder, &["check", "--database", "mysql://somebody:secret@127.0.0.1:1/shop"]);
    assert!(nowhere.printed.contains("wrong    database: mysql://somebody:…@127.0.0.1:1/shop"), "{nowhere:?}");
    assert!(nowhere.code == 1 && !nowhere.printed.contains("secret"), "{nowhere:?}");
}

#[test]
fn what_is_stored_of_one_thing_is_shown() {
    let folder = TestFolder::create();
    let server = Server::start(&folder, &["--demo", "--demo-buyers", "0"]);
    let shown = |arguments: &[&str]| -> Value {
        let outcome = run(&folder, &[&["show"], arguments].concat());
        outcome.prints(&[]);
        serde_json::from_str(&outcome.printed).unwrap()
    };
    let concerts = server.get("/v1/concerts");
    let id = concerts.split(r#""id":""#).nth(1).unwrap().split('"').next().unwrap();
    let concert = shown(&["concert", id]);
    assert_eq!(concert["concert"]["id"], id);
    assert!(concert["seats"]["available"].as_u64() > Some(0), "{concert}");
    assert!(concert["performances"].as_array().is_some_and(|all| !all.is_empty()), "{concert}");
    let account = shown(&["account", "demo"]);
    assert_eq!((&account["account"]["role"], &account["account"]["is_demo"]), (&json!("customer"), &json!(true)));
    assert_eq!(account["latest_reservations"], json!([]));
    let account_id = account["account"]["id"].as_str().unwrap();
    assert_eq!(shown(&["account", account_id])["account"]["login_id"], "demo");
    for nothing in
        [["account", "nobody"], ["reservation", account_id], ["payment", account_id], ["concert", account_id]]
    {
        run(&folder, &[&["show"][..], &nothing].concat()).fails(1, &["there is no such thing in this database"]);
    }
    run(&folder, &["show", "queue", id]).fails(2, &["queues in memory are known to their server alone"]);
    server.stop();
}

#[test]
fn during_maintenance_nothing_new_is_begun_and_reading_goes_on() {
    let folder = TestFolder::create();
    let server = Server::start(&folder, &["--demo", "--demo-buyers", "0"]);
    let post = |path: &str, token: &str, body: &str| {
        let length = body.len();
        let fields =
            format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}");
        server.send(&format!("POST {path} HTTP/1.1\r\n{fields}\r\n"), body)
    };
    let sign_up = |login_id: &str| {
        let body = json!({"login_id": login_id, "password": "long enough", "name": "Haneul"});
        post("/v1/accounts", "none", &body.to_string())
    };
    run(&folder, &["maintenance", "status"]).prints(&["off\n"]);
    assert!(sign_up("before").starts_with("HTTP/1.1 201"));
    run(&folder, &["maintenance", "on", "--message", "Back at nine."]).prints(&["on since ", ": Back at nine.\n"]);
    let attempts = Cell::new(0);
    let next = || {
        attempts.set(attempts.get() + 1);
        format!("during-{}", attempts.get())
    };
    let refused = || {
        let answer = sign_up(&next());
        answer.starts_with("HTTP/1.1 503")
            && answer.contains("Back at nine.")
            && answer.to_lowercase().contains("retry-after: 30")
    };
    until("a sign-up is refused", refused);
    // Who is there goes on reading, and can sign in and out for it.
    let signed_in = post("/v1/sessions", "none", r#"{"login_id": "demo", "password": "demo-password"}"#);
    assert!(signed_in.starts_with("HTTP/1.1 201"), "{signed_in}");
    let token = signed_in.split(r#""access_token":""#).nth(1).unwrap().split('"').next().unwrap();
    let read = server.send(&format!("GET /v1/wallet HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"), "");
    assert!(read.starts_with("HTTP/1.1 200"), "{read}");
    assert!(
        server.get("/v1/concerts").starts_with("HTTP/1.1 200") && server.get("/readyz").starts_with("HTTP/1.1 200")
    );
    let id = server.get("/v1/concerts");
    let id = id.split(r#""id":""#).nth(1).unwrap().split('"').next().unwrap();
    let joined = post(&format!("/v1/concerts/{id}/queue"), token, "");
    assert!(joined.starts_with("HTTP/1.1 503") && joined.contains("Back at nine."), "{joined}");
    assert!(server.get("/metrics").contains("boxoffice_maintenance 1"));

    run(&folder, &["maintenance", "off"]).prints(&["off\n"]);
    until("a sign-up succeeds", || sign_up(&next()).starts_with("HTTP/1.1 201"));
    let log = server.stop();
    assert!(log.contains("nothing new is begun") && log.contains("maintenance is over"), "{log}");
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_hangup_changes_what_is_logged_and_names_what_needs_a_restart() {
    let folder = TestFolder::create();
    let file = folder.write("boxoffice.toml", "log = \"info\"\n");
    let log = File::create(folder.join("log")).unwrap();
    let server = Server::start_logging_to(&folder, &["--config", file.to_str().unwrap()], log.into());
    let said = |text: &str| fs::read_to_string(folder.join("log")).unwrap().contains(text);
    let hang_up = || {
        let sent = std::process::Command::new("kill").args(["-HUP", &server.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    assert!(server.get("/v1/concerts").starts_with("HTTP/1.1 200"));
    assert!(!said("responded to a request"));
    folder.write("boxoffice.toml", "log = \"debug\"\nhold_seconds = 7\n");
    hang_up();
    until("the settings are read again", || said("need_restart=\"hold_seconds\""));
    assert!(server.get("/v1/concerts").starts_with("HTTP/1.1 200"));
    until("requests are logged", || said("responded to a request"));
    folder.write("boxoffice.toml", "log = \"debug\"\nmax_active = 0\n");
    hang_up();
    until("wrong settings are refused", || said("the settings are wrong, and nothing is changed"));
    server.stop();
}
