//! The demonstration is kept apart: its passwords are public.

use boxoffice_testkit::TestFolder;

use crate::{Outcome, Server, boxoffice, run};

#[test]
fn the_demo_is_refused_where_others_can_reach_it_unless_that_is_allowed() {
    let folder = TestFolder::create();
    for (arguments, refusal) in [
        (&["--listen", "0.0.0.0:0"][..], "other machines reach 0.0.0.0:0: serve it on 127.0.0.1"),
        (&["--listen", "[::]:0"], "other machines reach [::]:0"),
        (&["--database", "mysql://u:hunter2@127.0.0.1:1/d"], "mysql://u:…@127.0.0.1:1/d is a database server"),
    ] {
        let refused = run(&folder, &[&["serve", "--demo"], arguments].concat());
        refused.fails(2, &["the passwords of the demo are public", refusal, "--demo-anywhere"]);
        assert!(folder.names().is_empty(), "nothing is made");
    }
    run(&folder, &["serve", "--demo-anywhere"]).fails(2, &["--demo-anywhere needs --demo"]);
    let arguments = ["--demo", "--demo-anywhere", "--demo-buyers", "0", "--listen", "0.0.0.0:0"];
    let log = Server::start(&folder, &arguments).stop();
    assert!(log.contains("the demo is open to the network"), "{log}");
}

#[test]
fn accounts_of_the_demo_cannot_sign_in_without_it_and_are_counted_at_the_start() {
    const LEFT: &str = "there are accounts of the demo, whose passwords are public";
    let folder = TestFolder::create();
    let signs_in = |server: &Server, login_id: &str, password: &str| {
        let body = format!(r#"{{"login_id": "{login_id}", "password": "{password}"}}"#);
        let length = body.len();
        let head =
            format!("POST /v1/sessions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
        server.send(&head, &body).starts_with("HTTP/1.1 201")
    };
    let public = [("demo", "demo-password"), ("promoter", "promoter-password")];
    let server = Server::start(&folder, &["--demo", "--demo-buyers", "0"]);
    assert!(public.iter().all(|(login_id, password)| signs_in(&server, login_id, password)));
    assert!(!server.stop().contains(LEFT));

    let server = Server::start(&folder, &[]);
    assert!(!public.iter().any(|(login_id, password)| signs_in(&server, login_id, password)));
    let log = server.stop();
    assert!(log.contains(LEFT) && log.contains("count=2"), "{log}");

    // With another password it is an account like any other, also after the demo has run again.
    let mut account = boxoffice(&folder, &["account", "promoter", "--password"]);
    Outcome::of(account.env("BOXOFFICE_PASSWORD", "known to one")).prints(&["has another password"]);
    Server::start(&folder, &["--demo", "--demo-buyers", "0"]).stop();
    let server = Server::start(&folder, &[]);
    assert!(signs_in(&server, "promoter", "known to one") && !signs_in(&server, "demo", "demo-password"));
    let log = server.stop();
    assert!(log.contains(LEFT) && log.contains("count=1"), "{log}");
}
