//! The crowd to watch: the program `boxoffice-rush`.

use std::{collections::BTreeMap, time::Duration};

use boxoffice_testkit::tcp_proxy::{Network, TcpProxy};
use serde_json::{Value, json};
use tokio::time::timeout;

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
    let (code, _, error) = server.run(&["migrate", "--create"], &elsewhere).await;
    assert_eq!(code, 0, "{error}");
    let (code, printed, _) = server.run_rush(&arguments, &elsewhere).await;
    assert!(code == 0 && printed.contains("is not the server's database"), "{printed}");
    server.finish().await;
}

/// A catalog of small concerts, each on a different day, and one in a hall larger than those of the demo.
fn catalog_with_the_largest_hall_last(small: u32) -> Value {
    let venue = |key: &str, seats: u32| {
        let sections = json!([{"name": "A", "rows": [{"name": "1", "seats": seats}]}]);
        json!({"key": key, "name": key, "location": "Seoul", "sections": sections})
    };
    let concert = |key: &str, venue: &str, day: u32| {
        let performance = json!({"key": format!("{key}-1"), "venue": venue,
            "starts_at": format!("2030-{:02}-{:02}T10:00:00Z", 1 + day / 28, 1 + day % 28),
            "prices": [{"section": "A", "price": 10}]});
        json!({"key": key, "title": key, "artist": "Band", "sales_open_at": "2026-01-01T00:00:00Z",
            "sales_close_at": "2029-12-31T00:00:00Z", "performances": [performance]})
    };
    let mut concerts: Vec<_> = (0..small).map(|day| concert(&format!("small {day}"), "club", day)).collect();
    concerts.push(concert("the largest", "field", 0));
    json!({"venues": [venue("club", 20), venue("field", 20_000)], "concerts": concerts})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_hall_is_found_on_the_last_page() {
    let server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "2"), ("REFORM_SECONDS", "0")]).await;
    demo_account(&server, "buyer-00002", "buyer-password").await;
    let file = server.folder().join("large.json");
    std::fs::write(&file, catalog_with_the_largest_hall_last(110).to_string()).expect("it can be written");
    let (code, _, error) = server.run(&["import", file.to_str().expect("a path")], &[]).await;
    assert_eq!(code, 0, "{error}");
    let report = rush(&server, &["--buyers", "2", "--seats", "2", "--no-svg"], 0).await;
    assert_eq!(report["concert"], "the largest", "{report}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_rush_whatever_it_waits_for() {
    let server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "3"), ("REFORM_SECONDS", "0")]).await;
    demo_account(&server, "buyer-00003", "buyer-password").await;
    let url = server.url();
    let flags = ["--url", &url, "--buyers", "3", "--seats", "3", "--no-svg", "--think", "0"];
    let run = async |arguments: &[&str]| {
        let arguments = [&flags, arguments].concat();
        let running = server.run_rush(&arguments, &[]);
        timeout(Duration::from_mins(1), running).await.expect("the rush ends at its deadline")
    };

    // The buyers are on their way.
    let (code, printed, error) = run(&["--json", "--arrive", "1000m", "--deadline", "12s"]).await;
    let report: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{code} {printed} {error}"));
    assert_eq!((code, &report["outcomes"]["went_home"]), (3, &json!(3)), "{report} {error}");
    assert!(report["cut_short"].as_str().is_some_and(|what| what.contains("on their way")), "{report}");
    assert!(error.contains("the deadline of 12 s came first"), "{error}");

    // No queue admits anybody.
    let promoter = demo_account(&server, "promoter", "promoter-password").await;
    for concert in list(server.api().get("/v1/concerts?bookable=true").send().await.is(200), "items") {
        let path = format!("/v1/concerts/{}/queue/pause", text(concert, "id"));
        server.api().post(&path, &json!({})).bearer(&promoter).send().await.is(200);
    }
    let (code, printed, error) = run(&["--deadline", "7s"]).await;
    assert_eq!((code, printed.as_str()), (3, ""), "{error}");
    assert!(error.contains("the deadline of 7 s came first") && error.contains("` is paused"), "{error}");
    let said = error.lines().filter(|line| line.starts_with("choosing a concert") && line.contains("` is paused"));
    assert!(said.count() > 0, "it says so while it waits: {error}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answering_the_crowd_ends_a_rush_soon_after_its_deadline() {
    let server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "3"), ("REFORM_SECONDS", "0")]).await;
    demo_account(&server, "buyer-00003", "buyer-password").await;
    let promoter = demo_account(&server, "promoter", "promoter-password").await;
    let active = async || {
        let mut active = 0;
        for concert in list(server.api().get("/v1/concerts?bookable=true").send().await.is(200), "items") {
            let path = format!("/v1/concerts/{}/queue/stats", text(concert, "id"));
            active += server.api().get(&path).bearer(&promoter).send().await.is(200)["active"].as_u64().unwrap_or(0);
        }
        active
    };
    let proxy = TcpProxy::start(server.address()).expect("the proxy starts");
    let url = format!("http://{}", proxy.address());
    // The buyers are admitted, and then think for longer than the rush lasts.
    let arguments = ["--url", &url, "--buyers", "3", "--seats", "3", "--connections", "8", "--no-svg", "--json"];
    let arguments = [&arguments[..], &["--arrive", "0", "--think", "1000m", "--deadline", "20s"]].concat();
    let stopping = async {
        eventually("all buyers are admitted", async || (active().await == 3).then_some(())).await;
        proxy.set(Network::Swallowing).await;
    };
    let both = async { tokio::join!(server.run_rush(&arguments, &[]), stopping) };
    let ((code, printed, error), ()) = timeout(Duration::from_mins(2), both).await.expect("the rush ends");
    assert_eq!((code, printed.as_str()), (3, ""), "{error}");
    assert!(error.contains("the deadline of 20 s came first: 3 buyers were at the seats"), "{error}");
    assert!(error.contains("3 buyers still waited for the server"), "{error}");
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
