//! A command does what its options say, or says that it cannot.

use boxoffice_testkit::TestFolder;

use crate::{CLUB, Outcome, Server, boxoffice, folder_with_database, run};

#[test]
fn a_setting_that_a_command_has_no_use_for_is_refused_as_a_flag() {
    let folder = TestFolder::create();
    for (arguments, message) in [
        (&["migrate", "--demo"][..], "`boxoffice migrate` has no use for --demo"),
        (&["audit", "--listen", "127.0.0.1:0"], "`boxoffice audit` has no use for --listen"),
        (&["openapi", "--database", "sqlite://x.db"], "`boxoffice openapi` has no use for --database"),
        (&["keys", "rotate", "--max-active", "3"], "`boxoffice keys` has no use for --max-active"),
        (&["import", CLUB, "--hold-seconds", "3"], "`boxoffice import` has no use for --hold-seconds"),
        (&["account", "haneul", "--role", "admin", "--demo-buyers", "3"], "has no use for --demo-buyers"),
        (&["serve", "--demo-buyers", "3"], "--demo-buyers needs --demo"),
        (&["serve", "--redis-prefix", "other"], "--redis-prefix needs a --waiting-room in Redis"),
    ] {
        run(&folder, arguments).fails(2, &[message]);
    }
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    let other = ["--create", "--max-active", "3", "--database", "sqlite://{data_dir}/other.db"];
    run(&folder, &[&["import", CLUB][..], &other].concat()).prints(&[]);
    assert!(folder.join("data/other.db").exists());
}

#[test]
fn an_account_that_exists_is_changed_in_all_that_was_given_and_in_nothing_else() {
    let folder = folder_with_database();
    let account = |arguments: &[&str], password: Option<&str>| {
        let mut command = boxoffice(&folder, &[&["account"], arguments].concat());
        Outcome::of(command.envs(password.map(|password| ("BOXOFFICE_PASSWORD", password))))
    };
    account(&["haneul"], Some("long enough")).fails(2, &["there is no account `haneul`; to make it, give its --role"]);
    account(&["haneul", "--role", "customer"], Some("long enough")).prints(&["made the account `haneul`"]);
    account(&["haneul"], None).fails(2, &["nothing to change", "--role, --name, --password"]);
    account(&["haneul", "--password"], None).fails(2, &["there is no terminal to ask for a password"]);
    account(&["haneul", "--role", "admin"], Some("short")).fails(1, &["a password has 8 to 128 characters"]);
    account(&["haneul", "--name", "\u{1112}\u{1161}\u{1102}\u{1173}\u{11af}"], None)
        .prints(&["the account `haneul` has the name 하늘\n"]);

    let server = Server::start(&folder, &[]);
    let sign_in = |login_id: &str, password: &str| {
        let body = format!(r#"{{"login_id": "{login_id}", "password": "{password}"}}"#);
        server.send(
            &format!(
                "POST /v1/sessions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            ),
            &body,
        )
    };
    let first = sign_in("HANEUL ", "long enough");
    assert!(first.starts_with("HTTP/1.1 201"), "{first}");
    let me = |answer: &str| {
        let token = answer.split(r#""access_token":""#).nth(1).unwrap().split('"').next().unwrap();
        server.send(&format!("GET /v1/me HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"), "")
    };
    let before = me(&first);
    assert!(before.contains(r#""name":"하늘""#) && before.contains(r#""role":"customer""#), "{before}");

    let changed = account(&["Haneul", "--role", "promoter", "--name", "Kim"], Some("\u{e9}t\u{e9} 1234"));
    changed.prints(&[
        "has the role promoter",
        "has the name Kim",
        "has another password",
        "has no sessions any more: 1 have ended",
    ]);
    let refresh = first.split(r#""refresh_token":""#).nth(1).unwrap().split('"').next().unwrap();
    let body = format!(r#"{{"refresh_token": "{refresh}"}}"#);
    let head = format!(
        "POST /v1/sessions/refresh HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    assert!(server.send(&head, &body).starts_with("HTTP/1.1 401"), "the session has ended");
    assert!(sign_in("haneul", "long enough").starts_with("HTTP/1.1 401"));
    let again = me(&sign_in("haneul", "e\u{301}te\u{301} 1234"));
    assert!(again.contains(r#""name":"Kim""#) && again.contains(r#""role":"promoter""#), "{again}");

    // All that the operator asks for, or nothing.
    account(&["haneul", "--lock", "--role", "customer"], Some("short"))
        .fails(1, &["a password has 8 to 128 characters"]);
    account(&["nobody", "--lock", "--role", "admin"], Some("long enough")).fails(2, &["there is no account `nobody`"]);
    let session = sign_in("haneul", "\u{e9}t\u{e9} 1234");
    assert!(me(&session).contains(r#""role":"promoter""#), "{session}");
    account(&["haneul", "--lock", "--role", "customer", "--name", "Park"], None).prints(&[
        "has the role customer",
        "has the name Park",
        "is locked",
        "has no sessions any more: 2 have ended",
    ]);
    let refused = sign_in("haneul", "\u{e9}t\u{e9} 1234");
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("invalid_credentials"), "{refused}");
    account(&["haneul", "--end-sessions"], None).prints(&["has no sessions any more: 0 have ended"]);
    account(&["haneul", "--unlock"], None).prints(&["is no longer locked"]);
    let again = me(&sign_in("haneul", "\u{e9}t\u{e9} 1234"));
    assert!(again.contains(r#""name":"Park""#) && again.contains(r#""role":"customer""#), "{again}");
    account(&["haneul", "--end-sessions"], None).prints(&["has no sessions any more: 1 have ended"]);
    server.stop();
}
