//! What an operator relies on.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

use boxoffice_tests::read;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use crate::support::{
    all,
    client::{Api, Buyer},
    eventually,
    openapi_check::document,
    server::{MARIADB, PASSWORD, Server},
    show::{PRICE, Show, Terms},
    together,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_what_is_in_flight_end_and_takes_nothing_new() {
    const IN_FLIGHT: u8 = 20;
    let mut server = Server::start(&[("GATEWAY_DELAY_MILLISECONDS", "2500")]).await;
    let buyer = Buyer::new(server.api()).await;
    let commands = "boxoffice_batch_commands_sum";
    let before = server.api().metric(commands).await;
    let charges = (0..IN_FLIGHT).map(|_| tokio::spawn(buyer.ask_charge(10).send())).collect();
    // Each has been written down as pending, and waits for the gateway.
    let api = server.api().clone();
    eventually("the charges are in flight", || async {
        (api.metric(commands).await >= before + f64::from(IN_FLIGHT)).then_some(())
    })
    .await;
    server.terminate();
    for answer in all(charges).await {
        assert_eq!(answer.is(201)["status"], "completed");
    }
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(buyer.get("/v1/me").try_send().await.is_none(), "the server still answers");
    server.start_again().await;
    let balance = server.api().get("/v1/wallet").bearer(&buyer.asks.access_token).send().await;
    assert_eq!(balance.is(200)["balance"], 200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_what_an_operator_needs() {
    let server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::default()).await;
    let mut buyer = Buyer::new(server.api()).await;
    buyer.be_admitted(&show.concert).await;
    buyer.charge(5 * PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1", "A-1-2"]).await;
    buyer.pay(&reservation).await;
    buyer.ask_cancel("no-id").send().await.refuses(400, "malformed_request");
    let api = server.api();
    for (name, value) in [
        ("boxoffice_holds_total", 1.0),
        ("boxoffice_payments_total", 1.0),
        ("boxoffice_points_charged_total", 5_000.0),
        ("boxoffice_queue_joined_total", 1.0),
        ("boxoffice_refusals_total", 1.0),
    ] {
        let counted = api.metric(name).await;
        assert!((counted - value).abs() < f64::EPSILON, "{name} is {counted}");
    }
    for name in [
        "http_requests_total",
        "http_request_duration_seconds_count",
        "boxoffice_batch_commands_count",
        "boxoffice_commit_seconds_count",
        "boxoffice_pool_connections",
    ] {
        assert!(api.metric(name).await > 0.0, "{name} is missing");
    }
    let text = api.get("/metrics").send().await.text;
    for series in [
        r#"boxoffice_refusals_total{code="malformed_request"} 1"#,
        r#"http_requests_total{method="POST",route="/v1/reservations",status="201"} 1"#,
        r#"route="/v1/reservations/{id}/cancel",status="400"} 1"#,
    ] {
        assert!(text.contains(series), "{series}\n{text}");
    }
    // The lines are measured every few seconds.
    let concert = show.concert.as_str();
    eventually("the line is measured", || async {
        let text = api.get("/metrics").send().await.text;
        text.contains(&format!(r#"boxoffice_queue_active{{concert="{concert}"}} 0"#)).then_some(())
    })
    .await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_may_have_a_port_of_their_own() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let server = Server::start(&[("METRICS_LISTEN", &port.to_string())]).await;
    server.api().get("/metrics").send().await.refuses(404, "not_found");
    let operators = Api::new(&format!("http://{port}"));
    operators.get("/metrics").send().await.is(200);
    assert_eq!(operators.get("/readyz").send().await.is(200), &json!({"status": "ok"}));
    operators.get("/healthz").send().await.is(200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_taken_from_the_client_or_made() {
    let server = Server::start(&[("LOG", "info,boxoffice_http=debug")]).await;
    let api = server.api();
    let chosen = api.get("/v1/nothing").header("x-request-id", "my-request-42").send().await;
    assert_eq!(chosen.refuses(404, "not_found")["request_id"], "my-request-42");
    let ids: BTreeSet<_> = {
        let (first, second) = (api.get("/healthz").send().await, api.get("/healthz").send().await);
        [first, second].iter().map(|answer| answer.header("x-request-id").expect("an id").to_owned()).collect()
    };
    assert_eq!(ids.len(), 2);
    assert!(server.log().contains("my-request-42"));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_that_is_served_is_the_one_that_is_checked_in() {
    let server = Server::start(&[]).await;
    let served = server.api().get("/openapi.json").send().await;
    assert_eq!(served.is(200), document().root());
    let text = read("docs/openapi.json");
    let checked_in: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(&checked_in, document().root());
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_document_needs_nothing_from_elsewhere() {
    let server = Server::start(&[]).await;
    let response = server.api().page("/docs").await;
    assert_eq!(response.status(), 200);
    let base = response.url().path().to_owned();
    assert!(response.headers()["content-type"].to_str().expect("text").starts_with("text/html"));
    let html = response.text().await.expect("text");
    let assets: Vec<_> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|attribute| html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()))
        .collect();
    assert!(assets.iter().any(|asset| asset.contains(".js")), "{html}");
    assert!(assets.iter().any(|asset| asset.contains(".css")), "{html}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} is elsewhere");
        let path = match asset.strip_prefix("./") {
            Some(relative) => format!("{base}{relative}"),
            None if asset.starts_with('/') => asset.to_owned(),
            None => format!("{base}{asset}"),
        };
        assert_eq!(server.api().page(&path).await.status(), 200, "{path}");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_work_than_the_bound_is_refused_at_once() {
    let settings =
        [("CONCURRENT_REQUESTS_MAX", "3"), ("GATEWAY_DELAY_MILLISECONDS", "1500"), ("EVENT_STREAMS_MAX", "1")];
    let server = Server::start(&settings).await;
    let show = Show::on(&server, Terms::default()).await;
    let mut buyer = Buyer::new(server.api()).await;
    buyer.be_admitted(&show.concert).await;
    let answers = together(20, |_| buyer.ask_charge(1).send()).await;
    let (charged, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((charged.len(), refused.len()), (3, 17));
    for answer in refused {
        answer.refuses(503, "unavailable");
    }
    assert_eq!(buyer.balance().await, 3);
    let mut events = buyer.events().await;
    assert_eq!(events.next().await.expect("an event")["status"], "active");
    let second = buyer.get("/v1/queue/events").header("accept", "text/event-stream").send().await;
    second.refuses(503, "unavailable");
    drop(events);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_let_in_only_where_they_are_named() {
    let ours = "https://tickets.example.org";
    for (settings, allowed) in [(&[][..], None), (&[("CORS_ORIGINS", ours)][..], Some(ours))] {
        let server = Server::start(settings).await;
        for (origin, expected) in [(ours, allowed), ("https://elsewhere.example.org", None)] {
            let answer = server.api().get("/v1/concerts").header("origin", origin).send().await;
            answer.is(200);
            assert_eq!(answer.header("access-control-allow-origin"), expected);
        }
        server.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_and_no_key_can_be_read_by_others() {
    let server = Server::start(&[("LOG", "trace"), ("LOG_FORMAT", "json")]).await;
    let show = Show::on(&server, Terms::default()).await;
    let mut buyer = Buyer::new(server.api()).await;
    buyer.be_admitted(&show.concert).await;
    buyer.charge(PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    buyer.pay(&reservation).await;
    buyer.get("/v1/me").bearer("a-forged-token").send().await.refuses(401, "unauthenticated");
    let log = server.log();
    assert!(log.contains("http.request"), "{log}");
    let signature = buyer.asks.access_token.rsplit('.').next().expect("a signature");
    for secret in [PASSWORD, signature, &buyer.refresh_token, &buyer.asks.queue_token, "a-forged-token"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret is logged");
    }
    let data = server.folder().join("data");
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o077;
    assert_eq!(mode(&data), 0);
    let keys = fs::read_dir(&data).expect("it is read").map(|entry| entry.expect("an entry").path());
    let keys: Vec<_> = keys.filter(|path| !path.to_string_lossy().contains("boxoffice.db")).collect();
    assert!(!keys.is_empty());
    for key in keys.iter().filter(|path| path.is_file()) {
        assert_eq!(mode(key), 0, "{}", key.display());
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_over_the_same_embedded_database_is_refused() {
    let server = Server::start(&[]).await;
    let (status, _, error) = server.run(&["serve", "--listen", "127.0.0.1:0"], &[]).await;
    assert_eq!(status, 2);
    assert!(error.contains("another server is working with"), "{error}");
    server.api().get("/v1/concerts").send().await.is(200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_can_be_started_again() {
    let mut server = Server::start(&[("DEMO", "true")]).await;
    let concerts = async |server: &Server| server.api().get("/v1/concerts").send().await.is(200)["items"].clone();
    let before = concerts(&server).await;
    assert_eq!(before.as_array().map(Vec::len), Some(4));
    for (login_id, password, role) in
        [("demo", "demo-password", "customer"), ("promoter", "promoter-password", "promoter")]
    {
        let session =
            server.api().post("/v1/sessions", &json!({"login_id": login_id, "password": password})).send().await;
        let token = session.is(201)["access_token"].as_str().expect("a token");
        assert_eq!(server.api().get("/v1/me").bearer(token).send().await.is(200)["role"], role);
    }
    server.restart().await;
    assert_eq!(concerts(&server).await, before);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_damaged_data_names_each_breach_and_exits_with_1() {
    let mut server = Server::start_on(MARIADB, &[]).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::many_admitted(server.api(), 1, &show.concert).await.remove(0);
    buyer.charge(5 * PRICE).await;
    let (paid, _) = (buyer.hold(&show.performance, &["A-1-1"]).await, buyer.hold(&show.performance, &["A-1-2"]).await);
    buyer.pay(&paid).await;
    server.stop().await;
    server.audit().await;
    let options = mysql_async::Opts::from_url(server.database_url()).expect("a URL");
    let mut connection = mysql_async::Conn::new(options).await.expect("a connection");
    // Each is done to what the one before has left.
    for (invariant, damage) in [
        ("balance_is_the_sum_of_the_entries", "UPDATE wallets SET balance = balance + 1 WHERE balance > 0"),
        ("live_reservation_has_its_seats", "UPDATE seats SET reservation_id = NULL WHERE label = 'A-1-1'"),
        ("confirmed_reservation_has_one_completed_payment", "UPDATE payments SET amount = amount + 1"),
        ("seat_in_one_live_reservation", "UPDATE reservations SET seats = REPLACE(seats, 'A-1-2', 'A-1-1')"),
        ("change_has_its_event", "DELETE FROM outbox_batches WHERE events LIKE '%reservation_confirmed%'"),
    ] {
        connection.query_drop(damage).await.expect("it is damaged");
        let (status, printed, error) = server.run(&["audit"], &[]).await;
        assert_eq!(status, 1, "{error}");
        assert!(printed.lines().any(|line| line.starts_with(&format!("{invariant}: "))), "{invariant}: {printed}");
    }
    connection.disconnect().await.expect("it is closed");
    server.remove_database().await;
}
