//! What is shown from memory: never less than the server has answered.

use crate::support::{
    client::Buyer,
    server::{Backend, MARIADB, Server},
    show::{Show, Terms, labels},
    together,
};

const BUYERS: usize = 100;

/// How a seat is shown to a buyer.
async fn shown(buyer: &Buyer, performance: &str, label: &str) -> String {
    let map = buyer.seats(performance).await;
    let seat = map["seats"].as_array().expect("seats").iter().find(|seat| seat["label"] == label);
    seat.expect("the seat")["status"].as_str().expect("a status").to_owned()
}

/// Two want each seat, and all of them look after each answer: whoever got it, whoever was refused, and whoever has
/// given it up again.
async fn everybody_is_shown_what_they_were_answered(backend: Backend, settings: &[(&str, &str)]) {
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
                // The one who had it may have given it up since.
                return (answer.status, now);
            }
            assert_eq!(now, "held", "{label} was held by the one who looks");
            if index % 3 == 0 {
                buyer.ask_cancel(&answer.id()).send().await.is(200);
                return (200, shown(&buyer, &performance, &label).await);
            }
            (201, now)
        }
    })
    .await;
    // Nobody gives up anything any more: whoever is refused now sees the seat taken, and whoever has it, held.
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
async fn nobody_is_shown_less_than_the_own_answer_said_on_sqlite() {
    everybody_is_shown_what_they_were_answered(Backend::Sqlite, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_less_than_the_own_answer_said_on_mariadb() {
    everybody_is_shown_what_they_were_answered(MARIADB, &[("CACHE_MILLISECONDS", "500")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_less_than_the_own_answer_said_without_a_cache() {
    everybody_is_shown_what_they_were_answered(Backend::Sqlite, &[("CACHE_MILLISECONDS", "0")]).await;
}

/// A map that has not changed is told of without being sent, and counted as served from memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_is_there_already_is_not_sent_again() {
    let server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::many_admitted(server.api(), 1, &show.concert).await.remove(0);
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
