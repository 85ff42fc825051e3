//! What operators rely on.

use std::{fs, os::unix::fs::PermissionsExt};

use mysql_async::prelude::Queryable;

use crate::support::{
    all,
    client::{Buyer, document},
    queue_stream::QueueStream,
    send_together,
    server::{MARIADB, PASSWORD, Server},
    show::{PRICE, Show, Terms, server_with_buyer},
    until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_what_is_in_flight_end_and_takes_nothing_new() {
    const IN_FLIGHT: u8 = 20;
    let mut server = Server::start(&[("SIMULATOR_DELAY_MILLISECONDS", "2500")]).await;
    let buyer = Buyer::new(server.api()).await;
    let commands = "boxoffice_batch_commands_sum";
    let before = server.api().metric(commands).await;
    let charges = (0..IN_FLIGHT).map(|_| tokio::spawn(buyer.ask_charge(10).send())).collect();
    // Each is stored as pending, and waits for the gateway.
    until("the charges are in flight", async || server.api().metric(commands).await >= before + f64::from(IN_FLIGHT))
        .await;
    server.terminate();
    for answer in all(charges).await {
        assert_eq!(answer.is(201)["status"], "completed");
    }
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(buyer.get("/v1/me").try_send().await.is_none(), "the server still answers");
    server.start_again().await;
    assert_eq!(buyer.balance().await, 200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_taken_from_the_client_or_made() {
    let server = Server::start(&[("LOG", "info,boxoffice_http=debug")]).await;
    let api = server.api();
    let chosen = api.get("/v1/nothing").header("x-request-id", "my-request-42").send().await;
    assert_eq!(chosen.refuses(404, "not_found")["request_id"], "my-request-42");
    let (first, second) = (api.get("/healthz").send().await, api.get("/healthz").send().await);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert!(server.log().contains("my-request-42"));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_that_is_served_is_the_one_that_is_checked_in() {
    let server = Server::start(&[]).await;
    let served = server.api().get("/openapi.json").send().await;
    assert_eq!(served.is(200), document().root());
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_is_served_beside_the_api_unless_it_is_turned_off() {
    for (pages, shop) in [("true", 200), ("false", 404)] {
        let server = Server::start(&[("PAGES", pages)]).await;
        let ask = async |path: &str| {
            let asked = reqwest::Client::new().get(format!("{}{path}", server.url())).header("accept", "text/html");
            let answer = asked.send().await.expect("an answer");
            let field = |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            let (media_type, request_id) = (field("content-type").unwrap_or_default(), field("x-request-id"));
            assert!(request_id.is_some() && field("x-content-type-options").is_some(), "{path}");
            (answer.status().as_u16(), media_type)
        };
        let media_type = if shop == 200 { "text/html; charset=utf-8" } else { "application/problem+json" };
        assert_eq!(ask("/").await, (shop, media_type.to_owned()));
        assert_eq!(ask("/nothing").await, (404, media_type.to_owned()));
        assert_eq!(ask("/v1/nothing").await, (404, "application/problem+json".to_owned()));
        server.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_work_than_the_bound_is_refused_at_once() {
    let settings =
        [("CONCURRENT_REQUESTS_MAX", "3"), ("SIMULATOR_DELAY_MILLISECONDS", "1500"), ("EVENT_STREAMS_MAX", "1")];
    let (server, _, buyer) = server_with_buyer(&settings, Terms::default()).await;
    let answers = send_together(20, |_| buyer.ask_charge(1)).await;
    let (charged, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((charged.len(), refused.len()), (3, 17));
    for answer in refused {
        answer.refuses(503, "unavailable");
    }
    assert_eq!(buyer.balance().await, 3);
    let mut stream = QueueStream::open(&buyer).await;
    assert_eq!(stream.status().await["status"], "active");
    let second = buyer.get("/v1/queue/events").header("accept", "text/event-stream").send().await;
    second.refuses(503, "unavailable");
    drop(stream);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_are_allowed_only_if_they_are_named() {
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
    let (server, show, buyer) = server_with_buyer(&[("LOG", "trace"), ("LOG_FORMAT", "json")], Terms::default()).await;
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
async fn an_audit_of_damaged_data_names_each_breach_and_exits_with_1() {
    let mut server = Server::start_on(MARIADB, &[]).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    buyer.charge(5 * PRICE).await;
    let (paid, _) = (buyer.hold(&show.performance, &["A-1-1"]).await, buyer.hold(&show.performance, &["A-1-2"]).await);
    buyer.pay(&paid).await;
    server.stop().await;
    server.audit().await;
    let mut connection = server.database_connection().await;
    // Each damage adds to the previous ones.
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
