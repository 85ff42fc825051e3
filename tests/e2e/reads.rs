//! Seat maps from the cache: never older than what the account was answered.

use crate::support::{
    client::Buyer,
    list,
    server::{Backend, MARIADB, Server},
    show::{Show, Terms, labels, server_with_buyer},
    text, together,
};

const BUYERS: usize = 100;

/// How a seat is shown to a buyer.
async fn shown(buyer: &Buyer, performance: &str, label: &str) -> String {
    let map = buyer.seats(performance).await;
    let seat = list(&map, "seats").iter().find(|seat| seat["label"] == label);
    text(seat.expect("the seat"), "status").to_owned()
}

/// Two want each seat, and look at the map after each answer to a hold or a cancellation.
async fn maps_agree_with_answers(backend: Backend, settings: &[(&str, &str)]) {
    let server = Server::start_on(backend, settings).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyers = Buyer::many_admitted(server.api(), BUYERS, &show.concert).await;
    let labels = labels();
    let ends = together(BUYERS, |index| {
        let (buyer, performance) = (buyers[index].clone(), show.performance.clone());
        let label = labels[index % labels.len()].clone();
        async move {
            shown(&buyer, &performance, &label).await;
            let answer = buyer.ask_hold(&performance, &[&label]).send().await;
            let now = shown(&buyer, &performance, &label).await;
            if answer.status != 201 {
                answer.refuses(409, "seat_unavailable");
                // Its holder may have cancelled since.
                return (answer.status, now);
            }
            assert_eq!(now, "held", "{label} is held by this buyer");
            if index % 3 == 0 {
                buyer.ask_cancel(&answer.id()).send().await.is(200);
                return (200, shown(&buyer, &performance, &label).await);
            }
            (201, now)
        }
    })
    .await;
    // No buyer cancels any more: one who is refused now sees the seat taken, and its holder sees it held.
    for (index, (status, seen)) in ends.iter().enumerate() {
        let (buyer, label) = (&buyers[index], labels[index % labels.len()].as_str());
        match status {
            201 => assert_eq!((seen.as_str(), shown(buyer, &show.performance, label).await.as_str()), ("held", "held")),
            200 => assert!(["available", "held"].contains(&seen.as_str())),
            _ => {
                let status = buyer.ask_hold(&show.performance, &[label]).send().await.status;
                assert!([201, 409].contains(&status));
                assert_eq!(shown(buyer, &show.performance, label).await, "held");
            }
        }
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_buyer_is_shown_less_than_its_last_answer_said_on_sqlite() {
    maps_agree_with_answers(Backend::Sqlite, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_buyer_is_shown_less_than_its_last_answer_said_on_mariadb() {
    maps_agree_with_answers(MARIADB, &[("CACHE_MILLISECONDS", "500")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_buyer_is_shown_less_than_its_last_answer_said_without_a_cache() {
    maps_agree_with_answers(Backend::Sqlite, &[("CACHE_MILLISECONDS", "0")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_map_is_not_sent_again_and_counts_as_cached() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    let path = format!("/v1/performances/{}/seats", show.performance);
    let first = buyer.get(&path).send().await;
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(first.header("vary"), Some("accept-encoding"));
    for _ in 0..50 {
        let again = buyer.get(&path).header("if-none-match", &tag).send().await;
        assert_eq!((again.status, again.header("etag")), (304, Some(tag.as_str())));
    }
    buyer.hold(&show.performance, &["A-1-1"]).await;
    let changed = buyer.get(&path).header("if-none-match", &tag).send().await;
    assert_eq!(changed.is(200)["seats_available"], 49);
    assert!(server.api().metric("boxoffice_cache_hits_total").await > 0.0);
    server.finish().await;
}
