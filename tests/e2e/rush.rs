//! The crowd to watch: the program `boxoffice-rush`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{client::Buyer, eventually, list, server::Server, text};

const BUYERS: u64 = 300;
const SEATS: u64 = 200;

/// What the rush prints with `--json`, after it has ended with this exit code.
async fn rush(server: &Server, arguments: &[&str], status: i32) -> Value {
    let url = server.url();
    let all = [&["--url", &url, "--json", "--think", "0", "--arrive", "1s"], arguments].concat();
    let (code, printed, error) = server.run_rush(&all, &[]).await;
    assert_eq!((code, error.as_str()), (status, ""), "{printed}");
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error} in `{printed}`"))
}

/// Signs one of the demo accounts in, which the server makes while it serves already.
async fn demo_account(server: &Server, login_id: &str, password: &str) -> String {
    let body = json!({"login_id": login_id, "password": password});
    let session = eventually("the account is made", async || {
        let answer = server.api().post("/v1/sessions", &body).send().await;
        (answer.status == 201).then(|| answer.json.clone())
    });
    text(&session.await, "access_token").to_owned()
}

/// How many seats the server has sold, over all performances.
async fn sold_by_the_server(server: &Server) -> u64 {
    let promoter = demo_account(server, "promoter", "promoter-password").await;
    let mut sold = 0;
    for concert in list(server.api().get("/v1/concerts?bookable=true").send().await.is(200), "items") {
        let id = text(concert, "id");
        let visitor = Buyer::admitted(server.api(), id).await;
        for performance in visitor.list(&format!("/v1/concerts/{id}/performances")).await {
            let path = format!("/v1/performances/{}/sales", text(&performance, "id"));
            sold += server.api().get(&path).bearer(&promoter).send().await.is(200)["sold"].as_u64().expect("a number");
        }
    }
    sold
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_sells_every_seat_once_and_says_so() {
    let server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "300")]).await;
    let buyers = BUYERS.to_string();
    let report = rush(&server, &["--buyers", &buyers, "--seats", &SEATS.to_string()], 0).await;
    let sold = report["seats_sold"].as_u64().expect("a number");
    assert!(sold > 0 && sold <= SEATS, "{report}");
    assert_eq!(sold_by_the_server(&server).await, sold);
    assert_eq!(report["seats_wanted"], SEATS);
    assert_eq!(report["outside"]["seats_sold_twice"], 0);
    assert_eq!(report["outside"]["untrue"], json!([]));
    assert_eq!(report["outside"]["wallets_checked"], BUYERS);
    assert_eq!(report["outside"]["purchases_checked"], report["purchases"]);
    assert_eq!(report["audit"], json!({"verdict": "clean"}));
    assert_eq!(report["failures"], json!({}));
    let outcomes: BTreeMap<String, u64> = serde_json::from_value(report["outcomes"].clone()).expect("counts");
    assert_eq!(outcomes.values().sum::<u64>(), BUYERS);
    assert_eq!(outcomes["bought"], report["purchases"].as_u64().expect("a number"));
    for step in ["sign_in", "join", "seats", "hold", "pay"] {
        assert!(
            report["latencies"][step]["p99_milliseconds"].as_f64().is_some_and(|time| time > 0.0),
            "{step}: {report}"
        );
    }
    let picture = std::fs::read_to_string(server.folder().join("rush.svg")).expect("the picture is there");
    assert!(picture.starts_with("<svg") && picture.contains("seats sold"));

    // A second crowd has the same people, of whom some have seats already, and other seats.
    let again = rush(&server, &["--buyers", "50", "--seats", "30", "--no-svg", "--walk-away", "100"], 0).await;
    assert_eq!((&again["seats_sold"], &again["seats_wanted"]), (&json!(0), &json!(30)));
    assert!(again["outcomes"]["walked_away"].as_u64().is_some_and(|count| count > 0), "{again}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_the_servers_is_not_audited_for_it() {
    let server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "5")]).await;
    demo_account(&server, "buyer-00005", "buyer-password").await;
    let url = server.url();
    let arguments = ["--url", &url, "--json", "--no-svg", "--buyers", "5", "--seats", "5", "--arrive", "0"];
    let elsewhere = [("BOXOFFICE_DATA_DIR", "elsewhere")];
    let (code, printed, error) = server.run_rush(&arguments, &elsewhere).await;
    let report: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{code} {printed} {error}"));
    assert_eq!((code, &report["audit"]["verdict"]), (0, &json!("not_run")), "{report}");
    assert!(!server.folder().join("elsewhere").exists());
    let (code, _, error) = server.run(&["migrate"], &elsewhere).await;
    assert_eq!(code, 0, "{error}");
    let (code, printed, _) = server.run_rush(&arguments, &elsewhere).await;
    assert!(code == 0 && printed.contains("is not the server's database"), "{printed}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_says_what_it_needs() {
    let server = Server::start(&[]).await;
    let url = server.url();
    for (arguments, message) in [
        (&["--url", &url][..], "start the server with --demo"),
        (&["--url", "http://192.0.2.1:8080"], "--allow-remote"),
        (&["--url", "https://127.0.0.1"], "must begin with http://"),
        (&["--url", "http://127.0.0.1:1"], "refused"),
    ] {
        let (code, printed, error) = server.run_rush(arguments, &[]).await;
        assert_eq!((code, printed.as_str()), (2, ""), "{error}");
        assert!(error.contains(message), "{arguments:?}: {error}");
    }
    server.finish().await;

    let server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "2")]).await;
    demo_account(&server, "buyer-00002", "buyer-password").await;
    let (code, _, error) = server.run_rush(&["--url", &server.url(), "--buyers", "3"], &[]).await;
    assert!(code == 2 && error.contains("--demo-buyers 3, or come with --buyers 2"), "{error}");
    server.finish().await;
}
